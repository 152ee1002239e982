//! Handing out what is due, and taking back what became of it.

use rusqlite::{OptionalExtension, params};

use super::digest;
use super::fallback::{self, Missed, Telling};
use super::traceparent;
use super::tx::{End, Fact, Held, Tx, bytes, held, time};
use crate::clock::Timestamp;
use crate::dedup::Known;
use crate::dedup::fallback::Heard;
use crate::notification::{DeliveryId, Digest, FallbackFor, Notification, Receipt, ReceiverName, TraceParent};
use crate::store::codec::{self, Content};
use crate::store::{Lease, LeaseRequest, Leased, Outcome, Priority, Settled, StoreError};

/// How many held copies a lease releases at most, so that it stays short; the next lease goes on.
const RELEASED_AT_ONCE: i64 = 200;

/// What a lease has found, not yet decoded.
pub(super) struct Found {
    pub row: Option<LeasedRow>,
    pub next_due: Option<Timestamp>,
    pub released: u64,
}

/// A leased row. It is decoded outside the transaction, because that may take longer than all the rest.
pub(super) struct LeasedRow {
    pub lease: Lease,
    pub receiver: ReceiverName,
    attempt: u32,
    pub received_at: Timestamp,
    since: Timestamp,
    content: Vec<u8>,
    receipt: Option<Receipt>,
    fallback: Option<FallbackFor>,
    priority: Priority,
    traceparent: Option<TraceParent>,
    /// Whether what is to be sent is in the rows that it carries.
    pub is_digest: bool,
}

impl LeasedRow {
    /// What is to be sent, or why that cannot be read.
    pub(super) fn decode(self) -> Result<Leased, StoreError> {
        let content =
            codec::decode(&self.content).map_err(|why| StoreError::Corrupt { delivery: self.lease.delivery, why })?;
        let size = self.content.len();
        Ok(self.with(content, size, None))
    }

    /// With what it says, wherever that was read from.
    pub(super) fn with(self, content: Content, size: usize, digest: Option<Digest>) -> Leased {
        let notification = Notification {
            id: self.lease.delivery,
            receiver: self.receiver,
            group: content.group,
            alerts: content.alerts,
            others_firing: content.others_firing,
            received_at: self.received_at,
            attempt: self.attempt,
            receipt: self.receipt,
            fallback: self.fallback,
            digest,
        };
        let Self { lease, since, priority, traceparent, .. } = self;
        Leased { lease, notification, since, priority, carries: Vec::new(), size, traceparent, links: Vec::new() }
    }
}

/// Releases what was held long enough, and leases what is due: the urgent first, then a digest, then the oldest.
pub(super) fn lease(tx: &mut Tx<'_>, ask: &LeaseRequest) -> Result<Found, StoreError> {
    let (receiver, now) = (ask.receiver.as_str(), ask.now.as_microsecond());
    renew(tx, ask)?;
    // The token stays: who comes late but before anybody else may still settle.
    tx.conn
        .prepare_cached(
            "UPDATE delivery INDEXED BY delivery_leased SET lease_until = NULL
             WHERE receiver = ?1 AND lease_until <= ?2",
        )?
        .execute(params![receiver, now])?;
    let released = release_held(tx, receiver, ask.now)?;
    let row = match next(tx, ask)? {
        Some(id) => Some(hand_out(tx, ask, id)?),
        None => None,
    };
    let next_due = if row.is_none() { next_due(tx, ask)? } else { None };
    Ok(Found { row, next_due, released })
}

/// What is to be leased. Each question is a step in an index.
fn next(tx: &mut Tx<'_>, ask: &LeaseRequest) -> Result<Option<i64>, StoreError> {
    let (receiver, now) = (ask.receiver.as_str(), ask.now.as_microsecond());
    let mut digest = digest::waiting(tx, receiver, now)?;
    if let Some(told) = digest.take_if(|digest| digest.is_told) {
        // Its end was interrupted.
        digest::finish(tx, told.id)?;
        digest = digest::waiting(tx, receiver, now)?.filter(|digest| !digest.is_told);
    }
    let urgent = first_due(tx, receiver, true, now)?;
    let rival = digest.as_ref().filter(|digest| digest.is_urgent).map(|digest| (digest.due_at, digest.id));
    if let Some((_, id)) = urgent.into_iter().chain(rival).min() {
        return Ok(Some(id));
    }
    if let Some(digest) = digest {
        return Ok(Some(digest.id));
    }
    let due_by = ask.ordinary_due_by.map_or(now, |due_by| due_by.as_microsecond().min(now));
    Ok(first_due(tx, receiver, false, due_by)?.map(|(_, id)| id))
}

/// The due time and the id of the first delivery that is due.
fn first_due(tx: &Tx<'_>, receiver: &str, urgent: bool, due_by: i64) -> Result<Option<(i64, i64)>, StoreError> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT due_at, id FROM delivery INDEXED BY delivery_due
         WHERE receiver = ?1 AND urgent = ?2 AND state = 'ready' AND lease_until IS NULL AND digest IS NULL
             AND carries IS NULL AND due_at <= ?3
         ORDER BY due_at, id LIMIT 1",
    )?;
    let first = statement.query_row(params![receiver, urgent, due_by], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(first.optional()?)
}

fn hand_out(tx: &Tx<'_>, ask: &LeaseRequest, id: i64) -> Result<LeasedRow, StoreError> {
    let mut statement = tx.conn.prepare_cached(
        "UPDATE delivery SET lease_until = ?2, token = token + 1, attempts = attempts + 1 WHERE id = ?1
         RETURNING token, attempts, received_at, since, content,
             (SELECT receipt FROM lane WHERE lane.id = delivery.lane), fallback_for, fallback_why, critical, urgent,
             carries IS NOT NULL, traceparent",
    )?;
    let row = statement.query_row(params![id, ask.until.as_microsecond()], |row| {
        let receipt = row.get_ref(5)?;
        let meant_for: Option<String> = row.get(6)?;
        let reason: String = row.get::<_, Option<_>>(7)?.unwrap_or_default();
        let priority = match (row.get(8)?, row.get(9)?) {
            (true, _) => Priority::Critical,
            (false, true) => Priority::Urgent,
            (false, false) => Priority::Ordinary,
        };
        Ok(LeasedRow {
            lease: Lease { delivery: DeliveryId(id), token: row.get(0)? },
            receiver: ask.receiver.clone(),
            attempt: row.get(1)?,
            received_at: time(row.get(2)?),
            since: time(row.get(3)?),
            content: bytes(row.get_ref(4)?).to_vec(),
            receipt: receipt.as_bytes_or_null()?.map(|text| Receipt(String::from_utf8_lossy(text).into_owned())),
            fallback: meant_for.map(|name| FallbackFor { receiver: name.as_str().into(), reason }),
            priority,
            is_digest: row.get(10)?,
            traceparent: traceparent::read(row.get_ref(11)?),
        })
    });
    Ok(row?)
}

/// Renews what the caller has in hand, where the lease has run out.
fn renew(tx: &Tx<'_>, ask: &LeaseRequest) -> Result<(), StoreError> {
    let (now, until) = (ask.now.as_microsecond(), ask.until.as_microsecond());
    for Lease { delivery, token } in &ask.holding {
        tx.conn
            .prepare_cached("UPDATE delivery SET lease_until = ?4 WHERE id = ?1 AND token = ?2 AND lease_until <= ?3")?
            .execute(params![delivery.0, token, now, until])?;
    }
    Ok(())
}

fn release_held(tx: &mut Tx<'_>, receiver: &str, now: Timestamp) -> Result<u64, StoreError> {
    if tx.counts.held == 0 {
        return Ok(0);
    }
    let due: Vec<Held> = tx
        .conn
        .prepare_cached(
            "SELECT id, lane, receiver, fingerprint, starts_at, fallback_for IS NOT NULL, critical
             FROM delivery INDEXED BY delivery_held
             WHERE receiver = ?1 AND state = 'held' AND due_at <= ?2 ORDER BY due_at, id LIMIT ?3",
        )?
        .query_map(params![receiver, now.as_microsecond(), RELEASED_AT_ONCE], held)?
        .collect::<Result<_, _>>()?;
    for row in &due {
        // Its place is where it was accepted, maybe before a critical one that came meanwhile. What stands before such a one
        // is urgent, so that the others need not be asked who waits behind them.
        tx.conn
            .prepare_cached(
                "UPDATE delivery SET state = 'queued', since = ?2, urgent = max(urgent,
                     EXISTS (SELECT 1 FROM delivery AS first INDEXED BY delivery_one_ready
                         WHERE first.lane = ?4 AND first.state = 'ready' AND first.urgent = 1)
                     AND EXISTS (SELECT 1 FROM delivery AS behind INDEXED BY delivery_queued
                         WHERE behind.receiver = ?3 AND behind.lane = ?4 AND behind.state = 'queued'
                             AND behind.id > ?1 AND behind.critical = 1))
                 WHERE id = ?1",
            )?
            .execute(params![row.id, now.as_microsecond(), receiver, row.lane])?;
        tx.promote(receiver, row.lane)?;
        if row.is_critical {
            tx.let_pass(receiver, row.lane, row.id)?;
        }
        let known = Known { ends_at: None, starts_at: row.starts_at, notified_at: now };
        let knows_itself = |heard: Heard| heard.own && heard.known.ends_at.is_none();
        if !row.stands_in || !tx.heard(row.fingerprint, receiver)?.is_some_and(knows_itself) {
            tx.remember(row.fingerprint, receiver, &Heard { known, own: !row.stands_in }, Some(row.id))?;
        }
        tx.facts.push(Fact::Forget(row.fingerprint));
    }
    let released = due.len() as u64;
    tx.counts.held = tx.counts.held.saturating_sub(released);
    Ok(released)
}

fn next_due(tx: &Tx<'_>, ask: &LeaseRequest) -> Result<Option<Timestamp>, StoreError> {
    // Subqueries, because each of them is one step in its own index. What is not urgent and not asked for is not due.
    let next: Option<i64> = tx
        .conn
        .prepare_cached(
            "SELECT min(at) FROM (
                 SELECT min(due_at) AS at FROM delivery INDEXED BY delivery_due
                 WHERE receiver = ?1 AND urgent = 1 AND state = 'ready' AND lease_until IS NULL AND digest IS NULL
                     AND carries IS NULL
                 UNION ALL SELECT min(due_at) FROM delivery INDEXED BY delivery_due
                 WHERE receiver = ?1 AND urgent = 0 AND state = 'ready' AND lease_until IS NULL AND digest IS NULL
                     AND carries IS NULL AND ?2
                 UNION ALL SELECT min(due_at) FROM delivery INDEXED BY delivery_digests
                 WHERE receiver = ?1 AND carries IS NOT NULL AND ended_at IS NULL AND lease_until IS NULL
                 UNION ALL SELECT min(lease_until) FROM delivery INDEXED BY delivery_leased
                 WHERE receiver = ?1 AND lease_until IS NOT NULL
                 UNION ALL SELECT min(due_at) FROM delivery INDEXED BY delivery_held
                 WHERE receiver = ?1 AND state = 'held')",
        )?
        .query_row(params![ask.receiver.as_str(), ask.ordinary_due_by.is_none()], |row| row.get(0))?;
    Ok(next.map(time))
}

/// What a settle has done.
pub(super) enum Ended {
    Whole(Settled),
    /// The digest was told: what it carried is ended by [`digest::finish`].
    Told,
    /// A part of what the digest carried is given up, and so many of that fell back.
    Partly(u64),
}

/// Makes due what has failed, the oldest first.
pub(super) fn recovered(tx: &Tx<'_>, receiver: &ReceiverName, now: Timestamp) -> Result<(), StoreError> {
    for update in [
        "UPDATE delivery INDEXED BY delivery_due SET due_at = min(since, ?2)
         WHERE receiver = ?1 AND state = 'ready' AND lease_until IS NULL AND digest IS NULL AND carries IS NULL
             AND error IS NOT NULL",
        "UPDATE delivery INDEXED BY delivery_digests SET due_at = min(since, ?2)
         WHERE receiver = ?1 AND carries IS NOT NULL AND ended_at IS NULL AND lease_until IS NULL AND error IS NOT NULL",
    ] {
        tx.conn.prepare_cached(update)?.execute(params![receiver.as_str(), now.as_microsecond()])?;
    }
    Ok(())
}

/// Ends a lease.
pub(super) fn settle(tx: &mut Tx<'_>, lease: Lease, outcome: &Outcome, now: Timestamp) -> Result<Ended, StoreError> {
    let id = lease.delivery.0;
    let ours = tx
        .conn
        .prepare_cached(
            "SELECT receiver, lane, carries IS NOT NULL FROM delivery
             WHERE id = ?1 AND token = ?2 AND state = 'ready' AND told_at IS NULL",
        )?
        .query_row(params![id, lease.token], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?))
        })
        .optional()?;
    let Some((receiver, lane, is_digest)) = ours else { return Ok(Ended::Whole(Settled::LeaseLost)) };
    if is_digest && let Some(ended) = end_digest(tx, id, outcome, now)? {
        return Ok(ended);
    }
    match outcome {
        Outcome::Delivered { receipt } => {
            tx.end(id, End::Delivered, now)?;
            let receipt_at = receipt.as_ref().map(|_| now.as_microsecond());
            tx.conn.prepare_cached("UPDATE lane SET receipt = ?2, receipt_at = ?3 WHERE id = ?1")?.execute(params![
                lane,
                receipt.as_ref().map(|receipt| &receipt.0),
                receipt_at
            ])?;
            tx.promote(&receiver, lane)?;
        }
        Outcome::Dead { error, fallback } => {
            let telling = match fallback {
                Some(fallback) => fallback::tell(tx, id, &Missed { fallback, never: true, why: error, now })?,
                None => Telling::Nothing,
            };
            tx.end(id, End::Dead(error), now)?;
            tx.promote(&receiver, lane)?;
            if telling == Telling::Told {
                return Ok(Ended::Whole(Settled::FellBack));
            }
        }
        // A token of its own for the time between two leases: a lease can be settled once.
        Outcome::RetryAt { at, began, error } => {
            tx.conn
                .prepare_cached(
                    "UPDATE delivery SET lease_until = NULL, token = token + 1, due_at = ?2, error = ?3,
                     failing_since = coalesce(failing_since, ?4) WHERE id = ?1",
                )?
                .execute(params![id, at.as_microsecond(), error, began.as_microsecond()])?;
        }
        Outcome::Released => {
            tx.conn
                .prepare_cached(
                    "UPDATE delivery SET lease_until = NULL, token = token + 1, attempts = max(attempts - 1, 0)
                     WHERE id = ?1",
                )?
                .execute([id])?;
        }
    }
    Ok(Ended::Whole(Settled::Done))
}

/// Ends a digest, or its first piece; `None` if it is neither told nor given up.
fn end_digest(tx: &mut Tx<'_>, id: i64, outcome: &Outcome, now: Timestamp) -> Result<Option<Ended>, StoreError> {
    Ok(match outcome {
        // Its lane ends with it, so nobody would ask for the receipt.
        Outcome::Delivered { .. } => {
            digest::told(tx, id, now)?;
            Some(if digest::finish(tx, id)? { Ended::Told } else { Ended::Whole(Settled::Done) })
        }
        Outcome::Dead { error, fallback } => {
            let digest::GivenUp { fell_back, more } = digest::give_up(tx, id, error, fallback.as_ref(), now)?;
            Some(if more { Ended::Partly(fell_back) } else { Ended::Whole(Settled::ManyFellBack(fell_back)) })
        }
        Outcome::RetryAt { .. } | Outcome::Released => None,
    })
}
