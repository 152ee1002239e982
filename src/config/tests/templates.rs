//! Templates in receivers, and what else a webhook has.

use super::{MARK, lines, read, rendered};

fn file(service: &str) -> String {
    format!("receivers:\n  - name: a\n    {}\nroute:\n  receivers: [a]\n", service.replace('\n', "\n    "))
}

/// The problems of a receiver, the place without the name of the file.
fn check(service: &str, expected: &[&str]) {
    let said: Vec<_> = lines(&file(service)).iter().map(|line| line.trim_start_matches("f:").to_owned()).collect();
    assert_eq!(said, expected, "{service}");
}

const HOOK: &str = "slack:\n  webhook_url: {env: HOOK}";

#[test]
fn what_is_right_is_taken() {
    for service in [
        &format!(
            "{HOOK}\n  title: '{{{{ title }}}}'\n  text: |\n    {{% for alert in alerts %}}{{{{ alert.name }}}}{{% endfor %}}"
        ),
        "pagerduty: {routing_key: {env: KEY}, summary: '{{ alert.labels.service }} is down'}",
        "grafana: {url: http://x, token: {env: TOKEN}, text: '<b>{{ title }}</b>'}",
        "webhook: {url: {env: HOOK}, body: '{\"text\": {{ title }}}'}",
        "webhook: {url: {env: HOOK}, body: '{{ title }}', headers: {Content-Type: text/plain}}",
        "webhook: {url: {env: HOOK}, body: '[{{ title }}]', headers: {content-type: application/vnd.x+json; charset=utf-8}}",
        "webhook: {url: {env: HOOK}, headers: {Authorization: {env: TOKEN}, x-team: checkout}}",
        "webhook: {url: {env: HOOK}, secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}",
    ] {
        check(service, &[]);
    }
}

#[test]
fn mistakes_in_templates_have_their_place_and_a_hint() {
    check(
        &format!("{HOOK}\n  title: '{{{{ titel }}}}'"),
        &["5:18: error: `title`: `titel` is not known; did you mean `title`?"],
    );
    // In a block the place is that of the template's own line, however it is indented.
    let text = "  text: |\n    {% for alert in alerts %}\n\n      é {{ alert.lables.job }}\n    {% endfor %}";
    check(
        &format!("{HOOK}\n{text}"),
        &["8:22: error: `text`: `lables` is not known (with a sample of an alert that fires); did you mean `labels`?"],
    );
    // Of a folded one the reader cannot tell.
    let text = "  text: >\n    one\n\n    {{ titel }}";
    check(&format!("{HOOK}\n{text}"), &["6:9: error: line 2 of `text`: `titel` is not known; did you mean `title`?"]);
    check(
        &format!("{HOOK}\n  text: '{{{{ title | trunc(5) }}}}'"),
        &[
            "5:25: error: `text`: filter trunc is unknown (with a sample of an alert that fires); README.md lists what a template knows",
        ],
    );
    check(
        &format!("{HOOK}\n  text: '{{% if title %}}x'"),
        &["5:28: error: `text`: unexpected end of input, expected end of block"],
    );
    check(
        "pagerduty: {routing_key: {env: KEY}, summary: '{{ alerts[1].name }}'}",
        &[
            "3:55: error: `summary`: `alerts[1].name` is not always there (with a sample of an alert that fires); ask for it first: `{% if … %}`",
        ],
    );
    check(
        "grafana: {url: http://x, token: {env: TOKEN}, text: '{{ title | safe }}'}",
        &[
            "3:69: error: `text`: filter safe is unknown (with a sample of an alert that fires); what comes out of `{{ }}` is always escaped for the service; write markup outside of it",
        ],
    );
    check(
        "webhook: {url: {env: HOOK}, body: '{\"text\": \"{{ title }}\"}'}",
        &[
            "3:39: error: `body`: it does not become JSON: expected `,` or `}`, near `{\"text\": \"\"[FIRING:1] HighError` (with a sample of an alert that fires); `{{ x }}` is a JSON value with its quotes; join texts inside: `{{ \"a \" ~ x }}`",
        ],
    );
    check(
        "webhook: {url: {env: HOOK}, body: '{{ resolved[0].name if resolved else \"\" }}', headers: {content-type: text/plain}}",
        &[
            "3:39: error: `body`: it renders to nothing (with a sample of an alert that fires); the built-in text would take its place; write an `else`, or `{{ x or title }}`",
        ],
    );
    check(
        "slack: {webhook_url: {env: HOOK}, title: [a]}",
        &["3:46: error: `title` must be a single value, and this is a list"],
    );
}

#[test]
fn as_rustc_would_show_it() {
    let service = "slack:\n  webhook_url: {env: HOOK}\n  text: |\n    {% for alert in firing %}\n      *{{ alert.anotations.summary }}*\n    {% endfor %}";
    insta::assert_snapshot!(rendered(&file(service)));
}

#[test]
fn headers_are_checked() {
    let check = |headers: &str, expected: &[&str]| {
        check(&format!("webhook: {{url: {{env: HOOK}}, headers: {headers}}}"), expected);
    };
    check("{Host: x}", &["3:43: error: the header `host` cannot be set; it comes from `url`"]);
    check(
        "{Transfer-Encoding: chunked}",
        &["3:43: error: the header `transfer-encoding` cannot be set; it belongs to the connection"],
    );
    check(
        "{webhook-signature: x}",
        &["3:43: error: the header `webhook-signature` cannot be set; it is made with `secret`"],
    );
    check("{'x y': z}", &["3:43: error: this is no name of a header; letters, digits and `-`, as in `x-team`"]);
    check(
        "{X-Team: a, x-team: b}",
        &["3:54: error: the header `x-team` is there already; names of headers do not differ by their case"],
    );
    check(
        "{x-team: \"a\\r\\nx-evil: b\"}",
        &["3:51: error: `headers` must be one line of ASCII without blanks at its ends"],
    );
    check(
        "{x-team: {env: ODD}}",
        &["3:57: error: the environment variable ODD (`headers`) must be one line of ASCII without blanks at its ends"],
    );
    check("{content-type: {env: TOKEN}}", &["3:57: error: `content-type` must be a single value, and this is a map"]);
    check("{x-team: }", &["3:49: error: a header needs a value; give it one, or remove the header"]);
    check("[a]", &["3:42: error: `headers` must be a map, and this is a list; write `NAME: VALUE`"]);
}

#[test]
fn signing_secrets_are_checked_and_never_shown() {
    let check = |secret: &str, expected: &[&str]| {
        check(&format!("webhook: {{url: {{env: HOOK}}, secret: {secret}}}"), expected);
    };
    let hint = "make one: `echo whsec_$(openssl rand -base64 32)`";
    check("{env: TOKEN}", &[&format!("3:41: error: `secret` must be 24 to 64 random bytes in base64; {hint}")]);
    check(
        "[whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, 'whsec_!']",
        &[&format!("3:82: error: `secret` is not base64 after `whsec_`; {hint}")],
    );
    check("[]", &["3:41: error: `secret` names no secret; remove the key, or give it one"]);
    let (config, problems) = read(&file("webhook: {url: {env: HOOK}, headers: {authorization: {env: TOKEN}}}"));
    let shown = format!("{config:?} {problems:?}");
    assert!(!shown.contains(MARK), "{shown}");
}
