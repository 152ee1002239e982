//! Telling a fallback: the rows, and the memory of what it was told. What that is, is the table of
//! [`crate::dedup::fallback`].

use rusqlite::{OptionalExtension, params};

use super::traceparent;
use super::tx::{Fact, New, Tx, bytes, optional_time, time};
use crate::alert::{Alert, Fingerprint, Group, Status};
use crate::clock::Timestamp;
use crate::dedup::Known;
use crate::dedup::fallback::{self as table, Heard, StoodIn};
use crate::notification::{DeliveryId, Granularity, Lane, Notified, Reason, Target, TraceParent};
use crate::store::codec::{self, Content};
use crate::store::outbox::EventKind;
use crate::store::{Fallback, FellBack, Overdue, StoreError};

/// How many deliveries one transaction takes at most, so that it stays short.
pub(super) const AT_ONCE: u32 = 50;

/// Why a delivery falls back, and to whom.
pub(super) struct Missed<'a> {
    pub fallback: &'a Fallback,
    /// Whether it will never be delivered; else it is only late.
    pub never: bool,
    pub why: &'a str,
    pub now: Timestamp,
}

/// A delivery that falls back.
pub(super) struct Row {
    receiver: String,
    pub received_at: Timestamp,
    pub content: Vec<u8>,
    is_sent: bool,
    /// Whom it was meant for in the first place and why that one did not get it, if it is itself a fallback.
    fallback_for: Option<(String, String)>,
    traceparent: Option<TraceParent>,
}

/// What the fallback is told of one alert.
struct Told {
    fingerprint: Fingerprint,
    alert: Option<Notified>,
    /// Behind that.
    end: Option<Notified>,
    remember: Option<Known>,
}

/// What came of a delivery that falls back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// The fallback is told.
    Told,
    /// It has been told before, or need not be.
    Nothing,
    /// Nobody can be told: there is nobody, or it cannot be read.
    Impossible,
}

/// Tells the fallback of a delivery, once, and notes with the delivery that it was looked at.
pub(super) fn tell(tx: &mut Tx<'_>, id: i64, missed: &Missed<'_>) -> Result<Telling, StoreError> {
    let Some(row) = read(tx, id)?.filter(|row| !row.is_sent) else { return Ok(Telling::Nothing) };
    let telling = match codec::decode(&row.content) {
        Ok(content) => tell_all(tx, &row, content, missed)?,
        Err(why) => {
            let error = StoreError::Corrupt { delivery: DeliveryId(id), why };
            tracing::error!(%error, receiver = row.receiver, "a delivery cannot fall back");
            Telling::Impossible
        }
    };
    let state = if telling == Telling::Told { "sent" } else { "silent" };
    if telling == Telling::Told {
        let note = format!("{}: {}", missed.fallback.to.name, missed.why);
        tx.note(id, EventKind::FellBack, Some(&note), missed.now)?;
    }
    tx.conn.prepare_cached("UPDATE delivery SET fallback = ?2 WHERE id = ?1")?.execute(params![id, state])?;
    Ok(telling)
}

/// The delivery, if it is there.
pub(super) fn read(tx: &Tx<'_>, id: i64) -> Result<Option<Row>, StoreError> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT receiver, received_at, content, fallback IS 'sent', fallback_for, fallback_why, traceparent
         FROM delivery WHERE id = ?1",
    )?;
    let row = statement.query_row([id], |row| {
        Ok(Row {
            receiver: row.get(0)?,
            received_at: time(row.get(1)?),
            content: bytes(row.get_ref(2)?).to_vec(),
            is_sent: row.get(3)?,
            fallback_for: row.get::<_, Option<_>>(4)?.zip(row.get(5)?),
            traceparent: traceparent::read(row.get_ref(6)?),
        })
    });
    Ok(row.optional()?)
}

impl Row {
    /// Whom the fallback stands in for, and why. The mark keeps the receiver that it was meant for in the first place.
    pub(super) fn mark(&self, why: &str) -> (String, String) {
        match &self.fallback_for {
            None => (self.receiver.clone(), why.to_owned()),
            Some((first, before)) => (first.clone(), format!("{before}; its fallback {}: {why}", self.receiver)),
        }
    }
}

fn tell_all(tx: &mut Tx<'_>, row: &Row, content: Content, missed: &Missed<'_>) -> Result<Telling, StoreError> {
    let Content { group, alerts, others_firing } = content;
    let mut all = Vec::with_capacity(alerts.len());
    for notified in alerts {
        all.push(decide(tx, row, notified, missed)?);
    }
    let mark = row.mark(missed.why);
    let (to, now, received_at) = (&missed.fallback.to, missed.now, row.received_at);
    let (mark, traceparent) = ((mark.0.as_str(), mark.1.as_str()), row.traceparent.as_ref());
    let letter = Letter { to, group: &group, others_firing, mark, received_at, now, traceparent };
    let together = match to.granularity {
        Granularity::Group => all.len(),
        Granularity::Alert => 1,
    };
    let mut telling = Telling::Nothing;
    for part in all.chunks(together) {
        let alerts = letter.write(tx, part.iter().filter_map(|told| told.alert.as_ref()))?;
        let ends = letter.write(tx, part.iter().filter_map(|told| told.end.as_ref()))?;
        if alerts.or(ends).is_some() {
            telling = Telling::Told;
        }
        for told in part {
            remember(tx, row, to, told, (alerts, ends), now)?;
        }
    }
    Ok(telling)
}

fn decide(tx: &Tx<'_>, row: &Row, notified: Notified, missed: &Missed<'_>) -> Result<Told, StoreError> {
    let Fallback { to, from_keeps_state } = missed.fallback;
    let fingerprint = notified.alert.fingerprint;
    let (meant_for, heard) = (tx.heard(fingerprint, &row.receiver)?, tx.heard(fingerprint, to.name.as_str())?);
    let tell = table::fall_back(&table::Missed {
        alert: &notified.alert,
        reason: notified.reason,
        never: missed.never,
        meant_for_keeps_state: *from_keeps_state,
        meant_for: meant_for.as_ref().map(|heard| &heard.known),
        keeps_state: to.keeps_state,
        heard: heard.as_ref(),
        stood_in: stood_in(tx, fingerprint, &row.receiver, to)?,
        now: missed.now,
    });
    let end = tell.then_ended.filter(|_| to.send_resolved).map(|ends_at| Notified {
        alert: Alert { status: Status::Resolved, ends_at: Some(ends_at), ..notified.alert.clone() },
        reason: Reason::Resolved,
    });
    let is_sent = tell.alert && (to.send_resolved || notified.alert.status == Status::Firing);
    Ok(Told { fingerprint, alert: is_sent.then_some(notified), end, remember: tell.remember })
}

fn stood_in(
    tx: &Tx<'_>,
    fingerprint: Fingerprint,
    meant_for: &str,
    told: &Target,
) -> Result<Option<StoodIn>, StoreError> {
    let mut statement = tx
        .conn
        .prepare_cached("SELECT starts_at, at FROM stood_in WHERE fingerprint = ?1 AND meant_for = ?2 AND told = ?3")?;
    let last = statement.query_row(params![fingerprint.0.cast_signed(), meant_for, told.name.as_str()], |row| {
        Ok(StoodIn { starts_at: optional_time(row, 0)?, at: time(row.get(1)?) })
    });
    Ok(last.optional()?)
}

/// Notes what the fallback was told of an alert. `rows` are the delivery of its alerts and that of their ends.
fn remember(
    tx: &mut Tx<'_>,
    row: &Row,
    to: &Target,
    told: &Told,
    rows: (Option<i64>, Option<i64>),
    now: Timestamp,
) -> Result<(), StoreError> {
    if told.alert.is_some() {
        // As after any other notification: what it was held for is settled.
        let held = tx.held(told.fingerprint)?;
        for row in held.into_iter().filter(|row| row.receiver == to.name.as_str()) {
            tx.remove_held(&row)?;
        }
    }
    let told_by = if told.end.is_some() { rows.1 } else { rows.0.filter(|_| told.alert.is_some()) };
    if let Some(known) = told.remember {
        let told_by = if known.ends_at.is_none() { opened_by(tx, told.fingerprint, to, told_by)? } else { told_by };
        tx.remember(told.fingerprint, to.name.as_str(), &Heard { known, own: false }, told_by)?;
        tx.facts.push(Fact::Forget(told.fingerprint));
    }
    if let (Some(Notified { alert, .. }), Some(delivery)) = (&told.alert, rows.0)
        && alert.status == Status::Firing
    {
        tx.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO stood_in (fingerprint, meant_for, told, starts_at, at, delivery)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                told.fingerprint.0.cast_signed(),
                row.receiver,
                to.name.as_str(),
                alert.starts_at.map(Timestamp::as_microsecond),
                now.as_microsecond(),
                delivery,
            ])?;
    }
    Ok(())
}

/// Whose end would mean that a fallback never heard that an alert fires: that of `latest`, unless one before it has arrived,
/// `None` if that is history. If a further one comes to nothing, the incident of the first is still to be closed.
fn opened_by(
    tx: &Tx<'_>,
    fingerprint: Fingerprint,
    to: &Target,
    latest: Option<i64>,
) -> Result<Option<i64>, StoreError> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT dedup.delivery FROM dedup LEFT JOIN delivery AS told ON told.id = dedup.delivery
         WHERE dedup.fingerprint = ?1 AND dedup.receiver = ?2 AND own = 0 AND ends_at IS NULL
             AND (told.id IS NULL OR told.state = 'delivered')",
    )?;
    let told = statement.query_row(params![fingerprint.0.cast_signed(), to.name.as_str()], |row| row.get(0));
    Ok(told.optional()?.unwrap_or(latest))
}

/// What the deliveries to a fallback have in common.
struct Letter<'a> {
    to: &'a Target,
    group: &'a Group,
    others_firing: u32,
    mark: (&'a str, &'a str),
    received_at: Timestamp,
    now: Timestamp,
    traceparent: Option<&'a TraceParent>,
}

impl Letter<'_> {
    /// Writes a delivery of these alerts, unless there are none.
    fn write<'n>(
        &self,
        tx: &mut Tx<'_>,
        alerts: impl Iterator<Item = &'n Notified>,
    ) -> Result<Option<i64>, StoreError> {
        let not_json =
            |error: serde_json::Error| StoreError::Unavailable(format!("a notification is not JSON: {error}"));
        let (mut pieces, mut lane, mut critical) = (Vec::new(), None, false);
        for Notified { alert, reason } in alerts {
            lane.get_or_insert_with(|| self.lane(alert));
            critical |= alert.is_critical();
            pieces.push((*reason, codec::encode_alert(alert).map_err(not_json)?));
        }
        let Some(lane) = lane else { return Ok(None) };
        let group = codec::encode_group(self.group).map_err(not_json)?;
        let pieces = pieces.iter().map(|(reason, piece)| (*reason, &**piece));
        let content = codec::encode(&group, pieces, self.others_firing).map_err(not_json)?;
        let new = New {
            lane: &lane,
            received_at: self.received_at,
            since: self.now,
            content: &content,
            has_fallback: self.to.has_fallback,
            critical,
            fallback_for: Some(self.mark),
            traceparent: self.traceparent,
        };
        tx.enqueue(&new).map(Some)
    }

    fn lane(&self, alert: &Alert) -> Lane {
        match self.to.granularity {
            Granularity::Group => Lane::of_group(&self.to.name, self.group),
            Granularity::Alert => Lane::of_alert(&self.to.name, alert.fingerprint),
        }
    }
}

/// Tells the fallback of a bounded number of deliveries that failures have held up for too long. Returns how many were
/// looked at, 0 if none is left, and those that there was something to tell of.
pub(super) fn overdue(tx: &mut Tx<'_>, ask: &Overdue) -> Result<(usize, Vec<FellBack>), StoreError> {
    let before = ask.now.checked_sub(ask.after).unwrap_or(Timestamp::MIN);
    let mut found = held_up(tx, ask, before)?;
    if found.is_empty() && ask.stuck_since.is_some_and(|since| since <= before) {
        found = stuck(tx, ask, before)?;
    }
    let mut fell_back = Vec::new();
    for (id, error) in &found {
        let reason = format!("{error}{}", ask.lasting);
        let missed = Missed { fallback: &ask.fallback, never: false, why: &reason, now: ask.now };
        if tell(tx, *id, &missed)? == Telling::Told {
            fell_back.push(FellBack { delivery: DeliveryId(*id), reason });
        }
    }
    Ok((found.len(), fell_back))
}

/// What has failed itself. Like [`BEHIND`] it reads nothing that the fallback was told of: in an outage that may be much,
/// and it is asked for every second.
pub(super) const FAILED: &str = "SELECT id, error FROM delivery INDEXED BY delivery_failing_open
     WHERE receiver = ?1 AND failing_since <= ?2 AND fallback = 'open' ORDER BY failing_since, id LIMIT ?3";

/// What a digest carries that has failed. Its own age need not be asked for: it was there before the digest.
pub(super) const CARRIED: &str = "SELECT carried.id, digest.error FROM delivery AS digest INDEXED BY delivery_digests
     CROSS JOIN delivery AS carried INDEXED BY delivery_carried_open ON carried.digest = digest.id
     WHERE digest.receiver = ?1 AND digest.carries IS NOT NULL AND digest.ended_at IS NULL AND digest.failing_since <= ?2
         AND carried.fallback = 'open' ORDER BY digest.id, carried.id LIMIT ?3";

/// What waits behind such a one in its lane, with the error of that. If nothing has failed, nothing of what waits is read.
pub(super) const BEHIND: &str = "SELECT behind.id,
         CASE WHEN head.failing_since <= ?2 THEN head.error ELSE digest.error END
     FROM delivery AS behind INDEXED BY delivery_queued_open
     CROSS JOIN delivery AS head INDEXED BY delivery_one_ready ON head.lane = behind.lane AND head.state = 'ready'
     LEFT JOIN delivery AS digest ON digest.id = head.digest
     WHERE behind.receiver = ?1 AND behind.state = 'queued' AND behind.fallback = 'open'
         AND (head.failing_since <= ?2 OR digest.failing_since <= ?2) AND behind.since <= CASE WHEN EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_failing
             WHERE receiver = ?1 AND failing_since <= ?2) THEN ?2 END
     ORDER BY behind.since, behind.id LIMIT ?3";

fn held_up(tx: &Tx<'_>, ask: &Overdue, before: Timestamp) -> Result<Vec<(i64, String)>, StoreError> {
    for select in [FAILED, CARRIED, BEHIND] {
        let mut statement = tx.conn.prepare_cached(select)?;
        let found = statement.query_map(params![ask.receiver.as_str(), before.as_microsecond(), AT_ONCE], error_of)?;
        let found: Vec<_> = found.collect::<Result<_, _>>()?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Whatever waits, with the last error that the receiver has met.
fn stuck(tx: &Tx<'_>, ask: &Overdue, before: Timestamp) -> Result<Vec<(i64, String)>, StoreError> {
    let mut statement = tx.conn.prepare_cached(
        "SELECT id, (SELECT error FROM delivery INDEXED BY delivery_failing
                     WHERE receiver = ?1 AND failing_since IS NOT NULL ORDER BY failing_since DESC LIMIT 1)
         FROM delivery INDEXED BY delivery_falls_back
         WHERE receiver = ?1 AND fallback = 'open' AND state IN ('queued', 'ready') AND since <= ?2
         ORDER BY since, id LIMIT ?3",
    )?;
    let found = statement.query_map(params![ask.receiver.as_str(), before.as_microsecond(), AT_ONCE], error_of)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn error_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, String)> {
    let error = row.get::<_, Option<String>>(1)?.unwrap_or_else(|| "it takes nothing".to_owned());
    Ok((row.get(0)?, error))
}
