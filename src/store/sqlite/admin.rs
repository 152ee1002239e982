//! Housekeeping: what is no longer needed, and what can no longer be delivered.

use rusqlite::params;

use std::time::Duration;

use super::departed;
use super::open;
use super::tx::{End, Fact, Tx, fingerprint, tally};
use crate::clock::Timestamp;
use crate::store::{Pruned, StoreError};

const HOUR: i64 = 3600 * 1_000_000;
/// Who was told in another's place is of use for a day.
const KEEP_STOOD_IN: i64 = 24 * HOUR;
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
const CHUNK_ROWS: usize = 1000;
/// Free pages that are kept for what comes next: 1 MiB.
const SPARE_PAGES: i64 = 256;
/// How many pages one call gives back to the file system at most: each may have to be copied. 2 MiB.
const PAGES_AT_ONCE: i64 = 512;

/// Removes what is no longer needed, and gives back the room.
pub(super) fn prune(tx: &mut Tx<'_>, now: Timestamp, retention: Duration) -> Result<Pruned, StoreError> {
    departed::forget(tx, now)?;
    let now = now.as_microsecond();
    let mut pruned = Pruned::default();
    prune_stood_in(tx, now - KEEP_STOOD_IN)?;
    prune_history(tx, now.saturating_sub(micros(retention)), &mut pruned)?;
    prune_states(tx, now, &mut pruned)?;
    give_back_pages(tx, &mut pruned)?;
    Ok(pruned)
}

/// The memory of what was told, and receipts.
fn prune_states(tx: &mut Tx<'_>, now: i64, pruned: &mut Pruned) -> Result<(), StoreError> {
    let resolved = prune_dedup(
        tx,
        "DELETE FROM dedup WHERE (fingerprint, receiver) IN (
             SELECT fingerprint, receiver FROM dedup INDEXED BY dedup_resolved
             WHERE ends_at IS NOT NULL AND notified_at < ?1 LIMIT ?2) RETURNING fingerprint",
        now - KEEP_RESOLVED,
    )?;
    let firing = prune_dedup(
        tx,
        "DELETE FROM dedup WHERE (fingerprint, receiver) IN (
             SELECT fingerprint, receiver FROM dedup INDEXED BY dedup_firing
             WHERE ends_at IS NULL AND notified_at < ?1 LIMIT ?2) RETURNING fingerprint",
        now - KEEP_FIRING,
    )?;
    for removed in [resolved, firing, prune_receipts(tx, now - KEEP_RECEIPT)?] {
        pruned.rows += removed;
        pruned.more |= removed >= CHUNK_ROWS;
    }
    Ok(())
}

/// Deliveries that ended before a moment: delivered ones, and dead letters.
fn prune_history(tx: &Tx<'_>, before: i64, pruned: &mut Pruned) -> Result<(), StoreError> {
    for delete in [
        "DELETE FROM delivery WHERE id IN (
             SELECT id FROM delivery INDEXED BY delivery_history
             WHERE state = 'delivered' AND ended_at < ?1 ORDER BY ended_at LIMIT ?2) RETURNING lane, NULL",
        "DELETE FROM delivery WHERE id IN (
             SELECT id FROM delivery INDEXED BY delivery_dead_history
             WHERE state = 'dead' AND ended_at < ?1 ORDER BY ended_at LIMIT ?2)
             RETURNING lane, CASE WHEN discarded_at IS NULL THEN receiver END",
    ] {
        let removed: Vec<(i64, Option<String>)> = tx
            .conn
            .prepare_cached(delete)?
            .query_map(params![before, CHUNK], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        pruned.rows += removed.len();
        pruned.more |= removed.len() >= CHUNK_ROWS;
        for (lane, dead) in removed {
            pruned.rows += usize::from(tx.remove_lane_if_empty(lane)?);
            if let Some(receiver) = dead {
                tally(&mut pruned.dead, &receiver, 1);
            }
        }
    }
    Ok(())
}

/// What a delivery that ended before a moment told in another's place. Those that wait are found again and again; they are
/// few for as long as anything is delivered.
fn prune_stood_in(tx: &Tx<'_>, before: i64) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "DELETE FROM stood_in WHERE (fingerprint, meant_for, told) IN (
                 SELECT old.fingerprint, old.meant_for, old.told FROM stood_in AS old INDEXED BY stood_in_at
                 JOIN delivery ON delivery.id = old.delivery
                 WHERE old.at < ?1 AND delivery.state = 'delivered' AND delivery.ended_at < ?1 LIMIT ?2)",
        )?
        .execute(params![before, CHUNK])?;
    Ok(())
}

/// Gives pages at the end of the file back to the file system. It shrinks at the next checkpoint.
fn give_back_pages(tx: &Tx<'_>, pruned: &mut Pruned) -> Result<(), StoreError> {
    let free: i64 = tx.conn.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    let pages = (free - SPARE_PAGES).min(PAGES_AT_ONCE);
    if pages <= 0 || !open::vacuums_in_steps(tx.conn)? {
        return Ok(());
    }
    // A page a row: it has to be read to its end.
    let mut statement = tx.conn.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {
        pruned.pages += 1;
    }
    pruned.more |= pages == PAGES_AT_ONCE;
    Ok(())
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
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
            "SELECT id FROM delivery INDEXED BY delivery_queued WHERE receiver = ?1 AND state = 'queued' AND digest IS NULL
             LIMIT ?2",
        ),
        ("held", "SELECT id FROM delivery INDEXED BY delivery_held WHERE receiver = ?1 AND state = 'held' LIMIT ?2"),
        (
            "ready",
            "SELECT id FROM delivery INDEXED BY delivery_due
             WHERE receiver = ?1 AND state = 'ready' AND lease_until IS NULL AND digest IS NULL AND carries IS NULL
             LIMIT ?2",
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
