//! Grafana, through its annotations (grafana.com/docs/grafana/latest/developer-resources/api-reference/http-api,
//! "Annotations"): one when an alert fires, made a region when it resolves.
//!
//! Grafana has no idempotency key, so every annotation carries a tag of its own, the episode. Before a request that may
//! have arrived already is repeated, and before a resolve whose annotation is not known, that tag is looked up.
//!
//! Grafana will lose the API that all this is done with (`legacy`). Where it is not there, the one that follows it is asked
//! (`apis`), in the same attempt; the receipt says which of the two has the annotation.

mod annotation;
mod apis;
mod legacy;
#[cfg(test)]
mod tests;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use self::annotation::episode;
use super::custom::Custom;
use super::{Answer, EncodeError, FailureClass, Method, Outgoing, Receiver, Verdict, describe, judge};
use crate::alert::{Alert, Status};
use crate::notification::{Granularity, Notification, Receipt};

/// The longest name of an annotation in the newer API.
const MAX_NAME: usize = 253;

/// Grafana, by its annotations.
#[derive(Debug)]
pub struct Grafana {
    /// Base address, without a slash at the end.
    pub url: String,
    /// Service account token.
    pub token: SecretString,
    /// Tags of every annotation.
    pub tags: Vec<String>,
    /// The dashboard to annotate; without it the annotation is the organisation's.
    pub dashboard_uid: Option<String>,
    /// The panel to annotate.
    pub panel_id: Option<i64>,
    /// What the annotation says, in HTML, in place of the built-in text.
    pub text: Custom,
    /// The organisation, as the newer API names it: `default`, `org-2`, `stacks-123`.
    pub namespace: String,
}

/// The annotation that the lane's last delivery made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known<'n> {
    /// Its id in the older API.
    Id(i64),
    /// Its name in the newer one.
    Name(&'n str),
}

impl Receiver for Grafana {
    fn granularity(&self) -> Granularity {
        Granularity::Alert
    }

    fn keeps_state(&self) -> bool {
        true
    }

    fn encode(&self, notification: &Notification) -> Result<Outgoing, EncodeError> {
        let alert = describe::only_alert(notification)?;
        Ok(match known(notification, alert) {
            Some(Known::Name(_)) => self.begin_apis(notification, alert),
            _ => self.begin_legacy(notification, alert),
        })
    }

    fn judge(&self, notification: &Notification, answer: &Answer) -> Verdict {
        let Ok(alert) = describe::only_alert(notification) else {
            return judge::reject(FailureClass::Encode, "the notification holds no alert".to_owned());
        };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let detail = judge::detail(answer, body["message"].as_str(), &[&self.token]);
        let said = Said { notification, alert, answer, body, detail };
        if apis::STEPS.contains(&answer.step) { self.judge_apis(&said) } else { self.judge_legacy(&said) }
    }
}

/// An answer, and what it is about.
struct Said<'a> {
    notification: &'a Notification,
    alert: &'a Alert,
    answer: &'a Answer,
    body: Value,
    detail: String,
}

impl Said<'_> {
    /// An earlier request may have arrived without our knowing.
    fn is_repeated(&self) -> bool {
        self.notification.attempt > 1
    }

    /// The annotation is there or as it should be; `known` is where.
    fn delivered(&self, known: Option<Known<'_>>) -> Verdict {
        Verdict::Delivered { receipt: known.and_then(|known| receipt(self.alert, known)) }
    }

    /// What the status means that has no meaning of its own here.
    fn failed(&self) -> Verdict {
        let (answer, detail) = (self.answer, self.detail.clone());
        // Grafana says in JSON what it refuses.
        let is_grafanas = self.body["message"].is_string();
        if is_grafanas { judge::by_status(answer, detail) } else { judge::by_foreign_status(answer, detail) }
    }
}

impl Grafana {
    fn request(&self, step: &'static str, method: Method, path: &str, body: Option<&Value>) -> Outgoing {
        let url = format!("{}{path}", self.url.trim_end_matches('/')).into();
        let mut outgoing = Outgoing::json(step, method, url, body.unwrap_or(&Value::Null));
        if body.is_none() {
            outgoing.headers.clear();
            outgoing.body.clear();
        }
        outgoing.headers.push(("authorization".into(), format!("Bearer {}", self.token.expose_secret()).into()));
        outgoing
    }
}

/// `EPISODE ID` or `EPISODE apis/NAME` while the annotation is open; none once it is a region, so that nothing changes it
/// any more.
fn receipt(alert: &Alert, known: Known<'_>) -> Option<Receipt> {
    let shown = match known {
        Known::Id(id) => id.to_string(),
        Known::Name(name) => format!("apis/{name}"),
    };
    (alert.status == Status::Firing).then(|| Receipt(format!("{} {shown}", episode(alert))))
}

/// The annotation that this notification is about, where the lane's last delivery made it.
///
/// A firing alert of another episode needs an annotation of its own. A resolve ends the one that is open, whatever
/// episode it names: the members of an HA pair do not always agree on when an alert began.
fn known<'n>(notification: &'n Notification, alert: &Alert) -> Option<Known<'n>> {
    let (of, shown) = notification.receipt.as_ref()?.0.split_once(' ')?;
    let ours = alert.status == Status::Resolved || of == episode(alert);
    let known = match shown.strip_prefix("apis/") {
        Some(name) => is_name(name).then_some(Known::Name(name)),
        None => shown.parse().ok().map(Known::Id),
    };
    known.filter(|_| ours)
}

/// Whether this is a name as Grafana's newer API has them (grafana/grafana, `pkg/apimachinery/validation`). It is kept, and
/// becomes part of an address: what would lead elsewhere from there is no name.
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    text.len() <= MAX_NAME && text.chars().all(fits) && text.contains(|c: char| c.is_ascii_alphanumeric())
}
