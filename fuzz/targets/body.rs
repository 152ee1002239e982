//! What is posted to `/webhook`.

use std::collections::HashSet;
use std::sync::LazyLock;

use alertrouter::alert::wire::{self, limits};
use alertrouter::alert::{Alert, Fingerprint, Labels, Status};
use alertrouter::config::{self, Options};
use alertrouter::route::{Tree, plan};

use super::{NoSecrets, checks, notifications};

/// A reason is kept with what was refused, logged, and shown by `alertrouter rejected`.
const MAX_REASON: usize = 500;

const IGNORED: &str = "prometheus_replica";

static TREE: LazyLock<Tree> = LazyLock::new(|| {
    let routes = r#"
receivers:
  - { name: a, pagerduty: { routing_key: 00000000000000000000000000000000 } }
  - { name: b, webhook: { url: "http://127.0.0.1/" } }
route:
  receivers: [b]
  routes:
    - { matchers: [severity="critical"], receivers: [a], continue: true }
    - { matchers: ['alertname=~".*Down"', 'job!=""'], receivers: [a, b], repeat_interval: 1h }
    - { matchers: [severity="none"], receivers: [] }
"#;
    let (config, problems) = config::parse(routes.as_bytes(), &Options::default(), &NoSecrets);
    config.unwrap_or_else(|| panic!("{problems:?}")).tree
});

/// A body: reading ends; each alert of it is taken or refused with a reason in one line, and nothing that is kept is over the
/// limits; what is taken has the fingerprint of its labels, and can be written and read again; the plan tells somebody of each,
/// once.
pub fn body(bytes: &[u8]) {
    let ignored = [IGNORED.to_owned()];
    let wire::Body { group, alerts, refused, refused_count, .. } =
        match wire::parse(bytes, &ignored, notifications::now()) {
            Ok(body) => body,
            Err(error) => return reason(&error.to_string()),
        };
    assert!(!alerts.is_empty() && alerts.len() + refused_count <= limits::ALERTS);
    assert!(refused.len() == refused_count.min(limits::REFUSED));
    for refused in &refused {
        reason(&refused.reason);
        assert!(refused.index < alerts.len() + refused_count);
        assert!(refused.content.len() <= limits::REFUSED_BYTES);
    }
    for labels in [&group.labels, &group.common_labels, &group.common_annotations] {
        sound(labels, bytes.len());
    }
    assert!(group.key.len() <= limits::GROUP_KEY_BYTES && group.receiver.len() <= limits::NAME_BYTES);
    for alert in &alerts {
        sound(&alert.labels, bytes.len());
        sound(&alert.annotations, bytes.len());
        assert!(!alert.labels.is_empty() && alert.labels.len() <= limits::LABELS);
        assert!(alert.generator_url.len() <= limits::LINK_BYTES);
        assert_eq!(alert.fingerprint, Fingerprint::of(&alert.labels, &ignored));
        assert_eq!(alert.ends_at.is_some(), alert.status == Status::Resolved);
        let written = serde_json::to_string(alert).expect("an alert can be written");
        assert_eq!(&serde_json::from_str::<Alert>(&written).expect("what is written can be read"), alert);
    }
    planned(alerts);
}

/// Sorted, each name once, nothing without a value, and no larger than what came.
fn sound(labels: &Labels, most: usize) {
    let names: Vec<&str> = labels.iter().map(|(name, _)| name).collect();
    assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    assert!(labels.iter().all(|(_, value)| !value.is_empty()), "{labels}");
    // What is no UTF-8 becomes U+FFFD, which has three bytes; an escape of JSON is never shorter than what it stands for.
    let size = labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    assert!(size <= limits::LABELS_BYTES && size <= most * 3, "{labels}");
}

fn planned(alerts: Vec<Alert>) {
    let (total, known): (_, HashSet<_>) = (alerts.len(), alerts.iter().map(|alert| alert.fingerprint).collect());
    let wanted: Vec<_> = alerts.iter().map(|alert| (alert.fingerprint, TREE.receivers(&alert.labels))).collect();
    let plan::Plan { alerts, merged, dropped } = plan::plan(&TREE, alerts);
    assert_eq!((alerts.len() + merged, alerts.len()), (total, known.len()));
    assert_eq!(dropped, alerts.iter().filter(|(_, receivers)| receivers.is_empty()).count());
    for (fingerprint, receivers) in wanted {
        let (_, told) = alerts.iter().find(|(alert, _)| alert.fingerprint == fingerprint).expect("none is lost");
        assert!(receivers.iter().all(|(name, _)| told.iter().any(|(known, _)| known == name)));
    }
}

fn reason(text: &str) {
    assert!((1..=MAX_REASON).contains(&text.len()), "{} bytes: {text}", text.len());
    checks::plain(text, false);
}
