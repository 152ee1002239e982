//! What is read of bodies, whatever they hold.

use super::limits::{self, Truncated};
use super::*;
use crate::alert::{Fingerprint, Status};

fn now() -> Timestamp {
    "2026-11-21T20:00:00Z".parse().unwrap()
}

fn captured() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let bodies: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("alertmanager-"))
        .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    assert!(bodies.len() >= 11, "the captured bodies are gone");
    bodies
}

#[test]
fn captured_bodies_are_read_whole_and_fingerprints_are_alertmanagers() {
    for (file, text) in captured() {
        let body = parse(text.as_bytes(), &[], now()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let alerts = json["alerts"].as_array().unwrap();
        assert_eq!((body.alerts.len(), body.refused.len()), (alerts.len(), 0), "{file}");
        assert_eq!(body.group.key, json["groupKey"], "{file}");
        assert_eq!(body.group.truncated_alerts, json["truncatedAlerts"], "{file}");
        for (alert, json) in body.alerts.iter().zip(alerts) {
            assert_eq!(alert.fingerprint.to_string(), json["fingerprint"], "{file}");
            assert_eq!(alert.status.as_str(), json["status"], "{file}");
            assert_eq!(alert.ends_at.is_some(), alert.status == Status::Resolved, "{file}");
        }
    }
}

#[test]
fn an_alert_survives_being_written_and_read() {
    for (file, text) in captured() {
        for mut alert in parse(text.as_bytes(), &[], now()).unwrap().alerts {
            alert.fingerprint = Fingerprint(alert.fingerprint.0 ^ 1);
            let written = serde_json::to_string(&alert).unwrap();
            assert_eq!(serde_json::from_str::<Alert>(&written).unwrap(), alert, "{file}");
        }
    }
}

#[test]
fn missing_and_odd_optional_fields_get_their_defaults() {
    let text = r#"{"alerts":[{"status":"firing","labels":{"alertname":"A","empty":""},"annotations":null}],
        "groupLabels":7,"truncatedAlerts":"x","future":{}}"#;
    let body = parse(text.as_bytes(), &[], now()).unwrap();
    assert_eq!(body.group, Group::default());
    assert_eq!(body.alerts[0].labels.to_string(), r#"{alertname="A"}"#);
    assert_eq!((body.alerts[0].starts_at, body.alerts[0].ends_at), (None, None));
}

#[test]
fn a_resolve_that_does_not_say_when_ended_now() {
    let text = r#"{"alerts":[{"status":"resolved","labels":{"a":"b"},"endsAt":"0001-01-01T00:00:00Z"}]}"#;
    assert_eq!(parse(text.as_bytes(), &[], now()).unwrap().alerts[0].ends_at, Some(now()));
}

#[test]
fn a_firing_alert_ends_whenever() {
    for ends in ["", "soon", "9999-12-31T23:59:59Z", "2026-11-21T19:00:00Z"] {
        let text =
            format!(r#"{{"alerts":[{{"status":"firing","labels":{{"a":"b"}},"startsAt":"","endsAt":"{ends}"}}]}}"#);
        let alert = &parse(text.as_bytes(), &[], now()).unwrap().alerts[0];
        assert_eq!((alert.starts_at, alert.ends_at), (None, None), "{ends}");
    }
}

#[test]
fn times_with_an_offset_are_the_same_moment() {
    let text =
        r#"{"alerts":[{"status":"firing","labels":{"a":"b"},"startsAt":"2026-11-22T04:00:00.123456789+08:00"}]}"#;
    let starts = parse(text.as_bytes(), &[], now()).unwrap().alerts[0].starts_at;
    assert_eq!(starts, Some("2026-11-21T20:00:00.123456Z".parse().unwrap()));
}

#[test]
fn broken_alerts_are_left_out_with_the_reason() {
    let good = r#"{"status":"firing","labels":{"alertname":"Good"}}"#;
    for (broken, reason) in [
        (r#"{"status":"maybe","labels":{"a":"b"}}"#, "unknown status `maybe`"),
        (r#"{"labels":{"a":"b"}}"#, "missing field `status`"),
        (r#"{"status":"firing"}"#, "missing field `labels`"),
        (r#"{"status":"firing","labels":7}"#, "invalid type: integer `7`"),
        (r#"{"status":"firing","labels":{}}"#, "no labels"),
        (r#"{"status":"firing","labels":{"a":"b"},"startsAt":"yesterday"}"#, "\"yesterday\" is not a time"),
        ("7", "invalid type: integer `7`"),
        ("null", "invalid type: null"),
    ] {
        let text = format!(r#"{{"version":"4","alerts":[{broken},{good}]}}"#);
        let body = parse(text.as_bytes(), &[], now()).unwrap();
        assert_eq!(body.alerts[0].name(), "Good", "{broken}");
        let refused = &body.refused[0];
        assert_eq!((refused.index, refused.content.as_str()), (0, broken));
        assert!(refused.reason.contains(reason), "{broken}: {}", refused.reason);
    }
}

#[test]
fn bodies_that_can_never_be_read_say_why() {
    for (text, expected) in [
        ("", "EOF"),
        ("hello", "expected value"),
        ("[]", "invalid type: sequence, expected an object"),
        ("{\"alerts\":[[\"firing\",{\"a\":\"b\"}]]}", "no alert can be read of 1"),
        ("{}", "holds no alerts"),
        (r#"{"alerts":[]}"#, "holds no alerts"),
        (r#"{"alerts":{}}"#, "invalid type: map"),
        (r#"{"alerts":[7,8]}"#, "no alert can be read of 2"),
        ("{\"alerts\":[\"\u{fffd}", "EOF"),
    ] {
        let error = parse(text.as_bytes(), &[], now()).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn an_unknown_version_is_read_and_reported() {
    let body = |version| {
        let text = format!(r#"{{"version":{version},"alerts":[{{"status":"firing","labels":{{"a":"b"}}}}]}}"#);
        parse(text.as_bytes(), &[], now()).unwrap().unknown_version
    };
    assert_eq!((body("\"4\""), body("\"1\""), body("7")), (None, None, None));
    assert_eq!(body("\"5\""), Some("5".to_owned()));
}

/// The first alert of a body whose JSON is this inside of the alert's braces.
fn read(alert: &str) -> Alert {
    let text = format!(r#"{{"alerts":[{{"status":"firing",{alert}}}]}}"#);
    parse(text.as_bytes(), &[], now()).unwrap().alerts.remove(0)
}

fn cuts(body: &Body) -> [u64; 4] {
    Truncated::ALL.map(|what| body.cuts.count(what))
}

#[test]
fn labels_and_annotations_of_other_types_are_their_text() {
    let alert = read(
        r#""labels":{"code":500,"ratio":1.50,"up":false,"none":null,"tags":["a",{"b":1}]},
        "annotations":{"value":7.25,"none":null,"list":[1,2]},"generatorURL":7"#,
    );
    let labels = [("code", "500"), ("ratio", "1.50"), ("tags", r#"["a",{"b":1}]"#), ("up", "false")];
    assert_eq!(alert.labels.iter().collect::<Vec<_>>(), labels);
    assert_eq!(alert.annotations.iter().collect::<Vec<_>>(), [("list", "[1,2]"), ("value", "7.25")]);
    assert_eq!(alert.generator_url, "");
}

#[test]
fn of_what_is_there_twice_the_last_counts_and_of_two_lists_of_alerts_both() {
    let alert = read(r#""labels":{"a":"1"},"labels":{"b":"1","c":"x","b":"2","c":""},"status":"resolved""#);
    assert_eq!((alert.labels.to_string(), alert.status), (r#"{b="2"}"#.to_owned(), Status::Resolved));
    let one = |name: &str| format!(r#"[{{"status":"firing","labels":{{"alertname":"{name}"}}}}]"#);
    let text = format!(
        r#"{{"groupKey":"a","alerts":{},"groupKey":"b","alerts":null,"alerts":{}}}"#,
        one("First"),
        one("Second")
    );
    let body = parse(text.as_bytes(), &[], now()).unwrap();
    let names: Vec<_> = body.alerts.iter().map(Alert::name).collect();
    assert_eq!((names, body.group.key.as_str()), (vec!["First", "Second"], "b"));
}

#[test]
fn broken_text_is_mended_and_sinks_nothing() {
    let good = r#"{"status":"firing","labels":{"alertname":"Good"}}"#;
    let bytes = [
        &b"\xef\xbb\xbf{\"alerts\":[{\"status\":\"firing\",\"labels\":{\"alertname\":\"caf\xe9\"},\"x\":\"\xff\"},"[..],
        good.as_bytes(),
        b"]}",
    ];
    let body = parse(&bytes.concat(), &[], now()).unwrap();
    let names: Vec<_> = body.alerts.iter().map(Alert::name).collect();
    assert_eq!((names, body.mended), (vec!["caf\u{fffd}", "Good"], true));
    let marked = parse(&[b"\xef\xbb\xbf{\"alerts\":[", good.as_bytes(), b"]}"].concat(), &[], now()).unwrap();
    assert!(!marked.mended);
    let half =
        r#"{"groupKey":"k\ud800","alerts":[{"status":"firing","labels":{"alertname":"a\ud800","\udfff":"\u0000"}}]}"#;
    let body = parse(half.as_bytes(), &[], now()).unwrap();
    assert_eq!(body.alerts[0].name(), "a\u{fffd}\u{fffd}\u{fffd}");
    assert_eq!((body.alerts[0].labels.len(), body.group.key.starts_with("k\u{fffd}")), (2, true));
}

#[test]
fn what_is_nested_deeply_sinks_at_most_its_alert() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let maps = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    for unknown in [&deep, &maps] {
        let good =
            format!(r#"{{"status":"firing","labels":{{"alertname":"Good"}},"annotations":{unknown},"x":{unknown}}}"#);
        let broken = format!(r#"{{"status":"firing","labels":{{"alertname":{unknown}}}}}"#);
        let text = format!(r#"{{"x":{unknown},"groupLabels":{unknown},"alerts":[{good},{broken},{unknown}]}}"#);
        let body = parse(text.as_bytes(), &[], now()).unwrap();
        let names: Vec<_> = body.alerts.iter().map(Alert::name).collect();
        assert_eq!((names, body.refused_count), (vec!["Good"], 2));
        assert!(body.refused[0].reason.contains("its labels have more than"), "{}", body.refused[0].reason);
    }
    for broken in ["[".repeat(200_000), r#"{"alerts":["#.repeat(100_000), format!(r#"{{"x":{}"#, "[".repeat(200_000))] {
        assert!(matches!(parse(broken.as_bytes(), &[], now()), Err(BodyError::Malformed(_))));
    }
}

#[test]
fn what_is_no_json_for_a_reason_says_so() {
    for (body, expected) in [
        (&b"\x1f\x8b\x08\x00"[..], "it is compressed"),
        (b"\xff\xfe{\0\"\0", "it is UTF-16"),
        (b"{\0\"\0", "it is UTF-16"),
        (b"payload=%7B%22alerts%22", "expected value"),
        (b"{\"alerts\":[{\"status\":\"firing\",\"labels\":{\"a\":\"\0\"}}]}", "control character"),
    ] {
        let error = parse(body, &[], now()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_reason_is_short_and_no_terminal_obeys_it() {
    let evil = format!("\u{1b}[2J\u{9b}\u{202e}{}", "x".repeat(100_000));
    for broken in [
        serde_json::json!({ "status": evil, "labels": { "a": "b" } }),
        serde_json::json!({ "status": "firing", "labels": { "a": "b" }, "startsAt": evil }),
        serde_json::json!({ "status": "firing", "labels": evil }),
    ] {
        let text = serde_json::json!({ "alerts": [broken] }).to_string();
        let error = parse(text.as_bytes(), &[], now()).unwrap_err().to_string();
        assert!(error.len() < 700 && !error.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{error}");
    }
}

#[test]
fn labels_over_the_limit_refuse_their_alert_alone() {
    let many = |count: usize| (0..count).map(|n| format!(r#""l{n}":"1""#)).collect::<Vec<_>>().join(",");
    let long = |bytes: usize| format!(r#""a":"{}""#, "x".repeat(bytes - 1));
    for (labels, is_taken, why) in [
        (many(limits::LABELS), true, ""),
        (many(limits::LABELS + 1), false, "more than 1000 labels"),
        (long(limits::LABELS_BYTES), true, ""),
        (long(limits::LABELS_BYTES + 1), false, "its labels have more than 262144 bytes"),
    ] {
        let text = format!(
            r#"{{"groupLabels":{{{labels}}},"alerts":[{{"status":"firing","labels":{{{labels}}}}},{{"status":"firing","labels":{{"a":"b"}}}}]}}"#
        );
        let body = parse(text.as_bytes(), &[], now()).unwrap();
        assert_eq!((body.alerts.len(), body.refused_count), if is_taken { (2, 0) } else { (1, 1) });
        assert!(body.refused.first().is_none_or(|refused| refused.reason.contains(why)));
        assert!(body.refused.first().is_none_or(|refused| refused.content.len() <= limits::REFUSED_BYTES));
        // A group needs no labels to be told of.
        assert_eq!((body.group.labels.is_empty(), cuts(&body)), (!is_taken, [0, 0, 0, u64::from(!is_taken)]));
    }
}

#[test]
fn annotations_over_the_limit_are_cut() {
    let alert = |annotations: &str| {
        let text =
            format!(r#"{{"alerts":[{{"status":"firing","labels":{{"a":"b"}},"annotations":{{{annotations}}}}}]}}"#);
        let mut body = parse(text.as_bytes(), &[], now()).unwrap();
        (body.alerts.remove(0).annotations, cuts(&body))
    };
    let long = "é".repeat(limits::ANNOTATION_BYTES);
    let (kept, cut) = alert(&format!(r#""description":"{long}","summary":"short""#));
    assert_eq!((kept.get("summary"), cut), ("short", [0, 1, 0, 0]));
    let description = kept.get("description");
    assert!(description.ends_with("é…") && description.len() <= limits::ANNOTATION_BYTES, "{}", description.len());
    let whole = "x".repeat(limits::ANNOTATION_BYTES);
    assert_eq!(alert(&format!(r#""description":"{whole}""#)).1, [0; 4]);
    // Together, too.
    let (kept, cut) = alert(&(0..9).map(|n| format!(r#""d{n}":"{whole}""#)).collect::<Vec<_>>().join(","));
    let size: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(size <= limits::ANNOTATIONS_BYTES && kept.len() >= 4 && kept.get("d0") == whole, "{size} {}", kept.len());
    assert_eq!(cut, [0, 1, 0, 0]);
    let (kept, _) = alert(&(0..2000).map(|n| format!(r#""d{n}":"1""#)).collect::<Vec<_>>().join(","));
    assert_eq!(kept.len(), limits::ANNOTATIONS);
    let (kept, _) = alert(&format!(r#""{whole}":"1","b":"2""#));
    assert_eq!(kept.iter().collect::<Vec<_>>(), [("b", "2")]);
}

#[test]
fn what_a_group_is_called_is_cut_and_stays_its_own() {
    let body = |end: &str| {
        let long = "x".repeat(100_000);
        let text = serde_json::json!({
            "groupKey": format!("{long}{end}"), "receiver": long, "version": long, "externalURL": long,
            "commonAnnotations": { "a": long }, "truncatedAlerts": u64::MAX,
            "alerts": [{ "status": "firing", "labels": { "a": "b" }, "generatorURL": long }],
        });
        parse(text.to_string().as_bytes(), &[], now()).unwrap()
    };
    let (one, two) = (body("1"), body("2"));
    assert_ne!(one.group.key, two.group.key);
    let most = [(&one.group.key, limits::GROUP_KEY_BYTES + 16), (&one.group.receiver, limits::NAME_BYTES)];
    for (text, most) in most.into_iter().chain([(one.unknown_version.as_ref().unwrap(), limits::NAME_BYTES)]) {
        assert!(text.len() <= most && text.contains('…'), "{}", text.len());
    }
    assert_eq!((one.group.external_url.as_str(), one.alerts[0].generator_url.as_str()), ("", ""));
    assert_eq!(one.group.common_annotations.get("a").len(), limits::ANNOTATION_BYTES);
    assert_eq!((one.group.truncated_alerts, cuts(&one)), (u64::from(u32::MAX), [0, 0, 2, 4]));
}

#[test]
fn alerts_over_the_limit_are_left_out_and_every_message_will_say_so() {
    let alert = r#"{"status":"firing","labels":{"a":"b"}}"#;
    let list = vec![alert; limits::ALERTS + 7].join(",");
    let body = parse(format!(r#"{{"alerts":[{list}],"truncatedAlerts":3}}"#).as_bytes(), &[], now()).unwrap();
    assert_eq!((body.alerts.len(), body.group.truncated_alerts, cuts(&body)), (limits::ALERTS, 10, [7, 0, 0, 0]));
    let broken = parse(format!(r#"{{"alerts":[{alert},{}1]}}"#, "1,".repeat(100_000)).as_bytes(), &[], now()).unwrap();
    assert_eq!((broken.refused.len(), broken.refused_count), (limits::REFUSED, limits::ALERTS - 1));
    assert_eq!(broken.cuts.count(Truncated::Alerts), 100_002 - limits::ALERTS as u64);
}

#[test]
fn all_alerts_of_a_body_together_have_limits() {
    let long = "x".repeat(200_000);
    let alert = |n: usize, text: &str| {
        format!(
            r#"{{"status":"firing","labels":{{"a":"{n}"}},"annotations":{{"summary":"{text}"}},"generatorURL":"http://x.example"}}"#
        )
    };
    let list = (0..100).map(|n| alert(n, &long[..60_000])).collect::<Vec<_>>().join(",");
    let body = parse(format!(r#"{{"alerts":[{list}]}}"#).as_bytes(), &[], now()).unwrap();
    let size_of = |alert: &Alert| alert.annotations.get("summary").len() + alert.generator_url.len();
    let size: usize = body.alerts.iter().map(size_of).sum();
    let most = limits::ALL_ANNOTATIONS_BYTES + 100 * limits::LEAST_BYTES;
    assert!(size <= most && size > most / 2 && body.alerts.len() == 100, "{size}");
    assert_eq!(body.alerts[0].annotations.get("summary").len(), 60_000);
    assert!(body.alerts[99].annotations.get("summary").ends_with("x…"), "something is kept of each");
    assert!(cuts(&body)[1] > 20 && cuts(&body)[2] > 20, "{:?}", body.cuts);

    // What counts is how they are written down.
    let controls = "\\u0001".repeat(10_000);
    let list = (0..200).map(|n| alert(n, &controls)).collect::<Vec<_>>().join(",");
    let body = parse(format!(r#"{{"alerts":[{list}]}}"#).as_bytes(), &[], now()).unwrap();
    let written: usize = body.alerts.iter().map(|alert| serde_json::to_string(alert).unwrap().len()).sum();
    assert!(written < limits::ALL_ANNOTATIONS_BYTES + 200 * 2200, "{written}");

    let list = (0..50).map(|n| format!(r#"{{"status":"firing","labels":{{"a{n}":"{long}"}}}}"#)).collect::<Vec<_>>();
    let body = parse(format!(r#"{{"alerts":[{}]}}"#, list.join(",")).as_bytes(), &[], now()).unwrap();
    let taken = limits::ALL_LABELS_BYTES / 200_000 + 1;
    assert_eq!((body.alerts.len(), body.group.truncated_alerts), (taken, 50 - taken as u64));
}
