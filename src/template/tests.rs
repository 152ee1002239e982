use proptest::prelude::*;

use super::*;
use crate::notification::{Digest, Granularity};
use crate::receiver::fixture;

fn template(source: &str, escape: Escape) -> Template {
    Template::compile("text", source, escape).unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn rendered(source: &str, escape: Escape, notification: &Notification) -> String {
    template(source, escape).render(notification).unwrap_or_else(|error| panic!("{source}: {error}"))
}

/// What `check` says: the message with its line, what stands there, the unknown name, the hint.
fn wrong(source: &str, escape: Escape) -> String {
    let checked = Template::compile("text", source, escape)
        .and_then(|template| template.check(Granularity::Group).map(|()| template));
    let Err(error) = checked else { return "nothing".to_owned() };
    let at = error.at.map_or("", |(_, offset)| source[offset..].lines().next().unwrap_or_default());
    [error.to_string(), at.to_owned(), error.hint.unwrap_or_default().to_owned()].join(" | ")
}

#[test]
fn what_is_known_has_alertmanagers_names() {
    let check = |source: &str, expected: &str| {
        assert_eq!(rendered(source, Escape::Plain, &fixture::single()), expected, "{source}");
    };
    check("{{ status }} {{ alerts[0].labels.instance }} {{ alerts | length }}", "firing web-00:9100 1");
    check("{{ groupLabels.service }} {{ commonLabels.job }} {{ receiver }}", "checkout node hook");
    check("{{ commonAnnotations.summary }}", "5xx > 5%");
    check("{{ externalURL }} {{ truncatedAlerts }} {{ version }}", "http://am.example:9093 0 4");
    check("{{ alert.startsAt }} {{ alert.endsAt }}", "2026-11-21T19:00:00.5Z 0001-01-01T00:00:00Z");
    check("{{ alert.startsAt | time }}, {{ alert.startsAt | time('%H:%M') }}", "2026-11-21 19:00 UTC, 19:00");
    check("{{ alert.startsAt | since }} {{ alert.duration }}[{{ alert.endsAt | time }}]", "4m 4m[]");
    check("{{ 1e300 | duration }}[{{ 'NaN' | float | duration }}]", "11574074d 1h[NaN]");
    check("{{ 7500 | duration }} {{ 'abcdef' | truncate(5) }} {{ 'a\n b' | oneline }}", "2h 5m ab… a b");
    check(
        "{{ title }} / {{ alertname }} / {{ severity }} / {{ level }}",
        "[FIRING:1] HighErrorRate / HighErrorRate / critical / critical",
    );
    check("{{ summary }} {{ alert.name }} {{ alert.reason }}", "5xx > 5% HighErrorRate first");
    check(
        "{% for link in links %}{{ link.label }} {% endfor %}{{ links[0].url }}",
        "Runbook Dashboard Source https://runbooks.example/high-error-rate",
    );
    check("{{ firing | length }} {{ resolved | length }} [{{ fallback }}{{ digest }}]", "1 0 []");
    check("{{ notification.attempt }} {{ notification.reasons[alert.fingerprint] }}", "1 first");
    check("[{{ alert.labels.nope }}{{ alert.annotations['no such'] }}{{ commonLabels.nope }}]", "[]");
    check("{{ alert.labels | items | map('first') | join(',') }}", "alertname,instance,job,service,severity");
    check("[{{ notification.fallback }}{{ 'x' if notification.digest }}]", "[]");
    check(
        "{{ 'javascript:x' | url }}{{ alert.annotations.dashboard_url | url }}",
        "https://grafana.example/d/abc?var-x=1&y=2",
    );
    assert!(
        rendered("{{ silenceURL }}", Escape::Plain, &fixture::single()).contains("/#/silences/new?filter=%7Balertname")
    );
}

/// Whoever knows the JSON knows the names.
#[test]
fn everything_of_the_default_body_has_its_name() {
    let hook = crate::receiver::webhook::Webhook { url: "http://x".into(), ..Default::default() };
    for name in ["0.33-mixed", "0.25-04-truncated-max_alerts-2-firing"] {
        let notification = fixture::captured(name);
        let outgoing = crate::receiver::Receiver::encode(&hook, &notification).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&outgoing.body).unwrap();
        for (key, value) in body.as_object().unwrap() {
            let json = rendered(&format!("{{{{ {key} }}}}"), Escape::Json, &notification);
            let mut own: serde_json::Value = serde_json::from_str(&json).unwrap();
            if key == "alerts" {
                let known = value[0].as_object().unwrap();
                own.as_array_mut().unwrap().iter_mut().for_each(|alert| {
                    alert.as_object_mut().unwrap().retain(|field, _| known.contains_key(field));
                });
            }
            assert_eq!(&own, value, "{key}");
        }
    }
    // What is suggested exists.
    for name in context::ROOT.iter().filter(|name| !["range", "namespace"].contains(name)) {
        rendered(&format!("x{{{{ {name} }}}}"), Escape::Plain, &fixture::single());
    }
    for name in context::ALERT {
        rendered(&format!("x{{{{ alert.{name} }}}}"), Escape::Plain, &fixture::single());
    }
    for name in context::NOTIFICATION {
        rendered(&format!("x{{{{ notification.{name} }}}}"), Escape::Plain, &fixture::single());
    }
    for name in filters::NAMES {
        let unknown = wrong(&format!("x{{{{ title | {name} }}}}"), Escape::Plain);
        assert!(!unknown.contains("is unknown"), "{unknown}");
    }
}

#[test]
fn a_digest_and_a_fallback_say_so() {
    let single = fixture::as_fallback(fixture::single());
    let source = "{{ fallback }} / {{ notification.fallback.for }}";
    assert_eq!(
        rendered(source, Escape::Plain, &single),
        "Fallback for oncall: HTTP 503: no <healthy> upstream & *more* for 5m / oncall"
    );
    let digest = Digest { notifications: 12, since: fixture::at("2026-11-21T19:00:00Z") };
    let single = Notification { digest: Some(digest), ..single };
    let source = "{{ digest }}, since {{ notification.digest.since | time('%H:%M') }}";
    assert_eq!(
        rendered(source, Escape::Plain, &single),
        "12 notifications in one message: more came than the rate limit lets through; 1 fired, since 19:00"
    );
}

#[test]
fn the_worst_that_fires_comes_first() {
    let alert = |name, severity| fixture::alert(&[("alertname", name), ("severity", severity)], &[]);
    let alerts = vec![
        fixture::resolved(alert("Over", "critical")),
        alert("Slow", "warning"),
        alert("Down", "critical"),
        alert("Late", "warning"),
    ];
    let mixed = fixture::of(fixture::group(), alerts, fixture::at("2026-11-21T19:31:00Z"));
    let source =
        "{{ alert.name }} {{ firing | map(attribute='name') | join('+') }} {{ resolved[0].duration }} {{ title }}";
    assert_eq!(
        rendered(source, Escape::Plain, &mixed),
        "Down Down+Slow+Late 29m [FIRING:3 · RESOLVED:1] Down, Slow and 2 more"
    );
    assert_eq!(rendered("[{{ alertname }}]", Escape::Plain, &mixed), "[]", "they differ");
}

/// An alert whose label and runbook are full of markup.
fn evil() -> Notification {
    let evil = "<!channel> *b* \"q\" & </a>\n> x";
    let alert = fixture::alert(&[("alertname", "A"), ("x", evil)], &[("runbook_url", "https://x.example/_a_?b=1&c=2")]);
    fixture::of(fixture::group(), vec![alert], fixture::at("2026-11-21T19:31:00Z"))
}

#[test]
fn what_comes_out_of_braces_is_data() {
    let evil = evil();
    let check =
        |source: &str, escape, expected: &str| assert_eq!(rendered(source, escape, &evil), expected, "{source}");
    let x = "{{ alert.labels.x }}";
    check(
        "*bold* <!here> {{ alert.labels.x }}",
        Escape::Mrkdwn,
        "*bold* <!here> &lt;!channel&gt; ∗b∗ \"q\" &amp; &lt;/a&gt;\n› x",
    );
    check(
        "<b>{{ alert.labels.x }}</b>",
        Escape::Html,
        "<b>&lt;!channel&gt; *b* &quot;q&quot; &amp; &lt;/a&gt;\n&gt; x</b>",
    );
    check(x, Escape::Json, r#""<!channel> *b* \"q\" & </a>\n> x""#);
    check(x, Escape::Plain, "<!channel> *b* \"q\" & </a>\n> x");
    check("{{ alert.labels.x | markdown }}", Escape::Plain, "\\<!channel\\> \\*b\\* \"q\" & \\</a\\>\n\\> x");
    // A link is one, whatever is in it.
    check("<{{ links[0].url }}|x>", Escape::Mrkdwn, "<https://x.example/_a_?b=1&amp;c=2|x>");
    check("<{{ alert.annotations.runbook_url | url }}|x>", Escape::Mrkdwn, "<https://x.example/_a_?b=1&amp;c=2|x>");
    check("{{ links[0].url | link('a|b>') }}", Escape::Mrkdwn, "<https://x.example/_a_?b=1&amp;c=2|a|b&gt;>");
    check("{{ links[0].url | link('a') }}", Escape::Html, "<a href=\"https://x.example/_a_?b=1&amp;c=2\">a</a>");
    check("{{ links[0].url | link('a') }}", Escape::Plain, "a: https://x.example/_a_?b=1&c=2");
    check("{{ 'javascript:x' | link('<a>') }}", Escape::Html, "&lt;a&gt;");
    check("{{ links[0].url }}", Escape::Json, "\"https://x.example/_a_?b=1&c=2\"");
}

#[test]
fn there_is_no_way_around_the_escaping() {
    let evil = evil();
    for around in [
        "{% autoescape false %}{{ alert.labels.x }}{% endautoescape %}",
        "{% autoescape 'none' %}{{ alert.labels.x }}{% endautoescape %}",
        "{% set x = alert.labels.x %}{{ x }}",
        "{% set x %}{{ alert.labels.x }}{% endset %}{{ x }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(alert.labels.x) }}",
        "{% for part in [alert.labels.x] %}{{ part }}{% endfor %}",
        "{{ [alert.labels.x] | join(', ') }}",
        "{{ '%s' | format(alert.labels.x) }}",
        "{{ alert.labels.x | replace('q', 'r') }}",
        "{{ links[0].url ~ alert.labels.x }}",
        "{{ links[0].url | replace('x', alert.labels.x) }}",
        "{{ [links[0].url, alert.labels.x] | join(alert.labels.x) }}",
        "{{ links[0].url | join(alert.labels.x) }}",
        "{{ (links[0].url ~ '%s') | format(alert.labels.x) }}",
        "{{ alert.labels.x | default(links[0].url) | upper }}",
        "{{ links[0].url | link(alert.labels.x) | replace('a', alert.labels.x) | trim }}",
        "{{ links[0].url if false else alert.labels.x }}",
        "{{ {'a': alert.labels.x} }}",
        "{{ [alert.labels.x] }}",
        "{{ alert.labels.x | indent }}",
        "{{ alert.labels }}",
        "{% filter upper %}{{ alert.labels.x }}{% endfilter %}",
    ] {
        for escape in [Escape::Mrkdwn, Escape::Html] {
            if let Ok(out) = Template::compile("text", around, escape).map(|template| template.render(&evil)) {
                let got_out = |out: &String| out.contains("<!") || out.contains("</a>") && !around.contains("link(");
                assert!(!out.as_ref().is_ok_and(got_out), "{around}: {out:?}");
            }
        }
        if let Ok(template) = Template::compile("text", around, Escape::Json) {
            let out = template.render(&evil);
            assert!(!out.as_ref().is_ok_and(|out| serde_json::from_str::<serde_json::Value>(out).is_err()), "{around}");
        }
    }
}

#[test]
fn mistakes_are_found_before_the_night() {
    let check = |source: &str, escape, expected: &str| assert_eq!(wrong(source, escape), expected, "{source}");
    let plain = Escape::Plain;
    check("{{ title }}", plain, "nothing");
    check("{{ titel }}", plain, "line 1: `titel` is not known | titel }} | ");
    check("a\n{{ alert.lables.job }}", plain, "line 2: `lables` is not known | lables.job }} | ");
    check(
        "{% for a in alerts %}{{ a.lable }}{% endfor %}",
        plain,
        "line 1: `lable` is not known (with a sample of an alert that fires) | lable }}{% endfor %} | ",
    );
    check("x{% if false %}{{ alrt }}{% endif %}", plain, "line 1: `alrt` is not known | alrt }}{% endif %} | ");
    check("x{% if false %}\n{{ alert.foo }}{% endif %}", plain, "line 2: `foo` is not known | foo }}{% endif %} | ");
    check(
        "{{ title | uper }}",
        plain,
        "line 1: filter uper is unknown (with a sample of an alert that fires) | uper }} | ",
    );
    check(
        "{{ title | safe }}",
        Escape::Mrkdwn,
        "line 1: filter safe is unknown (with a sample of an alert that fires) | safe }} | what comes out of `{{ }}` is always escaped for the service; write markup outside of it",
    );
    check("{% for a in alerts %}x", plain, "line 1: unexpected end of input, expected end of block | x | ");
    check("{% include 'x' %}", plain, "line 1: unknown statement include | include 'x' %} | ");
    check(
        "{{ notification.fallback.for }}",
        plain,
        "line 1: `notification.fallback.for` is not always there (with a sample of an alert that fires) | notification.fallback.for }} | ask for it first: `{% if … %}`",
    );
    check(
        "{{ alerts[1].name }}",
        plain,
        "line 1: `alerts[1].name` is not always there (with a sample of an alert that fires) | alerts[1].name }} | ask for it first: `{% if … %}`",
    );
    check(
        "{{ summary if resolved else '' }}",
        plain,
        "it renders to nothing (with a sample of an alert that fires) |  | the built-in text would take its place; write an `else`, or `{{ x or title }}`",
    );
    check("{{ alert.labels.region }} {{ commonAnnotations.team }}", plain, "nothing");
    check(
        "{{ alert.labels.port | int + 1 }}",
        plain,
        "line 1: cannot parse float from empty string (with a sample of an alert that fires) | int + 1 }} | ",
    );
    check(
        "{\"a\": \"{{ title }}\"}",
        Escape::Json,
        "it does not become JSON: expected `,` or `}`, near `{\"a\": \"\"[FIRING:1] HighError` (with a sample of an alert that fires) |  | `{{ x }}` is a JSON value with its quotes; join texts inside: `{{ \"a \" ~ x }}`",
    );
    check(
        "[{% for a in alerts %}{{ a.name }},{% endfor %}]",
        Escape::Json,
        "it does not become JSON: expected value, near `[\"HighErrorRate\",]` (with a sample of an alert that fires) |  | `{{ x }}` is a JSON value with its quotes; join texts inside: `{{ \"a \" ~ x }}`",
    );
}

#[test]
fn a_runaway_template_ends() {
    for source in [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='x') %}{% for a in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
        "{{ 'a' * 900000000 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ] {
        let error = template(source, Escape::Plain).render(&fixture::single()).unwrap_err();
        assert!(error.contains("it takes too long") || error.contains("recursion"), "{source}: {error}");
    }
    // A text may be long: the receiver cuts it anyway. JSON may not.
    let long = "{% for a in range(2000) %}{{ 'é' * 2000 }}{% endfor %}";
    assert_eq!(rendered(long, Escape::Plain, &fixture::single()).len(), MAX_OUTPUT);
    let long =
        format!("[{}1]", long.replace("{{", "{{ a }},{{ 2 }},{#").replace("}}{% endfor", "#}\"{{ 2 }}{% endfor"));
    assert!(template(&long, Escape::Json).render(&fixture::single()).is_err());
}

#[test]
fn a_template_of_a_thousand_alerts_takes_a_part_of_the_fuel() {
    let alerts =
        (0..1000).map(|n| fixture::alert(&[("alertname", "A"), ("n", &n.to_string())], &[("summary", "it is bad")]));
    let many = fixture::of(fixture::group(), alerts.collect(), fixture::at("2026-11-21T19:31:00Z"));
    let source = "{% for a in firing %}*{{ a.name }}* {{ a.summary }}\n{% for name, value in a.labels | items %}{{ name }}={{ value }} {% endfor %}<{{ a.silenceURL }}|Silence>\n{% endfor %}";
    assert!(rendered(source, Escape::Mrkdwn, &many).lines().count() == 2000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn json_is_json_whatever_labels_hold(value in "\\PC{0,40}|[\"\\\\{}\n\u{0}\u{2028}]{0,40}") {
        let alert = fixture::alert(&[("alertname", &value), ("x", &value)], &[("summary", &value)]);
        let notification = fixture::of(fixture::group(), vec![alert], fixture::at("2026-11-21T19:31:00Z"));
        let json = rendered("{\"x\": {{ alert.labels.x }}, \"y\": {{ 'a ' ~ summary }}}", Escape::Json, &notification);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(json["x"].as_str().unwrap(), value.as_str());
    }
}
