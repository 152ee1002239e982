//! Receivers, key by key.

use super::*;

#[test]
fn receivers_are_checked() {
    let url = "webhook: {url: http://x/}";
    check_receiver(url, &[]);
    check_receiver(
        "",
        &["f:1:13: error: a receiver needs a service; add `slack`, `pagerduty`, `grafana`, `webhook` or `email`"],
    );
    check_receiver(
        "webhook: {url: http://x/}, slack: {webhook_url: {env: HOOK}}",
        &[
            "f:1:23: error: a receiver has one service, and this one has `slack` already; put `webhook` into a receiver of its own",
        ],
    );
    check_receiver(&format!("{url}, timeout: 0s"), &["f:1:59: error: `timeout` must be between 100ms and 5m"]);
    check_receiver(
        &format!("{url}, timeout: 5"),
        &["f:1:59: error: `timeout`: the number needs a unit; durations are written as `30s`, `4h` or `1d12h`"],
    );
    check_receiver(&format!("{url}, send_resolved: yes"), &["f:1:65: error: `send_resolved` must be true or false"]);
    check_receiver(
        &format!("{url}, send_resolved:"),
        &["f:1:50: error: `send_resolved` has no value; give it one, or remove the key"],
    );
    check_receiver(
        &format!("{url}, retry: {{max_age: 99y}}"),
        &["f:1:67: error: `max_age` must be between 1s and 4w2d"],
    );
    check_receiver(
        &format!("{url}, rate_limit: {{rate: 1/d, burst: 0, overflow: drop}}"),
        &[
            "f:1:69: error: `rate` must be a number per second, minute or hour; rates are written as `1/s`, `30/m` or `100/h`, from 1 to 10000",
            "f:1:81: error: `burst` must be a whole number of at least 1 and at most 10000",
            "f:1:94: error: unknown `overflow`; write `overflow: wait` or `overflow: digest`",
        ],
    );
    check_receiver("webhook: x", &["f:1:32: error: `webhook` must be a map, and this is a single value"]);
    check_receiver(
        "grafana: {url: 'http://u:s3cr3tmarker@x', token: {env: TOKEN}}",
        &["f:1:38: error: `url` must not hold a user name or password; an address begins with http:// or https://"],
    );
    check_receiver(
        "grafana: {url: ftp://x, token: {env: TOKEN}, panel_id: 1}",
        &[
            "f:1:38: error: `url` must be an http or https address; an address begins with http:// or https://",
            "f:1:68: error: `panel_id` without `dashboard_uid`; a panel belongs to a dashboard: name both",
        ],
    );
}

#[test]
fn grafana_is_checked() {
    let check = |keys: &str, expected: &[&str]| {
        check_receiver(&format!("grafana: {{url: http://x, token: {{env: TOKEN}}, {keys}}}"), expected);
    };
    for namespace in ["default", "org-2", "stacks-123"] {
        check(&format!("namespace: {namespace}"), &[]);
    }
    for namespace in ["Default", "org-", "stacks-1a", "2"] {
        check(
            &format!("namespace: {namespace}"),
            &[
                "f:1:80: error: `namespace` is not one of Grafana's; write `default`, `org-2` for organisation 2, or `stacks-123` for a stack of Grafana Cloud",
            ],
        );
    }
}

#[test]
fn the_retention_is_checked() {
    for retention in ["30d", "1d", "1y", "4w"] {
        check_route(&format!("route: {{receivers: [a]}}\nretention: {retention}"), &[]);
    }
    let bounds = "f:3:12: error: `retention` must be between 1d and 1y";
    check_route(
        "route: {receivers: [a]}\nretention: 23h",
        &[&format!("{bounds}; dead letters must still be there when somebody looks for them")],
    );
    check_route(
        "route: {receivers: [a]}\nretention: 366d",
        &[&format!("{bounds}; keep what is older in the logs: the database is no archive")],
    );
    check_route(
        "route: {receivers: [a]}\nretention: 30",
        &["f:3:12: error: `retention`: the number needs a unit; durations are written as `30s`, `4h` or `1d12h`"],
    );
    let retention = |text: &str| {
        read(&format!("receivers: [{{name: a, webhook: {{url: http://x/}}}}]\n{text}")).0.unwrap().retention
    };
    assert_eq!(retention("route: {receivers: [a]}"), Duration::from_hours(720));
    assert_eq!(retention("route: {receivers: [a]}\nretention: 2w"), Duration::from_hours(336));
}

#[test]
fn pagerduty_is_checked() {
    let check = |keys: &str, expected: &[&str]| {
        check_receiver(&format!("pagerduty: {{routing_key: {{env: KEY}}, {keys}}}"), expected);
    };
    check("incident_per: group, severity_map: {page: critical, Ticket: warning, 5: info}", &[]);
    check("incident_per: alert, url: 'https://events.eu.pagerduty.com/v2/enqueue'", &[]);
    check("severity_map: {}", &[]);
    check(
        "incident_per: service",
        &["f:1:74: error: unknown `incident_per`; write `incident_per: alert` or `incident_per: group`"],
    );
    let severities = "it has `critical`, `error`, `warning` and `info`";
    check(
        "severity_map: {page: high, ticket: Critical, ok: info}",
        &[
            &format!("f:1:81: error: `high` is no severity of PagerDuty; {severities}"),
            &format!("f:1:95: error: `Critical` is no severity of PagerDuty; {severities}"),
        ],
    );
    check(
        "severity_map: {page: info, PAGE: error}",
        &["f:1:87: error: the severity `page` is mapped twice; keep one of them; upper and lower case are the same"],
    );
    check(
        "severity_map: [page]",
        &["f:1:74: error: `severity_map` must be a map, and this is a list; write `{page: critical, ticket: warning}`"],
    );
    check(
        "severity_map: {page: [critical]}",
        &["f:1:81: error: PagerDuty's severity must be a single value, and this is a list"],
    );
    check("severity_map:", &["f:1:60: error: `severity_map` has no value; give it one, or remove the key"]);
    check(
        "region: eu, severity: critical",
        &[
            "f:1:60: error: unknown key `region`; accounts of the EU have `url: https://events.eu.pagerduty.com/v2/enqueue`",
            "f:1:72: error: unknown key `severity`; the label `severity` of each alert says it; map other words with `severity_map`",
        ],
    );
}

#[test]
fn digests_are_for_those_who_keep_no_incidents() {
    check_receiver("webhook: {url: http://x/}, rate_limit: {overflow: digest}", &[]);
    check_receiver(
        "grafana: {url: http://x, token: y}, rate_limit: {overflow: digest}",
        &[
            "f:1:82: error: this service takes no digests: what it opens it has to close by name; write `overflow: wait`",
        ],
    );
}
