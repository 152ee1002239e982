//! One webhook body: what is new in it, and the rows that say so.
//!
//! First a plan is made from what is stored, then it is written. Each alert of a body is there once, so nothing that
//! is written changes what was read.

use std::time::Duration;

use rusqlite::params;

use super::body::Body;
use super::tx::{Fact, Held, New, Tx, tally};
use crate::alert::{Alert, Status};
use crate::clock::{Timestamp, after, to_micros};
use crate::dedup::fallback::Heard;
use crate::dedup::{Decision, Known, Remembered, decide, ends_later};
use crate::notification::{Granularity, Lane, Reason, Target};
use crate::store::codec;
use crate::store::{Accepted, Routed, StoreError};

/// Decides over a body and stores what follows from it.
pub(super) fn accept(tx: &mut Tx<'_>, body: &Body) -> Result<Accepted, StoreError> {
    let mut plan = Plan {
        body,
        accepted: Accepted::default(),
        receivers: Vec::new(),
        unsent: Vec::new(),
        gone: Vec::new(),
        moved: Vec::new(),
        memories: Vec::with_capacity(body.alerts.len()),
    };
    for routed in &body.intake.alerts {
        plan.decide(tx, routed)?;
    }
    plan.check_room(tx)?;
    plan.write(tx)?;
    tx.keep_rejected(&body.intake.rejected)?;
    Ok(plan.accepted)
}

struct Plan<'a> {
    body: &'a Body,
    accepted: Accepted,
    receivers: Vec<ForReceiver<'a>>,
    /// Resolves that are noted and not sent.
    unsent: Vec<(usize, &'a Target)>,
    /// Held copies that are no longer needed.
    gone: Vec<Held>,
    /// Held copies of which a later one has come, and its startsAt.
    moved: Vec<(i64, Timestamp)>,
    /// For each alert.
    memories: Vec<Memory>,
}

/// What one receiver will get of a body; alerts are meant by their index.
struct ForReceiver<'a> {
    target: &'a Target,
    notify: Vec<(usize, Reason)>,
    hold: Vec<usize>,
    others_firing: u32,
}

/// What will be known of an alert.
struct Memory {
    known: Vec<Remembered>,
    is_held: bool,
}

impl<'a> Plan<'a> {
    fn decide(&mut self, tx: &Tx<'_>, routed: &'a Routed) -> Result<(), StoreError> {
        let (index, alert, now) = (self.memories.len(), &routed.alert, self.body.intake.now);
        let known = tx.states(alert.fingerprint, &self.body.intake.targets)?;
        let held = tx.held(alert.fingerprint)?;
        let mut is_held = false;
        let mut notified = Vec::new();
        for (target, repeat_interval) in self.concerned(routed, &known, &held) {
            let state = known.iter().find(|entry| entry.receiver == target.name).map(|entry| &entry.known);
            let decision = decide(alert, state, repeat_interval, target.keeps_state, now);
            self.accepted.decisions.push((target.name.clone(), decision));
            match decision {
                Decision::Notify(reason) => {
                    notified.push(&target.name);
                    if alert.status == Status::Resolved && !target.send_resolved {
                        self.unsent.push((index, target));
                    } else {
                        self.receiver(target).notify.push((index, reason));
                    }
                }
                Decision::Drop(Reason::Duplicate) if alert.status == Status::Firing => {
                    self.receiver(target).others_firing += 1;
                }
                Decision::Drop(_) => {}
                Decision::Hold => match held.iter().find(|row| row.receiver == target.name.as_str()) {
                    None => {
                        is_held = true;
                        self.receiver(target).hold.push(index);
                    }
                    // A resolve that is older than the latest copy must not cancel it.
                    Some(row) => {
                        self.moved
                            .extend(alert.starts_at.filter(|_| alert.starts_at > row.starts_at).map(|at| (row.id, at)));
                    }
                },
            }
        }
        for row in held {
            let cancelled = alert.status == Status::Resolved && ends_later(alert, row.starts_at);
            if cancelled {
                tally(&mut self.accepted.cancelled, &row.receiver, 1);
            }
            if cancelled || notified.iter().any(|name| name.as_str() == row.receiver) {
                self.gone.push(row);
            } else {
                is_held = true;
            }
        }
        self.memories.push(Memory { known, is_held });
        Ok(())
    }

    /// Whom an alert concerns: those whom the routes name, and for a resolve everybody else who was told that it fires
    /// or may yet be.
    fn concerned(&self, routed: &'a Routed, known: &[Remembered], held: &[Held]) -> Vec<(&'a Target, Duration)> {
        let targets = &self.body.intake.targets;
        let mut all: Vec<(&Target, Duration)> =
            routed.wants.iter().filter_map(|(name, repeat)| Some((targets.get(name)?, *repeat))).collect();
        if routed.alert.status == Status::Resolved {
            let told = known.iter().filter(|entry| entry.known.ends_at.is_none()).map(|entry| entry.receiver.as_str());
            for name in told.chain(held.iter().map(|row| row.receiver.as_str())) {
                if let Some(target) = targets.get(name)
                    && !all.iter().any(|(known, _)| known.name == target.name)
                {
                    all.push((target, Duration::ZERO));
                }
            }
        }
        all
    }

    fn receiver(&mut self, target: &'a Target) -> &mut ForReceiver<'a> {
        let at = self.receivers.iter().position(|known| known.target.name == target.name).unwrap_or_else(|| {
            self.receivers.push(ForReceiver { target, notify: Vec::new(), hold: Vec::new(), others_firing: 0 });
            self.receivers.len() - 1
        });
        &mut self.receivers[at]
    }

    /// A body that adds nothing to the outbox is taken even if that is full.
    fn check_room(&self, tx: &Tx<'_>) -> Result<(), StoreError> {
        let added = self.receivers.iter().map(ForReceiver::rows).sum::<usize>();
        let removed = self.gone.len() as u64;
        if added > 0 && tx.counts.waiting + added as u64 > tx.max_outbox + removed {
            return Err(StoreError::Full { pending: tx.counts.waiting, limit: tx.max_outbox });
        }
        Ok(())
    }

    fn write(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        for row in &self.gone {
            tx.remove_held(row)?;
        }
        for (id, starts_at) in &self.moved {
            tx.conn
                .prepare_cached("UPDATE delivery SET starts_at = ?2 WHERE id = ?1")?
                .execute(params![id, starts_at.as_microsecond()])?;
        }
        for receiver in std::mem::take(&mut self.receivers) {
            self.write_receiver(tx, &receiver)?;
        }
        for (index, target) in std::mem::take(&mut self.unsent) {
            self.remember(tx, target, index, Reason::Resolved, None)?;
            tally(&mut self.accepted.unsent, target.name.as_str(), 1);
        }
        for (routed, memory) in self.body.intake.alerts.iter().zip(std::mem::take(&mut self.memories)) {
            if memory.is_held {
                tx.facts.push(Fact::Forget(routed.alert.fingerprint));
            } else if !memory.known.is_empty() {
                tx.facts.push(Fact::Told(routed.alert.fingerprint, memory.known));
            }
        }
        Ok(())
    }

    fn write_receiver(&mut self, tx: &mut Tx<'_>, receiver: &ForReceiver<'_>) -> Result<(), StoreError> {
        let target = receiver.target;
        for together in receiver.deliveries() {
            let Some((first, _)) = together.first() else { continue };
            let id = self.insert(tx, receiver, &self.body.lane(target, *first), together)?;
            for (index, reason) in together {
                self.remember(tx, target, *index, *reason, Some(id))?;
            }
        }
        for index in &receiver.hold {
            self.hold(tx, receiver, *index)?;
        }
        if receiver.rows() > 0 {
            tally(&mut self.accepted.deliveries, target.name.as_str(), receiver.deliveries().count() as u64);
        }
        Ok(())
    }

    fn insert(
        &self,
        tx: &mut Tx<'_>,
        receiver: &ForReceiver<'_>,
        lane: &Lane,
        alerts: &[(usize, Reason)],
    ) -> Result<i64, StoreError> {
        let (content, now) = (self.content(alerts, receiver.others_firing)?, self.body.intake.now);
        let has_fallback = receiver.target.has_fallback;
        let critical = alerts.iter().any(|(index, _)| self.body.alert(*index).is_critical());
        let traceparent = self.body.intake.traceparent.as_ref();
        let new = New {
            lane,
            received_at: now,
            since: now,
            content: &content,
            has_fallback,
            critical,
            fallback_for: None,
            traceparent,
        };
        tx.enqueue(&new)
    }

    /// A held copy is only ever sent as `refired`, so that is what its content says from the beginning.
    fn hold(&self, tx: &mut Tx<'_>, receiver: &ForReceiver<'_>, index: usize) -> Result<(), StoreError> {
        let (alert, now) = (self.body.alert(index), self.body.intake.now);
        let content = self.content(&[(index, Reason::Refired)], receiver.others_firing)?;
        let lane = tx.lane(&self.body.lane(receiver.target, index))?;
        let held = tx
            .conn
            .prepare_cached(
                "INSERT INTO delivery (lane, receiver, state, received_at, since, due_at, content, fingerprint, starts_at,
                     fallback, critical, urgent, traceparent)
                 VALUES (?1, ?2, 'held', ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)
                 ON CONFLICT (fingerprint, receiver) WHERE state = 'held' DO NOTHING",
            )?
            .execute(params![
                lane,
                receiver.target.name.as_str(),
                now.as_microsecond(),
                after(now, self.body.intake.settle).as_microsecond(),
                content,
                alert.fingerprint.0.cast_signed(),
                alert.starts_at.map(Timestamp::as_microsecond),
                receiver.target.has_fallback.then_some("open"),
                alert.is_critical(),
                self.body.intake.traceparent.as_ref().map(|parent| &parent.0),
            ])?;
        tx.counts.waiting += held as u64;
        tx.counts.held += held as u64;
        Ok(())
    }

    fn content(&self, alerts: &[(usize, Reason)], others_firing: u32) -> Result<String, StoreError> {
        let pieces = alerts.iter().map(|(index, reason)| (*reason, &*self.body.alerts[*index]));
        codec::encode(&self.body.group, pieces, others_firing)
            .map_err(|error| StoreError::Unavailable(format!("a notification is not JSON: {error}")))
    }

    fn remember(
        &mut self,
        tx: &Tx<'_>,
        target: &Target,
        index: usize,
        reason: Reason,
        delivery: Option<i64>,
    ) -> Result<(), StoreError> {
        let (alert, all) = (self.body.alert(index), &mut self.memories[index].known);
        let before = all.iter_mut().find(|entry| entry.receiver == target.name);
        let known = state_after(alert, reason, before.as_ref().map(|entry| &entry.known), self.body.intake.now);
        match before {
            Some(entry) => entry.known = known,
            None => all.push(Remembered { receiver: target.name.clone(), known }),
        }
        tx.remember(alert.fingerprint, target.name.as_str(), &Heard { known, own: true }, delivery)
    }
}

impl ForReceiver<'_> {
    /// The alerts of each delivery.
    fn deliveries(&self) -> std::slice::Chunks<'_, (usize, Reason)> {
        let together = match self.target.granularity {
            Granularity::Group => self.notify.len().max(1),
            Granularity::Alert => 1,
        };
        self.notify.chunks(together)
    }

    fn rows(&self) -> usize {
        self.deliveries().count() + self.hold.len()
    }
}

/// What a receiver knows of an alert once it was told.
fn state_after(alert: &Alert, reason: Reason, before: Option<&Known>, now: Timestamp) -> Known {
    let known_start = before.filter(|_| reason == Reason::Repeat).and_then(|known| known.starts_at);
    Known {
        // The copies of an HA pair need not agree on startsAt; a repeat of the earlier must not hide the later.
        starts_at: alert.starts_at.map(to_micros).max(known_start),
        ends_at: (alert.status == Status::Resolved).then(|| alert.ends_at.map_or(now, to_micros)),
        notified_at: now,
    }
}
