//! One incident for a group.

use super::*;

/// Tells PagerDuty of one body after the other; what it is sent of each.
fn story(bodies: &[Body]) -> String {
    let (pagerduty, mut receipt, mut lines) = (per_group(), None, Vec::new());
    for body in bodies {
        let notification = body.notification(receipt.take());
        let (verdict, event) = if let Some(verdict) = pagerduty.without_request(&notification) {
            (verdict, json!({"event_action": "nothing"}))
        } else {
            let answer = fixture::answer("event", 202, r#"{"status":"success"}"#);
            (pagerduty.judge(&notification, &answer), sent(&pagerduty, &notification))
        };
        let Verdict::Delivered { receipt: next } = verdict else { panic!("{verdict:?}") };
        receipt = next;
        lines.push(event["event_action"].as_str().unwrap().to_owned());
    }
    lines.extend(receipt.map(|_| "open".to_owned()));
    lines.join(" ")
}

#[test]
fn an_incident_of_a_group_is_closed_with_the_last_of_its_alerts() {
    for (what, bodies, expected) in [
        ("all at once", vec![told(&[1, 2], &[], 0, 0), told(&[], &[1, 2], 0, 0)], "trigger resolve"),
        (
            "one by one, and one joins",
            vec![
                told(&[1], &[], 0, 0),
                told(&[2], &[], 1, 0),
                told(&[], &[1], 1, 0),
                told(&[3], &[2], 0, 0),
                told(&[], &[3], 0, 0),
            ],
            "trigger trigger nothing trigger resolve",
        ),
        ("not while one fires", vec![told(&[1, 2], &[], 0, 0), told(&[], &[1], 1, 0)], "trigger nothing open"),
        (
            "a peer that has not heard of the other one does not close it",
            vec![told(&[1, 2], &[], 0, 0), told(&[], &[1], 0, 0), told(&[], &[2], 0, 0)],
            "trigger nothing resolve",
        ),
        (
            "a resolve that was lost does not hold it open for ever",
            vec![
                told(&[1, 2], &[], 0, 0),
                told(&[1], &[], 0, 0).after_hours(24),
                told(&[], &[1], 0, 0).after_hours(25),
            ],
            "trigger trigger resolve",
        ),
        (
            "but nothing is taken for lost while the body says that others fire, or was cut",
            vec![
                told(&[1, 2], &[], 0, 0),
                told(&[1, 3], &[], 0, 0).after_hours(24),
                told(&[], &[1], 1, 0).after_hours(25),
                told(&[], &[3], 0, 1).after_hours(26),
            ],
            "trigger trigger nothing nothing open",
        ),
        (
            "what was cut off closes nothing, and was never told",
            vec![told(&[1, 2], &[], 0, 7), told(&[], &[1], 0, 8), told(&[], &[2], 0, 7)],
            "trigger nothing resolve",
        ),
    ] {
        assert_eq!(story(&bodies), expected, "{what}");
    }
}

#[test]
fn what_is_not_known_of_a_group_holds_its_incident_open() {
    for (what, bodies, expected) in [
        ("unknown ends are told, as for an alert", vec![told(&[], &[1], 0, 0)], "resolve"),
        (
            "unless others may fire",
            vec![told(&[], &[1], 1, 0), told(&[], &[2], 0, 3), told(&[], &[3], 0, 0)],
            "nothing nothing resolve",
        ),
        (
            "what was told before groups were incidents holds it open",
            vec![told(&[3], &[], 2, 0), told(&[], &[3], 2, 0), told(&[], &[1], 1, 0), told(&[], &[2], 0, 0)],
            "trigger nothing nothing resolve",
        ),
        (
            "a new incident after the end",
            vec![told(&[1], &[], 0, 0), told(&[], &[1], 0, 0), told(&[1], &[], 0, 0)],
            "trigger resolve trigger open",
        ),
        (
            "an unknown one that ends changes nothing",
            vec![told(&[1], &[], 0, 0), told(&[], &[9], 1, 0)],
            "trigger nothing open",
        ),
    ] {
        assert_eq!(story(&bodies), expected, "{what}");
    }
}

#[test]
fn a_group_has_one_key_at_a_receiver() {
    let keys: Vec<Value> = [told(&[1], &[], 0, 0), told(&[2], &[], 1, 0), told(&[], &[1], 0, 0)]
        .iter()
        .map(|body| sent(&per_group(), &body.notification(None))["dedup_key"].clone())
        .collect();
    assert_eq!(keys, vec![keys[0].clone(); 3]);
    assert_eq!(keys[0], "group-099e448697b48276cdaa286730ddb4bc");
    let other = Notification { receiver: "other".into(), ..told(&[1], &[], 0, 0).notification(None) };
    assert_ne!(sent(&per_group(), &other)["dedup_key"], keys[0]);
}

#[test]
fn a_group_is_read_at_a_glance() {
    let mut notification =
        told(&[1, 2, 3], &[4], 2, 5).notification(Some(Receipt("group critical 0000000000000009@1".to_owned())));
    notification.alerts[0].alert.annotations =
        [("summary", "disk is full"), ("image_url", "https://x.example/1.png"), ("runbook_url", "https://x.example/r")]
            .into_iter()
            .collect();
    insta::assert_snapshot!(serde_json::to_string_pretty(&sent(&per_group(), &notification)).unwrap());
    for (body, receipt, expected) in [
        (told(&[1], &[], 0, 0), None, "Disk: disk 1 is full on db-1:9100 (checkout)"),
        (told(&[1, 2], &[], 0, 0), None, "2 alerts fire: Disk on db-1:9100, db-2:9100 (checkout)"),
        (
            told(&[2], &[1], 0, 0),
            Some("group warning 0000000000000001@1 0000000000000003@1"),
            "2 alerts fire: Disk on db-2:9100 (checkout)",
        ),
        (told(&[2], &[], 1, 0), None, "at least 1 alert fires: Disk on db-2:9100 (checkout)"),
        (
            told(&[1, 2, 3, 4, 5, 6, 7], &[], 0, 0),
            None,
            "7 alerts fire: Disk on db-1:9100, db-2:9100, db-3:9100, db-4:9100, db-5:9100 and 2 more (checkout)",
        ),
    ] {
        let notification = body.notification(receipt.map(|text| Receipt(text.to_owned())));
        assert_eq!(sent(&per_group(), &notification)["payload"]["summary"], expected);
    }
}

#[test]
fn an_incident_does_not_become_less_urgent() {
    let receipt = Receipt("group critical 0000000000000009@1".to_owned());
    let event = sent(&per_group(), &told(&[1], &[], 1, 0).notification(Some(receipt)));
    assert_eq!(event["payload"]["severity"], "critical", "although the new one is a warning");
}

#[test]
fn a_receipt_stays_small_and_never_closes_what_it_does_not_list() {
    let all: Vec<u64> = (0..5000).collect();
    let notification = told(&all, &[], 0, 0).notification(None);
    let receipt = per_group().receipt(&notification).unwrap();
    assert!(receipt.0.len() < 30_000, "{}", receipt.0.len());
    let event = sent(&per_group(), &notification);
    assert!(event["payload"]["summary"].as_str().unwrap().starts_with("at least 5000 alerts fire: "), "{event}");
    assert_eq!(event["payload"]["custom_details"]["alerts"].as_array().unwrap().len(), 5000, "each has its name");
    // All that are listed end, the others fire.
    let ended = told(&all[..1000], &[], 0, 0).fires;
    let next = told(&[], &ended, 4000, 0).notification(Some(receipt));
    assert!(per_group().without_request(&next).is_some(), "left open");
    let receipt = per_group().receipt(&next);
    assert_eq!(receipt.as_ref().map(|receipt| &*receipt.0), Some("group warning more"));
    let last = told(&[], &all[1000..], 0, 0).notification(receipt);
    assert_eq!(sent(&per_group(), &last)["event_action"], "resolve");
}

#[test]
fn an_unreadable_receipt_counts_as_none() {
    for text in ["", "group", "group critical", "group critical 1", "group x 1@2 more", "v2 1@2", "group critical zz@1"]
    {
        let notification = told(&[1], &[], 0, 0).notification(Some(Receipt(text.to_owned())));
        assert_eq!(sent(&per_group(), &notification)["event_action"], "trigger", "{text}");
    }
}
