//! The routing tree.

use super::*;

#[test]
fn routes() {
    insta::assert_snapshot!(tree(
        r#"
  receiver: a
  group_by: [alertname]
  repeat_interval: 12h
  routes:
  - receiver: b
    matchers: [severity="critical", 'team=~"x|y"', "{a=b,c!=d}"]
    match: {job: api, quoted: 'a"b\c', empty: , number: 007, on: yes}
    match_re: {zone: eu-.*}
    continue: True
    routes:
    - matchers: []
      repeat_interval: 90m
    - matchers: ['größe="1"']
      receiver: none
      routes: [{matchers: [x=y]}]
  - {}
"#
    ));
}

#[test]
fn the_root_drops() {
    insta::assert_snapshot!(tree(
        "
  receiver: none
  routes:
  - matchers: [a=b]
    routes: [{matchers: [c=d], receiver: a}]
  - matchers: [e=f]
    receiver: b
"
    ));
}

#[test]
fn nobody_is_told_of_anything() {
    insta::assert_snapshot!(body("receivers: [{name: 'null', slack_configs: }]\nroute: {receiver: 'null'}"));
}

#[test]
fn what_stays_in_alertmanager() {
    insta::assert_snapshot!(tree(
        "
  receiver: a
  routes:
  - group_by: ['...']
    group_wait: 10s
    mute_time_intervals: [weekends, nights]
    labels: {x: y}
  - active_time_intervals: [days]
    receiver: b
  - group_interval: 1h
"
    ));
}

#[test]
fn the_head_tells_what_alertmanager_needs() {
    let head = |route: &str| {
        let text = format!(
            "receivers: [{{name: a, webhook_configs: [{{url: $A}}]}}]\ntime_intervals: []\nroute:\n  receiver: a\n{route}"
        );
        let text = run(&text, false).0.unwrap().text;
        text.split_once("\nreceivers:\n").unwrap().0.to_owned()
    };
    insta::assert_snapshot!(
        "head_of_one_route",
        head("  group_by: [alertname, 'a b']\n  group_wait: 30s\n  routes: [{repeat_interval: 1h}]")
    );
    let repeats = |route: &str, expected: &str| {
        let head = head(route);
        assert!(head.contains(&format!("#       repeat_interval: {expected} #")), "{head}");
    };
    repeats("", "4h");
    repeats("  repeat_interval: 12h", "12h");
    repeats("  repeat_interval: 12h\n  routes: [{repeat_interval: 1d}]", "12h");
    repeats("  routes: [{repeat_interval: 1d}]", "4h");
    insta::assert_snapshot!("head_of_routes_that_stay", head("  routes: [{group_by: [x]}]"));
}

#[test]
fn intervals() {
    let check = |interval: &str, expected: &str| {
        let got = tree(&format!("  receiver: a\n  repeat_interval: {interval}\n"));
        assert!(got.contains(expected), "{got}");
    };
    check("1d12h", "repeat_interval: 1d12h\n");
    check("90s", "repeat_interval: 90s\n");
    check("2y", "repeat_interval: 1y\n");
    check("2y", "warning: `repeat_interval` is a year at most here; `0s` never repeats");
    check("0s", "error: `repeat_interval` must be longer than 0s");
    check("1.5h", "error: `repeat_interval`: a duration is made of whole numbers");
}
