//! What is only read, on a connection of its own: listing and scraping delay no alert.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};

use super::open;
use super::tx::{time, unsigned};
use crate::store::{Rejected, RejectedWhat, Stats, StoreError};

/// Reads the store of a data directory, also beside a running service: it takes no lock and writes nothing.
#[derive(Debug)]
pub struct SqliteReader {
    pub(super) conn: Mutex<Connection>,
}

impl SqliteReader {
    /// Opens the store in `dir` for reading.
    ///
    /// # Errors
    /// [`StoreError::Open`] if there is none, or none that this version can read.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(open::DATABASE);
        if !path.exists() {
            let path = path.display();
            return Err(StoreError::Open(format!("{path} does not exist; is --data-dir the one of the service?")));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connect = || {
            let conn = Connection::open_with_flags(&path, flags)?;
            conn.busy_timeout(open::BUSY_TIMEOUT)?;
            open::check_identity(&conn).map(|check| check.map(|version| (conn, version)))
        };
        let (conn, version) =
            connect().map_err(|error| open::broken(&path, &error))?.map_err(|why| open::foreign(&path, &why))?;
        if version != open::current_version() {
            let path = path.display();
            let why = "it was written by an older version and not yet brought up to date";
            return Err(StoreError::Open(format!("{path}: {why}; start the service once with this version")));
        }
        Ok(Self { conn: Mutex::new(conn) })
    }

    /// What was refused, newest first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it cannot be read.
    pub fn rejected(&self, limit: usize) -> Result<Vec<Rejected>, StoreError> {
        // A reader that panicked has changed nothing.
        let conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statement =
            conn.prepare_cached("SELECT at, what, reason, content FROM rejected ORDER BY id DESC LIMIT ?1")?;
        let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            let what = match row.get_ref(1)?.as_str()? {
                "body" => RejectedWhat::Body,
                _ => RejectedWhat::Alert,
            };
            Ok(Rejected { at: time(row.get(0)?), what, reason: row.get(2)?, content: row.get(3)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Counts by receiver. Takes time in proportion to what waits.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if they cannot be read.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        // One transaction: the counts belong together.
        let read = conn.unchecked_transaction()?;
        let mut stats = Stats { dedup_entries: count(&read, "SELECT count(*) FROM dedup")?, ..Stats::default() };
        // A held copy is not late before it is due. Ids grow with the order of acceptance, so the lowest is the oldest; each part is read from its index alone.
        let mut waiting = read.prepare_cached(
            "SELECT receiver, n, (SELECT received_at FROM delivery WHERE id = oldest), held FROM (
             SELECT receiver, sum(n) AS n, min(first) AS oldest, min(held) AS held FROM (
                 SELECT receiver, count(*) AS n, min(id) AS first, NULL AS held FROM delivery INDEXED BY delivery_queued
                 WHERE state = 'queued' GROUP BY receiver
                 UNION ALL SELECT receiver, count(*), NULL, min(due_at) FROM delivery INDEXED BY delivery_held
                 WHERE state = 'held' GROUP BY receiver
                 UNION ALL SELECT receiver, count(*), min(id), NULL FROM delivery INDEXED BY delivery_due
                 WHERE state = 'ready' AND lease_until IS NULL AND digest IS NULL AND carries IS NULL GROUP BY receiver
                 UNION ALL SELECT receiver, count(*), min(id), NULL FROM delivery INDEXED BY delivery_leased
                 WHERE lease_until IS NOT NULL AND carries IS NULL GROUP BY receiver
                 UNION ALL SELECT digest.receiver, count(*), min(carried.id), NULL
                 FROM delivery AS digest INDEXED BY delivery_digests
                 CROSS JOIN delivery AS carried INDEXED BY delivery_carried ON carried.digest = digest.id
                 WHERE digest.carries IS NOT NULL AND digest.ended_at IS NULL AND carried.state = 'ready'
                 GROUP BY digest.receiver)
             GROUP BY receiver)",
        )?;
        let mut rows = waiting.query([])?;
        while let Some(row) = rows.next()? {
            let receiver = stats.receivers.entry(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?.into());
            let receiver = receiver.or_default();
            receiver.pending = unsigned(row.get(1)?);
            let (oldest, held) = (row.get::<_, Option<i64>>(2)?, row.get::<_, Option<i64>>(3)?);
            receiver.oldest = oldest.into_iter().chain(held).min().map(time);
        }
        let mut dead = read.prepare_cached(
            "SELECT receiver, count(*) FROM delivery INDEXED BY delivery_dead
             WHERE state = 'dead' AND discarded_at IS NULL GROUP BY receiver",
        )?;
        let mut rows = dead.query([])?;
        while let Some(row) = rows.next()? {
            let receiver = stats.receivers.entry(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?.into());
            receiver.or_default().dead = unsigned(row.get(1)?);
        }
        let mut failing = read.prepare_cached(
            "SELECT receiver, min(failing_since) FROM delivery INDEXED BY delivery_failing
             WHERE failing_since IS NOT NULL GROUP BY receiver",
        )?;
        let mut rows = failing.query([])?;
        while let Some(row) = rows.next()? {
            let receiver = stats.receivers.entry(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?.into());
            receiver.or_default().failing_since = row.get::<_, Option<i64>>(1)?.map(time);
        }
        Ok(stats)
    }
}

fn count(conn: &Connection, sql: &str) -> rusqlite::Result<u64> {
    conn.prepare_cached(sql)?.query_row([], |row| row.get(0)).map(unsigned)
}
