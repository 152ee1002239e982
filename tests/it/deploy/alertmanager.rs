//! deploy/alertmanager: the numbers in it fit those of the router. That Alertmanager takes it is `routes_file`.

use serde_json::{Value, json};

use super::{list, read, text, yaml};

/// Whole hours.
fn hours(text: &str) -> u64 {
    text.strip_suffix('h').and_then(|hours| hours.parse().ok()).unwrap_or_else(|| panic!("{text} is not in hours"))
}

#[test]
fn what_still_fires_comes_often_enough_to_be_told_again() {
    let (alertmanager, routes) = (yaml(&read("deploy/alertmanager/alertmanager.yml")), yaml(&read("routes.yaml")));
    let theirs = hours(text(&alertmanager, "/route/repeat_interval"));
    let ours = hours(text(&routes, "/route/repeat_interval"));
    // Each of the router's is met by one of Alertmanager's, and a change of the group delays it by half of it at most.
    assert!(theirs * 2 <= ours && ours.is_multiple_of(theirs), "{theirs}h and {ours}h");
    let direct = &list(&alertmanager, "/route/routes")[0];
    assert_eq!(direct["receiver"], "oncall-direct", "the router's own pages have to be looked at first");
}

/// The receiver for a router elsewhere is the other one, with what the network asks for.
#[test]
fn both_receivers_say_the_same() {
    let alertmanager = yaml(&read("deploy/alertmanager/alertmanager.yml"));
    let webhook = |name: &str| {
        let all = list(&alertmanager, "/receivers");
        let found = all.iter().find(|receiver| receiver["name"] == name).unwrap();
        list(found, "/webhook_configs")[0].clone()
    };
    let (near, mut far) = (webhook("alertrouter"), webhook("alertrouter-elsewhere"));
    let http = far["http_config"].as_object_mut().unwrap();
    let authorization = http.remove("authorization").unwrap();
    assert_eq!(authorization["credentials_file"], "/etc/alertmanager/alertrouter-token");
    assert!(http.remove("tls_config").is_some_and(|tls| tls["ca_file"].is_string()));
    assert!(text(&far, "/url").starts_with("https://"));
    far["url"] = near["url"].clone();
    assert_eq!(far, near);
    assert_eq!(
        (&near["send_resolved"], &near["http_config"]),
        (&Value::Bool(true), &json!({"follow_redirects": false}))
    );
    // README: 16 MiB a body (--max-body), 10,000 alerts of it. Shipped alerts take less than 3 KiB each.
    let most = near["max_alerts"].as_u64().unwrap();
    assert!(most * 3 * 1024 <= 16 * 1024 * 1024 && most <= 10_000, "{most} alerts may not fit into a body");
}
