//! What operators do to deliveries: send a dead letter again. It is a function of a transaction, of the service's or of a
//! command beside it, and so is giving one up (`discard.rs`).

use std::collections::HashSet;

use rusqlite::{OptionalExtension, params};

use super::tx::{Tx, bytes, time};
use crate::alert::{Alert, Fingerprint, Status};
use crate::clock::{Timestamp, to_micros};
use crate::dedup::fallback::Heard;
use crate::dedup::retry::{Since, since};
use crate::dedup::{Known, Remembered};
use crate::notification::{DeliveryId, Notified};
use crate::store::codec::{self, Content};
use crate::store::outbox::{EventKind, LeftOut, Retried};
use crate::store::{StoreError, Targets};

/// How dead letters are sent again.
pub(super) struct Ask<'a> {
    /// Also what has been told or has ended since.
    pub force: bool,
    /// All that are sent again at the same time: the end of an alert may be among them.
    pub together: &'a HashSet<DeliveryId>,
    pub now: Timestamp,
}

#[expect(clippy::struct_excessive_bools, reason = "columns of a row, and no state machine")]
pub(super) struct Row {
    pub(super) receiver: String,
    pub(super) lane: i64,
    pub(super) state: String,
    pub(super) content: Vec<u8>,
    /// Or the digest that carries it is, or has arrived and its deliveries are being ended.
    pub(super) is_leased: bool,
    pub(super) is_discarded: bool,
    pub(super) is_fallback: bool,
    pub(super) is_critical: bool,
    pub(super) digest: Option<i64>,
    pub(super) is_digest: bool,
}

pub(super) fn read(tx: &Tx<'_>, id: i64, now: Timestamp) -> Result<Option<Row>, StoreError> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT receiver, lane, state, content, coalesce(lease_until > ?2, 0) OR EXISTS (
                 SELECT 1 FROM delivery AS told WHERE told.id IN (delivery.id, delivery.digest)
                     AND (told.lease_until > ?2 OR told.told_at IS NOT NULL)),
             discarded_at IS NOT NULL, fallback_for IS NOT NULL, critical, digest, carries IS NOT NULL
         FROM delivery WHERE id = ?1",
    )?;
    let row = statement.query_row(params![id, now.as_microsecond()], |row| {
        Ok(Row {
            receiver: row.get(0)?,
            lane: row.get(1)?,
            state: row.get(2)?,
            content: bytes(row.get_ref(3)?).to_vec(),
            is_leased: row.get(4)?,
            is_discarded: row.get(5)?,
            is_fallback: row.get(6)?,
            is_critical: row.get(7)?,
            digest: row.get(8)?,
            is_digest: row.get(9)?,
        })
    });
    Ok(row.optional()?)
}

impl Tx<'_> {
    /// Notes something rare in the life of a delivery.
    pub(super) fn note(
        &self,
        delivery: i64,
        what: EventKind,
        note: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("INSERT INTO event (delivery, at, what, note) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![delivery, now.as_microsecond(), what.as_str(), note])?;
        Ok(())
    }
}

/// Sends these again, in this order.
pub(super) fn retry(tx: &mut Tx<'_>, ids: &[DeliveryId], ask: &Ask<'_>) -> Result<Vec<Retried>, StoreError> {
    let known = ids.iter().map(|id| Ok(read(tx, id.0, ask.now)?.is_some())).collect::<Result<Vec<_>, StoreError>>()?;
    let each = ids.iter().zip(known).map(|(id, known)| match retry_one(tx, *id, ask)? {
        // A held copy of an alert that one before it tells again.
        Retried::Missing if known => Ok(Retried::NothingToTell(LeftOut { told: 1, ended: 0 })),
        retried => Ok(retried),
    });
    each.collect()
}

/// Lets a dead letter wait again, at its place in its lane, and makes due what waits for its time.
fn retry_one(tx: &mut Tx<'_>, id: DeliveryId, ask: &Ask<'_>) -> Result<Retried, StoreError> {
    let Some(row) = read(tx, id.0, ask.now)? else { return Ok(Retried::Missing) };
    match &*row.state {
        "delivered" => Ok(Retried::Delivered),
        "dead" if row.is_discarded => Ok(Retried::Discarded),
        "dead" => revive(tx, id.0, &row, ask),
        _ if row.is_leased => Ok(Retried::UnderWay),
        _ if row.digest.is_some() => hurry(tx, row.digest.unwrap_or(id.0), ask.now),
        "queued" => Ok(Retried::InLine),
        _ => hurry(tx, id.0, ask.now),
    }
}

fn hurry(tx: &Tx<'_>, id: i64, now: Timestamp) -> Result<Retried, StoreError> {
    let update = "UPDATE delivery SET due_at = ?2 WHERE id = ?1 AND due_at > ?2";
    if tx.conn.prepare_cached(update)?.execute(params![id, now.as_microsecond()])? > 0 {
        tx.note(id, EventKind::DueNow, None, now)?;
    }
    Ok(Retried::DueNow)
}

fn revive(tx: &mut Tx<'_>, id: i64, row: &Row, ask: &Ask<'_>) -> Result<Retried, StoreError> {
    if !has_receiver(tx, &row.receiver)? {
        return Ok(Retried::NoReceiver(row.receiver.as_str().into()));
    }
    let Content { group, alerts, others_firing } = match codec::decode(&row.content) {
        Ok(content) => content,
        Err(why) => return Ok(Retried::Unreadable(why)),
    };
    let (mut left_out, mut kept, mut news) = (LeftOut::default(), Vec::new(), Vec::new());
    for notified in alerts {
        match became(tx, id, row, &notified, ask)? {
            Since::Nothing => news.push(kept.len()),
            // What is known of it is newer, and stays.
            Since::Told | Since::Ended if ask.force => {}
            Since::Told => {
                left_out.told += 1;
                continue;
            }
            Since::Ended => {
                left_out.ended += 1;
                continue;
            }
        }
        kept.push(notified);
    }
    if kept.is_empty() {
        return Ok(Retried::NothingToTell(left_out));
    }
    if left_out != LeftOut::default() {
        let content = encode(&Content { group, alerts: kept.clone(), others_firing })?;
        tx.conn.prepare_cached("UPDATE delivery SET content = ?2 WHERE id = ?1")?.execute(params![id, content])?;
    }
    put_back(tx, id, row, ask.now)?;
    for at in news {
        tell_again(tx, id, row, &kept[at], ask.now)?;
    }
    let without = words(left_out);
    tx.note(id, EventKind::Retried, without.as_deref(), ask.now)?;
    Ok(Retried::Waits(left_out))
}

/// `without 3 alerts that were told since`.
fn words(LeftOut { told, ended }: LeftOut) -> Option<String> {
    let part = |n: u64, what: &str| (n > 0).then(|| format!("{n} that {what}"));
    let parts: Vec<_> =
        [part(told, "were told since"), part(ended, "have ended since")].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| format!("without {}", parts.join(" and ")))
}

/// Whether routes.yaml has the receiver, as far as the store has been told.
fn has_receiver(tx: &Tx<'_>, receiver: &str) -> Result<bool, StoreError> {
    let has = tx
        .conn
        .prepare_cached("SELECT count(*) = 0 OR sum(name = ?1) > 0 FROM receiver WHERE gone_at IS NULL")?
        .query_row([receiver], |row| row.get(0))?;
    Ok(has)
}

/// What became of an alert since its delivery died.
fn became(tx: &Tx<'_>, id: i64, row: &Row, notified: &Notified, ask: &Ask<'_>) -> Result<Since, StoreError> {
    let alert = &notified.alert;
    let all = tx.states(alert.fingerprint, &Targets::default())?;
    let (here, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|entry| entry.receiver.as_str() == row.receiver);
    let known = here.first().map(|entry| &entry.known);
    let mut ended = others.iter().filter_map(|Remembered { known, .. }| known.ends_at).max();
    if alert.status == Status::Firing {
        ended = ended.max(died_ending(tx, id, row.lane, notified, ask)?);
    }
    Ok(since(alert, known, told_before(tx, id, row, alert.fingerprint)?, ended))
}

/// Whether what the receiver knows of an alert is from a delivery before this one.
fn told_before(tx: &Tx<'_>, id: i64, row: &Row, fingerprint: Fingerprint) -> Result<bool, StoreError> {
    let mut statement =
        tx.conn.prepare_cached("SELECT delivery < ?3 FROM dedup WHERE fingerprint = ?1 AND receiver = ?2")?;
    let parameters = params![fingerprint.0.cast_signed(), row.receiver, id];
    let told: Option<Option<bool>> = statement.query_row(parameters, |row| row.get(0)).optional()?;
    Ok(told.flatten().unwrap_or(false))
}

/// When the alert ended, if a later delivery of the lane was to say so, is dead itself, and is not sent again with this one.
fn died_ending(
    tx: &Tx<'_>,
    id: i64,
    lane: i64,
    notified: &Notified,
    ask: &Ask<'_>,
) -> Result<Option<Timestamp>, StoreError> {
    let fingerprint = notified.alert.fingerprint;
    let mut statement = tx.conn.prepare_cached(
        "SELECT id, content FROM delivery INDEXED BY delivery_lane
         WHERE lane = ?1 AND id > ?2 AND state = 'dead' AND instr(content, ?3) > 0",
    )?;
    let mut rows = statement.query(params![lane, id, fingerprint.to_string()])?;
    let mut ended = None;
    while let Some(row) = rows.next()? {
        if ask.together.contains(&DeliveryId(row.get(0)?)) {
            continue;
        }
        let later = codec::decode(bytes(row.get_ref(1)?)).map(|content| content.alerts).unwrap_or_default();
        let ends = later.into_iter().filter(|later| later.alert.fingerprint == fingerprint);
        ended = ended.max(ends.filter_map(|later| later.alert.ends_at.map(to_micros)).max());
    }
    Ok(ended)
}

fn encode(content: &Content) -> Result<String, StoreError> {
    let not_json = |error: serde_json::Error| StoreError::Unavailable(format!("a notification is not JSON: {error}"));
    let group = codec::encode_group(&content.group).map_err(not_json)?;
    let mut pieces = Vec::with_capacity(content.alerts.len());
    for Notified { alert, reason } in &content.alerts {
        pieces.push((*reason, codec::encode_alert(alert).map_err(not_json)?));
    }
    let pieces = pieces.iter().map(|(reason, piece)| (*reason, &**piece));
    codec::encode(&group, pieces, content.others_firing).map_err(not_json)
}

/// Puts a dead letter back into its lane. Its attempts and its last error stay, its age counts anew.
fn put_back(tx: &mut Tx<'_>, id: i64, row: &Row, now: Timestamp) -> Result<(), StoreError> {
    // What came later steps back, unless it was tried already: then it may have arrived.
    tx.conn
        .prepare_cached(
            "UPDATE delivery SET state = 'queued' WHERE lane = ?1 AND state = 'ready' AND id > ?2
             AND lease_until IS NULL AND failing_since IS NULL AND digest IS NULL",
        )?
        .execute(params![row.lane, id])?;
    tx.conn
        .prepare_cached(
            "UPDATE delivery SET state = 'queued', since = ?2, due_at = ?2, ended_at = NULL, token = token + 1,
                 urgent = max(critical, EXISTS (SELECT 1 FROM delivery AS behind WHERE behind.lane = delivery.lane
                     AND behind.id > ?1 AND behind.critical = 1 AND behind.state IN ('queued', 'ready'))),
                 fallback = CASE WHEN fallback IS NULL AND EXISTS (
                     SELECT 1 FROM receiver WHERE name = delivery.receiver AND receiver.fallback IS NOT NULL)
                     THEN 'open' ELSE fallback END
             WHERE id = ?1",
        )?
        .execute(params![id, now.as_microsecond()])?;
    tx.counts.waiting += 1;
    if row.is_critical {
        tx.let_pass(&row.receiver, row.lane, id)?;
    }
    tx.promote(&row.receiver, row.lane)
}

/// Notes that the receiver is told of an alert, as when its delivery was accepted.
fn tell_again(tx: &mut Tx<'_>, id: i64, row: &Row, notified: &Notified, now: Timestamp) -> Result<(), StoreError> {
    let alert = &notified.alert;
    let known = known_after(alert, now);
    for held in tx.held(alert.fingerprint)?.into_iter().filter(|held| held.receiver == row.receiver) {
        tx.remove_held(&held)?;
    }
    tx.remember(alert.fingerprint, &row.receiver, &Heard { known, own: !row.is_fallback }, Some(id))?;
    tx.facts.push(super::tx::Fact::Forget(alert.fingerprint));
    Ok(())
}

/// What a receiver knows of an alert that it was told of.
pub(super) fn known_after(alert: &Alert, now: Timestamp) -> Known {
    let ends_at = (alert.status == Status::Resolved).then(|| alert.ends_at.map_or(now, to_micros));
    Known { starts_at: alert.starts_at.map(to_micros), ends_at, notified_at: now }
}

/// When something happened, as it is kept.
pub(super) fn moment(micros: Option<i64>) -> Option<Timestamp> {
    micros.map(time)
}
