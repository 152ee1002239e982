//! A body, field by field, and no more of it than [`limits`] allow.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::limits::{self, Cuts, Truncated};
use super::text::{self, Fill, Object};
use super::{Refused, parse_time};
use crate::alert::{Alert, Fingerprint, Group, Labels, Status};
use crate::clock::Timestamp;

/// The whole body.
pub(super) struct BodyIn<'i> {
    ignored: &'i [String],
    now: Timestamp,
    pub(super) alerts: Vec<Alert>,
    pub(super) refused: Vec<Refused>,
    pub(super) refused_count: usize,
    pub(super) group: Group,
    pub(super) version: String,
    pub(super) cuts: Cuts,
    /// Bytes of the labels of the alerts so far.
    labels_bytes: usize,
    /// Bytes that are left for annotations and links.
    room: usize,
}

impl<'i> BodyIn<'i> {
    pub(super) fn new(ignored: &'i [String], now: Timestamp) -> Self {
        Self {
            ignored,
            now,
            alerts: Vec::new(),
            refused: Vec::new(),
            refused_count: 0,
            group: Group::default(),
            version: String::new(),
            cuts: Cuts::default(),
            labels_bytes: 0,
            room: limits::ALL_ANNOTATIONS_BYTES,
        }
    }

    /// The next alert of the list.
    fn alert(&mut self, raw: &RawValue) {
        let index = self.alerts.len() + self.refused_count;
        match parse_alert(raw.get(), self.ignored, self.now, &mut self.room, &mut self.cuts) {
            Ok(alert) => {
                self.labels_bytes += cost(&alert.labels);
                self.alerts.push(alert);
            }
            Err(reason) => {
                if self.refused.len() < limits::REFUSED {
                    let reason = text::shown(&reason, limits::REASON_BYTES);
                    let content = &raw.get()[..raw.get().floor_char_boundary(limits::REFUSED_BYTES)];
                    self.refused.push(Refused { index, reason, content: content.to_owned() });
                }
                self.refused_count += 1;
            }
        }
    }

    fn is_full(&self) -> bool {
        self.alerts.len() + self.refused_count >= limits::ALERTS || self.labels_bytes >= limits::ALL_LABELS_BYTES
    }
}

impl<'de> Object<'de> for BodyIn<'_> {
    fn field<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, fields: &mut A) -> Result<(), A::Error> {
        if name == "alerts" {
            // Of two lists both count: in doubt, somebody is told.
            return fields.next_value_seed(List(self));
        }
        if !matches!(
            &*name,
            "receiver"
                | "version"
                | "groupKey"
                | "groupLabels"
                | "commonLabels"
                | "commonAnnotations"
                | "externalURL"
                | "truncatedAlerts"
        ) {
            return fields.next_value().map(|IgnoredAny| ());
        }
        let raw: &RawValue = fields.next_value()?;
        let (group, cuts) = (&mut self.group, &mut self.cuts);
        match &*name {
            "receiver" => group.receiver = cut(raw, limits::NAME_BYTES, cuts),
            "version" => self.version = cut(raw, limits::NAME_BYTES, cuts),
            "groupKey" => group.key = group_key(raw, cuts),
            "groupLabels" => group.labels = group_labels(raw, cuts),
            "commonLabels" => group.common_labels = group_labels(raw, cuts),
            "commonAnnotations" => group.common_annotations = annotations(raw, usize::MAX, Truncated::Group, cuts),
            "externalURL" => group.external_url = link(raw, usize::MAX, cuts),
            // More than there can be counts as that many: sums of them are still numbers.
            _ => group.truncated_alerts = raw.get().parse::<u64>().map_or(0, |count| count.min(u32::MAX.into())),
        }
        Ok(())
    }
}

/// The list of alerts, or null.
struct List<'l, 'i>(&'l mut BodyIn<'i>);

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of alerts")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while !self.0.is_full() {
            let Some(raw) = list.next_element::<&RawValue>()? else { return Ok(()) };
            self.0.alert(raw);
        }
        let mut left_out = 0;
        while let Some(IgnoredAny) = list.next_element()? {
            left_out += 1;
        }
        self.0.cuts.add(Truncated::Alerts, left_out);
        Ok(())
    }
}

/// An alert, before its times are read.
#[derive(Default)]
struct AlertIn<'de> {
    status: Option<Status>,
    labels: Option<Labels>,
    annotations: Option<&'de RawValue>,
    starts_at: Option<Cow<'de, str>>,
    ends_at: Option<Cow<'de, str>>,
    generator_url: Option<&'de RawValue>,
}

impl<'de> Object<'de> for AlertIn<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, fields: &mut A) -> Result<(), A::Error> {
        match &*name {
            "status" => {
                let raw: &RawValue = fields.next_value()?;
                self.status = Some(match &*text::scalar(raw).unwrap_or_default() {
                    "firing" => Status::Firing,
                    "resolved" => Status::Resolved,
                    other => {
                        let other = text::shown(other, limits::REASON_BYTES / 2);
                        return Err(A::Error::custom(format_args!(
                            "unknown status `{other}`, expected `firing` or `resolved`"
                        )));
                    }
                });
            }
            "labels" => {
                let mut pairs = LabelsIn::default();
                fields.next_value_seed(Fill(&mut pairs))?;
                self.labels = Some(pairs.labels());
            }
            "annotations" => self.annotations = Some(fields.next_value()?),
            "startsAt" => self.starts_at = text::scalar(fields.next_value()?),
            "endsAt" => self.ends_at = text::scalar(fields.next_value()?),
            "generatorURL" => self.generator_url = Some(fields.next_value()?),
            _ => drop(fields.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

/// `room` is what is left for annotations and links of this alert and those after it.
fn parse_alert(
    json: &str,
    ignored: &[String],
    now: Timestamp,
    room: &mut usize,
    cuts: &mut Cuts,
) -> Result<Alert, String> {
    let mut read = AlertIn::default();
    text::fill(json, &mut read).map_err(|error| error.to_string())?;
    let status = read.status.ok_or("missing field `status`")?;
    let labels = read.labels.ok_or("missing field `labels`")?;
    if labels.is_empty() {
        return Err("it has no labels, so nothing identifies it".to_owned());
    }
    let time = |text: Option<Cow<'_, str>>| text.as_deref().map_or(Ok(None), parse_time);
    let (starts_at, ends_at) = (
        time(read.starts_at)?,
        match status {
            // A firing alert carries Go's zero time, or its time-out in Prometheus's future.
            Status::Firing => None,
            Status::Resolved => Some(time(read.ends_at)?.unwrap_or(now)),
        },
    );
    let generator_url = read.generator_url.map(|raw| link(raw, *room, cuts)).unwrap_or_default();
    *room = room.saturating_sub(generator_url.len());
    let annotations =
        read.annotations.map(|raw| annotations(raw, *room, Truncated::Annotations, cuts)).unwrap_or_default();
    *room = room.saturating_sub(cost(&annotations));
    let fingerprint = Fingerprint::of(&labels, ignored);
    Ok(Alert { status, labels, annotations, starts_at, ends_at, generator_url, fingerprint })
}

fn cost(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| text::cost(name) + text::cost(value)).sum()
}

/// Labels: all of them, or none.
#[derive(Default)]
struct LabelsIn<'de> {
    pairs: Vec<(Cow<'de, str>, Cow<'de, str>)>,
    bytes: usize,
}

impl LabelsIn<'_> {
    fn labels(self) -> Labels {
        present(self.pairs)
    }
}

impl<'de> Object<'de> for LabelsIn<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, fields: &mut A) -> Result<(), A::Error> {
        let value = text::scalar(fields.next_value()?).unwrap_or_default();
        self.bytes += name.len() + value.len();
        self.pairs.push((name, value));
        if self.pairs.len() > limits::LABELS {
            return Err(A::Error::custom(format_args!("it has more than {} labels", limits::LABELS)));
        }
        if self.bytes > limits::LABELS_BYTES {
            return Err(A::Error::custom(format_args!("its labels have more than {} bytes", limits::LABELS_BYTES)));
        }
        Ok(())
    }
}

/// The labels of a group, which explain only: what is no object, or over a limit, is left out as a whole, because fewer
/// labels would say of more alerts what is true of some.
fn group_labels(raw: &RawValue, cuts: &mut Cuts) -> Labels {
    let mut read = LabelsIn::default();
    if text::fill(raw.get(), &mut read).is_ok() {
        return read.labels();
    }
    if raw.get().starts_with('{') {
        cuts.add(Truncated::Group, 1);
    }
    Labels::default()
}

/// Annotations: as many as fit, each cut to what is kept of it.
struct AnnotationsIn<'de> {
    pairs: Vec<(Cow<'de, str>, Cow<'de, str>)>,
    /// Bytes that are left for them.
    room: usize,
    is_cut: bool,
}

impl<'de> Object<'de> for AnnotationsIn<'de> {
    fn field<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, fields: &mut A) -> Result<(), A::Error> {
        let raw: &RawValue = fields.next_value()?;
        let room = self.room.saturating_sub(name.len());
        if self.pairs.len() >= limits::ANNOTATIONS || name.len() > limits::NAME_BYTES || room == 0 {
            self.is_cut = true;
            return Ok(());
        }
        let Some(value) = text::scalar(raw) else { return Ok(()) };
        let max = room.min(limits::ANNOTATION_BYTES);
        let value = if value.len() > max {
            self.is_cut = true;
            Cow::Owned(text::cut(&value, max).0.into_owned())
        } else {
            value
        };
        self.room = room.saturating_sub(text::cost(&value));
        self.pairs.push((name, value));
        Ok(())
    }
}

/// Whatever is no object has none. `room` is what is left for them.
fn annotations(raw: &RawValue, room: usize, what: Truncated, cuts: &mut Cuts) -> Labels {
    let room = room.clamp(limits::LEAST_BYTES, limits::ANNOTATIONS_BYTES);
    let mut read = AnnotationsIn { pairs: Vec::new(), room, is_cut: false };
    // What was read before it went wrong is better than nothing.
    let _ = text::fill(raw.get(), &mut read);
    cuts.add(what, read.is_cut.into());
    present(read.pairs)
}

/// Without those that are empty: they count as absent, as in Prometheus.
fn present(pairs: Vec<(Cow<'_, str>, Cow<'_, str>)>) -> Labels {
    let labels: Labels = pairs.into_iter().collect();
    if labels.iter().all(|(_, value)| !value.is_empty()) {
        return labels;
    }
    labels.iter().filter(|(_, value)| !value.is_empty()).collect()
}

fn cut(raw: &RawValue, max: usize, cuts: &mut Cuts) -> String {
    let text = text::string(raw);
    let (kept, is_cut) = text::cut(&text, max);
    cuts.add(Truncated::Group, is_cut.into());
    kept.into_owned()
}

/// One that is cut ends with a hash of the whole, so that two groups stay two.
fn group_key(raw: &RawValue, cuts: &mut Cuts) -> String {
    let whole = text::string(raw);
    let (kept, is_cut) = text::cut(&whole, limits::GROUP_KEY_BYTES);
    if !is_cut {
        return kept.into_owned();
    }
    cuts.add(Truncated::Group, 1);
    let of = Fingerprint::of(&[("groupKey", &*whole)].into_iter().collect(), &[]);
    format!("{kept}{of}")
}

fn link(raw: &RawValue, room: usize, cuts: &mut Cuts) -> String {
    let url = text::string(raw);
    if url.len() <= limits::LINK_BYTES.min(room) {
        return url.into_owned();
    }
    cuts.add(Truncated::Links, 1);
    String::new()
}
