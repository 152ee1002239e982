//! Digests: what they carry, and how that ends.
//!
//! It ends in pieces, so that alerts get in between, and a crash between two pieces is harmless. A digest that the service took
//! is marked (`told_at`) before anything else: what it carries has been told then, and whoever leases next goes on with ending
//! it. One that is given up loses its deliveries one by one and goes last: until then it is a digest of fewer.

use rusqlite::{OptionalExtension, params};

use super::fallback::{self, AT_ONCE, Missed, Telling};
use super::tx::{End, Tx};
use crate::clock::Timestamp;
use crate::store::{Fallback, StoreError};

/// How many deliveries one transaction ends at most.
const CHUNK: u32 = 500;

/// What waits for a receiver and is carried by a digest.
pub(super) const CARRIED_FOR: &str = "state IN ('queued', 'ready') AND digest IN (
     SELECT id FROM delivery INDEXED BY delivery_digests
     WHERE receiver = ?1 AND carries IS NOT NULL AND ended_at IS NULL)";

/// A digest that waits.
pub(super) struct Waiting {
    pub id: i64,
    pub due_at: i64,
    pub is_urgent: bool,
    pub is_told: bool,
}

/// The digest of a receiver that is due and not leased: one whose deliveries are being ended, or the most urgent.
pub(super) fn waiting(tx: &Tx<'_>, receiver: &str, due_by: i64) -> Result<Option<Waiting>, StoreError> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT id, due_at, urgent, told_at IS NOT NULL FROM delivery INDEXED BY delivery_digests
         WHERE receiver = ?1 AND carries IS NOT NULL AND ended_at IS NULL AND lease_until IS NULL
             AND (due_at <= ?2 OR told_at IS NOT NULL)
         ORDER BY told_at IS NULL, urgent DESC, due_at, id LIMIT 1",
    )?;
    let found = statement.query_row(params![receiver, due_by], |row| {
        Ok(Waiting { id: row.get(0)?, due_at: row.get(1)?, is_urgent: row.get(2)?, is_told: row.get(3)? })
    });
    Ok(found.optional()?)
}

/// Notes that the service took a digest.
pub(super) fn told(tx: &Tx<'_>, id: i64, now: Timestamp) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "UPDATE delivery SET told_at = ?2, lease_until = NULL, token = token + 1, error = NULL, failing_since = NULL
             WHERE id = ?1",
        )?
        .execute(params![id, now.as_microsecond()])?;
    Ok(())
}

/// Ends a bounded number of what a digest carried that the service took; returns whether there is more.
pub(super) fn finish(tx: &mut Tx<'_>, id: i64) -> Result<bool, StoreError> {
    let mut lanes: Vec<(String, i64)> = tx
        .conn
        .prepare_cached(
            "UPDATE delivery SET state = 'delivered', content = NULL, error = NULL, failing_since = NULL,
                 fallback = nullif(fallback, 'open'), ended_at = (SELECT told_at FROM delivery WHERE id = ?1)
             WHERE id IN (SELECT id FROM delivery INDEXED BY delivery_carried
                 WHERE digest = ?1 AND state IN ('queued', 'ready') LIMIT ?2)
             RETURNING receiver, lane",
        )?
        .query_map(params![id, CHUNK], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let ended = lanes.len();
    tx.counts.waiting = tx.counts.waiting.saturating_sub(ended as u64);
    lanes.sort_unstable();
    lanes.dedup();
    for (receiver, lane) in lanes {
        tx.promote(&receiver, lane)?;
    }
    let more = ended == CHUNK as usize;
    if !more {
        tx.conn
            .prepare_cached(
                "UPDATE delivery SET state = 'delivered', content = NULL, ended_at = told_at WHERE id = ?1",
            )?
            .execute([id])?;
    }
    Ok(more)
}

/// What became of a part of what a digest carried that is given up.
pub(super) struct GivenUp {
    pub fell_back: u64,
    pub more: bool,
}

/// Makes dead letters of a bounded number of what a digest carries, the oldest first; after the last of them the digest is
/// gone.
pub(super) fn give_up(
    tx: &mut Tx<'_>,
    id: i64,
    error: &str,
    fallback: Option<&Fallback>,
    now: Timestamp,
) -> Result<GivenUp, StoreError> {
    let limit = if fallback.is_some() { AT_ONCE } else { CHUNK };
    let dead = carried(tx, id, limit)?;
    let mut given_up = GivenUp { fell_back: 0, more: dead.len() == limit as usize };
    for dead in dead {
        if let Some(fallback) = fallback {
            let missed = Missed { fallback, never: true, why: error, now };
            given_up.fell_back += u64::from(fallback::tell(tx, dead, &missed)? == Telling::Told);
        }
        bury(tx, dead, error, now)?;
    }
    if !given_up.more {
        remove(tx, id)?;
    }
    Ok(given_up)
}

fn carried(tx: &Tx<'_>, id: i64, limit: u32) -> Result<Vec<i64>, StoreError> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT id FROM delivery INDEXED BY delivery_carried
         WHERE digest = ?1 AND state IN ('queued', 'ready') ORDER BY id LIMIT ?2",
    )?;
    Ok(statement.query_map(params![id, limit], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

fn bury(tx: &mut Tx<'_>, id: i64, error: &str, now: Timestamp) -> Result<(), StoreError> {
    tx.end(id, End::Dead(error), now)?;
    let (receiver, lane): (String, i64) = tx
        .conn
        .prepare_cached("SELECT receiver, lane FROM delivery WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    tx.promote(&receiver, lane)
}

/// Makes dead letters of what cannot be read; the digest goes on without them, and if nothing is left it is gone.
pub(super) fn take_off(tx: &mut Tx<'_>, id: i64, all: &[(i64, String)], now: Timestamp) -> Result<(), StoreError> {
    for (unreadable, error) in all {
        bury(tx, *unreadable, error, now)?;
    }
    tx.conn
        .prepare_cached("UPDATE delivery SET carries = max(carries - ?2, 0) WHERE id = ?1")?
        .execute(params![id, u32::try_from(all.len()).unwrap_or(u32::MAX)])?;
    if carried(tx, id, 1)?.is_empty() {
        remove(tx, id)?;
    }
    Ok(())
}

/// Removes a digest that carries nothing any more.
fn remove(tx: &Tx<'_>, id: i64) -> Result<(), StoreError> {
    let lane = tx
        .conn
        .prepare_cached("DELETE FROM delivery WHERE id = ?1 AND carries IS NOT NULL RETURNING lane")?
        .query_row([id], |row| row.get(0))
        .optional()?;
    if let Some(lane) = lane {
        tx.remove_lane_if_empty(lane)?;
    }
    Ok(())
}

/// Takes a bounded number of deliveries out of digests of a receiver that is gone, as if they had not been folded, or ends
/// them if they have been told. Returns how many were taken; 0 if there is no digest left but one whose attempt is under way.
pub(super) fn dissolve(tx: &mut Tx<'_>, receiver: &str) -> Result<usize, StoreError> {
    let Some(digest) = waiting(tx, receiver, i64::MAX)? else { return Ok(0) };
    if digest.is_told {
        finish(tx, digest.id)?;
        return Ok(1);
    }
    let all = carried(tx, digest.id, CHUNK)?;
    for id in &all {
        tx.conn.prepare_cached("UPDATE delivery SET digest = NULL WHERE id = ?1")?.execute([id])?;
    }
    if all.len() < CHUNK as usize {
        remove(tx, digest.id)?;
    }
    Ok(all.len().max(1))
}
