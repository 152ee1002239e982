//! Events stay below 512 KB.

use super::*;

#[test]
fn the_longest_texts_are_cut_first() {
    // Half a megabyte of one description; all the rest is short.
    let mut notification = sized(&[(3, 2, 9), (3, 2, 9), (3, 2, 9)]);
    notification.alerts[1].alert.annotations =
        [("description", &*"x".repeat(600_000)), ("summary", "short")].into_iter().collect();
    let event = sent(&per_group(), &notification);
    let alerts = &event["payload"]["custom_details"]["alerts"];
    assert_eq!(alerts[0]["annotations"]["description"].as_str(), Some("\"x\\\"x\\\"x\\"));
    assert_eq!(alerts[1]["annotations"]["summary"], "short");
    assert_eq!(alerts[1]["annotations"]["description"].as_str().unwrap().len(), 16_384);
    // Forty of them have to become shorter, and nothing else does.
    let long = "y".repeat(30_000);
    let mut notification = sized(&[(3, 2, 90); 40]);
    for notified in &mut notification.alerts {
        notified.alert.annotations = [("description", &*long), ("summary", "short")].into_iter().collect();
    }
    let event = sent(&per_group(), &notification);
    let alerts = event["payload"]["custom_details"]["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 40);
    for alert in alerts {
        assert_eq!(alert["annotations"]["description"].as_str().unwrap().len(), 8192, "{alert}");
        assert_eq!(alert["labels"]["label_0"].as_str().unwrap().len(), 90);
    }
}

#[test]
fn a_thousand_labels_keep_their_names() {
    let wide = fixture::hostile().into_iter().find(|(name, _)| *name == "wide").unwrap().1;
    let event = body(&wide);
    let details = &event["payload"]["custom_details"];
    let whole = (4000, 4000);
    let labels = |key: &str| details[key].as_object().unwrap().len();
    assert_eq!((labels("labels"), labels("annotations")), whole, "texts are cut, pairs are not left out");
}

#[test]
fn alerts_too_many_to_be_named_one_by_one_are_counted() {
    // More than could be named one by one: 20,000 of 500 names.
    let mut notification = sized(&[(60, 0, 0); 500]);
    let more: Vec<Notified> = (0..20_000)
        .map(|n| {
            let mut alert = notification.alerts[n % 500].alert.clone();
            alert.fingerprint = Fingerprint(n as u64);
            Notified { alert, reason: Reason::First }
        })
        .collect();
    notification.alerts = more;
    let event = sent(&per_group(), &notification);
    assert_eq!(named(&event), 20_000);
}

/// Every kind of event that there is. With `PAGERDUTY_CORPUS=FOLDER` they are also written there, a file each, to be held
/// against PagerDuty's own description.
#[test]
fn a_corpus_of_events() {
    let mut corpus: Vec<(String, Value)> = Vec::new();
    let singles = [
        ("trigger", fixture::single()),
        ("resolve", fixture::single_resolved()),
        ("fallback", fixture::as_fallback(fixture::single())),
    ];
    corpus.extend(singles.map(|(name, notification)| (name.to_owned(), body(&notification))));
    for (name, notification) in fixture::hostile() {
        for (kind, notification) in
            [("hostile", notification.clone()), ("hostile fallback", fixture::as_hostile_fallback(notification))]
        {
            if per_group().without_request(&notification).is_none() {
                corpus.push((format!("{kind} group {name}"), sent(&per_group(), &notification)));
            }
            let alerts = vec![notification.alerts[0].clone()];
            corpus.push((format!("{kind} {name}"), body(&Notification { alerts, ..notification })));
        }
    }
    let groups = [
        ("group", told(&[1, 2, 3], &[4], 2, 5)),
        ("group resolve", told(&[], &[1, 2], 0, 0)),
        ("group huge", told(&(0..3000).collect::<Vec<_>>(), &[], 0, 0)),
    ];
    corpus.extend(groups.map(|(name, told)| (name.to_owned(), sent(&per_group(), &told.notification(None)))));
    corpus.push(("group of long texts".to_owned(), sent(&per_group(), &sized(&[(200, 10, 3000); 60]))));
    let images = [("image_url", "https://x.example/1.png"), ("dashboard_url", "https://x.example/d")];
    let alert = fixture::alert(&[("alertname", "A"), ("severity", "page")], &images);
    let pictured = fixture::of(fixture::group(), vec![alert], fixture::at("2026-11-21T20:00:00Z"));
    corpus.push(("image".to_owned(), body(&pictured)));
    let mut mapped = pagerduty();
    mapped.severity_map = vec![("page".to_owned(), Level::Info)];
    corpus.push(("mapped severity".to_owned(), sent(&mapped, &pictured)));
    assert!(corpus.len() > 50, "{}", corpus.len());
    if let Some(folder) = std::env::var_os("PAGERDUTY_CORPUS") {
        for (name, event) in corpus {
            fs::write(Path::new(&folder).join(name.replace(' ', "-") + ".json"), event.to_string()).unwrap();
        }
    }
}
