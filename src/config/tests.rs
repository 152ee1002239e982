use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::secret::SecretFile;
use super::*;
use crate::notification::ReceiverName;

mod templates;

/// A folder that goes away with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A new folder with these files, which only their owner can read.
pub(crate) fn folder(files: &[(&str, &str)]) -> Folder {
    let name = format!("alertrouter-{}-{:016x}", std::process::id(), fastrand::u64(..));
    let folder = Folder(std::env::temp_dir().join(name));
    fs::create_dir_all(&folder.0).unwrap();
    for (name, content) in files {
        let path = folder.0.join(name);
        fs::write(&path, content).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    folder
}

/// Stands wherever a secret could be; must never come out.
const MARK: &str = "s3cr3tmarker";
const KEY: &str = "s3cr3tmarkers3cr3tmarkers3cr3tma";

struct Fake;

impl SecretSource for Fake {
    fn env(&self, name: &str) -> Option<String> {
        let value = match name {
            "HOOK" => format!("https://hooks.example/{MARK}"),
            "KEY" => KEY.to_owned(),
            "TOKEN" => MARK.to_owned(),
            "EMPTY" => String::new(),
            "ODD" => format!("{MARK} é\n"),
            _ => return None,
        };
        Some(value)
    }

    fn file(&self, path: &Path) -> io::Result<SecretFile> {
        let file = |content: &str, others_can_read| Ok(SecretFile { content: content.to_owned(), others_can_read });
        match path.to_str().unwrap() {
            "base/hook" | "/hook" => file(&format!("https://hooks.example/{MARK}\n"), false),
            "base/open" => file(MARK, true),
            "base/empty" => file("\n", false),
            "base/binary" => Err(io::ErrorKind::InvalidData.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn read(text: &str) -> (Option<Config>, Vec<Problem>) {
    let options = Options { resolve_secrets: true, base: "base".into() };
    let (config, problems) = parse(text.as_bytes(), &options, &Fake);
    for problem in &problems {
        for shown in [problem.one_line("f"), problem.render("f")] {
            assert!(!shown.contains(MARK), "a secret is shown: {shown}");
        }
    }
    (config, problems)
}

fn lines(text: &str) -> Vec<String> {
    read(text).1.iter().map(|problem| problem.one_line("f")).collect()
}

fn rendered(text: &str) -> String {
    read(text).1.iter().map(|problem| problem.render("routes.yaml") + "\n\n").collect()
}

/// What is wrong with a file of one webhook receiver `a`, to which `receiver` adds keys, and with `rest` after it.
#[track_caller]
fn check_in(receiver: &str, rest: &str, expected: &[&str]) {
    let text = format!("receivers: [{{name: a, {receiver}}}]\n{rest}");
    assert_eq!(lines(&text), expected, "{text}");
}

#[track_caller]
fn check_receiver(receiver: &str, expected: &[&str]) {
    check_in(receiver, "route: {receivers: [a]}", expected);
}

#[track_caller]
fn check_route(rest: &str, expected: &[&str]) {
    check_in("webhook: {url: http://x/}", rest, expected);
}

#[test]
fn a_whole_file() {
    let (config, problems) = read(
        "receivers:
- name: oncall
  pagerduty: {routing_key: {env: KEY}}
  timeout: 5s
  retry: {max_age: 1d12h}
  fallback: chat
  fallback_after: 2m
- name: chat
  slack: {webhook_url: {file: hook}}
  send_resolved: false
- name: graphs
  grafana: {url: http://grafana:3000/, token: {env: TOKEN}, tags: [a, 1], dashboard_uid: x, panel_id: 4}
  rate_limit: {rate: 30/m, burst: 3, overflow: wait}
- name: other
  webhook: {url: http://localhost:1/x?y=z}
dedup: {ignore_labels: [replica], settle: 1m}
route:
  receivers: [chat]
  repeat_interval: 0s
  routes:
  - matchers: ['severity=\"critical\", job!~\"test|dev\"', team=db]
    receivers: [oncall, chat]
    continue: true
    repeat_interval: 1h
    routes: [{matchers: [x=y]}, {receivers: []}]
  - receivers: [graphs, other]
",
    );
    assert_eq!(problems, []);
    let config = config.unwrap();
    insta::assert_snapshot!(definitions(&config));
    insta::assert_snapshot!(tree(&config), @r#"
    [] -> chat repeat 0s
    [severity="critical", job!~"test|dev", team="db"] -> oncall chat repeat 1h continue
    [x="y"] -> oncall chat repeat 1h
    [] ->  repeat 1h
    [] -> graphs other repeat 0s
    "#);
    assert_eq!(config.ignore_labels, ["replica"]);
    assert_eq!(config.settle, Duration::from_mins(1));
    assert!(!format!("{config:?}").contains(MARK));
}

fn definitions(config: &Config) -> String {
    config.receivers.iter().fold(String::new(), |mut text, definition| {
        let _ = writeln!(text, "{:?} {:?} {:?}", definition.target, definition.delivery, definition.fallback);
        text
    })
}

fn tree(config: &Config) -> String {
    let mut text = String::new();
    for route in config.tree.root.walk() {
        let matchers: Vec<String> = route.matchers.iter().map(ToString::to_string).collect();
        let receivers: Vec<&str> = route.receivers.iter().map(ReceiverName::as_str).collect();
        let repeat = yaml::duration::show(route.repeat_interval);
        let more = if route.continues { " continue" } else { "" };
        let _ = writeln!(text, "[{}] -> {} repeat {repeat}{more}", matchers.join(", "), receivers.join(" "));
    }
    text
}

#[test]
fn defaults() {
    let (config, _) = read(
        "receivers:
- {name: s, slack: {webhook_url: {env: HOOK}}}
- {name: p, pagerduty: {routing_key: {env: KEY}}}
- {name: g, grafana: {url: http://g, token: {env: TOKEN}}}
- {name: w, webhook: {url: {file: /hook}}}
route: {receivers: [s, p, g, w]}",
    );
    let config = config.unwrap();
    insta::assert_snapshot!(definitions(&config));
    assert_eq!(config.tree.root.repeat_interval, Duration::from_hours(4));
    assert_eq!((config.settle, config.ignore_labels), (Duration::from_mins(5), Vec::<String>::new()));
}

#[test]
fn many_mistakes_at_once() {
    insta::assert_snapshot!(rendered(include_str!("testdata/mistakes.yaml")));
}

#[test]
fn files_that_are_none() {
    let check = |bytes: &[u8], expected: &str| {
        let (config, problems) = parse(bytes, &Options::default(), &Fake);
        assert!(config.is_none());
        assert_eq!(problems.iter().map(|problem| problem.one_line("f")).collect::<Vec<_>>(), [expected]);
    };
    check(b"", "f:1:1: error: the file is empty; it needs at least `receivers` and `route`");
    check(b"\xef\xbb\xbf# x\n", "f:2:1: error: the file is empty; it needs at least `receivers` and `route`");
    check(b"- a\n", "f:1:1: error: the file must be a map, and this is a list");
    check(b"hello", "f:1:1: error: the file must be a map, and this is a single value");
    check(
        "a: é\nb: \u{e9}".as_bytes().split_last().unwrap().1,
        "f:2:4: error: the file is not UTF-8 from here on; save it as UTF-8",
    );
    check(&vec![b'#'; 10 << 20], "f: error: the file is larger than 1 MiB; is it the right file?");
    check(
        b"a:\n\t- b\n",
        "f:2:2: error: cannot be read as YAML: tabs disallowed within this context (block indentation); indent with spaces",
    );
    check(b"a: [\n", "f:1:4: error: cannot be read as YAML: unclosed bracket '['");
}

#[test]
fn byte_order_mark_and_line_ends_are_fine() {
    let text = "\u{feff}receivers:\r\n- {name: a, webhook: {url: http://x/}}\r\nroute: {receivers: [a]}\r\n";
    assert_eq!(lines(text), Vec::<String>::new());
    let aliases =
        "receivers:\n- &a {name: a, webhook: {url: http://x/}}\n- {<<: *a, name: b}\nroute: {receivers: [a, b]}";
    assert_eq!(lines(aliases), Vec::<String>::new());
}

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

/// What is wrong with a file of webhook receivers: each its name and further keys, a line each. Only the first is named by
/// a route.
#[track_caller]
fn check_fallbacks(receivers: &[&str], expected: &[&str]) {
    let items: Vec<String> =
        receivers.iter().map(|keys| format!("- {{webhook: {{url: http://x/}}, name: {keys}}}\n")).collect();
    let text = format!("receivers:\n{}route: {{receivers: [a]}}", items.concat());
    assert_eq!(lines(&text), expected, "{text}");
}

#[test]
fn fallbacks_are_checked() {
    check_fallbacks(&["a, fallback: b", "b, fallback: c, fallback_after: 24h", "c"], &[]);
    check_fallbacks(&["a, fallback: b, fallback_after: 10s", "b"], &[]);
    check_fallbacks(
        &["a, fallback: teem", "team"],
        &[
            "f:2:50: error: there is no receiver `teem`; did you mean `team`?",
            "f:3:37: warning: no route uses the receiver `team`; name it in `receivers` of a route, or remove it",
        ],
    );
    check_fallbacks(
        &["a, fallback: nobody"],
        &["f:2:50: error: there is no receiver `nobody`; add it to the `receivers`, or remove `fallback`"],
    );
    check_fallbacks(
        &["a, fallback: a"],
        &["f:2:50: error: `a` cannot be its own fallback; name another receiver, or remove `fallback`"],
    );
    check_fallbacks(
        &["a, fallback: b, fallback_after: 0s", "b"],
        &[
            "f:2:69: error: `fallback_after` must be between 10s and 1d; what has failed once is tried again within seconds; dead letters fall back at once",
        ],
    );
    check_fallbacks(
        &["a, fallback: b, fallback_after: 25h", "b"],
        &["f:2:69: error: `fallback_after` must be between 10s and 1d; later than that nobody is helped"],
    );
    check_fallbacks(
        &["a, fallback: b, fallback_after: 5"],
        &[
            "f:2:50: error: there is no receiver `b`; add it to the `receivers`, or remove `fallback`",
            "f:2:69: error: `fallback_after`: the number needs a unit; durations are written as `30s`, `4h` or `1d12h`",
        ],
    );
    check_fallbacks(
        &["a, fallback_after: 1m"],
        &["f:2:40: error: `fallback_after` without `fallback`; say who is told then: `fallback: NAME`"],
    );
    check_fallbacks(
        &["a, fallback: [b]", "b"],
        &[
            "f:2:50: error: `fallback` must be a single value, and this is a list",
            "f:3:37: warning: no route uses the receiver `b`; name it in `receivers` of a route, or remove it",
        ],
    );
    check_fallbacks(
        &["a, fallback:", "b, fallback: a"],
        &[
            "f:2:40: error: `fallback` has no value; give it one, or remove the key",
            "f:3:37: warning: no route uses the receiver `b`; name it in `receivers` of a route, or remove it",
        ],
    );
}

#[test]
fn fallbacks_that_go_in_a_circle() {
    let hint = "one of them must be the last: remove its `fallback`";
    check_fallbacks(
        &["a, fallback: b", "b, fallback: a"],
        &[&format!("f:2:50: error: fallbacks go in a circle: a → b → a; {hint}")],
    );
    // Two circles, each once; what leads into one is no part of it.
    let two = ["a, fallback: c", "b, fallback: c", "c, fallback: d", "d, fallback: e", "e, fallback: c"];
    let more = ["x, fallback: y", "y, fallback: x", "z, fallback: z"];
    let unused = |line: usize, name: &str| {
        let hint = "name it in `receivers` of a route, or remove it";
        format!("f:{line}:37: warning: no route uses the receiver `{name}`; {hint}")
    };
    let expected = [
        unused(3, "b"),
        format!("f:4:50: error: fallbacks go in a circle: c → d → e → c; {hint}"),
        unused(7, "x"),
        format!("f:7:50: error: fallbacks go in a circle: x → y → x; {hint}"),
        unused(8, "y"),
        unused(9, "z"),
        "f:9:50: error: `z` cannot be its own fallback; name another receiver, or remove `fallback`".to_owned(),
    ];
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check_fallbacks(&[&two[..], &more[..]].concat(), &expected);
}

#[test]
fn a_fallback_is_used_if_its_receiver_is() {
    check_fallbacks(
        &["a, fallback: b", "c", "b, fallback: d", "d"],
        &["f:3:37: warning: no route uses the receiver `c`; name it in `receivers` of a route, or remove it"],
    );
    check_fallbacks(
        &["a", "b, fallback: c", "c"],
        &[
            "f:3:37: warning: no route uses the receiver `b`; name it in `receivers` of a route, or remove it",
            "f:4:37: warning: no route uses the receiver `c`; name it in `receivers` of a route, or remove it",
        ],
    );
}

#[test]
fn secrets_are_checked_and_never_shown() {
    let check = |secret: &str, expected: &[&str]| check_receiver(&format!("webhook: {{url: {secret}}}"), expected);
    check("{env: HOOK}", &[]);
    check("{file: hook}", &[]);
    check("https://hooks.example/s3cr3tmarker", &[]);
    check("{env: NONE}", &["f:1:44: error: the environment variable NONE is not set; set it for `url`"]);
    check("{env: s3cr3tmarker}", &["f:1:44: error: that variable is not set; set it for `url`"]);
    check("{env: EMPTY}", &["f:1:44: error: the environment variable EMPTY (`url`) is empty"]);
    check("{env: TOKEN}", &["f:1:44: error: the environment variable TOKEN (`url`) is not an address"]);
    check("{file: none}", &["f:1:45: error: the file none does not exist; it must hold `url`"]);
    check("{file: empty}", &["f:1:45: error: the file empty (`url`) is empty"]);
    check("{file: binary}", &["f:1:45: error: the file binary is not UTF-8; it must hold `url`"]);
    check("{}", &["f:1:38: error: a secret has either `env` or `file`; write `{env: NAME}` or `{file: PATH}`"]);
    check(
        "{env: A, file: b}",
        &["f:1:38: error: a secret has either `env` or `file`; write `{env: NAME}` or `{file: PATH}`"],
    );
    check(
        "{s3cr3tmarker}",
        &[
            "f:1:38: error: a secret has either `env` or `file`; write `{env: NAME}` or `{file: PATH}`",
            "f:1:39: error: unknown key in a secret",
        ],
    );
    check(
        "[s3cr3tmarker]",
        &[
            "f:1:38: error: `url` must be a secret, and this is a list; write `{env: NAME}`, `{file: PATH}` or the value itself",
        ],
    );
    check("s3cr3tmarker", &["f:1:38: error: `url` is not an address"]);
    check_receiver(
        "pagerduty: {routing_key: s3cr3tmarker}",
        &["f:1:48: error: `routing_key` is not a PagerDuty integration key: these have 32 letters and digits"],
    );
    check_receiver(
        "grafana: {url: http://g, token: {env: ODD}}",
        &["f:1:61: error: the environment variable ODD (`token`) has characters that cannot be sent in a header"],
    );
    check_receiver(
        "grafana: {url: http://g, token: {file: open}}",
        &["f:1:62: warning: other users can read open; chmod o-r open"],
    );
}

#[test]
fn a_secret_in_the_wrong_place_is_not_shown_either() {
    let hook = format!("https://hooks.example/{MARK}");
    for text in [
        format!("receivers: [{{name: a, slack: {{webhok_url: '{hook}'}}, x: y}}]"),
        format!("receivers: [{{name: a, token: {MARK}, slack: {MARK}}}] # {MARK}"),
        format!("receivers: [{{name: a, slack: [{MARK}, {{b: {MARK}}}]}}] # {MARK}"),
        format!("receivers: {MARK}\nroute: {MARK}"),
        format!("receivers: [{{name: a, webhook: {{url: \"{hook}\n  x\", z: 1}}}}]"),
        format!("x: &{MARK} {{a: {MARK}, b: 1}}\ny: {{<<: *{MARK}, a: 2}}\n? [{MARK}]\n: x"),
        format!("receivers:\n- name: a\n  slack:\n    webhook_url: \"{hook}\n  x: y: {MARK}"),
        format!("webhook_url: '{hook}' {MARK}"),
        format!("receivers: !{MARK} x"),
        format!("receivers: !{MARK}`{MARK} x"),
        format!("receivers: *{MARK}"),
        format!("{MARK}: {MARK}\n{MARK}: 1\ntoken: {{{MARK}, {MARK}}}"),
    ] {
        assert!(!rendered(&text).is_empty(), "{text}");
    }
}

#[test]
fn a_secret_where_a_word_belongs_is_not_shown_either() {
    // Whatever is wrong, at its place or elsewhere in its line.
    let places = [
        "{receivers: [{name: a, webhook: {url: {file: hook}}}], route: {receivers: [a, @]}}",
        "{receivers: [{name: a, webhook: {url: {file: hook}}, fallback: @}], route: {receivers: [a]}}",
        "{receivers: [{name: @, fallback: @, webhook: {url: {file: hook}}}], route: {receivers: [a]}}",
        "{receivers: [{name: @, webhook: {url: {file: hook}}}, {name: @, slack: x}], route: {receivers: [@, @]}}",
        "{receivers: [{name: a, webhook: {url: {file: @}}}], route: {receivers: [a]}}",
        "{receivers: [{name: a, webhook: {url: {env: @}}}], route: {receivers: [a]}}",
        "{receivers: [{name: a, send_resolved: @, timeout: @, retry: {max_age: @}, rate_limit: {rate: @, burst: @, \
         overflow: @}, fallback_after: @, webhook: {url: {file: hook}}}], route: {receivers: [a]}}",
        "{receivers: [{name: a, grafana: {url: @, token: @, tags: [@], x: y}}], route: {receivers: [a]}}",
        "{receivers: [{name: a, pagerduty: {url: @, routing_key: @, x: y}}], route: {receivers: [a]}}",
        "{receivers: @, route: {receivers: @, routes: [{matchers: [@], continue: @, repeat_interval: @}]}, x: y}",
        "{receivers: [{name: a, webhook: {url: {file: hook}}}], route: {receivers: [a], repeat_intervall: @, x: y}}",
        "{receivers: [{name: a, webhook: {url: {file: hook}}}], route: {receivers: [a]}, \
         dedup: {settle: @, ignore_labels: [@], x: y}}",
        "{@: @, x: y}",
    ];
    // The scheme is escaped, too: `/` in double quotes.
    let secrets = [format!("https://hooks.example/services/T0/B0/{MARK}?q"), format!("xoxb-12-{MARK}"), KEY.to_owned()];
    let escaped = format!(r"https:\x2f/hooks.example/{MARK}?q");
    for place in places {
        for secret in &secrets {
            assert!(!rendered(&place.replace('@', &format!("'{secret}'"))).is_empty(), "{place}");
        }
        assert!(!rendered(&place.replace('@', &format!("\"{escaped}\""))).is_empty(), "{place}");
    }
    let text = "{receivers: [{name: a, webhook: {url: {file: hook}}}], route: {receivers: [a, 'https://x/y']}}";
    assert!(rendered(text).starts_with("error: there is no receiver with that name\n"), "{}", rendered(text));
}

#[test]
fn secrets_are_what_was_given() {
    let check = |text: &str, resolve_secrets: bool, expected: &str| {
        let secrets = Secrets { source: &Fake, resolve: resolve_secrets, base: Path::new("base") };
        let Document { mut cx, root } =
            yaml::parse(text.as_bytes(), &Limits::CONFIGURATION, Shown::WhatIsAllowed).unwrap();
        let secret = secrets.read(&mut cx, &root, "url", |_| Ok(())).unwrap();
        assert_eq!(secret.expose_secret(), expected);
        assert_eq!(cx.finish(), []);
    };
    let hook = format!("https://hooks.example/{MARK}");
    check("{file: hook}", true, &hook);
    check("{file: /hook}", true, &hook);
    check("{env: HOOK}", true, &hook);
    check("plain", true, "plain");
    check("'007'", true, "007");
    check("007", true, "007");
    check("{env: HOOK}", false, "");
    check("{file: nowhere}", false, "");
}

#[test]
fn secret_files_are_read() {
    let folder = folder(&[("x", "line\r\n"), ("large", &"x".repeat(70_000))]);
    let file = secret::System.file(&folder.path().join("x")).unwrap();
    assert_eq!((file.content.as_str(), file.others_can_read), ("line\r\n", false));
    assert_eq!(secret::System.file(&folder.path().join("large")).err().unwrap().kind(), io::ErrorKind::FileTooLarge);
    assert_eq!(secret::System.file(&folder.path().join("y")).err().unwrap().kind(), io::ErrorKind::NotFound);
    // Opening a pipe would wait for whoever writes to it.
    for (name, kind) in [("pipe", "is a named pipe"), (".", "is a directory")] {
        let path = folder.path().join(name);
        if name == "pipe" {
            assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        }
        let text = format!("receivers: [{{name: a, webhook: {{url: {{file: {name}}}}}}}]\nroute: {{receivers: [a]}}");
        fs::write(folder.path().join("routes.yaml"), text).unwrap();
        let Err(ConfigError::Invalid { problems, .. }) = load(&folder.path().join("routes.yaml"), &Options::default())
        else {
            panic!("{name} is no file")
        };
        assert_eq!(problems[0].message, format!("the file {name} {kind}"));
    }
    #[cfg(unix)]
    {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(folder.path().join("x"), open).unwrap();
        assert!(secret::System.file(&folder.path().join("x")).unwrap().others_can_read);
    }
}

#[test]
fn relative_files_are_looked_up_beside_the_configuration() {
    let text = "receivers: [{name: a, webhook: {url: {file: hook}}}]\nroute: {receivers: [a]}";
    let folder = folder(&[("routes.yaml", text), ("hook", "http://localhost/\n")]);
    let loaded = load(&folder.path().join("routes.yaml"), &Options::default()).unwrap();
    assert_eq!((loaded.warnings, loaded.source_hash), (vec![], hash(text.as_bytes())));
    fs::remove_file(folder.path().join("hook")).unwrap();
    let error = load(&folder.path().join("routes.yaml"), &Options::default()).unwrap_err();
    assert!(error.to_string().ends_with("routes.yaml has 1 error"), "{error}");
}

#[test]
fn of_what_is_no_yaml_only_the_punctuation_is_shown() {
    let text = format!("receivers:\n- name: a\n  slack: {{ webhook_url: https://x/{MARK}: {MARK} ]\n");
    insta::assert_snapshot!(rendered(&text));
}

#[test]
fn routes_are_checked() {
    check_route(
        "route: {receivers: [a]}\ndedup: {settle: 2d, ignore_labels: x}",
        &[
            "f:3:17: error: `settle` must be between 0s and 1d",
            "f:3:36: error: `ignore_labels` must be a list, and this is a single value; write `[prometheus_replica]`",
        ],
    );
    check_route("", &["f:1:1: error: the file needs `route`; add `route: …`"]);
    check_route("route:", &["f:2:1: error: `route` has no value; give it one, or remove the key"]);
    check_route("route: {}", &["f:2:1: error: `route` needs `receivers`; add `receivers: …`"]);
    check_route(
        "route: {receivers: []}",
        &[
            "f:1:20: warning: no route uses the receiver `a`; name it in `receivers` of a route, or remove it",
            "f:2:20: error: `receivers` of the root must not be empty; to drop alerts on purpose, write `receivers: []` in a route below `routes`",
        ],
    );
    check_route(
        "route: {receivers: a}",
        &["f:2:20: error: `receivers` of a route must be a list, and this is a single value; write `[NAME]`"],
    );
    check_route("route: {receivers: [b]}", &["f:2:21: error: there is no receiver `b`; did you mean `a`?"]);
    check_route(
        "route: {receivers: [a, a]}",
        &["f:2:24: warning: the receiver `a` is named twice; remove one of them"],
    );
    check_route(
        "route: {receivers: [a], matchers: [x=y], continue: true, group_by: [x], receiver: a}",
        &[
            "f:2:25: error: the root takes every alert: it has no `matchers`; put it into a route below `routes`",
            "f:2:42: error: the root takes every alert: it has no `continue`; put it into a route below `routes`",
            "f:2:58: error: unknown key `group_by`; Alertmanager groups alerts before it posts them: leave it in alertmanager.yml",
            "f:2:73: error: unknown key `receiver`; it is a list here: `receivers: [NAME]`",
        ],
    );
    check_route(
        "route: {receivers: [a], repeat_interval: 4}",
        &["f:2:42: error: `repeat_interval`: the number needs a unit; durations are written as `30s`, `4h` or `1d12h`"],
    );
    check_route(
        "route: {receivers: [a], receivers: [a]}",
        &["f:2:25: error: duplicate key `receivers`; it was first given in line 2"],
    );
}

#[test]
fn matchers_are_checked() {
    let check = |matchers: &str, expected: &[&str]| {
        check_route(&format!("route:\n  receivers: [a]\n  routes:\n  - matchers: {matchers}"), expected);
    };
    check("[a=b, 'c=~\"d|e\",f!=g']", &[]);
    check(
        "a=b",
        &["f:5:15: error: `matchers` must be a list, and this is a single value; write `[severity=\"critical\"]`"],
    );
    check(
        "[a: b]",
        &[
            "f:5:16: error: a matcher must be a text, and this is a map; write `severity=\"critical\"`, and quote it with '…' where YAML sees something else in it",
        ],
    );
    check(
        "['a=b, größe=~''']",
        &[
            "f:5:29: error: bad matcher: expected a value; write \"\" for an empty one; matchers are written as severity=\"critical\" or job=~\"api|web\"",
        ],
    );
    check(
        r#"["a=\"\u00e9\"b"]"#,
        &[
            "f:5:29: error: bad matcher: expected a comma or the end after the value; matchers are written as severity=\"critical\" or job=~\"api|web\"",
        ],
    );
    check(
        "[a=~(b]",
        &[
            "f:5:19: error: bad matcher: bad regular expression: unclosed group; regular expressions are RE2's, as in Alertmanager",
        ],
    );
    check(
        "['a=~\"\\d\"']",
        &["f:5:16: warning: only Alertmanager's classic syntax reads this matcher; write a=~\"\\\\d\""],
    );
    check(
        "\n    - |\n      a=b,\n      c!d\n",
        &[
            "f:8:8: error: bad matcher: expected one of = != =~ !~ after the label name; matchers are written as severity=\"critical\" or job=~\"api|web\"",
        ],
    );
}

#[test]
fn routes_that_can_never_match() {
    let check = |routes: &str, expected: &[&str]| {
        check_route(&format!("route: {{receivers: [a], routes: [\n{routes}]}}"), expected);
    };
    check("{matchers: [x=y]},\n{matchers: [x=z]}", &[]);
    check("{matchers: [x=y], continue: true},\n{matchers: [x=y]}", &[]);
    check("{matchers: [x=y, z=a]},\n{matchers: [x=y]}", &[]);
    let never = "f:4:1: warning: this route can never match; the route in line 3 takes all of its alerts first";
    check("{matchers: [x=y]},\n{matchers: ['z=a,x=\"y\"']}", &[never]);
    check("{},\n{matchers: [x=y]}", &[never]);
}

#[test]
fn routes_know_where_they_stand() {
    let text = "receivers: [{name: é, webhook: {url: http://x/}}]
route:
  receivers: [é]
  routes:
  - matchers: [a=b]
    routes: [{matchers: [é=é]}, { matchers: [x=y] }]
  # nothing
  -
    receivers: []
    matchers: [b=c]
";
    let check = |text: &str, expected: &[(usize, usize)]| {
        let tree = read(text).0.unwrap().tree;
        let at: Vec<_> = tree.root.walk().map(|route| (route.at.line, route.at.column)).collect();
        assert_eq!(at, expected, "{text}");
    };
    check(text, &[(2, 1), (5, 5), (6, 14), (6, 33), (9, 5)]);
    check(&format!("\u{feff}{}", text.replace('\n', "\r\n")), &[(2, 1), (5, 5), (6, 14), (6, 33), (9, 5)]);
}

#[test]
fn the_hash_is_stable() {
    assert_eq!(hash(b""), 0x9ce4_8422_2325 ^ 0xcbf2);
    assert_ne!(hash(b"a"), hash(b"b"));
    assert!(hash(b"routes") < 1 << 48);
}

#[test]
fn the_shipped_file_needs_three_variables() {
    struct Three(HashMap<&'static str, String>);
    impl SecretSource for Three {
        fn env(&self, name: &str) -> Option<String> {
            self.0.get(name).cloned()
        }

        fn file(&self, _: &Path) -> io::Result<SecretFile> {
            Err(io::ErrorKind::NotFound.into())
        }
    }
    let variables = [
        ("PAGERDUTY_ROUTING_KEY", "0".repeat(32)),
        ("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T/B/x".to_owned()),
        ("GRAFANA_TOKEN", "glsa_x".to_owned()),
    ];
    let shipped = include_bytes!("../../routes.yaml");
    let (config, problems) = parse(shipped, &Options::default(), &Three(variables.into()));
    assert_eq!(problems, []);
    assert_eq!(config.unwrap().receivers.len(), 3);
    let (_, problems) = parse(shipped, &Options::default(), &Three(HashMap::new()));
    assert_eq!(problems.len(), 3);
}

proptest::proptest! {
    #[test]
    fn never_panics_and_never_leaks(text in r#"(name|s3cr3tmarker|receivers|route|slack|webhook_url|url|env|[:,{}\[\]"'#&*|>!-]|: |- |\n|  |é){0,40}"#) {
        let _ = read(&text);
    }
}

#[test]
fn routes_that_no_alert_reaches_are_found() {
    // The first and the last route begin in line 4 and 5.
    let check = |first: &str, last: &str, expected: &[&str]| {
        check_route(&format!("route:\n  receivers: [a]\n  routes:\n  - {first}\n  - {last}"), expected);
    };
    let never = "warning: this route can never match;";
    let taken = format!("f:6:5: {never} the route in line 5 takes all of its alerts first");
    check("{matchers: ['s=~\"critical|warning\"']}", "{matchers: [s=critical, x=y]}", &[&taken]);
    check("{matchers: ['x!=\"\"']}", "{matchers: [x=y]}", &[&taken]);
    check("{matchers: ['x=~\".*\"']}", "{matchers: [y=z]}", &[&taken]);
    check("{matchers: []}", "{matchers: [y=z]}", &[&taken]);
    check("{matchers: [], continue: true}", "{matchers: [y=z]}", &[]);
    check("{matchers: ['s=~\"critical|warning\"']}", "{matchers: [s=info]}", &[]);
    // A route with a mistake takes nothing.
    check("{matchers: [x=y], continue: 1}", "{matchers: [x=y]}", &["f:5:33: error: `continue` must be true or false"]);
    let excluded = format!("f:6:5: {never} no alert has both a=\"1\" and a=\"2\"");
    check("{matchers: [x=y]}", "{matchers: ['a=1,a=2'], routes: [{matchers: [x=y]}]}", &[&excluded]);
    let below = format!("f:5:32: {never} no alert has both n=\"1\" and n=\"2\"");
    check("{matchers: [n=1], routes: [{matchers: [n=2]}]}", "{matchers: [n=2]}", &[&below]);
    let child = "f:5:5: warning: the receivers of this route are never told; the route in line 5 below it takes all of its \
                 alerts";
    check("{matchers: [n=1], routes: [{matchers: [n=~1|2], receivers: []}]}", "{matchers: [n=2]}", &[child]);
    check("{matchers: [n=1], routes: [{matchers: [n=~1|2], repeat_interval: 1h}]}", "{matchers: [n=2]}", &[]);
}

#[test]
fn ignored_labels_are_held_against_the_routes() {
    check_route(
        "route: {receivers: [a], routes: [{matchers: [x=y]}]}\ndedup: {ignore_labels: [r, x, r]}",
        &[
            "f:3:28: warning: a route asks for the label `x`, which is ignored here; alerts that differ only in it count \
             as one, although they may belong to different receivers",
            "f:3:31: warning: the label `r` is named twice; remove one of them",
        ],
    );
}
