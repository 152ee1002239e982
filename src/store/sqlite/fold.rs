//! Folding what waits into a digest, in pieces, so that alerts get in between.

use rusqlite::{OptionalExtension, params};

use super::tx::Tx;
use crate::notification::{DeliveryId, Lane};
use crate::store::{FoldRequest, StoreError};

/// How many lanes one transaction folds at most.
const CHUNK: u32 = 500;
/// How many of one lane are folded at most; the others wait for the next digest.
const OF_ONE_LANE: u32 = 1000;
/// How many deliveries a digest carries at most,
const MOST: u32 = 10_000;
/// and how many bytes of content: it is all in memory when it is sent.
const MOST_BYTES: u64 = 32 * 1024 * 1024;
/// What stands in for a digest's content, which is that of what it carries.
const CONTENT: &str = r#"{"format":1,"digest":true}"#;

/// What is folded so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    pub deliveries: u64,
    pub bytes: u64,
    /// Whether a lane has more than one digest takes of it.
    pub cut_short: bool,
}

impl Sum {
    pub(super) fn add(&mut self, folded: Self) {
        self.deliveries += folded.deliveries;
        self.bytes += folded.bytes;
        self.cut_short |= folded.cut_short;
    }

    /// Whether a digest should not carry more.
    pub(super) fn is_full(self) -> bool {
        self.deliveries >= u64::from(MOST) || self.bytes >= MOST_BYTES
    }
}

/// A delivery that can be folded.
struct Row {
    id: i64,
    /// Whom it was meant for and why that one did not get it, if it is a fallback: those are told apart.
    fallback_for: Option<(String, String)>,
    received_at: i64,
    since: i64,
    is_urgent: bool,
    bytes: i64,
}

/// Folds a bounded number of what waits, the urgent and the oldest first. Returns what it has folded, nothing if there is
/// nothing more to fold.
pub(super) fn fold(tx: &Tx<'_>, ask: &FoldRequest, before: Sum) -> Result<Sum, StoreError> {
    let receiver = ask.receiver.as_str();
    let heads: Vec<(i64, i64)> = tx
        .conn
        .prepare_cached(
            "SELECT head.id, head.lane FROM delivery AS head INDEXED BY delivery_due
             CROSS JOIN lane ON lane.id = head.lane
             WHERE head.receiver = ?1 AND head.state = 'ready' AND head.lease_until IS NULL AND head.digest IS NULL
                 AND head.carries IS NULL AND head.critical = 0 AND lane.receipt IS NULL
             ORDER BY head.urgent DESC, head.due_at, head.id LIMIT ?2",
        )?
        .query_map(params![receiver, CHUNK], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let (mut own, mut for_others): (Vec<Row>, Vec<Vec<Row>>) = (Vec::new(), Vec::new());
    let (mut sum, mut found, mut folded) = (before, 0, Sum::default());
    for (head, lane) in heads {
        if sum.is_full() || found >= 2 * CHUNK as usize {
            break;
        }
        let rows = foldable(tx, receiver, head, lane)?;
        found += rows.len();
        folded.cut_short |= rows.len() > OF_ONE_LANE as usize;
        for row in &rows {
            sum.deliveries += 1;
            sum.bytes += row.bytes.unsigned_abs();
        }
        let Some(meant_for) = rows.first().map(|row| row.fallback_for.as_ref().map(|(name, _)| name.clone())) else {
            continue;
        };
        let same =
            |rows: &Vec<Row>| rows.first().and_then(|row| row.fallback_for.as_ref()).map(|(name, _)| name.clone());
        match &meant_for {
            None => own.extend(rows),
            Some(_) => match for_others.iter_mut().find(|others| same(others) == meant_for) {
                Some(others) => others.extend(rows),
                None => for_others.push(rows),
            },
        }
    }
    // The first piece says whether there is enough to fold.
    if before.deliveries == 0 && found < ask.at_least.min(CHUNK) as usize {
        return Ok(Sum::default());
    }
    for rows in std::iter::once(own).chain(for_others) {
        if carry(tx, ask, &rows)? {
            folded.deliveries += rows.len() as u64;
            folded.bytes += rows.iter().map(|row| row.bytes.unsigned_abs()).sum::<u64>();
        }
    }
    Ok(folded)
}

/// Of a lane what comes before the first critical delivery, and before the first that stands in for somebody else.
fn foldable(tx: &Tx<'_>, receiver: &str, head: i64, lane: i64) -> Result<Vec<Row>, StoreError> {
    let mut all = Vec::new();
    for select in [
        "SELECT id, fallback_for, fallback_why, received_at, since, urgent, octet_length(content), critical, digest
         FROM delivery WHERE id = ?3 AND receiver = ?1 AND lane = ?2 LIMIT ?4",
        "SELECT id, fallback_for, fallback_why, received_at, since, urgent, octet_length(content), critical, digest
         FROM delivery INDEXED BY delivery_queued
         WHERE receiver = ?1 AND lane = ?2 AND state = 'queued' AND id <> ?3 ORDER BY id LIMIT ?4",
    ] {
        let mut statement = tx.conn.prepare_cached(select)?;
        let mut rows = statement.query(params![receiver, lane, head, OF_ONE_LANE])?;
        while let Some(row) = rows.next()? {
            let fallback_for: Option<(String, String)> = row.get::<_, Option<_>>(1)?.zip(row.get(2)?);
            let first: Option<&Row> = all.first();
            let meant_for = |both: &Option<(String, String)>| both.as_ref().map(|(name, _)| name.clone());
            let is_other = first.is_some_and(|first| meant_for(&first.fallback_for) != meant_for(&fallback_for));
            if row.get(7)? || row.get::<_, Option<i64>>(8)?.is_some() || is_other {
                break;
            }
            let (received_at, since, is_urgent) = (row.get(3)?, row.get(4)?, row.get(5)?);
            let bytes = row.get::<_, Option<i64>>(6)?.unwrap_or_default();
            all.push(Row { id: row.get(0)?, fallback_for, received_at, since, is_urgent, bytes });
        }
    }
    Ok(all)
}

/// Has a digest carry these; returns whether it does.
fn carry(tx: &Tx<'_>, ask: &FoldRequest, rows: &[Row]) -> Result<bool, StoreError> {
    let Some(first) = rows.first() else { return Ok(false) };
    let (meant_for, why) = first.fallback_for.as_ref().map(|(name, why)| (name.as_str(), why.as_str())).unzip();
    let waiting = tx
        .conn
        .prepare_cached(
            "SELECT id FROM delivery INDEXED BY delivery_digests
             WHERE receiver = ?1 AND carries IS NOT NULL AND ended_at IS NULL AND lease_until IS NULL AND told_at IS NULL
                 AND attempts = 0 AND fallback_for IS ?2 AND carries < ?3 LIMIT 1",
        )?
        .query_row(params![ask.receiver.as_str(), meant_for, MOST], |row| row.get(0))
        .optional()?;
    let digest: i64 = match waiting {
        Some(digest) => digest,
        None if rows.len() < 2 => return Ok(false),
        None => create(tx, ask, (meant_for, why), first)?,
    };
    for row in rows {
        tx.conn.prepare_cached("UPDATE delivery SET digest = ?2 WHERE id = ?1")?.execute([row.id, digest])?;
    }
    tx.conn
        .prepare_cached(
            "UPDATE delivery SET carries = carries + ?2, received_at = min(received_at, ?3), since = max(since, ?4),
                 urgent = max(urgent, ?5) WHERE id = ?1",
        )?
        .execute(params![
            digest,
            u32::try_from(rows.len()).unwrap_or(u32::MAX),
            rows.iter().map(|row| row.received_at).min(),
            rows.iter().map(|row| row.since).max(),
            rows.iter().any(|row| row.is_urgent),
        ])?;
    Ok(true)
}

fn create(
    tx: &Tx<'_>,
    ask: &FoldRequest,
    (meant_for, why): (Option<&str>, Option<&str>),
    first: &Row,
) -> Result<i64, StoreError> {
    // The lane is named after the digest, which needs a lane to begin with.
    let id: i64 = tx
        .conn
        .prepare_cached("SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'delivery'")?
        .query_row([], |row| row.get(0))?;
    let lane = tx.lane(&Lane::of_digest(&ask.receiver, DeliveryId(id)))?;
    tx.conn
        .prepare_cached(
            "INSERT INTO delivery (id, lane, receiver, state, received_at, since, due_at, content, carries, fallback_for,
                 fallback_why) VALUES (?1, ?2, ?3, 'ready', ?4, ?5, ?6, ?7, 0, ?8, ?9)",
        )?
        .execute(params![
            id,
            lane,
            ask.receiver.as_str(),
            first.received_at,
            first.since,
            ask.now.as_microsecond(),
            CONTENT,
            meant_for,
            why,
        ])?;
    Ok(id)
}
