//! What a digest says: read from the rows that it carries, beside the writer.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use super::lease::LeasedRow;
use super::reader::SqliteReader;
use super::traceparent;
use super::tx::{bytes, time};
use crate::alert::{Group, Labels};
use crate::clock::Timestamp;
use crate::notification::{DeliveryId, Digest, Notified, TraceParent};
use crate::store::codec::{self, Content};
use crate::store::{LINKS, Leased, StoreError};

/// So much of what a digest carries is read whole, in bytes. Of what comes later only what a digest says of it: a storm of
/// large alerts must not take all the memory.
const WHOLE: usize = 4 * 1024 * 1024;
/// So many alerts it names and counts by name; further ones are left out, and it says how many.
const ALERTS: usize = 50_000;
/// What a digest says of an alert.
const SAID: [&str; 3] = ["alertname", "severity", "instance"];

/// What a digest carries.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// Of all deliveries, in the order in which they were accepted.
    alerts: Vec<Notified>,
    /// When the webhook of each came.
    received_at: Vec<Timestamp>,
    /// The groups that they belong to, each with its last word on what Alertmanager left out.
    groups: HashMap<String, u64>,
    /// What the groups share; `None` before the first.
    shared: Option<Group>,
    /// Where the webhooks of the first of them stand in traces.
    links: Vec<TraceParent>,
    /// How much was read, in bytes.
    size: usize,
    /// How many alerts were left out here.
    left_out: u64,
    /// What cannot be read, and why.
    pub unreadable: Vec<(i64, String)>,
}

impl SqliteReader {
    /// What a digest carries and has not told yet.
    pub(super) fn carried(&self, digest: i64) -> Result<Carried, StoreError> {
        let conn = self.conn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statement = conn.prepare_cached(
            "SELECT id, received_at, content, traceparent FROM delivery INDEXED BY delivery_carried
             WHERE digest = ?1 AND state IN ('queued', 'ready') ORDER BY id",
        )?;
        let (mut rows, mut carried) = (statement.query([digest])?, Carried::default());
        while let Some(row) = rows.next()? {
            let id = row.get(0)?;
            let stored = bytes(row.get_ref(2)?);
            match codec::decode(stored) {
                Ok(content) => {
                    carried.add(content, stored.len(), time(row.get(1)?));
                    if carried.links.len() < LINKS {
                        carried.links.extend(traceparent::read(row.get_ref(3)?));
                    }
                }
                Err(why) => {
                    let error = StoreError::Corrupt { delivery: DeliveryId(id), why };
                    carried.unreadable.push((id, error.to_string()));
                }
            }
        }
        Ok(carried)
    }
}

impl Carried {
    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.received_at.is_empty()
    }

    fn add(&mut self, content: Content, size: usize, received_at: Timestamp) {
        let Content { group, mut alerts, .. } = content;
        self.received_at.push(received_at);
        self.size = self.size.saturating_add(size);
        if self.size > WHOLE {
            for Notified { alert, .. } in &mut alerts {
                alert.annotations = Labels::default();
                alert.generator_url = String::new();
                alert.labels = alert.labels.iter().filter(|(name, _)| SAID.contains(name)).collect();
            }
        }
        let room = ALERTS.saturating_sub(self.alerts.len());
        self.left_out += alerts.len().saturating_sub(room) as u64;
        self.alerts.extend(alerts.into_iter().take(room));
        match &mut self.shared {
            None => self.shared = Some((*group).clone()),
            Some(shared) => {
                shared.labels = common(&shared.labels, &group.labels);
                for (ours, theirs) in
                    [(&mut shared.external_url, &group.external_url), (&mut shared.receiver, &group.receiver)]
                {
                    if ours != theirs {
                        ours.clear();
                    }
                }
            }
        }
        self.groups.insert(group.key.clone(), group.truncated_alerts);
    }

    /// The digest that says all of it; `None` if there is nothing to say.
    pub(super) fn into_leased(self, row: LeasedRow) -> Option<Leased> {
        let mut group = self.shared?;
        group.key = format!("digest {}", row.lease.delivery);
        group.truncated_alerts = self.groups.values().fold(self.left_out, |sum, count| sum.saturating_add(*count));
        group.common_labels = common_to_all(self.alerts.iter().map(|notified| &notified.alert.labels));
        group.common_annotations = common_to_all(self.alerts.iter().map(|notified| &notified.alert.annotations));
        let notifications = u32::try_from(self.received_at.len()).unwrap_or(u32::MAX);
        let digest = Digest { notifications, since: row.received_at };
        let content = Content { group: Arc::new(group), alerts: self.alerts, others_firing: 0 };
        let leased = row.with(content, self.size.min(WHOLE), Some(digest));
        Some(Leased { carries: self.received_at, links: self.links, ..leased })
    }
}

fn common(ours: &Labels, theirs: &Labels) -> Labels {
    ours.iter().filter(|(name, value)| theirs.get(name) == *value).collect()
}

fn common_to_all<'a>(mut all: impl Iterator<Item = &'a Labels>) -> Labels {
    let mut shared = all.next().cloned().unwrap_or_default();
    for labels in all {
        if shared.iter().any(|(name, value)| labels.get(name) != value) {
            shared = common(&shared, labels);
        }
    }
    shared
}
