//! A transaction of the writer, and the statements that more than one request needs.

use std::borrow::Borrow;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::alert::Fingerprint;
use crate::clock::Timestamp;
use crate::dedup::fallback::Heard;
use crate::dedup::{Known, Remembered};
use crate::notification::{Lane, ReceiverName, TraceParent};
use crate::store::{Rejected, StoreError, Targets};

/// The newest so many refused bodies and alerts are kept,
const REJECTED_KEPT: i64 = 1000;
/// and so many bytes of each.
const REJECTED_BYTES: usize = 64 * 1024;

/// A transaction under way.
pub(super) struct Tx<'c> {
    /// Its connection.
    pub conn: &'c Connection,
    /// As they will be once it is committed.
    pub counts: Counts,
    /// How many deliveries may wait.
    pub max_outbox: u64,
    /// What the cache is told once it is committed.
    pub facts: Vec<Fact>,
}

/// What would be slow to count in the tables for every request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Deliveries that wait, held ones among them.
    pub waiting: u64,
    /// Held ones. Mostly 0, and then nobody need look for them.
    pub held: u64,
}

/// What the cache may know after a commit.
#[derive(Debug)]
pub(super) enum Fact {
    /// All that is known of an alert.
    Told(Fingerprint, Vec<Remembered>),
    /// Better ask the table.
    Forget(Fingerprint),
}

/// A held copy.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub id: i64,
    pub lane: i64,
    pub receiver: String,
    pub fingerprint: Fingerprint,
    pub starts_at: Option<Timestamp>,
    /// Whether the receiver only stands in for another one.
    pub stands_in: bool,
    pub is_critical: bool,
}

/// A delivery that is to be written.
#[derive(Debug)]
pub(super) struct New<'a> {
    pub lane: &'a Lane,
    pub received_at: Timestamp,
    /// When it is accepted: it is due at once.
    pub since: Timestamp,
    pub content: &'a str,
    pub has_fallback: bool,
    /// Whether one of its alerts is critical: it goes first, and so does what stands before it in its lane.
    pub critical: bool,
    /// Whom it was meant for, and why that one does not get it.
    pub fallback_for: Option<(&'a str, &'a str)>,
    /// Where the webhook that it came of stands in a trace.
    pub traceparent: Option<&'a TraceParent>,
}

/// How a delivery ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum End<'a> {
    Delivered,
    Dead(&'a str),
}

impl Tx<'_> {
    /// All that is known of an alert. The names are those of `targets` where they can be, which saves allocations.
    pub(super) fn states(&self, fingerprint: Fingerprint, targets: &Targets) -> Result<Vec<Remembered>, StoreError> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT receiver, starts_at, ends_at, notified_at FROM dedup WHERE fingerprint = ?1")?;
        let rows = statement.query_map([fingerprint.0.cast_signed()], |row| {
            let name = row.get_ref(0)?.as_str()?;
            let receiver = targets.get_key_value(name).map_or_else(|| name.into(), |(name, _)| name.clone());
            let (starts_at, ends_at) = (optional_time(row, 1)?, optional_time(row, 2)?);
            Ok(Remembered { receiver, known: Known { ends_at, starts_at, notified_at: time(row.get(3)?) } })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What a receiver was told of an alert, and in which role.
    pub(super) fn heard(&self, fingerprint: Fingerprint, receiver: &str) -> Result<Option<Heard>, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT starts_at, ends_at, notified_at, own FROM dedup WHERE fingerprint = ?1 AND receiver = ?2",
        )?;
        let heard = statement.query_row(params![fingerprint.0.cast_signed(), receiver], |row| {
            let (starts_at, ends_at) = (optional_time(row, 0)?, optional_time(row, 1)?);
            Ok(Heard { known: Known { ends_at, starts_at, notified_at: time(row.get(2)?) }, own: row.get(3)? })
        });
        Ok(heard.optional()?)
    }

    /// Notes what a receiver was told, and by which delivery.
    pub(super) fn remember(
        &self,
        fingerprint: Fingerprint,
        receiver: &str,
        heard: &Heard,
        delivery: Option<i64>,
    ) -> Result<(), StoreError> {
        let Heard { known, own } = heard;
        self.conn
            .prepare_cached(
                "INSERT INTO dedup (fingerprint, receiver, starts_at, ends_at, notified_at, delivery, own)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (fingerprint, receiver) DO UPDATE SET starts_at = excluded.starts_at,
                 ends_at = excluded.ends_at, notified_at = excluded.notified_at, delivery = excluded.delivery,
                 own = excluded.own",
            )?
            .execute(params![
                fingerprint.0.cast_signed(),
                receiver,
                known.starts_at.map(Timestamp::as_microsecond),
                known.ends_at.map(Timestamp::as_microsecond),
                known.notified_at.as_microsecond(),
                delivery,
                own,
            ])?;
        Ok(())
    }

    /// Writes a delivery, behind whatever is in its lane.
    pub(super) fn enqueue(&mut self, new: &New<'_>) -> Result<i64, StoreError> {
        let (meant_for, why) = new.fallback_for.unzip();
        let lane = self.lane(new.lane)?;
        let (id, is_first) = self
            .conn
            .prepare_cached(
                "INSERT INTO delivery (lane, receiver, received_at, since, due_at, content, fallback, fallback_for,
                     fallback_why, critical, urgent, traceparent, state)
                 VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, CASE WHEN EXISTS (
                     SELECT 1 FROM delivery INDEXED BY delivery_one_ready WHERE lane = ?1 AND state = 'ready')
                     THEN 'queued' ELSE 'ready' END) RETURNING id, state = 'ready'",
            )?
            .query_row(
                params![
                    lane,
                    new.lane.receiver.as_str(),
                    new.received_at.as_microsecond(),
                    new.since.as_microsecond(),
                    new.content,
                    new.has_fallback.then_some("open"),
                    meant_for,
                    why,
                    new.critical,
                    new.traceparent.map(|parent| &parent.0),
                ],
                |row| Ok((row.get(0)?, row.get::<_, bool>(1)?)),
            )?;
        self.counts.waiting += 1;
        // Mostly nothing stands before it.
        if new.critical && !is_first {
            self.let_pass(new.lane.receiver.as_str(), lane, id)?;
        }
        Ok(id)
    }

    /// Makes urgent what stands before a critical delivery in its lane, and what carries that.
    pub(super) fn let_pass(&self, receiver: &str, lane: i64, critical: i64) -> Result<(), StoreError> {
        let mut digests: Vec<i64> = Vec::new();
        for update in [
            "UPDATE delivery INDEXED BY delivery_one_ready SET urgent = 1
             WHERE receiver = ?1 AND lane = ?2 AND state = 'ready' AND urgent = 0 AND id <> ?3 RETURNING digest",
            "UPDATE delivery INDEXED BY delivery_queued_ordinary SET urgent = 1
             WHERE receiver = ?1 AND lane = ?2 AND state = 'queued' AND urgent = 0 AND id < ?3 RETURNING digest",
        ] {
            let mut statement = self.conn.prepare_cached(update)?;
            let rows = statement.query_map(params![receiver, lane, critical], |row| row.get::<_, Option<i64>>(0))?;
            for digest in rows {
                digests.extend(digest?);
            }
        }
        digests.dedup();
        for digest in digests {
            self.conn.prepare_cached("UPDATE delivery SET urgent = 1 WHERE id = ?1")?.execute([digest])?;
        }
        Ok(())
    }

    /// The held copies of an alert.
    pub(super) fn held(&self, fingerprint: Fingerprint) -> Result<Vec<Held>, StoreError> {
        if self.counts.held == 0 {
            return Ok(Vec::new());
        }
        let mut statement = self.conn.prepare_cached(
            "SELECT id, lane, receiver, fingerprint, starts_at, fallback_for IS NOT NULL, critical
             FROM delivery INDEXED BY delivery_one_held WHERE fingerprint = ?1 AND state = 'held'",
        )?;
        let rows = statement.query_map([fingerprint.0.cast_signed()], held)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Removes a held copy, and its lane if that was all that was in it.
    pub(super) fn remove_held(&mut self, row: &Held) -> Result<(), StoreError> {
        let removed =
            self.conn.prepare_cached("DELETE FROM delivery WHERE id = ?1 AND state = 'held'")?.execute([row.id])?;
        let removed = u64::try_from(removed).unwrap_or_default();
        self.counts.waiting = self.counts.waiting.saturating_sub(removed);
        self.counts.held = self.counts.held.saturating_sub(removed);
        self.remove_lane_if_empty(row.lane)?;
        Ok(())
    }

    /// The row of a lane, which is made if there is none.
    pub(super) fn lane(&self, lane: &Lane) -> Result<i64, StoreError> {
        let known = self
            .conn
            .prepare_cached("SELECT id FROM lane WHERE receiver = ?1 AND key = ?2")?
            .query_row(params![lane.receiver.as_str(), lane.key], |row| row.get(0))
            .optional()?;
        if let Some(id) = known {
            return Ok(id);
        }
        let id = self
            .conn
            .prepare_cached("INSERT INTO lane (receiver, key) VALUES (?1, ?2)")?
            .insert(params![lane.receiver.as_str(), lane.key])?;
        Ok(id)
    }

    /// Returns whether it was removed.
    pub(super) fn remove_lane_if_empty(&self, lane: i64) -> Result<bool, StoreError> {
        let removed = self
            .conn
            .prepare_cached(
                "DELETE FROM lane WHERE id = ?1 AND receipt IS NULL
                 AND NOT EXISTS (SELECT 1 FROM delivery WHERE lane = ?1)",
            )?
            .execute([lane])?;
        Ok(removed > 0)
    }

    /// Ends a delivery that waits. What a dead one would have told counts as never told.
    pub(super) fn end(&mut self, id: i64, end: End<'_>, now: Timestamp) -> Result<(), StoreError> {
        let now = now.as_microsecond();
        match end {
            End::Delivered => self
                .conn
                .prepare_cached(
                    "UPDATE delivery SET state = 'delivered', content = NULL, error = NULL, lease_until = NULL,
                     failing_since = NULL, fallback = nullif(fallback, 'open'), ended_at = ?2 WHERE id = ?1",
                )?
                .execute(params![id, now])?,
            End::Dead(error) => self
                .conn
                .prepare_cached(
                    "UPDATE delivery SET state = 'dead', error = ?3, lease_until = NULL, failing_since = NULL,
                     digest = NULL, fallback = nullif(fallback, 'open'), ended_at = ?2 WHERE id = ?1",
                )?
                .execute(params![id, now, error])?,
        };
        self.counts.waiting = self.counts.waiting.saturating_sub(1);
        if let End::Dead(_) = end {
            self.never_told(id)?;
        }
        Ok(())
    }

    /// Forgets what a delivery would have told.
    pub(super) fn never_told(&mut self, id: i64) -> Result<(), StoreError> {
        let mut statement = self.conn.prepare_cached("DELETE FROM dedup WHERE delivery = ?1 RETURNING fingerprint")?;
        for fingerprint in statement.query_map([id], |row| row.get(0))? {
            self.facts.push(Fact::Forget(self::fingerprint(fingerprint?)));
        }
        self.conn.prepare_cached("DELETE FROM stood_in WHERE delivery = ?1")?.execute([id])?;
        Ok(())
    }

    /// Lets the next of a lane go, if nothing of it is on its way.
    pub(super) fn promote(&self, receiver: &str, lane: i64) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "UPDATE delivery SET state = 'ready' WHERE id = (
                     SELECT id FROM delivery INDEXED BY delivery_queued
                     WHERE receiver = ?1 AND lane = ?2 AND state = 'queued' ORDER BY id LIMIT 1)
                 AND NOT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_one_ready
                     WHERE lane = ?2 AND state = 'ready')",
            )?
            .execute(params![receiver, lane])?;
        Ok(())
    }

    /// Keeps what was refused: the newest of them, the beginning of each.
    pub(super) fn keep_rejected(&self, rejected: &[Rejected]) -> Result<(), StoreError> {
        for one in rejected {
            let content = &one.content[..one.content.len().min(REJECTED_BYTES)];
            let id = self
                .conn
                .prepare_cached("INSERT INTO rejected (at, what, reason, content) VALUES (?1, ?2, ?3, ?4)")?
                .insert(params![one.at.as_microsecond(), one.what.as_str(), one.reason, content])?;
            // Only the oldest are ever removed, so ids have no gaps.
            self.conn.prepare_cached("DELETE FROM rejected WHERE id <= ?1")?.execute([id - REJECTED_KEPT])?;
        }
        Ok(())
    }
}

/// Reads the columns that [`Held`] has, in its order.
pub(super) fn held(row: &Row<'_>) -> rusqlite::Result<Held> {
    Ok(Held {
        id: row.get(0)?,
        lane: row.get(1)?,
        receiver: row.get(2)?,
        fingerprint: fingerprint(row.get(3)?),
        starts_at: optional_time(row, 4)?,
        stands_in: row.get(5)?,
        is_critical: row.get(6)?,
    })
}

/// A fingerprint as it is kept.
pub(super) fn fingerprint(stored: i64) -> Fingerprint {
    Fingerprint(stored.cast_unsigned())
}

/// A time as it is kept. One out of range, which nobody writes, is the nearest that there is.
pub(super) fn time(micros: i64) -> Timestamp {
    let nearest = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(micros).unwrap_or(nearest)
}

/// A count; SQLite knows signed numbers only.
pub(super) fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

pub(super) fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(time))
}

/// The bytes of a text that a flipped bit may have turned into something that is not UTF-8.
pub(super) fn bytes(value: ValueRef<'_>) -> &[u8] {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => &[],
    }
}

/// Counts `by` for a receiver.
pub(super) fn tally(counts: &mut Vec<(ReceiverName, u64)>, receiver: &str, by: u64) {
    match counts.iter_mut().find(|(name, _)| -> bool { <ReceiverName as Borrow<str>>::borrow(name) == receiver }) {
        Some((_, count)) => *count += by,
        None => counts.push((receiver.into(), by)),
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
