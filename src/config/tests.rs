use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use secrecy::ExposeSecret;

use super::secret::SecretFile;
use super::*;
use crate::notification::ReceiverName;

mod fallbacks;
mod receivers;
mod routes;
mod secrets;
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
