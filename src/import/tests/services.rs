//! What a receiver of Alertmanager becomes.

use super::*;

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
