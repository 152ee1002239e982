//! `/apis/annotation.grafana.app`: the API that follows `/api/annotations` (grafana/grafana, `apps/annotation` and
//! `pkg/registry/apps/annotation`), in the manner of Kubernetes.
//!
//! It keeps annotations in one of two ways, and does not say in which. In Grafana's own database the name that we choose is
//! replaced, so creating twice makes two; in a database of its own the name is kept, but times can never be changed, although
//! the answer shows them changed. So nothing is built on either: the name that counts is the one of the answer, and a resolve
//! makes the region and then deletes the point.

use serde_json::{Value, json};

use super::annotation::{all_tags, ends, episode, episode_tag, starts};
use super::{Grafana, Known, Said, is_name, known};
use crate::alert::{Alert, Status};
use crate::notification::Notification;
use crate::receiver::{FailureClass, Method, Outgoing, Verdict, judge, text};

/// Makes an annotation.
const CREATE: &str = "create";
/// Changes the text and the tags of one.
const UPDATE: &str = "update";
/// Looks for those of the episode.
const SEARCH: &str = "search";
/// Looks for the point that a region takes the place of.
const LEFTOVER: &str = "leftover";
/// Deletes that point.
const DELETE: &str = "delete";
/// All of them.
pub(super) const STEPS: [&str; 5] = [CREATE, UPDATE, SEARCH, LEFTOVER, DELETE];

const VERSION: &str = "annotation.grafana.app/v0alpha1";

impl Grafana {
    /// The first request.
    pub(super) fn begin_apis(&self, notification: &Notification, alert: &Alert) -> Outgoing {
        match (known(notification, alert), alert.status) {
            (Some(Known::Name(name)), Status::Firing) => self.update(notification, alert, name),
            _ if notification.attempt <= 1 => self.create(notification, alert),
            _ => self.search(SEARCH, alert),
        }
    }

    pub(super) fn judge_apis(&self, said: &Said<'_>) -> Verdict {
        let Said { notification, alert, answer, body, .. } = said;
        let items = || body["items"].as_array().map_or(&[][..], Vec::as_slice);
        match (answer.step, answer.status) {
            (CREATE, 200 | 201) if body["metadata"]["name"].is_string() => self.created(said),
            // Versions before June 2026 say it with 500.
            (CREATE, 409 | 500) if answer.status == 409 || said.detail.contains("already exists") => self.created(said),
            (UPDATE, 200) if body["metadata"]["name"].is_string() => said.delivered(known(notification, alert)),
            // Somebody else changes it at this moment.
            (UPDATE, 409) => judge::retry(answer, FailureClass::Unavailable, said.detail.clone()),
            // Somebody deleted it, and an attempt before this one may have made it again.
            (UPDATE, 404) if is_status(body) && said.is_repeated() => Verdict::Then(self.search(SEARCH, alert)),
            (UPDATE, 404) if is_status(body) => Verdict::Then(self.create(notification, alert)),
            (SEARCH, 200) if is_list(body) => self.found_in(said, items()),
            (LEFTOVER, 200) if is_list(body) => match open(items()) {
                Some(name) => Verdict::Then(self.delete(name)),
                None => said.delivered(None),
            },
            // It may not be read, or cannot be searched: then one too many is better than none.
            (SEARCH, 403 | 404 | 405 | 410) => Verdict::Then(self.create(notification, alert)),
            // The region is there. That the point is there as well does not harm.
            (LEFTOVER, 403 | 404 | 405 | 410) | (DELETE, 200 | 202 | 204 | 403 | 404 | 405 | 410) => {
                said.delivered(None)
            }
            // The annotation is this API's, and it has gone: perhaps the older one is back.
            (CREATE | UPDATE, 404 | 410)
                if !is_status(body) && matches!(known(notification, alert), Some(Known::Name(_))) =>
            {
                Verdict::Then(self.begin_legacy(notification, alert))
            }
            (CREATE | UPDATE, 404 | 410) if !is_status(body) => {
                let detail = format!("{} (neither /api/annotations nor {VERSION} is there)", said.detail);
                judge::retry(answer, FailureClass::NotFound, detail)
            }
            _ => said.failed(),
        }
    }

    /// There it is, made by this request or by an earlier attempt.
    fn created(&self, said: &Said<'_>) -> Verdict {
        let Said { notification, alert, body, .. } = said;
        match (alert.status, known(notification, alert)) {
            (Status::Firing, _) => {
                let chosen = chosen_name(notification, alert);
                let name = body["metadata"]["name"].as_str().filter(|name| is_name(name)).unwrap_or(&chosen);
                said.delivered(Some(Known::Name(name)))
            }
            (Status::Resolved, Some(Known::Name(name))) => Verdict::Then(self.delete(name)),
            (Status::Resolved, _) => Verdict::Then(self.search(LEFTOVER, alert)),
        }
    }

    /// What the look-up means: a firing alert has its open annotation already, a resolve its region.
    fn found_in(&self, said: &Said<'_>, items: &[Value]) -> Verdict {
        let Said { notification, alert, .. } = said;
        let end = ends(notification, alert);
        let is_done = end.is_some() && items.iter().any(|item| item["spec"]["timeEnd"].as_i64() == end);
        match (open(items), alert.status) {
            (Some(name), Status::Firing) => said.delivered(Some(Known::Name(name))),
            (Some(name), Status::Resolved) if is_done => Verdict::Then(self.delete(name)),
            (None, Status::Resolved) if is_done => said.delivered(None),
            _ => Verdict::Then(self.create(notification, alert)),
        }
    }

    fn create(&self, notification: &Notification, alert: &Alert) -> Outgoing {
        let (mut spec, template_error) = self.spec(notification, alert);
        spec["time"] = starts(notification, alert).into();
        if let Some(end) = ends(notification, alert) {
            spec["timeEnd"] = end.into();
        }
        if let Some(uid) = &self.dashboard_uid {
            spec["dashboardUID"] = uid.as_str().into();
        }
        if let Some(id) = self.panel_id {
            spec["panelID"] = id.into();
        }
        let metadata = json!({ "name": chosen_name(notification, alert), "namespace": self.namespace });
        let body = json!({ "apiVersion": VERSION, "kind": "Annotation", "metadata": metadata, "spec": spec });
        Outgoing { template_error, ..self.request(CREATE, Method::Post, &self.path("annotations"), Some(&body)) }
    }

    fn update(&self, notification: &Notification, alert: &Alert, name: &str) -> Outgoing {
        let (spec, template_error) = self.spec(notification, alert);
        let body = json!({ "spec": spec });
        let mut outgoing = self.request(UPDATE, Method::Patch, &self.named(name), Some(&body));
        outgoing.template_error = template_error;
        for (header, value) in &mut outgoing.headers {
            if header == "content-type" {
                *value = "application/merge-patch+json".into();
            }
        }
        outgoing
    }

    fn delete(&self, name: &str) -> Outgoing {
        self.request(DELETE, Method::Delete, &self.named(name), None)
    }

    fn search(&self, step: &'static str, alert: &Alert) -> Outgoing {
        let query = format!("search?tag={}&limit=10", text::percent_encode(&episode_tag(alert)));
        self.request(step, Method::Get, &self.path(&query), None)
    }

    /// What may be changed later, too.
    fn spec(&self, notification: &Notification, alert: &Alert) -> (Value, Option<String>) {
        let (text, failed) = self.said(notification, alert);
        (json!({ "text": text, "tags": all_tags(&self.tags, alert) }), failed)
    }

    fn path(&self, rest: &str) -> String {
        format!("/apis/{VERSION}/namespaces/{}/{rest}", self.namespace)
    }

    fn named(&self, name: &str) -> String {
        self.path(&format!("annotations/{}", text::percent_encode(name)))
    }
}

/// The same over all attempts of a delivery, and never used by another: a name is not free again after its annotation was
/// deleted.
fn chosen_name(notification: &Notification, alert: &Alert) -> String {
    format!("alertrouter-{}-{}", episode(alert), notification.id)
}

/// The newest annotation that is no region yet.
fn open(items: &[Value]) -> Option<&str> {
    let time = |item: &Value| item["spec"]["time"].as_i64().unwrap_or_default();
    let is_open = |item: &&Value| item["spec"]["timeEnd"].as_i64().is_none_or(|end| end <= time(item));
    let newest = items.iter().filter(is_open).max_by_key(|item| time(item))?;
    newest["metadata"]["name"].as_str().filter(|name| is_name(name))
}

/// Whether the API itself speaks.
fn is_status(body: &Value) -> bool {
    body["kind"] == "Status"
}

fn is_list(body: &Value) -> bool {
    body["items"].is_array() || (body["metadata"].is_object() && body["items"].is_null())
}
