//! What is asked of Grafana, what its answers mean, and both together against a stand-in that loses them.

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::annotation::{MAX_TAGS, all_tags, episode_tag};
use super::*;
use crate::notification::{DeliveryId, Reason};
use crate::receiver::{contract, fixture};
use crate::standin::grafana::Backend;
use crate::standin::{self, Kind, Service};
use crate::template::{Escape, Template};

fn grafana() -> Grafana {
    Grafana {
        url: "http://grafana.example:3000".to_owned(),
        token: "glsa_test".into(),
        tags: vec!["ops".to_owned()],
        dashboard_uid: Some("abc".to_owned()),
        panel_id: None,
        namespace: "default".to_owned(),
        text: None,
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
        ("post", 404, r#"{"message":"Dashboard not found"}"#, (false, NotFound)),
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
        ("create", 400, r#"{"kind":"Status","message":"text is required"}"#, (false, Refused)),
        ("create", 401, r#"{"kind":"Status","message":"Unauthorized"}"#, (false, Unauthorized)),
        ("create", 403, r#"{"kind":"Status","message":"forbidden"}"#, (false, Unauthorized)),
        ("create", 404, "404 page not found", (true, NotFound)),
        ("create", 404, r#"{"message":"Not found"}"#, (true, NotFound)),
        ("create", 200, "<html>", (true, Unexpected)),
        ("create", 429, "", (true, RateLimited)),
        ("create", 500, r#"{"kind":"Status","message":"failed to insert"}"#, (true, Unavailable)),
        ("update", 409, r#"{"kind":"Status","message":"conflict"}"#, (true, Unavailable)),
        ("search", 200, "[]", (true, Unexpected)),
        ("search", 503, "", (true, Unavailable)),
        ("leftover", 502, "", (true, Unavailable)),
        ("delete", 500, "", (true, Unavailable)),
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
    let tags = all_tags(&grafana.tags, alert);
    assert_eq!(tags[0], episode_tag(alert));
    assert!(json!(tags).to_string().len() <= MAX_TAGS && tags.len() > 2, "{tags:?}");
}

#[test]
fn a_missing_api_is_not_a_missing_annotation() {
    let (firing, resolved) = (fixture::single(), fixture::single_resolved());
    for (step, status, body, expected) in [
        ("post", 404, r#"{"message":"Not found"}"#, Some("create")),
        ("post", 404, "404 page not found", Some("create")),
        ("post", 404, "<html>", Some("create")),
        ("post", 410, r#"{"message":"The annotation API has gone"}"#, Some("create")),
        ("patch", 404, r#"{"message":"Annotation not found"}"#, Some("post")),
        ("patch", 404, r#"{"message":"Not found"}"#, Some("create")),
        ("find", 404, "", Some("create")),
        ("find", 403, r#"{"message":"Access denied"}"#, Some("post")),
        ("search", 404, "404 page not found", Some("create")),
        ("update", 404, r#"{"kind":"Status","message":"\"x\" not found"}"#, Some("create")),
        ("update", 404, "404 page not found", None),
    ] {
        for notification in [&firing, &resolved] {
            let verdict = grafana().judge(notification, &fixture::answer(step, status, body));
            let step = match verdict {
                Verdict::Then(next) => Some(next.step),
                _ => None,
            };
            assert_eq!(step, expected, "{status} {body}");
        }
    }
}

#[test]
fn the_newer_api_is_spoken_as_kubernetes_is() {
    let gone = fixture::answer("post", 410, "");
    let Verdict::Then(create) = grafana().judge(&fixture::single(), &gone) else { panic!("given up") };
    let body: Value = serde_json::from_slice(&create.body).unwrap();
    insta::assert_snapshot!(format!("{}\n{body:#}", create.url.expose_secret()));
    let named = with(fixture::single(), 1, Some(&known().replace(" 42", " apis/a-7")));
    let update = grafana().encode(&named).unwrap();
    assert!(matches!(update.method, Method::Patch), "{update:?}");
    let content_type = update.headers.iter().find(|(name, _)| name == "content-type").unwrap().1.expose_secret();
    assert_eq!(content_type, "application/merge-patch+json");
    assert!(update.url.expose_secret().ends_with("/namespaces/default/annotations/a-7"));
}

#[test]
fn what_is_no_name_is_neither_kept_nor_part_of_an_address() {
    let (firing, resolved) = (fixture::single(), fixture::single_resolved());
    let long = "x".repeat(254);
    for name in ["", ".", "..", "a/b", "a?b", "ü", &long] {
        let made = json!({ "kind": "Annotation", "metadata": { "name": name } }).to_string();
        let kept = delivered(grafana().judge(&firing, &fixture::answer("create", 201, &made))).unwrap();
        assert!(kept.contains(" apis/alertrouter-") && kept.ends_with("-7"), "{kept}");
        let found = json!({ "items": [{ "metadata": { "name": name }, "spec": { "time": 5 } }] }).to_string();
        let (step, ..) = next(grafana().judge(&firing, &fixture::answer("search", 200, &found)));
        assert_eq!(step, "create", "{name}");
        assert_eq!(delivered(grafana().judge(&resolved, &fixture::answer("leftover", 200, &found))), None, "{name}");
        let of_receipt = with(firing.clone(), 2, Some(&known().replace("42", &format!("apis/{name}"))));
        assert_eq!(grafana().encode(&of_receipt).unwrap().step, "find", "{name}");
    }
}

/// Delivers as a worker would, until the service has it. `lost` counts down the answers that arrive before one is lost.
fn deliver(service: &mut Service, notification: &Notification, lost: &mut Option<usize>) -> Option<Receipt> {
    let grafana = Grafana { token: standin::grafana::TOKEN.into(), ..grafana() };
    for attempt in notification.attempt..notification.attempt + 4 {
        let notification = Notification { attempt, ..notification.clone() };
        let mut outgoing = grafana.encode(&notification).unwrap();
        for _ in 0..5 {
            let reply = service.answer(&contract::received(&outgoing));
            if *lost == Some(0) {
                *lost = None;
                break;
            }
            *lost = lost.map(|left| left - 1);
            match grafana.judge(&notification, &fixture::answer(outgoing.step, reply.status, &reply.body)) {
                Verdict::Then(next) => outgoing = next,
                Verdict::Delivered { receipt } => return receipt,
                Verdict::Retry { .. } => break,
                Verdict::Reject { failure } => panic!("{failure:?}"),
            }
        }
    }
    panic!("no end of it: {notification:?}")
}

/// An alert fires, is repeated and ends, whichever answer is lost on the way, whatever is remembered of it, and whatever
/// Grafana makes of its APIs meanwhile: in the end there is one annotation, a region.
#[test]
fn whatever_answer_is_lost_there_is_one_annotation_and_it_is_closed() {
    let apis = [None, Some(Backend::Sql), Some(Backend::Postgres)];
    let (start, end) = (1_795_287_600_500_i64, 1_795_289_400_000_i64);
    for (before, after) in apis.iter().flat_map(|before| apis.iter().map(move |after| (*before, *after))) {
        for (lost_at, forgets) in (0..14).flat_map(|at| [(at, false), (at, true)]) {
            let (mut service, mut lost) = (Service::new(Kind::Grafana), Some(lost_at));
            service.annotations_of(before);
            let stage = |id: i64, notification: Notification| Notification { id: DeliveryId(id), ..notification };
            let mut receipt = deliver(&mut service, &stage(1, fixture::single()), &mut lost);
            assert!(receipt.is_some());
            let what = format!("{before:?}, then {after:?}, without the answer {lost_at}, forgets: {forgets}");
            let open = service.annotations_of(after);
            assert_eq!((open.len(), open[0].time_end), (1, open[0].time), "{what}");
            // A repeat in the other API finds no annotation of that name, and makes one there only if it has none.
            if before == after {
                let repeat = Notification { receipt: receipt.clone(), ..stage(2, fixture::single()) };
                receipt = deliver(&mut service, &repeat, &mut lost);
                assert_eq!(service.annotations_of(after).len(), 1, "{what}");
            }
            let receipt = receipt.filter(|_| !forgets);
            let resolve = Notification { receipt, ..stage(3, fixture::single_resolved()) };
            assert_eq!(deliver(&mut service, &resolve, &mut lost), None, "{what}");
            let spans: Vec<_> =
                service.annotations_of(after).iter().map(|annotation| (annotation.time, annotation.time_end)).collect();
            assert_eq!(spans, [(start, end)], "{what}");
        }
    }
}

#[test]
fn what_somebody_deleted_is_made_again_once() {
    for backend in [None, Some(Backend::Sql), Some(Backend::Postgres)] {
        for lost_at in 0..6 {
            let (mut service, mut lost) = (Service::new(Kind::Grafana), Some(lost_at));
            service.annotations_of(backend);
            let receipt = deliver(&mut service, &fixture::single(), &mut None);
            if let Service::Grafana(state) = &mut service {
                state.clear();
            }
            let repeat = Notification { id: DeliveryId(8), receipt, ..fixture::single() };
            assert!(deliver(&mut service, &repeat, &mut lost).is_some());
            assert_eq!(service.annotations_of(backend).len(), 1, "{backend:?} without the answer {lost_at}");
        }
    }
}

#[test]
fn a_text_of_routes_yaml_takes_the_place_of_ours() {
    let sent = |source: &str, notification: &Notification| {
        let template = Template::compile("text", source, Escape::Html).unwrap();
        let grafana = Grafana { text: Some(std::sync::Arc::new(template)), ..grafana() };
        let outgoing = grafana.encode(notification).unwrap();
        let body: Value = serde_json::from_slice(&outgoing.body).unwrap();
        (body["text"].as_str().unwrap_or_default().to_owned(), outgoing.template_error)
    };
    let single = fixture::single();
    let source = "<b>{{ alert.summary }}</b>\n<a href=\"{{ alert.generatorURL }}\">why</a>";
    assert_eq!(
        sent(source, &fixture::as_fallback(single.clone())).0,
        "<b>5xx &gt; 5%</b><br><a href=\"http://prom.example/graph?g0.expr=up+%3D%3D+0&amp;g0.tab=1\">why</a><br>\
         Fallback for oncall: HTTP 503: no &lt;healthy&gt; upstream &amp; *more* for 5m"
    );
    assert!(sent("{{ 'x' * 9999 }}", &single).0.len() <= 3000);
    let (text, error) = sent("{{ alerts[7].name }}", &single);
    assert!(text.starts_with("HighErrorRate: 5xx") && error.is_some(), "{text} {error:?}");
    // A resolve says it with its second request.
    let known = with(fixture::single_resolved(), 1, Some(&known()));
    assert_eq!(sent("{{ alert.status }}", &known), ("resolved".to_owned(), None));
}
