//! Handing out what is due, and taking back what became of it.

use rusqlite::{OptionalExtension, params};

use super::fallback::{self, Missed, Telling};
use super::tx::{End, Fact, Held, Tx, bytes, held, time};
use crate::clock::Timestamp;
use crate::dedup::Known;
use crate::dedup::fallback::Heard;
use crate::notification::{DeliveryId, FallbackFor, Notification, Receipt, ReceiverName};
use crate::store::{Lease, LeaseRequest, Leased, Outcome, Settled, StoreError, codec};

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
    receiver: ReceiverName,
    attempt: u32,
    received_at: Timestamp,
    since: Timestamp,
    content: Vec<u8>,
    receipt: Option<Receipt>,
    fallback: Option<FallbackFor>,
}

impl LeasedRow {
    /// What is to be sent, or why that cannot be read.
    pub(super) fn decode(self) -> Result<Leased, StoreError> {
        let content =
            codec::decode(&self.content).map_err(|why| StoreError::Corrupt { delivery: self.lease.delivery, why })?;
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
        };
        Ok(Leased { lease: self.lease, notification, since: self.since })
    }
}

/// Releases what was held long enough, and leases the oldest delivery that is due.
pub(super) fn lease(tx: &mut Tx<'_>, ask: &LeaseRequest) -> Result<Found, StoreError> {
    let (receiver, now) = (ask.receiver.as_str(), ask.now.as_microsecond());
    // The token stays: who comes late but before anybody else may still settle.
    tx.conn
        .prepare_cached(
            "UPDATE delivery INDEXED BY delivery_leased SET lease_until = NULL
             WHERE receiver = ?1 AND lease_until <= ?2",
        )?
        .execute(params![receiver, now])?;
    let released = release_held(tx, receiver, ask.now)?;
    let row = tx
        .conn
        .prepare_cached(
            "SELECT id, token + 1, attempts + 1, received_at, since, content,
                    (SELECT receipt FROM lane WHERE lane.id = delivery.lane), fallback_for, fallback_why
             FROM delivery INDEXED BY delivery_due
             WHERE receiver = ?1 AND state = 'ready' AND lease_until IS NULL AND due_at <= ?2
             ORDER BY due_at, id LIMIT 1",
        )?
        .query_row(params![receiver, now], |row| {
            let receipt = row.get_ref(6)?;
            let meant_for: Option<String> = row.get(7)?;
            let reason: String = row.get::<_, Option<_>>(8)?.unwrap_or_default();
            Ok(LeasedRow {
                lease: Lease { delivery: DeliveryId(row.get(0)?), token: row.get(1)? },
                receiver: ask.receiver.clone(),
                attempt: row.get(2)?,
                received_at: time(row.get(3)?),
                since: time(row.get(4)?),
                content: bytes(row.get_ref(5)?).to_vec(),
                receipt: receipt.as_bytes_or_null()?.map(|text| Receipt(String::from_utf8_lossy(text).into_owned())),
                fallback: meant_for.map(|name| FallbackFor { receiver: name.as_str().into(), reason }),
            })
        })
        .optional()?;
    if let Some(row) = &row {
        tx.conn
            .prepare_cached("UPDATE delivery SET lease_until = ?2, token = ?3, attempts = attempts + 1 WHERE id = ?1")?
            .execute(params![row.lease.delivery.0, ask.until.as_microsecond(), row.lease.token])?;
    }
    let next_due = if row.is_none() { next_due(tx, receiver)? } else { None };
    Ok(Found { row, next_due, released })
}

fn release_held(tx: &mut Tx<'_>, receiver: &str, now: Timestamp) -> Result<u64, StoreError> {
    if tx.counts.held == 0 {
        return Ok(0);
    }
    let due: Vec<Held> = tx
        .conn
        .prepare_cached(
            "SELECT id, lane, receiver, fingerprint, starts_at, fallback_for IS NOT NULL
             FROM delivery INDEXED BY delivery_held
             WHERE receiver = ?1 AND state = 'held' AND due_at <= ?2 ORDER BY due_at, id LIMIT ?3",
        )?
        .query_map(params![receiver, now.as_microsecond(), RELEASED_AT_ONCE], held)?
        .collect::<Result<_, _>>()?;
    for row in &due {
        tx.conn
            .prepare_cached("UPDATE delivery SET state = 'queued', since = ?2 WHERE id = ?1")?
            .execute(params![row.id, now.as_microsecond()])?;
        tx.promote(receiver, row.lane)?;
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

fn next_due(tx: &Tx<'_>, receiver: &str) -> Result<Option<Timestamp>, StoreError> {
    // Three subqueries, because each of them is one step in its own index.
    let next: Option<i64> = tx
        .conn
        .prepare_cached(
            "SELECT min(at) FROM (
                 SELECT min(due_at) AS at FROM delivery INDEXED BY delivery_due
                 WHERE receiver = ?1 AND state = 'ready' AND lease_until IS NULL
                 UNION ALL SELECT min(lease_until) FROM delivery INDEXED BY delivery_leased
                 WHERE receiver = ?1 AND lease_until IS NOT NULL
                 UNION ALL SELECT min(due_at) FROM delivery INDEXED BY delivery_held
                 WHERE receiver = ?1 AND state = 'held')",
        )?
        .query_row([receiver], |row| row.get(0))?;
    Ok(next.map(time))
}

/// Ends a lease.
pub(super) fn settle(tx: &mut Tx<'_>, lease: Lease, outcome: &Outcome, now: Timestamp) -> Result<Settled, StoreError> {
    let id = lease.delivery.0;
    let ours = tx
        .conn
        .prepare_cached("SELECT receiver, lane FROM delivery WHERE id = ?1 AND token = ?2 AND state = 'ready'")?
        .query_row(params![id, lease.token], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))
        .optional()?;
    let Some((receiver, lane)) = ours else { return Ok(Settled::LeaseLost) };
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
                return Ok(Settled::FellBack);
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
    Ok(Settled::Done)
}
