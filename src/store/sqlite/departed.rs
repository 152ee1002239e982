//! Receivers that routes.yaml does not have any more, and what still waits for them.
//!
//! A small table holds the receivers of the last routes.yaml, with their fallbacks. One that is in it and not in the new
//! one is gone, and is remembered as long as anything can still turn up for it: an attempt that was under way and failed, a
//! webhook that was routed a moment before.
//!
//! What waits goes to the fallback in the order of its lanes, by the table of [`crate::dedup::fallback`]: it will never be
//! delivered, so it is removed here, and what it would have told counts as never told. A held copy is only held for its
//! resolve, so it goes on being held, for the fallback.

use std::collections::HashSet;

use rusqlite::{OptionalExtension, params};

use super::digest;
use super::fallback::{self, AT_ONCE, Missed, Telling};
use super::tx::{End, Fact, Held, Tx, held};
use crate::clock::Timestamp;
use crate::notification::{Granularity, Lane, ReceiverName, Target};
use crate::store::{Fallback, Listed, StoreError, codec};

/// In microseconds: so long nothing has to have waited for a receiver that is gone before it is forgotten.
const REMEMBERED: i64 = 24 * 3600 * 1_000_000;

/// What became of a part of what waited.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cleared {
    pub fell_back: u64,
    pub dropped: u64,
    pub dead: u64,
}

impl Cleared {
    /// Who cannot be told by anybody becomes a dead letter.
    fn count(&mut self, telling: Telling) {
        match telling {
            Telling::Told => self.fell_back += 1,
            Telling::Nothing => self.dropped += 1,
            Telling::Impossible => self.dead += 1,
        }
    }
}

/// A receiver that is gone, and who inherits from it.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    pub receiver: String,
    pub heir: Option<Fallback>,
}

/// Notes who is there from now on; returns who is gone.
pub(super) fn take_over(tx: &mut Tx<'_>, roster: &[Listed], now: Timestamp) -> Result<Vec<Gone>, StoreError> {
    for listed in roster {
        note(tx, listed)?;
    }
    let mut statement = tx.conn.prepare_cached("SELECT name, keeps_state FROM receiver ORDER BY name")?;
    let known = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let known: Vec<(String, bool)> = known.collect::<Result<_, _>>()?;
    let mut gone = Vec::new();
    for (receiver, from_keeps_state) in known {
        if roster.iter().any(|listed| listed.target.name.as_str() == receiver) {
            continue;
        }
        tx.conn
            .prepare_cached("UPDATE receiver SET gone_at = ?2 WHERE name = ?1 AND gone_at IS NULL")?
            .execute(params![receiver, now.as_microsecond()])?;
        let heir = heir(tx, &receiver, roster)?.map(|to| Fallback { to: to.clone(), from_keeps_state });
        gone.push(Gone { receiver, heir });
    }
    Ok(gone)
}

fn note(tx: &Tx<'_>, Listed { target, fallback }: &Listed) -> Result<(), StoreError> {
    let (name, fallback) = (target.name.as_str(), fallback.as_ref().map(ReceiverName::as_str));
    let had_fallback = tx
        .conn
        .prepare_cached("SELECT fallback IS NOT NULL FROM receiver WHERE name = ?1 AND gone_at IS NULL")?
        .query_row([name], |row| row.get(0))
        .optional()?
        .unwrap_or(false);
    if fallback.is_some() && !had_fallback {
        // What waits already may fall back, too.
        for (index, those) in [
            ("delivery_queued", "state = 'queued'"),
            ("delivery_held", "state = 'held'"),
            ("delivery_due", "state = 'ready' AND lease_until IS NULL AND digest IS NULL AND carries IS NULL"),
            ("delivery_leased", "lease_until IS NOT NULL AND carries IS NULL"),
            ("delivery_carried", digest::CARRIED_FOR),
        ] {
            let update = format!(
                "UPDATE delivery INDEXED BY {index} SET fallback = 'open'
                 WHERE receiver = ?1 AND {those} AND fallback IS NULL"
            );
            tx.conn.execute(&update, [name])?;
        }
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO receiver (name, keeps_state, fallback) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE
             SET keeps_state = excluded.keeps_state, fallback = excluded.fallback, gone_at = NULL
             WHERE keeps_state <> excluded.keeps_state OR fallback IS NOT excluded.fallback OR gone_at IS NOT NULL",
        )?
        .execute(params![name, target.keeps_state, fallback])?;
    Ok(())
}

/// The next of a receiver's fallbacks that is still there.
fn heir<'a>(tx: &Tx<'_>, receiver: &str, roster: &'a [Listed]) -> Result<Option<&'a Target>, StoreError> {
    let (mut name, mut seen) = (receiver.to_owned(), HashSet::new());
    // Receivers of different days stand in the table; together they might make a circle.
    while seen.insert(name.clone()) {
        let next: Option<Option<String>> = tx
            .conn
            .prepare_cached("SELECT fallback FROM receiver WHERE name = ?1")?
            .query_row([&name], |row| row.get(0))
            .optional()?;
        let Some(next) = next.flatten() else { return Ok(None) };
        if let Some(listed) = roster.iter().find(|listed| listed.target.name.as_str() == next) {
            return Ok(Some(&listed.target));
        }
        name = next;
    }
    Ok(None)
}

/// Gives away a bounded number of what waits for a receiver that is gone; `None` if nothing is left that can be.
pub(super) fn clear(tx: &mut Tx<'_>, gone: &Gone, now: Timestamp) -> Result<Option<Cleared>, StoreError> {
    let (receiver, mut cleared, mut left) = (gone.receiver.as_str(), Cleared::default(), AT_ONCE);
    let why = format!("{receiver} is no longer in routes.yaml");
    // An attempt that has not ended in time does not end any more.
    tx.conn
        .prepare_cached(
            "UPDATE delivery INDEXED BY delivery_leased SET lease_until = NULL, token = token + 1
             WHERE receiver = ?1 AND lease_until <= ?2",
        )?
        .execute(params![receiver, now.as_microsecond()])?;
    // What a digest carries is told one by one, as each of them would have been.
    if digest::dissolve(tx, receiver)? > 0 {
        return Ok(Some(cleared));
    }
    for row in held_copies(tx, receiver)? {
        left -= 1;
        let telling = match &gone.heir {
            Some(heir) => hold_for(tx, &row, &heir.to, &why)?,
            None => Telling::Impossible,
        };
        if telling == Telling::Impossible {
            tx.end(row.id, End::Dead(&why), now)?;
            tx.counts.held = tx.counts.held.saturating_sub(1);
        } else {
            tx.remove_held(&row)?;
        }
        cleared.count(telling);
    }
    // The first of each lane, until nothing comes after them: the fallback hears of it in the same order.
    while left > 0 {
        let firsts = first_of_lanes(tx, receiver, left)?;
        if firsts.is_empty() {
            break;
        }
        for first in firsts {
            left = left.saturating_sub(1);
            cleared.count(give_away(tx, &first, gone, &why, now)?);
        }
    }
    Ok((left < AT_ONCE).then_some(cleared))
}

fn held_copies(tx: &Tx<'_>, receiver: &str) -> Result<Vec<Held>, StoreError> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT id, lane, receiver, fingerprint, starts_at, fallback_for IS NOT NULL, critical
         FROM delivery INDEXED BY delivery_held WHERE receiver = ?1 AND state = 'held' ORDER BY id LIMIT ?2",
    )?;
    Ok(statement.query_map(params![receiver, AT_ONCE], held)?.collect::<Result<_, _>>()?)
}

/// Goes on holding a copy, for another receiver. If that holds one already, one is enough.
fn hold_for(tx: &mut Tx<'_>, row: &Held, to: &Target, why: &str) -> Result<Telling, StoreError> {
    let Some(stored) = fallback::read(tx, row.id)? else { return Ok(Telling::Nothing) };
    let Ok(content) = codec::decode(&stored.content) else { return Ok(Telling::Impossible) };
    tx.facts.push(Fact::Forget(row.fingerprint));
    let ours = tx.held(row.fingerprint)?.into_iter().find(|held| held.receiver == to.name.as_str());
    if let Some(ours) = ours {
        // A resolve that is older than the latest copy must not cancel it.
        if row.starts_at > ours.starts_at {
            tx.conn
                .prepare_cached("UPDATE delivery SET starts_at = ?2 WHERE id = ?1")?
                .execute(params![ours.id, row.starts_at.map(Timestamp::as_microsecond)])?;
        }
        return Ok(Telling::Nothing);
    }
    // What ended for the one has ended for the other: the copy must find the same state there.
    tx.conn
        .prepare_cached(
            "INSERT OR IGNORE INTO dedup (fingerprint, receiver, starts_at, ends_at, notified_at, own)
             SELECT fingerprint, ?3, starts_at, ends_at, notified_at, 0 FROM dedup
             WHERE fingerprint = ?1 AND receiver = ?2",
        )?
        .execute(params![row.fingerprint.0.cast_signed(), row.receiver, to.name.as_str()])?;
    let lane = match to.granularity {
        Granularity::Group => Lane::of_group(&to.name, &content.group),
        Granularity::Alert => Lane::of_alert(&to.name, row.fingerprint),
    };
    let (meant_for, why) = stored.mark(why);
    tx.conn
        .prepare_cached(
            "INSERT INTO delivery (lane, receiver, state, received_at, since, due_at, content, fingerprint, starts_at,
                 fallback, fallback_for, fallback_why, critical, urgent, traceparent)
             SELECT ?2, ?3, state, received_at, since, due_at, content, fingerprint, starts_at, ?4, ?5, ?6, critical,
                 critical, traceparent
             FROM delivery WHERE id = ?1",
        )?
        .execute(params![
            row.id,
            tx.lane(&lane)?,
            to.name.as_str(),
            to.has_fallback.then_some("open"),
            meant_for,
            why
        ])?;
    tx.counts.waiting += 1;
    tx.counts.held += 1;
    Ok(Telling::Told)
}

/// A delivery that nothing stands before in its lane and nobody has in hand.
struct First {
    id: i64,
    lane: i64,
    /// Whether the fallback was told of it while the receiver was still there.
    is_sent: bool,
}

fn first_of_lanes(tx: &Tx<'_>, receiver: &str, limit: u32) -> Result<Vec<First>, StoreError> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT id, lane, fallback IS 'sent' FROM delivery INDEXED BY delivery_due
         WHERE receiver = ?1 AND state = 'ready' AND lease_until IS NULL AND digest IS NULL AND carries IS NULL
         ORDER BY id LIMIT ?2",
    )?;
    let found = statement.query_map(params![receiver, limit], |row| {
        Ok(First { id: row.get(0)?, lane: row.get(1)?, is_sent: row.get(2)? })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn give_away(tx: &mut Tx<'_>, first: &First, gone: &Gone, why: &str, now: Timestamp) -> Result<Telling, StoreError> {
    let telling = match &gone.heir {
        Some(fallback) => fallback::tell(tx, first.id, &Missed { fallback, never: true, why, now })?,
        None if first.is_sent => Telling::Nothing,
        None => Telling::Impossible,
    };
    if telling == Telling::Impossible {
        tx.end(first.id, End::Dead(why), now)?;
    } else {
        tx.never_told(first.id)?;
        tx.conn.prepare_cached("DELETE FROM delivery WHERE id = ?1")?.execute([first.id])?;
        tx.counts.waiting = tx.counts.waiting.saturating_sub(1);
    }
    tx.promote(&gone.receiver, first.lane)?;
    tx.remove_lane_if_empty(first.lane)?;
    Ok(telling)
}

/// Forgets receivers that have been gone for long and that nothing waits for.
pub(super) fn forget(tx: &Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    tx.conn
        .prepare_cached(
            "DELETE FROM receiver WHERE gone_at < ?1
             AND NOT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_leased
                 WHERE receiver = name AND lease_until IS NOT NULL)
             AND NOT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_due
                 WHERE receiver = name AND state = 'ready' AND lease_until IS NULL AND digest IS NULL AND carries IS NULL)
             AND NOT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_digests
                 WHERE receiver = name AND carries IS NOT NULL AND ended_at IS NULL)
             AND NOT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_queued
                 WHERE receiver = name AND state = 'queued')
             AND NOT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_held
                 WHERE receiver = name AND state = 'held')",
        )?
        .execute([now.as_microsecond() - REMEMBERED])?;
    Ok(())
}
