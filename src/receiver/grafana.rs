//! Grafana, through its annotations (grafana.com/docs/grafana/latest/developer-resources/api-reference/http-api,
//! "Annotations"): one when an alert fires, made a region when it resolves.
//!
//! Grafana has no idempotency key, so every annotation carries a tag of its own, the episode. Before a request that may
//! have arrived already is repeated, and before a resolve whose annotation is not known, that tag is looked up.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::describe;
use super::text::{self, html, html_link, one_line};
use super::{Answer, EncodeError, FailureClass, Method, Outgoing, Receiver, Verdict, judge};
use crate::alert::{Alert, Status};
use crate::clock::Timestamp;
use crate::notification::{Granularity, Notification, Receipt};

/// A tag, and each side of its colon, has a column of 100 characters (grafana/grafana, `tag` table).
const MAX_TAG: usize = 100;
/// All tags of an annotation share a column of 500 characters, as JSON (grafana/grafana, `annotation_mig.go`).
const MAX_TAGS: usize = 500;
/// Grafana's own limit is that of its database's text column; this is what fits on a screen.
const MAX_SUMMARY: usize = 500;
const MAX_DESCRIPTION: usize = 1500;
const MAX_LABELS: usize = 800;

/// Makes an annotation.
const POST: &str = "post";
/// Changes one.
const PATCH: &str = "patch";
/// Looks for one by its episode.
const FIND: &str = "find";

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
        Ok(match known_id(notification, alert) {
            Some(id) => self.patch(notification, alert, id),
            // Nothing can have arrived yet.
            None if alert.status == Status::Firing && notification.attempt <= 1 => self.post(notification, alert),
            None => self.find(alert),
        })
    }

    fn judge(&self, notification: &Notification, answer: &Answer) -> Verdict {
        let Ok(alert) = describe::only_alert(notification) else {
            return judge::reject(FailureClass::Encode, "the notification holds no alert".to_owned());
        };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let detail = judge::detail(answer, body["message"].as_str(), &[&self.token]);
        match (answer.step, answer.status) {
            (POST, 200) => match body["id"].as_i64() {
                Some(id) => Verdict::Delivered { receipt: receipt(alert, id) },
                None => judge::retry(answer, FailureClass::Unexpected, detail),
            },
            (PATCH, 200) if body["message"].is_string() => {
                let id = known_id(notification, alert);
                Verdict::Delivered { receipt: id.and_then(|id| receipt(alert, id)) }
            }
            (FIND, 200) => match body.as_array() {
                Some(found) => self.found(notification, alert, found),
                None => judge::retry(answer, FailureClass::Unexpected, detail),
            },
            // Somebody deleted it; or the token may write annotations and not read them, and then one too many is
            // better than none.
            (PATCH, 404) | (FIND, 403) => Verdict::Then(self.post(notification, alert)),
            // Grafana says in JSON what it refuses.
            _ if body["message"].is_string() => judge::by_status(answer, detail),
            _ => judge::by_foreign_status(answer, detail),
        }
    }
}

impl Grafana {
    fn post(&self, notification: &Notification, alert: &Alert) -> Outgoing {
        let mut body = self.content(notification, alert);
        body["time"] = starts(notification, alert).into();
        if let Some(uid) = &self.dashboard_uid {
            body["dashboardUID"] = uid.as_str().into();
        }
        if let Some(id) = self.panel_id {
            body["panelId"] = id.into();
        }
        self.request(POST, Method::Post, "/api/annotations", Some(&body))
    }

    fn patch(&self, notification: &Notification, alert: &Alert, id: i64) -> Outgoing {
        let path = format!("/api/annotations/{id}");
        self.request(PATCH, Method::Patch, &path, Some(&self.content(notification, alert)))
    }

    fn find(&self, alert: &Alert) -> Outgoing {
        // More than one, because an alert that Alertmanager gave up too early fires again as the same episode.
        let path = format!("/api/annotations?tags={}&limit=10", text::percent_encode(&episode_tag(alert)));
        self.request(FIND, Method::Get, &path, None)
    }

    /// What the look-up means: an open annotation of the episode is the one; a region is an earlier stretch of it,
    /// unless it is this very resolve that arrived before.
    fn found(&self, notification: &Notification, alert: &Alert, found: &[Value]) -> Verdict {
        let end = ends(notification, alert);
        let ours = |item: &&Value| {
            let ended = item["timeEnd"].as_i64().filter(|end| *end > item["time"].as_i64().unwrap_or(0));
            ended.is_none() || ended == end
        };
        let id = found.iter().filter(ours).filter_map(|item| item["id"].as_i64()).max();
        match (id, alert.status) {
            (Some(id), Status::Firing) => Verdict::Delivered { receipt: receipt(alert, id) },
            (Some(id), Status::Resolved) => Verdict::Then(self.patch(notification, alert, id)),
            (None, _) => Verdict::Then(self.post(notification, alert)),
        }
    }

    /// The fields that a post and a patch share. A patch leaves what is missing as it is.
    fn content(&self, notification: &Notification, alert: &Alert) -> Value {
        let mut body = json!({ "text": annotation_text(notification, alert), "tags": self.all_tags(alert) });
        if let Some(end) = ends(notification, alert) {
            body["timeEnd"] = end.into();
        }
        body
    }

    /// The episode first, because without it the annotation could not be found again.
    fn all_tags(&self, alert: &Alert) -> Vec<String> {
        let named = [("alertname", alert.name()), ("severity", alert.severity())];
        let named = named.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}:{value}"));
        let wanted = ["alertrouter".to_owned()].into_iter().chain(self.tags.iter().cloned()).chain(named);
        let mut tags = vec![episode_tag(alert)];
        for tag in wanted {
            let tag = text::cut(&one_line(&tag), MAX_TAG);
            tags.push(tag);
            if tags[..tags.len() - 1].contains(&tags[tags.len() - 1]) || json!(tags).to_string().len() > MAX_TAGS {
                tags.pop();
            }
        }
        tags
    }

    fn request(&self, step: &'static str, method: Method, path: &str, body: Option<&Value>) -> Outgoing {
        let url = format!("{}{path}", self.url.trim_end_matches('/')).into();
        let mut outgoing = Outgoing::json(step, method, url, body.unwrap_or(&Value::Null));
        if body.is_none() {
            outgoing.headers.clear();
            outgoing.body.clear();
        }
        outgoing.headers.push(("authorization", format!("Bearer {}", self.token.expose_secret()).into()));
        outgoing
    }
}

/// What tells one firing-to-resolved stretch of an alert from the next.
fn episode(alert: &Alert) -> String {
    format!("{}-{}", alert.fingerprint, alert.starts_at.map_or(0, Timestamp::as_microsecond))
}

fn episode_tag(alert: &Alert) -> String {
    format!("episode:{}", episode(alert))
}

/// `EPISODE ID` while the annotation is open; none once it is a region, so that nothing changes it any more.
fn receipt(alert: &Alert, id: i64) -> Option<Receipt> {
    (alert.status == Status::Firing).then(|| Receipt(format!("{} {id}", episode(alert))))
}

/// The annotation that this notification is about, where the lane's last delivery made it.
///
/// A firing alert of another episode needs an annotation of its own. A resolve ends the one that is open, whatever
/// episode it names: the members of an HA pair do not always agree on when an alert began.
fn known_id(notification: &Notification, alert: &Alert) -> Option<i64> {
    let (known, id) = notification.receipt.as_ref()?.0.split_once(' ')?;
    let ours = alert.status == Status::Resolved || known == episode(alert);
    id.parse().ok().filter(|_| ours)
}

/// Epoch milliseconds, never 0, which Grafana takes for absent.
fn starts(notification: &Notification, alert: &Alert) -> i64 {
    alert.starts_at.or(alert.ends_at).unwrap_or(notification.received_at).as_millisecond().max(1)
}

/// Epoch milliseconds; `None` while it fires. Later than the start, or it would be no region.
fn ends(notification: &Notification, alert: &Alert) -> Option<i64> {
    alert.ends_at.map(|end| end.as_millisecond().max(starts(notification, alert) + 1))
}

/// Grafana shows the text of an annotation as HTML, where a line break is no line break (grafana/grafana,
/// `AnnotationTooltip2.tsx`).
fn annotation_text(notification: &Notification, alert: &Alert) -> String {
    let labels: Vec<_> = alert.labels.iter().collect();
    let shown: Vec<_> =
        labels.iter().filter(|(name, _)| *name != "alertname").map(|(n, v)| format!("{n}={v}")).collect();
    let summary = one_line(describe::summary(alert));
    let name = text::cut(&describe::name(alert), 200);
    let headline = if summary.is_empty() { name } else { format!("{name}: {summary}") };
    let links: Vec<_> = describe::links(alert)
        .into_iter()
        .chain(describe::silence(&notification.group, &labels))
        .map(|link| html_link(&link.url, link.label))
        .collect();
    let truncated = notification.group.truncated_alerts;
    let parts = [
        html(&headline, MAX_SUMMARY),
        html(&describe::fallback(notification).unwrap_or_default(), MAX_SUMMARY),
        html(text::clean(alert.annotations.get("description")).trim(), MAX_DESCRIPTION),
        html(&one_line(&shown.join(", ")), MAX_LABELS),
        links.join(" · "),
        if truncated > 0 {
            format!("Alertmanager left out {} of this group (max_alerts)", text::count(truncated, "alert"))
        } else {
            String::new()
        },
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n").replace('\n', "<br>")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::notification::Reason;
    use crate::receiver::fixture;

    fn grafana() -> Grafana {
        Grafana {
            url: "http://grafana.example:3000".to_owned(),
            token: "glsa_test".into(),
            tags: vec!["ops".to_owned()],
            dashboard_uid: Some("abc".to_owned()),
            panel_id: None,
        }
    }

    fn with(mut notification: Notification, attempt: u32, receipt: Option<&str>) -> Notification {
        notification.attempt = attempt;
        notification.receipt = receipt.map(|text| Receipt(text.to_owned()));
        notification
    }

    fn delivered(verdict: Verdict) -> Option<String> {
        match verdict {
            Verdict::Delivered { receipt } => receipt.map(|receipt| receipt.0),
            other => panic!("not delivered: {other:?}"),
        }
    }

    fn next(verdict: Verdict) -> (&'static str, String, Value) {
        let Verdict::Then(outgoing) = verdict else { panic!("not done: {verdict:?}") };
        let path = outgoing.url.expose_secret().replace("http://grafana.example:3000", "");
        (outgoing.step, path, serde_json::from_slice(&outgoing.body).unwrap_or_default())
    }

    /// The receipt of the annotation 42 of [`fixture::single`].
    fn known() -> String {
        let alert = &fixture::single().alerts[0].alert;
        format!("{}-1795287600500000 42", alert.fingerprint)
    }

    #[test]
    fn the_annotation() {
        let outgoing = grafana().encode(&fixture::single()).unwrap();
        let body: Value = serde_json::from_slice(&outgoing.body).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
    }

    #[test]
    fn a_fallback_says_for_whom_and_why() {
        let outgoing = grafana().encode(&fixture::as_fallback(fixture::single())).unwrap();
        let body: Value = serde_json::from_slice(&outgoing.body).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
    }

    #[test]
    fn the_first_request_depends_on_what_is_known() {
        let other = "0000000000000001-5 41";
        for (notification, expected) in [
            (with(fixture::single(), 1, None), "post /api/annotations"),
            (with(fixture::single(), 1, Some(other)), "post /api/annotations"),
            (with(fixture::single(), 1, Some("odd")), "post /api/annotations"),
            (with(fixture::single(), 1, Some(&known())), "patch /api/annotations/42"),
            (with(fixture::single(), 2, None), "find /api/annotations?tags=episode%3A"),
            (with(fixture::single(), 2, Some(&known())), "patch /api/annotations/42"),
            (with(fixture::single_resolved(), 1, None), "find /api/annotations?tags=episode%3A"),
            (with(fixture::single_resolved(), 1, Some(&known())), "patch /api/annotations/42"),
            (with(fixture::single_resolved(), 1, Some(other)), "patch /api/annotations/41"),
        ] {
            let outgoing = grafana().encode(&notification).unwrap();
            let shown = format!(
                "{} {}",
                outgoing.step,
                outgoing.url.expose_secret().replacen("http://grafana.example:3000", "", 1)
            );
            assert!(shown.starts_with(expected), "{shown} for {expected}");
        }
    }

    #[test]
    fn the_receipt_names_the_episode_and_goes_with_the_resolve() {
        let added = fixture::answer("post", 200, r#"{"message":"Annotation added","id":42}"#);
        let patched = fixture::answer("patch", 200, r#"{"message":"Annotation patched"}"#);
        let (firing, resolved) = (fixture::single(), fixture::single_resolved());
        assert_eq!(delivered(grafana().judge(&firing, &added)), Some(known()));
        let mut repeat = with(firing, 1, Some(&known()));
        repeat.alerts[0].reason = Reason::Repeat;
        assert_eq!(delivered(grafana().judge(&repeat, &patched)), Some(known()));
        assert_eq!(delivered(grafana().judge(&with(resolved.clone(), 1, Some(&known())), &patched)), None);
        assert_eq!(delivered(grafana().judge(&resolved, &added)), None);
    }

    #[test]
    fn what_was_found_decides() {
        let find = |items: Value| fixture::answer("find", 200, &items.to_string());
        let (start, end) = (1_795_287_600_500_i64, 1_795_289_400_000_i64);
        let open = json!([{"id": 42, "time": start, "timeEnd": start}]);
        let over = json!([{"id": 42, "time": start, "timeEnd": start + 5}]);
        let ours = json!([{"id": 42, "time": start, "timeEnd": end}]);
        let (firing, resolved) = (with(fixture::single(), 2, None), fixture::single_resolved());

        assert_eq!(delivered(grafana().judge(&firing, &find(open.clone()))), Some(known()));
        for nothing in [json!([]), over.clone()] {
            let (step, path, body) = next(grafana().judge(&firing, &find(nothing.clone())));
            assert_eq!((step, path.as_str(), &body["time"]), ("post", "/api/annotations", &start.into()));
            assert_eq!(body["timeEnd"], Value::Null);
            let (step, _, body) = next(grafana().judge(&resolved, &find(nothing)));
            assert_eq!((step, &body["time"], &body["timeEnd"]), ("post", &start.into(), &end.into()), "a region");
        }
        for it in [open, ours] {
            let (step, path, body) = next(grafana().judge(&resolved, &find(it)));
            assert_eq!((step, path.as_str(), &body["timeEnd"]), ("patch", "/api/annotations/42", &end.into()));
            assert_eq!(body["time"], Value::Null, "a patch leaves the start as it is");
        }
    }

    #[test]
    fn an_annotation_that_somebody_deleted_is_made_again() {
        let gone = fixture::answer("patch", 404, r#"{"message":"Annotation not found"}"#);
        for notification in [fixture::single(), fixture::single_resolved()] {
            let (step, _, body) = next(grafana().judge(&with(notification, 1, Some(&known())), &gone));
            assert_eq!((step, &body["dashboardUID"]), ("post", &"abc".into()));
        }
    }

    #[test]
    fn answers() {
        use FailureClass::{NotFound, RateLimited, Refused, Timeout, Unauthorized, Unavailable, Unexpected};
        for (step, status, body, expected) in [
            ("post", 200, "<html>Please log in</html>", (true, Unexpected)),
            ("post", 200, r#"{"message":"hello"}"#, (true, Unexpected)),
            ("post", 302, "", (true, Unexpected)),
            ("post", 400, r#"{"message":"bad request data"}"#, (false, Refused)),
            ("post", 401, r#"{"message":"Unauthorized"}"#, (false, Unauthorized)),
            ("post", 401, "", (true, Unauthorized)),
            ("post", 403, r#"{"message":"Access denied"}"#, (false, Unauthorized)),
            ("post", 404, "", (true, NotFound)),
            ("post", 408, "", (true, Timeout)),
            ("post", 422, "", (false, Refused)),
            ("post", 429, "", (true, RateLimited)),
            ("post", 500, "", (true, Unavailable)),
            ("patch", 200, "<html>", (true, Unexpected)),
            ("patch", 401, r#"{"message":"Unauthorized"}"#, (false, Unauthorized)),
            ("patch", 502, "", (true, Unavailable)),
            ("find", 200, "<html>", (true, Unexpected)),
            ("find", 200, "{}", (true, Unexpected)),
            ("find", 401, r#"{"message":"Unauthorized"}"#, (false, Unauthorized)),
            ("find", 404, "", (true, NotFound)),
            ("find", 503, "", (true, Unavailable)),
        ] {
            let verdict = grafana().judge(&fixture::single(), &fixture::answer(step, status, body));
            assert_eq!(fixture::failed(&verdict), Some(expected), "{step} {status}: {verdict:?}");
        }
    }

    #[test]
    fn tags_fit_the_column_and_the_episode_is_always_there() {
        let mut grafana = grafana();
        grafana.tags = (0..20).map(|n| format!("tag-{n}-{}", "\"".repeat(50))).collect();
        let alert = &fixture::single().alerts[0].alert;
        let tags = grafana.all_tags(alert);
        assert_eq!(tags[0], episode_tag(alert));
        assert!(json!(tags).to_string().len() <= MAX_TAGS && tags.len() > 2, "{tags:?}");
    }
}
