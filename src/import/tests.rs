//! What becomes of a file, feature by feature: the output without its head, then the problems.

use super::*;
use crate::config::{self, secret::System};

/// Stands for every secret; it must never be seen.
const MARK: &str = "s3cr3tmarker";

fn run(text: &str, keep_secrets: bool) -> (Option<Imported>, Vec<Problem>) {
    let options = Options { file: "alertmanager.yml".to_owned(), keep_secrets };
    let (imported, problems) = import(text.as_bytes(), &options);
    for problem in &problems {
        let shown = problem.render("f");
        assert!(!shown.contains(MARK), "{shown}");
    }
    if let Some(Imported { text, variables }) = &imported {
        assert!(keep_secrets || !text.contains(MARK), "{text}");
        let (config, problems) = config::parse(text.as_bytes(), &config::Options::without_secrets(), &System);
        assert!(config.is_some(), "{problems:?}\n{text}");
        // The list is complete.
        for name in text.split("{ env: ").skip(1).filter_map(|rest| rest.split_once(" }")).map(|(name, _)| name) {
            assert!(name.contains('…') || variables.iter().any(|variable| variable.name == name), "{name}\n{text}");
        }
    }
    (imported, problems)
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.one_line("f") + "\n").collect()
}

/// Everything from `receivers:` on, or from the first line that is no comment; then the problems.
fn body(text: &str) -> String {
    let (imported, problems) = run(text, false);
    let text = imported.map(|imported| imported.text).unwrap_or_default();
    let start = text.find("receivers:\n  - ").unwrap_or_default();
    format!("{}\n{}", &text[start..], lines(&problems))
}

/// The part of one receiver, and the problems.
fn receiver(name: &str, rest: &str) -> String {
    let text = format!("receivers:\n- name: '{name}'\n{rest}route: {{receiver: '{name}'}}\n");
    let body = body(&text);
    let (receivers, problems) = body.split_once("\nroute:\n").unwrap_or(("", &body));
    let problems = problems.split_once("\n\n").map_or(problems, |(_, problems)| problems);
    format!("{}\n\n{problems}", receivers.trim_start_matches("receivers:\n"))
}

/// The part of the tree, and the problems. There are the receivers a (a webhook), b (Slack and PagerDuty) and none.
fn tree(route: &str) -> String {
    let text = format!(
        "receivers:\n- {{name: a, webhook_configs: [{{url: $A}}]}}\n\
         - {{name: b, slack_configs: [{{api_url: $B, send_resolved: true}}], pagerduty_configs: [{{routing_key: $C}}]}}\n\
         - name: none\nroute:\n{route}"
    );
    let body = body(&text);
    let warning = "f:3:86: warning: one incident for each alert here, for each group in Alertmanager; an alert that joins a \
                   group opens an incident of its own\n";
    let body = body.replace(warning, "");
    body.split_once("\nroute:\n").map_or(body.clone(), |(_, tree)| tree.to_owned())
}

#[test]
fn a_whole_file() {
    let text = include_str!("example.yml");
    let (imported, problems) = run(text, false);
    insta::assert_snapshot!(imported.unwrap().text);
    insta::assert_snapshot!(
        "a_whole_file_problems",
        problems.iter().map(|problem| problem.render("alertmanager.yml") + "\n\n").collect::<String>()
    );
}

#[test]
fn slack() {
    insta::assert_snapshot!(receiver(
        "team-x",
        "  slack_configs:\n  - api_url: https://hooks.slack.com/s3cr3tmarker\n    channel: '#ops'\n    title: '{{ .X }}'\n"
    ));
}

#[test]
fn slack_in_a_file() {
    insta::assert_snapshot!(receiver(
        "a",
        "  slack_configs: [{api_url_file: slack/url, send_resolved: yes, timeout: 15s}]\n"
    ));
}

#[test]
fn slack_elsewhere() {
    insta::assert_snapshot!(receiver(
        "a",
        "  slack_configs: [{api_url: https://mattermost.example/hooks/s3cr3tmarker}]\n"
    ));
}

#[test]
fn slack_without_an_address() {
    insta::assert_snapshot!(receiver("a", "  slack_configs: [{api_url: '', channel: x}]\n"));
}

#[test]
fn slack_with_a_token() {
    insta::assert_snapshot!(receiver(
        "bot",
        "  slack_configs:\n  - {channel: '#ops', app_token: s3cr3tmarker, title: '{{ .X }}'}\n  - {channel: C01234, app_token_file: /x, send_resolved: true, update_message: true, app_url: https://slack-gov.com/api/chat.postMessage}\n"
    ));
}

#[test]
fn slack_with_a_token_that_cannot_be_imported() {
    for (keys, why) in [
        (
            "channel: '#ops', api_url: https://slack.com/api/chat.postMessage, http_config: {authorization: {credentials: s3cr3tmarker}}",
            "the token of its Slack app is in `http_config`; here `slack` has `token` and `channel`",
        ),
        ("channel: '#ops', http_config: {authorization: {credentials_file: /x}}", "the token of its Slack app is in"),
        ("channel: '#ops', http_config: {bearer_token: s3cr3tmarker}", "the token of its Slack app is in"),
        ("app_token: s3cr3tmarker", "Slack with a token needs a `channel`, and it has none"),
        ("app_token: s3cr3tmarker, channel: '{{ .X }}'", "its `channel` is a template"),
        ("app_token: s3cr3tmarker, channel: '@jane'", "its `channel` names no channel"),
    ] {
        let got = receiver("bot", &format!("  slack_configs: [{{{keys}}}]\n"));
        // The comment may be wrapped.
        let text = got.replace("\n    # ", " ");
        assert!(text.contains(&format!("TODO: {why}")), "{why}: {got}");
        assert!(got.contains("url: { env: TODO_BOT }\n    send_resolved: false"), "{got}");
    }
}

#[test]
fn slack_inherits() {
    let file = |global: &str, own: &str| {
        body(&format!(
            "global: {{{global}}}\nreceivers: [{{name: a, slack_configs: [{{{own}}}]}}]\nroute: {{receiver: a}}\n"
        ))
    };
    let has = |got: String, expected: &str| assert!(got.contains(expected), "{got}");
    has(file("slack_api_url: https://hooks.slack.com/s3cr3tmarker", ""), "webhook_url: { env: SLACK_WEBHOOK_URL }");
    has(
        file("slack_api_url: https://hooks.slack.com/s3cr3tmarker", "api_url: 'https://hooks.slack.com/x'"),
        "{ env: A_SLACK_WEBHOOK_URL }",
    );
    has(file("slack_api_url_file: /x", ""), "webhook_url: { file: /x }");
    has(file("slack_app_token: s3cr3tmarker", "channel: x"), "token: { env: SLACK_BOT_TOKEN }\n      channel: x\n");
    has(file("slack_app_token_file: /x", "channel: x"), "token: { file: /x }\n      channel: x\n");
    has(
        file("slack_app_token: $T, slack_app_url: http://proxy/api/chat.postMessage", "channel: x"),
        "channel: x\n      api_url: 'http://proxy/api'\n",
    );
    has(file("slack_app_token_file: /x", "api_url: https://hooks.slack.com/x"), "{ env: A_SLACK_WEBHOOK_URL }");
    has(file("slack_api_url: https://slack.com/api/chat.postMessage", ""), "# TODO: the token of its Slack app");
    // One secret, one variable.
    let two = "global: {slack_api_url: https://hooks.slack.com/s3cr3tmarker}\n\
               receivers: [{name: a, slack_configs: [{}]}, {name: b, slack_configs: [{api_url: https://hooks.slack.com/s3cr3tmarker}]}]\n\
               route: {receiver: a}";
    assert_eq!(body(two).matches("{ env: SLACK_WEBHOOK_URL }").count(), 2);
}

#[test]
fn slack_channels_that_share_an_address() {
    insta::assert_snapshot!(body(
        "global: {slack_api_url: 'https://hooks.slack.com/s3cr3tmarker'}
receivers:
- {name: a, slack_configs: [{channel: '#a'}]}
- {name: b, slack_configs: [{channel: '#b'}, {channel: '#a'}]}
- {name: c, slack_configs: [{}]}
- {name: d, slack_configs: [{api_url_file: /x, channel: d}]}
- {name: e, slack_configs: [{api_url_file: /x, channel: d}]}
route: {receiver: a, routes: [{receiver: b}, {receiver: c}, {receiver: d}, {receiver: e}]}
"
    ));
}

#[test]
fn pagerduty() {
    insta::assert_snapshot!(receiver(
        "oncall",
        "  pagerduty_configs:\n  - routing_key: s3cr3tmarker\n    severity: critical\n    url: https://events.eu.pagerduty.com/v2/enqueue\n"
    ));
}

#[test]
fn pagerduty_in_a_file() {
    insta::assert_snapshot!(receiver(
        "oncall",
        "  pagerduty_configs: [{routing_key_file: /run/key, url: https://events.pagerduty.com/v2/enqueue/, send_resolved: no}]\n"
    ));
}

#[test]
fn pagerduty_by_its_old_api() {
    insta::assert_snapshot!(receiver("oncall", "  pagerduty_configs: [{service_key: s3cr3tmarker, description: x}]\n"));
}

#[test]
fn pagerduty_inherits_its_address() {
    let file = |url: &str| {
        body(&format!(
            "global: {{pagerduty_url: '{url}'}}\nreceivers: [{{name: a, pagerduty_configs: [{{routing_key: s3cr3tmarker}}]}}]\nroute: {{receiver: a}}"
        ))
    };
    let got = file("http://proxy:1/x");
    assert!(got.contains("      url: 'http://proxy:1/x'\n"), "{got}");
    let got = file("http://user:s3cr3tmarker@proxy/");
    assert!(!got.contains("      url: "), "{got}");
    assert!(got.contains("f:1:25: warning: this `url` is left out"), "{got}");
}

#[test]
fn webhook() {
    insta::assert_snapshot!(receiver(
        "a",
        "  webhook_configs:\n  - url: http://x/s3cr3tmarker\n    max_alerts: 5\n    http_config: {tls_config: {insecure_skip_verify: true}}\n  - {url_file: /run/hook, max_alerts: 0, send_resolved: false}\n"
    ));
}

#[test]
fn webhook_that_cannot_be_imported() {
    insta::assert_snapshot!(receiver(
        "a",
        "  webhook_configs:\n  - {url: 'http://x/{{ .GroupLabels.team }}'}\n  - {url: http://x, http_config: {basic_auth: {username: u, password: s3cr3tmarker}}}\n  - {max_alerts: 1}\n"
    ));
}

#[test]
fn timeouts() {
    let check = |timeout: &str, expected: Option<&str>, warned: bool| {
        let got = receiver("a", &format!("  webhook_configs: [{{url: http://x, timeout: {timeout}}}]\n"));
        let taken = got.lines().find_map(|line| line.trim().strip_prefix("timeout: "));
        assert_eq!((taken, got.contains("warning")), (expected, warned), "{got}");
    };
    check("15s", Some("15s"), false);
    check("1m30s", Some("1m30s"), false);
    check("0s", None, false);
    check("1h", None, true);
    check("1.5s", None, true);
}

#[test]
fn email() {
    let text = "global: {smtp_smarthost: 'mx:25', smtp_from: am@x.org, smtp_hello: am.x.org, smtp_auth_username: am, smtp_auth_password: s3cr3tmarker}\n\
                receivers: [{name: mails, email_configs: [{to: 'a@x.org, B <b@x.org>', from: b@x.org, headers: {Subject: x}, html: y}, \
                {to: c@x.org, smarthost: 'mx2:465', auth_username: c, auth_password_file: /run/c, send_resolved: true, tls_config: {ca_file: /etc/ca.pem, insecure_skip_verify: true}}]}]\n\
                route: {receiver: mails}\n";
    insta::assert_snapshot!(body(text));
}

#[test]
fn email_and_its_tls() {
    let check = |keys: &str, expected: &[&str], warned: &str| {
        let got = receiver("a", &format!("  email_configs: [{{to: a@x.org, from: b@x.org, {keys}}}]\n"));
        let lines: Vec<_> = got
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("tls:") || line.starts_with("auth:") || line.starts_with("ca_file:"))
            .collect();
        assert_eq!(lines, expected, "{got}");
        assert_eq!(got.contains("warning"), !warned.is_empty(), "{got}");
        assert!(got.contains(warned), "{got}");
    };
    check("smarthost: 'mx:587'", &[], "");
    check("smarthost: 'mx:465'", &[], "");
    check("smarthost: 'mx:25', require_tls: false", &["tls: none"], "");
    check("smarthost: 'mx:25', require_tls: false, tls_config: {ca_file: x}", &["tls: none"], "");
    check("smarthost: 'mx:465', require_tls: false", &[], "");
    check("smarthost: 'mx:2465', force_implicit_tls: true", &["tls: tls"], "");
    check("smarthost: 'mx:465', force_implicit_tls: false", &["tls: starttls"], "");
    check("smarthost: 'mx:25', tls_config: {ca_file: /x, insecure_skip_verify: false}", &["ca_file: /x"], "");
    check("smarthost: 'mx:25', tls_config: {server_name: y}", &[], "`server_name` of `tls_config` has no counterpart");
    let password = "auth: { username: u, password: { env: A_SMTP_PASSWORD } }";
    check("smarthost: 'mx:25', auth_username: u, auth_password: s3cr3tmarker", &[password], "");
    check(
        "smarthost: 'mx:25', auth_username: u, auth_password: s3cr3tmarker, require_tls: false",
        &[password],
        "`require_tls: false` is not taken over",
    );
}

#[test]
fn email_that_cannot_be_imported() {
    let check = |keys: &str, why: &str| {
        let got = receiver("a", &format!("  email_configs: [{{{keys}}}]\n"));
        assert!(got.contains(&format!("# TODO: {why}. Here stood:")) && got.contains("url: { env: TODO_A }"), "{got}");
    };
    let fine = "from: b@x.org, smarthost: 'mx:25'";
    check(fine, "it has no `to`");
    check(&format!("to: '{{{{ .X }}}}', {fine}"), "its `to` is a template; each address needs a receiver of its own");
    check(&format!("to: nobody, {fine}"), "its `to` is no address");
    check("to: a@x.org, smarthost: 'mx:25'", "there is neither `from` nor `smtp_from`");
    check("to: a@x.org, from: b@x.org", "there is neither `smarthost` nor `smtp_smarthost`");
    check("to: a@x.org, from: b@x.org, smarthost: 'mx:smtp'", "its `smarthost` does not end in the number of a port");
    check(
        &format!("to: a@x.org, {fine}, auth_username: u, auth_secret: s3cr3tmarker"),
        "CRAM-MD5 (`auth_secret`) is not supported, a password is",
    );
    check(&format!("to: a@x.org, {fine}, auth_username: u"), "there is an `auth_username` without a password");
}

#[test]
fn every_other_service_is_a_placeholder() {
    let kinds = [
        ("discord", true),
        ("incidentio", true),
        ("jira", true),
        ("mattermost", true),
        ("msteams", true),
        ("msteamsv2", true),
        ("opsgenie", true),
        ("pushover", true),
        ("rocketchat", false),
        ("sns", true),
        ("telegram", true),
        ("victorops", true),
        ("webex", true),
        ("wechat", false),
        ("hipchat", false),
        ("carrierpigeon", true),
    ];
    for (kind, sends_resolved) in kinds {
        let got = receiver("a b", &format!("  {kind}_configs: [{{api_key: s3cr3tmarker, api_url: x}}]\n"));
        assert!(got.contains("  - name: a b\n    # TODO: "), "{got}");
        let stub = format!("    #   {kind}_configs:\n    #     - api_key: …\n    #       api_url: …\n");
        assert!(got.contains(&stub), "{got}");
        assert!(got.contains("url: { env: TODO_A_B }"), "{got}");
        assert_eq!(got.contains("send_resolved: false"), !sends_resolved, "{got}");
        assert!(got.contains(&format!("warning: `{kind}_configs` cannot be imported: ")), "{got}");
    }
    insta::assert_snapshot!(receiver(
        "a",
        "  telegram_configs:\n  - chat_id: -100\n    bot_token: s3cr3tmarker\n    message: >-\n      x\n      y\n"
    ));
}

#[test]
fn several_integrations() {
    insta::assert_snapshot!(body(
        "receivers:
- name: x
  slack_configs: [{api_url: https://hooks.slack.com/1}, {api_url: https://hooks.slack.com/2, send_resolved: true}]
  opsgenie_configs: [{api_key: x}]
  labels: {team: x}
- {name: x-slack, webhook_configs: [{url: http://x}]}
route: {receiver: x, routes: [{receiver: x-slack}]}
"
    ));
}

#[test]
fn secrets_can_be_kept() {
    let text = format!(
        "receivers: [{{name: a, slack_configs: [{{api_url: 'https://hooks.slack.com/{MARK}'}}], webhook_configs: [{{url: <secret>}}, {{url: $HOOK}}]}}]\n\
         route: {{receiver: a}}"
    );
    let (imported, problems) = run(&text, true);
    let Imported { text, variables } = imported.unwrap();
    assert_eq!(problems, []);
    assert!(text.contains(&format!("webhook_url: 'https://hooks.slack.com/{MARK}'\n")), "{text}");
    let names: Vec<_> = variables.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(names, ["A_WEBHOOK_URL", "HOOK"]);
    assert!(text.contains("This file holds secrets"), "{text}");
}

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

#[test]
fn everything_that_leaves_routing_unclear_is_said_at_once() {
    insta::assert_snapshot!(body(
        r#"receivers:
- {name: a, webhook_configs: [{url: $A}]}
- {name: a}
- webhook_configs: {url: x}
- name: null
- x
- {name: c, name: d, slack_configs: [s3cr3tmarker, {send_resolved: maybe}]}
route:
  matchers: [a=b]
  routes:
  - receiver: A
    matchers: [a=~"(", b==c]
    match_re: {x: '[', '': y, z: [1], n: , a: b, a: c}
    continue: maybe
  - receiver: nobody
    matchers: a=b
    repeat_interval: soon
    match: x
  - null
  - routes: {}
"#
    ));
}

#[test]
fn a_null_is_no_name() {
    let text = "receivers: [{name: a, webhook_configs: [{url: $A}]}]\nroute: {receiver: a, routes: [{receiver: null, matchers: [a=b]}]}";
    insta::assert_snapshot!(body(text));
    assert!(
        body("receivers: []\nroute: {receiver: null}")
            .contains("f:2:9: error: the root needs a `receiver`; `null` without quotes")
    );
}

#[test]
fn unknown_keys_are_warned_of() {
    insta::assert_snapshot!(body(
        "x-y: {}
s3cr3tmarker1: {}
global: {new_thing: x, resolve_timeout: 5m, opsgenie_api_key: s3cr3tmarker, http_config: {proxy_url: x}}
receivers: [{name: a, flavour: x, webhook_configs: [{url: $A, s3cr3tmarker: 1}]}]
route: {receiver: a, weight: 1, continue: true, mute_time_intervals: [x]}
"
    ));
}

#[test]
fn anchors_and_merge_keys_are_resolved() {
    insta::assert_snapshot!(body(
        "receivers:
- {name: a, slack_configs: [&s {api_url: https://hooks.slack.com/s3cr3tmarker, send_resolved: true}]}
- {name: b, slack_configs: [{<<: *s, channel: x}]}
route:
  receiver: a
  routes:
  - &r {matchers: &m [a=b], receiver: b}
  - {<<: *r, matchers: [c=d]}
  - {matchers: *m}
"
    ));
}

#[test]
fn what_is_no_such_file() {
    let check = |text: &str, expected: &str| assert_eq!(lines(&run(text, false).1), expected);
    check("", "f:1:1: error: the file is empty; it needs at least `receivers` and `route`\n");
    check("- a", "f:1:1: error: the file must be a map, and this is a list\n");
    check(
        "groups: []",
        "f:1:1: error: the file has no `route`; is it an alertmanager.yml?\nf:1:1: warning: unknown key `groups` in the file; it is left out; is it a slip, or from a newer Alertmanager?\n",
    );
    check(
        "route: {}\n---\nroute: {}",
        "f:3:1: error: cannot be read as YAML: only single YAML document expected but multiple found; remove `---` and what follows it\n",
    );
    check(
        "route: {receiver: {{ .Values.x }}}",
        "f:1:19: error: `receiver` must be a single value, and this is a map\n",
    );
}

#[test]
fn a_classic_matcher_is_kept() {
    let got = tree("  receiver: a\n  routes: [{receiver: b, matchers: ['a=~\"\\d+\"', 'b = c d']}]\n");
    let odd = tree("  receiver: a\n  routes: [{receiver: b, matchers: ['{a=b} ']}, {matchers: [\"a=b\\n\"]}]\n");
    assert!(odd.contains("matchers: ['{a=b} ']\n") && odd.contains("matchers: [a=b]\n"), "{odd}");
    assert!(got.contains("- a=~\"\\d+\"\n") && got.contains("- b = c d\n") && !got.contains("f:"), "{got}");
}

#[test]
fn names_that_we_do_not_take() {
    let got = body("receivers: [{name: \" a\\tb\", webhook_configs: [{url: $A}]}]\nroute: {receiver: \" a\\tb\"}");
    assert!(got.contains("- name: a_b\n") && got.contains("receivers: [a_b]"), "{got}");
    assert!(
        got.contains("f:1:20: warning: the name ` a\\tb` is not taken here; the receiver is called `a_b`"),
        "{got}"
    );
}

proptest::proptest! {
    #[test]
    fn never_panics_never_leaks_and_is_always_read(
        text in r##"(receivers:|route:|name|slack_configs|webhook_configs|api_url|url|s3cr3tmarker|receiver|matchers|match|'a=b'|global|null|[:,{}\[\]'"#&*-]|: |- |\n|\n  |  |é){0,40}"##
    ) {
        let _ = run(&text, false);
    }

    #[test]
    fn a_secret_anywhere_in_a_sound_file_is_not_shown(place in 0..24_usize, replacement in proptest::sample::select(vec![MARK, "{s3cr3tmarker: 1}", "[s3cr3tmarker]"])) {
        let text = "global: {slack_api_url: P, smtp_auth_password: P, http_config: {basic_auth: {password: P}}}
receivers:
- {name: a, slack_configs: [{api_url: P, title: P, fields: P, http_config: P}], pagerduty_configs: [{routing_key: P, service_key: P, url: P, details: P}]}
- {name: b, webhook_configs: [{url: P, url_file: /x, payload: P, http_config: {authorization: {credentials: P}}}], email_configs: [{auth_password: P, html: P}]}
- {name: c, telegram_configs: [{bot_token: P}], new_configs: [P], victorops_configs: [{routing_key: P}], opsgenie_configs: P}
route: {receiver: a, labels: P}
templates: P
x: P
";
        let parts: Vec<_> = text.split('P').collect();
        let place = place % (parts.len() - 1);
        let filled: String = parts.iter().enumerate().map(|(at, part)| {
            let value = if at == place { replacement } else { "x" };
            if at + 1 == parts.len() { (*part).to_owned() } else { format!("{part}{value}") }
        }).collect();
        let _ = run(&filled, false);
    }
}

#[test]
fn what_a_last_route_takes_anyway_is_not_dropped_once_more() {
    let open = tree("  receiver: none\n  routes: [{receiver: a, matchers: [x=y]}]\n");
    assert!(open.contains("receivers: []") && open.contains("what no route takes is dropped"), "{open}");
    let closed = tree("  receiver: none\n  routes: [{receiver: a, matchers: [x=y]}, {receiver: b}]\n");
    assert!(!closed.contains("receivers: []") && !closed.contains("is dropped"), "{closed}");
}
