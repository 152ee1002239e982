//! `/api/annotations`: what Grafana has had since 4.6, deprecated since October 2026 (grafana/grafana,
//! `pkg/api/annotations.go`).

use serde_json::{Value, json};

use super::annotation::{all_tags, ends, episode_tag, starts};
use super::{Grafana, Known, Said, known};
use crate::alert::{Alert, Status};
use crate::notification::Notification;
use crate::receiver::{FailureClass, Method, Outgoing, Verdict, judge, text};

/// Makes an annotation.
const POST: &str = "post";
/// Changes one.
const PATCH: &str = "patch";
/// Looks for one by its episode.
const FIND: &str = "find";

impl Grafana {
    /// The first request.
    pub(super) fn begin_legacy(&self, notification: &Notification, alert: &Alert) -> Outgoing {
        match known(notification, alert) {
            Some(Known::Id(id)) => self.patch(notification, alert, id),
            // Nothing can have arrived yet.
            None if alert.status == Status::Firing && notification.attempt <= 1 => self.post(notification, alert),
            _ => self.find(alert),
        }
    }

    pub(super) fn judge_legacy(&self, said: &Said<'_>) -> Verdict {
        let Said { notification, alert, answer, body, .. } = said;
        let unexpected = || judge::retry(answer, FailureClass::Unexpected, said.detail.clone());
        match (answer.step, answer.status) {
            (POST, 200) => match body["id"].as_i64() {
                Some(id) => said.delivered(Some(Known::Id(id))),
                None => unexpected(),
            },
            (PATCH, 200) if body["message"].is_string() => said.delivered(known(notification, alert)),
            (FIND, 200) => match body.as_array() {
                Some(found) => self.found(said, found),
                None => unexpected(),
            },
            // Unless the newer API was asked before.
            _ if is_missing(said) && !matches!(known(notification, alert), Some(Known::Name(_))) => {
                Verdict::Then(self.begin_apis(notification, alert))
            }
            // Somebody deleted it, and an attempt before this one may have made it again.
            (PATCH, 404) if !is_missing(said) && said.is_repeated() => Verdict::Then(self.find(alert)),
            (PATCH, 404) if !is_missing(said) => Verdict::Then(self.post(notification, alert)),
            // The token may write annotations and not read them, and then one too many is better than none.
            (FIND, 403) => Verdict::Then(self.post(notification, alert)),
            _ => said.failed(),
        }
    }

    fn post(&self, notification: &Notification, alert: &Alert) -> Outgoing {
        let (mut body, template_error) = self.content(notification, alert);
        body["time"] = starts(notification, alert).into();
        if let Some(uid) = &self.dashboard_uid {
            body["dashboardUID"] = uid.as_str().into();
        }
        if let Some(id) = self.panel_id {
            body["panelId"] = id.into();
        }
        Outgoing { template_error, ..self.request(POST, Method::Post, "/api/annotations", Some(&body)) }
    }

    fn patch(&self, notification: &Notification, alert: &Alert, id: i64) -> Outgoing {
        let path = format!("/api/annotations/{id}");
        let (body, template_error) = self.content(notification, alert);
        Outgoing { template_error, ..self.request(PATCH, Method::Patch, &path, Some(&body)) }
    }

    fn find(&self, alert: &Alert) -> Outgoing {
        // More than one, because an alert that Alertmanager gave up too early fires again as the same episode.
        let path = format!("/api/annotations?tags={}&limit=10", text::percent_encode(&episode_tag(alert)));
        self.request(FIND, Method::Get, &path, None)
    }

    /// What the look-up means: an open annotation of the episode is the one; a region is an earlier stretch of it,
    /// unless it is this very resolve that arrived before.
    fn found(&self, said: &Said<'_>, found: &[Value]) -> Verdict {
        let Said { notification, alert, .. } = said;
        let end = ends(notification, alert);
        let ours = |item: &&Value| {
            let ended = item["timeEnd"].as_i64().filter(|end| *end > item["time"].as_i64().unwrap_or(0));
            ended.is_none() || ended == end
        };
        let id = found.iter().filter(ours).filter_map(|item| item["id"].as_i64()).max();
        match (id, alert.status) {
            (Some(id), Status::Firing) => said.delivered(Some(Known::Id(id))),
            (Some(id), Status::Resolved) => Verdict::Then(self.patch(notification, alert, id)),
            (None, _) => Verdict::Then(self.post(notification, alert)),
        }
    }

    /// The fields that a post and a patch share. A patch leaves what is missing as it is.
    fn content(&self, notification: &Notification, alert: &Alert) -> (Value, Option<String>) {
        let (text, failed) = self.said(notification, alert);
        let mut body = json!({ "text": text, "tags": all_tags(&self.tags, alert) });
        if let Some(end) = ends(notification, alert) {
            body["timeEnd"] = end.into();
        }
        (body, failed)
    }
}

/// Whether this Grafana does not have the API. Of an annotation, a dashboard or an organisation that it does not find it says
/// which; of an address it says `Not found` or shows a page.
fn is_missing(said: &Said<'_>) -> bool {
    let named = said.body["message"].as_str().filter(|message| !message.eq_ignore_ascii_case("not found"));
    said.answer.status == 410 || (said.answer.status == 404 && named.is_none())
}
