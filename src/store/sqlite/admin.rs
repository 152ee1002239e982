//! Housekeeping: what is no longer needed, and what can no longer be delivered.

use rusqlite::params;

use std::time::Duration;

use super::departed;
use super::open;
use super::tx::{End, Fact, Tx, fingerprint};
use crate::clock::Timestamp;
use crate::store::StoreError;

const HOUR: i64 = 3600 * 1_000_000;
/// Delivered rows are history for a day.
const KEEP_DELIVERED: i64 = 24 * HOUR;
/// Alertmanager itself forgets an ended alert after 120 h (`--data.retention`), so no copy of it comes later.
const KEEP_RESOLVED: i64 = 120 * HOUR;
/// An alert of which nobody has heard for so long does not fire any more, whatever became of its resolve.
const KEEP_FIRING: i64 = 90 * 24 * HOUR;
/// A receipt is of use as long as its alert may be known.
const KEEP_RECEIPT: i64 = KEEP_FIRING;
/// What a lease keeps at least when the clock is set back.
const LEASE_LEFT: i64 = 120 * 1_000_000;
/// How many rows of a kind one call removes at most.
const CHUNK: i64 = 1000;

/// Removes what is no longer needed; returns how many rows.
pub(super) fn prune(tx: &mut Tx<'_>, now: Timestamp) -> Result<usize, StoreError> {
    departed::forget(tx, now)?;
    let now = now.as_microsecond();
    let mut removed = prune_history(tx, now - KEEP_DELIVERED)?;
    removed += prune_dedup(
        tx,
        "DELETE FROM dedup WHERE (fingerprint, receiver) IN (
             SELECT fingerprint, receiver FROM dedup INDEXED BY dedup_resolved
             WHERE ends_at IS NOT NULL AND notified_at < ?1 LIMIT ?2) RETURNING fingerprint",
        now - KEEP_RESOLVED,
    )?;
    removed += prune_dedup(
        tx,
        "DELETE FROM dedup WHERE (fingerprint, receiver) IN (
             SELECT fingerprint, receiver FROM dedup INDEXED BY dedup_firing
             WHERE ends_at IS NULL AND notified_at < ?1 LIMIT ?2) RETURNING fingerprint",
        now - KEEP_FIRING,
    )?;
    removed += prune_receipts(tx, now - KEEP_RECEIPT)?;
    Ok(removed)
}

fn prune_history(tx: &Tx<'_>, before: i64) -> Result<usize, StoreError> {
    let lanes: Vec<i64> = tx
        .conn
        .prepare_cached(
            "DELETE FROM delivery WHERE id IN (
                 SELECT id FROM delivery INDEXED BY delivery_history
                 WHERE state = 'delivered' AND ended_at < ?1 ORDER BY ended_at LIMIT ?2) RETURNING lane",
        )?
        .query_map(params![before, CHUNK], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut removed = lanes.len();
    for lane in lanes {
        removed += usize::from(tx.remove_lane_if_empty(lane)?);
    }
    Ok(removed)
}

fn prune_dedup(tx: &mut Tx<'_>, delete: &str, before: i64) -> Result<usize, StoreError> {
    let mut statement = tx.conn.prepare_cached(delete)?;
    let mut removed = 0;
    for stored in statement.query_map(params![before, CHUNK], |row| row.get(0))? {
        tx.facts.push(Fact::Forget(fingerprint(stored?)));
        removed += 1;
    }
    Ok(removed)
}

fn prune_receipts(tx: &Tx<'_>, before: i64) -> Result<usize, StoreError> {
    // A delivery that waits will need it yet.
    let lanes: Vec<i64> = tx
        .conn
        .prepare_cached(
            "UPDATE lane SET receipt = NULL, receipt_at = NULL WHERE id IN (
                 SELECT id FROM lane AS old INDEXED BY lane_receipt WHERE receipt_at < ?1 AND NOT EXISTS (
                     SELECT 1 FROM delivery INDEXED BY delivery_one_ready WHERE lane = old.id AND state = 'ready')
                 LIMIT ?2) RETURNING id",
        )?
        .query_map(params![before, CHUNK], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut removed = 0;
    for lane in lanes {
        removed += usize::from(tx.remove_lane_if_empty(lane)?);
    }
    Ok(removed)
}

/// Writes a page and changes nothing: a full disk is noticed.
pub(super) fn touch(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.conn.pragma_update(None, "user_version", open::current_version())?;
    Ok(())
}

/// Moves what lies ahead of a clock that was set back.
pub(super) fn clock_set_back(tx: &mut Tx<'_>, by: Duration, now: Timestamp) -> Result<(), StoreError> {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    let now = now.as_microsecond();
    tx.conn
        .prepare_cached(
            "UPDATE delivery SET due_at = max(due_at - ?1, 0) WHERE state IN ('held', 'queued', 'ready') AND due_at > ?2",
        )?
        .execute(params![by, now])?;
    // How long it has been held up already, before it falls back.
    tx.conn
        .prepare_cached(
            "UPDATE delivery SET since = max(since - ?1, 0) WHERE state IN ('held', 'queued', 'ready') AND since > ?2",
        )?
        .execute(params![by, now])?;
    tx.conn
        .prepare_cached("UPDATE delivery SET failing_since = max(failing_since - ?1, 0) WHERE failing_since > ?2")?
        .execute(params![by, now])?;
    tx.conn.prepare_cached("UPDATE stood_in SET at = ?1 WHERE at > ?1")?.execute([now])?;
    tx.conn
        // Never into the past: it may be a lease of after the step, and its attempt be under way.
        .prepare_cached(
            "UPDATE delivery SET lease_until = max(lease_until - ?1, min(lease_until, ?2 + ?3)) WHERE lease_until > ?2",
        )?
        .execute(params![by, now, LEASE_LEFT])?;
    // What was told in the future could otherwise not be told again before that.
    for update in ["UPDATE stood_in SET at = ?1 WHERE at > ?1", "UPDATE receiver SET gone_at = ?1 WHERE gone_at > ?1"] {
        tx.conn.prepare_cached(update)?.execute([now])?;
    }
    let mut statement =
        tx.conn.prepare_cached("UPDATE dedup SET notified_at = ?1 WHERE notified_at > ?1 RETURNING fingerprint")?;
    for stored in statement.query_map([now], |row| row.get(0))? {
        tx.facts.push(Fact::Forget(fingerprint(stored?)));
    }
    Ok(())
}

/// The receivers that have, or had, anything in the outbox.
pub(super) fn receivers(tx: &Tx<'_>) -> Result<Vec<String>, StoreError> {
    // Steps from name to name, where DISTINCT would read every lane.
    let mut statement = tx.conn.prepare_cached(
        "WITH RECURSIVE names (name) AS (
             SELECT min(receiver) FROM lane
             UNION ALL SELECT (SELECT min(receiver) FROM lane WHERE receiver > name) FROM names WHERE name IS NOT NULL)
         SELECT name FROM names WHERE name IS NOT NULL",
    )?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Turns a bounded number of what waits for a receiver into dead letters; returns how many, 0 if nothing is left.
pub(super) fn bury(tx: &mut Tx<'_>, receiver: &str, now: Timestamp) -> Result<u64, StoreError> {
    let error = format!("the receiver {receiver} is no longer in routes.yaml");
    // Queued ones first: as long as a lane has any, it also has one that is ready, however often we are interrupted.
    for (state, select) in [
        (
            "queued",
            "SELECT id FROM delivery INDEXED BY delivery_queued WHERE receiver = ?1 AND state = 'queued' LIMIT ?2",
        ),
        ("held", "SELECT id FROM delivery INDEXED BY delivery_held WHERE receiver = ?1 AND state = 'held' LIMIT ?2"),
        (
            "ready",
            "SELECT id FROM delivery INDEXED BY delivery_due
             WHERE receiver = ?1 AND state = 'ready' AND lease_until IS NULL LIMIT ?2",
        ),
    ] {
        let ids: Vec<i64> = tx
            .conn
            .prepare_cached(select)?
            .query_map(params![receiver, CHUNK], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for id in &ids {
            tx.end(*id, End::Dead(&error), now)?;
        }
        let buried = ids.len() as u64;
        if state == "held" {
            tx.counts.held = tx.counts.held.saturating_sub(buried);
        }
        if buried > 0 {
            return Ok(buried);
        }
    }
    Ok(0)
}
