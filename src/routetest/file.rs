//! A test file: strict, every problem at once and where it stands.

use super::{Case, from_rules, steps};
use crate::alert::Labels;
use crate::notification::ReceiverName;
use crate::rules::RuleSet;
use crate::yaml::problem::{self, Problem};
use crate::yaml::{self, Context, Document, Fields, Limits, Node, Note, Shown, Span, Value, closest, quote};

const PROMTOOL: &str = "tests of rules are run by `promtool test rules`";
const FILE_NOTES: [Note; 2] =
    [Note::Instead("evaluation_interval", PROMTOOL), Note::Instead("group_eval_order", PROMTOOL)];
const CASE_NOTES: [Note; 8] = [
    Note::Instead("alertname", "it is one of the `labels`; `alert` takes those of a rule"),
    Note::Instead("interval", PROMTOOL),
    Note::Instead("input_series", PROMTOOL),
    Note::Instead("alert_rule_test", PROMTOOL),
    Note::Instead("promql_expr_test", PROMTOOL),
    Note::Instead("decisions", "decisions are made over time: put it into a step below `steps`"),
    Note::Instead("status", "put it into a step below `steps`"),
    Note::Instead("receiver", "it is a list: `receivers: [NAME]`"),
];

/// A test file that is YAML.
pub struct Draft<'a>(Document<'a>);

/// What the rest of the world says, to hold a test file against.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// The name of routes.yaml.
    pub routes: &'a str,
    /// The names of the receivers of routes.yaml; `None` where that cannot be used, and then they are not looked at.
    pub receivers: Option<&'a [ReceiverName]>,
    /// What the test file's `rule_files` hold; `None` where they cannot be used, and then alerts are not looked up.
    pub rules: Option<&'a RuleSet>,
}

/// Reads the bytes of a test file, and not much more than it may have.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    yaml::read(path, &Limits::GENERATED)
}

/// Parses a test file as far as YAML goes.
///
/// # Errors
/// If it is too large, not UTF-8 or no YAML.
pub fn open(bytes: &[u8]) -> Result<Draft<'_>, Box<Problem>> {
    yaml::parse(bytes, &Limits::GENERATED, Shown::Everything).map(Draft)
}

impl Draft<'_> {
    /// The path of routes.yaml that the file names, relative to its own folder.
    #[must_use]
    pub fn config(&self) -> Option<&str> {
        scalar(self.entry("config")?)
    }

    /// The paths of rule files, or of folders with rule files, that the file names, relative to its own folder.
    #[must_use]
    pub fn rule_files(&self) -> Vec<&str> {
        let Some(Node { value: Value::List(items), .. }) = self.entry("rule_files") else { return Vec::new() };
        items.iter().filter_map(scalar).collect()
    }

    fn entry(&self, wanted: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.0.root.value else { return None };
        entries.iter().find(|(key, _)| scalar(key) == Some(wanted)).map(|(_, value)| value)
    }

    /// The tests.
    ///
    /// # Errors
    /// Everything that is wrong with the file, in its order.
    pub fn cases(self, world: &World<'_>) -> Result<Vec<Case>, Vec<Problem>> {
        let Document { mut cx, root } = self.0;
        let cases = if matches!(root.value, Value::Null) {
            cx.error_with(root.span, "the file is empty", "it needs at least `tests`");
            None
        } else {
            file(&mut cx, &root, world)
        };
        let problems = cx.finish();
        if problem::is_sound(&problems) { Ok(cases.unwrap_or_default()) } else { Err(problems) }
    }
}

fn scalar(node: &Node) -> Option<&str> {
    if let Value::Scalar(text) = &node.value { Some(text) } else { None }
}

impl World<'_> {
    /// The receiver with this name. Reports one that routes.yaml does not have.
    pub(super) fn receiver(&self, cx: &mut Context<'_>, at: Span, text: &str) -> Option<ReceiverName> {
        let Some(known) = self.receivers else { return Some(text.into()) };
        let found = known.iter().find(|name| name.as_str() == text);
        if found.is_none() {
            let message = format!("{} has no receiver {}", self.routes, quote(text));
            let hint = if let Some(near) = closest(text, known.iter().map(ReceiverName::as_str)) {
                format!("did you mean {}?", quote(near))
            } else {
                let all: Vec<String> = known.iter().map(|name| quote(name.as_str())).collect();
                format!("it has {}", all.join(", "))
            };
            cx.error_with(at, message, hint);
        }
        found.cloned()
    }

    /// A list of receivers, perhaps an empty one.
    pub(super) fn receivers(&self, cx: &mut Context<'_>, node: &Node) -> Option<Vec<ReceiverName>> {
        let mut receivers = Vec::new();
        for item in cx.list(node, "`receivers`", "[NAME]")? {
            let Some(text) = cx.text(item, "the name of a receiver") else { continue };
            let Some(name) = self.receiver(cx, item.span, text) else { continue };
            if receivers.contains(&name) {
                cx.error_with(item.span, format!("the receiver {} is named twice", quote(text)), "remove one of them");
            }
            receivers.push(name);
        }
        Some(receivers)
    }
}

fn file(cx: &mut Context<'_>, root: &Node, world: &World<'_>) -> Option<Vec<Case>> {
    let mut fields = Fields::open(cx, root, root.span, "the file")?;
    if let Some(node) = fields.take(cx, "config") {
        cx.text(node, "`config`");
    }
    let has_rules = fields.has("rule_files");
    if let Some(node) = fields.take(cx, "rule_files") {
        let named = cx.texts(node, "`rule_files`", "[../rules]");
        if named.is_some_and(|named| named.is_empty()) {
            cx.error_with(node.span, "`rule_files` must not be empty", "name a rule file, or a folder of them");
        }
    }
    let tests = fields.require(cx, "tests");
    fields.close(cx, &FILE_NOTES);
    let items = cx.list(tests?, "`tests`", "- name: …")?;
    if items.is_empty() {
        cx.error_with(tests?.span, "`tests` must not be empty", "a file that tests nothing would always pass");
    }
    let mut names: Vec<(String, Span)> = Vec::new();
    let cases = items.iter().filter_map(|item| case(cx, item, world, has_rules, &mut names));
    Some(cases.collect())
}

fn case(
    cx: &mut Context<'_>,
    node: &Node,
    world: &World<'_>,
    has_rules: bool,
    names: &mut Vec<(String, Span)>,
) -> Option<Case> {
    let mut fields = Fields::open(cx, node, node.span, "a test")?;
    let name = fields.require(cx, "name").and_then(|node| name(cx, node, names));
    let labels = of_alert(cx, &mut fields, world, has_rules);
    let expected = fields.take(cx, "receivers").map(|node| world.receivers(cx, node));
    let steps = match fields.take_with_key(cx, "steps") {
        Some((at, node)) => steps::steps(cx, node, at, labels.as_ref(), world),
        None => Some(Vec::new()),
    };
    let asks = |key| fields.has(key);
    let expects_nothing = !asks("receivers")
        && match &steps {
            Some(steps) => steps.iter().all(|step| step.receivers.is_none() && step.decisions.is_none()),
            // What is wrong with them is said already.
            None => false,
        };
    if expects_nothing {
        let hint = if asks("steps") {
            "give at least one step `receivers` or `decisions`"
        } else {
            "add `receivers: [NAME]`, or `receivers: []` where nobody is to be told"
        };
        cx.error_with(node.span, "this test expects nothing", hint);
    }
    fields.close(cx, &CASE_NOTES);
    Some(Case {
        name: name?,
        at: cx.source.position(node.span.start),
        labels: labels?,
        receivers: expected.flatten(),
        steps: steps?,
    })
}

/// The labels that the test gives, the ones of the rule that it names, or both.
fn of_alert(cx: &mut Context<'_>, fields: &mut Fields<'_>, world: &World<'_>, has_rules: bool) -> Option<Labels> {
    if !fields.has("labels") && !fields.has("alert") {
        let hint = "add `labels: …`, or `alert: …` of a rule file";
        cx.error_with(fields.at, "a test needs `labels` or `alert`", hint);
    }
    let given = fields.take(cx, "labels").map(|node| (node.span, labels(cx, node)));
    let Some((at, alert)) = fields.take_with_key(cx, "alert") else {
        let (at, given) = given?;
        return not_empty(cx, at, &given?.into_iter().collect());
    };
    let name = cx.text(alert, "`alert`")?;
    if !has_rules {
        let hint = "add `rule_files: [../rules]` at the top of the file, or give `labels` alone";
        cx.error_with(at, "`alert` needs `rule_files`", hint);
        return None;
    }
    let given = given.map_or(Some(Vec::new()), |(_, given)| given)?;
    from_rules::labels(cx, alert.span, world.rules?, name, &given)
}

fn name(cx: &mut Context<'_>, node: &Node, names: &mut Vec<(String, Span)>) -> Option<String> {
    let text = cx.text(node, "`name`")?;
    if text.chars().any(char::is_control) {
        cx.error_with(node.span, "`name` must be one line without control characters", "it is the line of a report");
        return None;
    }
    if let Some((_, first)) = names.iter().find(|(known, _)| known == text) {
        let hint = format!("the first one is in line {}; give each its own name", cx.source.line(first.start));
        cx.error_with(node.span, format!("two tests have the name {}", quote(text)), hint);
        return None;
    }
    names.push((text.to_owned(), node.span));
    Some(text.to_owned())
}

/// Label names and values. An empty value stays: it removes the label that it overrides.
pub(super) fn labels(cx: &mut Context<'_>, node: &Node) -> Option<Vec<(String, String)>> {
    let Value::Map(entries) = &node.value else {
        let message = format!("`labels` must be a map, and this is {}", node.kind());
        cx.error_with(node.span, message, "write `{ alertname: HighErrorRate, severity: critical }`");
        return None;
    };
    let mut labels: Vec<(String, String)> = Vec::with_capacity(entries.len());
    let mut is_sound = true;
    for (key, value) in entries {
        let (problem, at) = match (&key.value, &value.value) {
            (Value::Scalar(name), Value::Scalar(value)) if !name.is_empty() => {
                if !labels.iter().any(|(known, _)| known == name) {
                    labels.push((name.clone(), value.clone()));
                    continue;
                }
                (format!("the label {} is given twice", quote(name)), key.span)
            }
            (Value::Scalar(name), Value::Null) if !name.is_empty() => {
                (format!("the label {} has no value", quote(name)), key.span)
            }
            (Value::Scalar(name), _) if !name.is_empty() => (
                format!("the value of {} must be a single value, and this is {}", quote(name), value.kind()),
                value.span,
            ),
            _ => ("a label must have a name".to_owned(), key.span),
        };
        is_sound = false;
        cx.error(at, problem);
    }
    is_sound.then_some(labels)
}

/// Labels without the empty ones, which count as absent; something must be left.
pub(super) fn not_empty(cx: &mut Context<'_>, at: Span, labels: &Labels) -> Option<Labels> {
    let labels: Labels = labels.iter().filter(|(_, value)| !value.is_empty()).collect();
    if labels.is_empty() {
        cx.error_with(at, "an alert has at least one label", "write `labels: { alertname: HighErrorRate }`");
        return None;
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Decisions, Sent, Step};
    use super::*;
    use crate::alert::Status;
    use crate::notification::Reason;

    fn cases(text: &str) -> Result<Vec<Case>, Vec<String>> {
        let receivers = ["oncall", "team-slack", "dashboards"].map(ReceiverName::from);
        let lines = |problems: &[Problem]| problems.iter().map(|problem| problem.one_line("f")).collect::<Vec<_>>();
        let draft = open(text.as_bytes()).map_err(|problem| lines(&[*problem]))?;
        draft
            .cases(&World { routes: "routes.yaml", receivers: Some(&receivers), rules: None })
            .map_err(|problems| lines(&problems))
    }

    /// A whole file and everything that is wrong with it.
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(cases(text).unwrap_err(), expected, "{text}");
    }

    /// A test called `a` with the label `a`, and what is wrong with the rest of it.
    #[track_caller]
    fn check_case(rest: &str, expected: &[&str]) {
        check(&format!("tests:\n- {{name: a, labels: {{a: b}},\n{rest}}}"), expected);
    }

    /// The steps of such a test.
    #[track_caller]
    fn check_steps(steps: &str, expected: &[&str]) {
        check_case(&format!("receivers: [], steps: [\n{steps}\n]"), expected);
    }

    #[test]
    fn a_whole_file_is_read() {
        let read = cases(
            "config: ../routes.yaml
tests:
  - name: whom the routes name
    labels: { alertname: Down, code: 007, yes: true, empty: '' }
    receivers: [oncall, team-slack]
  - name: over time
    labels: { a: b, replica: one }
    steps:
      - { at: 0s, status: firing, from: am-1, decisions: first }
      - { at: 1h, status: resolved, labels: { replica: two }, starts_at: 5s, ends_at: 59m,
          receivers: [], decisions: { oncall: [duplicate, stale], team-slack: resolved } }
      - { at: 1h, receivers: [oncall], decisions: {} }
",
        )
        .unwrap();
        let (oncall, slack) = (ReceiverName::from("oncall"), ReceiverName::from("team-slack"));
        let [first, second] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!((first.name.as_str(), first.at), ("whom the routes name", (3, 5)));
        assert_eq!(first.labels.to_string(), r#"{alertname="Down", code="007", yes="true"}"#);
        assert_eq!(first.receivers, Some(vec![oncall.clone(), slack.clone()]));
        assert_eq!((second.at, &second.receivers, first.steps.len()), ((6, 5), &None, 0));
        let labels = |replica| [("a", "b"), ("replica", replica)].into_iter().collect::<Labels>();
        let sent = |status, from: &str, labels, starts_at, ends_at| {
            let time = |seconds: Option<u64>| seconds.map(Duration::from_secs);
            Some(Sent { status, from: from.to_owned(), labels, starts_at: time(starts_at), ends_at: time(ends_at) })
        };
        let each = vec![(oncall.clone(), vec![Reason::Duplicate, Reason::Stale]), (slack, vec![Reason::Resolved])];
        let step = |at, sent, receivers, decisions| Step { at: Duration::from_secs(at), sent, receivers, decisions };
        let expected = [
            step(
                0,
                sent(Status::Firing, "am-1", labels("one"), None, None),
                None,
                Some(Decisions::All(vec![Reason::First])),
            ),
            step(
                3600,
                sent(Status::Resolved, "", labels("two"), Some(5), Some(3540)),
                Some(vec![]),
                Some(Decisions::Each(each)),
            ),
            step(3600, None, Some(vec![oncall]), Some(Decisions::Each(vec![]))),
        ];
        assert_eq!(second.steps, expected);
    }

    #[test]
    fn says_where_routes_yaml_is() {
        let config = |text: &str| open(text.as_bytes()).unwrap().config().map(str::to_owned);
        assert_eq!(config("config: a/b.yaml\ntests: []"), Some("a/b.yaml".to_owned()));
        assert_eq!(config("tests: [config]"), None);
        assert_eq!(config("config: [a]"), None);
        assert_eq!(config("[config, a]"), None);
    }

    #[test]
    fn a_file_that_tests_nothing_is_refused() {
        check("", &["f:1:1: error: the file is empty; it needs at least `tests`"]);
        check("# nothing\n", &["f:2:1: error: the file is empty; it needs at least `tests`"]);
        check("[]", &["f:1:1: error: the file must be a map, and this is a list"]);
        check("config: a", &["f:1:1: error: the file needs `tests`; add `tests: …`"]);
        check("tests:", &["f:1:1: error: `tests` has no value; give it one, or remove the key"]);
        check("tests: []", &["f:1:8: error: `tests` must not be empty; a file that tests nothing would always pass"]);
        check("tests: {}", &["f:1:8: error: `tests` must be a list, and this is a map; write `- name: …`"]);
        let unclosed = "cannot be read as YAML: unclosed bracket '['";
        check("tests: [", &[&format!("f:1:8: error: {unclosed}")]);
        check_case(
            "steps: [{at: 0s, status: firing}]",
            &["f:2:3: error: this test expects nothing; give at least one step `receivers` or `decisions`"],
        );
        check(
            "tests: [{name: a, labels: {a: b}}]",
            &[
                "f:1:9: error: this test expects nothing; add `receivers: [NAME]`, or `receivers: []` where nobody is to be told",
            ],
        );
    }

    #[test]
    fn keys_are_known_or_explained() {
        check(
            "config: []\nfiles: x\nevaluation_interval: 1m\ntests: [{name: a, labels: {a: b}, receivers: []}]",
            &[
                "f:1:9: error: `config` must be a single value, and this is a list",
                "f:2:1: error: unknown key `files` in the file; it knows `config`, `rule_files`, `tests`",
                "f:3:1: error: unknown key `evaluation_interval`; tests of rules are run by `promtool test rules`",
            ],
        );
        check_case(
            "recievers: [], input_series: [], decisions: first, receiver: a, receivers: []",
            &[
                "f:3:1: error: unknown key `recievers`; did you mean `receivers`?",
                "f:3:16: error: unknown key `input_series`; tests of rules are run by `promtool test rules`",
                "f:3:34: error: unknown key `decisions`; decisions are made over time: put it into a step below `steps`",
                "f:3:52: error: unknown key `receiver`; it is a list: `receivers: [NAME]`",
            ],
        );
        check_steps(
            "{at: 0s, statsu: firing, name: a, alertname: a, decision: first}",
            &[
                "f:4:10: error: unknown key `statsu`; did you mean `status`?",
                "f:4:26: error: unknown key `name`; only a test has a name",
                "f:4:35: error: unknown key `alertname`; it is one of the `labels`",
                "f:4:49: error: unknown key `decision`; write `decisions: REASON`",
            ],
        );
        check(
            "tests: [{name: a, name: b, labels: {a: b}, receivers: []}, b]",
            &[
                "f:1:19: error: duplicate key `name`; it was first given in line 1",
                "f:1:60: error: a test must be a map, and this is a single value",
            ],
        );
    }

    #[test]
    fn names_are_unique() {
        check(
            "tests:\n- {name: a, labels: {a: b}, receivers: []}\n- {name: a, labels: {a: b}, receivers: []}",
            &["f:3:10: error: two tests have the name `a`; the first one is in line 2; give each its own name"],
        );
        check(
            "tests:\n- {labels: {a: b}, receivers: []}\n- {name: \"a\\nb\", labels: {a: b}, receivers: []}",
            &[
                "f:2:3: error: a test needs `name`; add `name: …`",
                "f:3:10: error: `name` must be one line without control characters; it is the line of a report",
            ],
        );
    }

    #[test]
    fn an_alert_has_labels() {
        let check_labels = |labels: &str, expected: &str| {
            check(&format!("tests:\n- {{name: a, receivers: [],\nlabels: {labels}}}"), &[expected]);
        };
        let none = "an alert has at least one label; write `labels: { alertname: HighErrorRate }`";
        check_labels("{}", &format!("f:3:9: error: {none}"));
        check_labels("{a: ''}", &format!("f:3:9: error: {none}"));
        let hint = "write `{ alertname: HighErrorRate, severity: critical }`";
        check_labels("[a]", &format!("f:3:9: error: `labels` must be a map, and this is a list; {hint}"));
        check_labels("{a: b, a: c}", "f:3:16: error: the label `a` is given twice");
        check_labels("{a: }", "f:3:10: error: the label `a` has no value");
        check_labels("{a: [b]}", "f:3:13: error: the value of `a` must be a single value, and this is a list");
        check_labels("{'': b}", "f:3:10: error: a label must have a name");
        check_labels("{[a]: b}", "f:3:10: error: a label must have a name");
        check(
            "tests: [{name: a, receivers: []}]",
            &["f:1:9: error: a test needs `labels` or `alert`; add `labels: …`, or `alert: …` of a rule file"],
        );
        check_steps("{at: 0s, status: firing, labels: {a: ''}}", &[&format!("f:4:34: error: {none}")]);
    }

    #[test]
    fn receivers_are_those_of_routes_yaml() {
        check_case(
            "receivers: [oncal, slack, nobody-knows-it, oncall, oncall, [a]]",
            &[
                "f:3:13: error: routes.yaml has no receiver `oncal`; did you mean `oncall`?",
                "f:3:20: error: routes.yaml has no receiver `slack`; it has `oncall`, `team-slack`, `dashboards`",
                "f:3:27: error: routes.yaml has no receiver `nobody-knows-it`; it has `oncall`, `team-slack`, `dashboards`",
                "f:3:52: error: the receiver `oncall` is named twice; remove one of them",
                "f:3:60: error: the name of a receiver must be a single value, and this is a list",
            ],
        );
        check_case(
            "receivers: oncall",
            &["f:3:12: error: `receivers` must be a list, and this is a single value; write `[NAME]`"],
        );
        check_steps(
            "{at: 0s, receivers: [oncal], decisions: {team-slak: first, oncall: held, oncall: stale}}",
            &[
                "f:4:22: error: routes.yaml has no receiver `oncal`; did you mean `oncall`?",
                "f:4:42: error: routes.yaml has no receiver `team-slak`; did you mean `team-slack`?",
                "f:4:74: error: the receiver `oncall` is named twice; write `[duplicate, stale]` where two things are decided at once",
            ],
        );
    }

    #[test]
    fn without_routes_yaml_the_rest_is_still_checked() {
        let text = "tests: [{name: a, labels: {a: b}, receivers: [whoever], steps: [{at: 1}]}]";
        let problems = open(text.as_bytes())
            .unwrap()
            .cases(&World { routes: "routes.yaml", receivers: None, rules: None })
            .unwrap_err();
        let lines: Vec<_> = problems.iter().map(|problem| problem.one_line("f")).collect();
        let hint = "durations are written as `30s`, `4h` or `1d12h`";
        assert_eq!(lines, [format!("f:1:70: error: `at`: the number needs a unit; {hint}")]);
    }

    #[test]
    fn reasons_are_those_of_the_decision_table() {
        check_steps(
            "{at: 0s, status: firing, decisions: fist},
             {at: 0s, status: firing, decisions: whatever},
             {at: 0s, status: firing, decisions: []},
             {at: 0s, status: firing, decisions: {oncall: [resolve, [a]]}},
             {at: 0s, status: firing, decisions: {[a]: first}}",
            &[
                "f:4:37: error: there is no reason `fist`; did you mean `first`?",
                "f:5:50: error: there is no reason `whatever`; reasons are `first`, `refired`, `duplicate`, `repeat`, \
                 `held`, `stale`, `resolved`, `unknown_resolved`",
                "f:6:50: error: a list of reasons must not be empty; write `decisions: {}` where nothing is decided",
                "f:7:60: error: there is no reason `resolve`; did you mean `resolved`?",
                "f:7:69: error: a reason must be a single value, and this is a list",
                "f:8:51: error: the name of a receiver must be a single value, and this is a list",
            ],
        );
    }

    #[test]
    fn time_goes_on() {
        let hint = "durations are written as `30s`, `4h` or `1d12h`";
        check_steps(
            "{at: 1h}, {at: 1h}, {at: 30m}, {at: 59m}, {at: soon}, {at: 9y}, {}",
            &[
                "f:4:26: error: `at` goes back in time; the step before it is at 1h",
                "f:4:37: error: `at` goes back in time; the step before it is at 1h",
                &format!("f:4:48: error: `at`: a duration is made of whole numbers, each with a unit; {hint}"),
                "f:4:60: error: `at` must be between 0s and 1y",
                "f:4:65: error: a step needs `at`; add `at: …`",
            ],
        );
        check_case(
            "steps: []",
            &["f:3:1: error: `steps` must not be empty; remove it where nothing happens over time"],
        );
        check_case(
            "steps: {at: 0s}",
            &["f:3:8: error: `steps` must be a list, and this is a map; \
             write `- { at: 0s, status: firing, decisions: first }`"],
        );
        check_case("steps: [0s]", &["f:3:9: error: a step must be a map, and this is a single value"]);
    }

    #[test]
    fn what_arrives_has_a_status() {
        let hint = "add `status: firing` or `status: resolved`; without it only time passes";
        check_steps(
            "{at: 0s, from: a, labels: {a: b}, starts_at: 0s, ends_at: 0s}",
            &[
                &format!("f:4:10: error: `from` needs a `status`; {hint}"),
                &format!("f:4:19: error: `labels` needs a `status`; {hint}"),
                &format!("f:4:35: error: `starts_at` needs a `status`; {hint}"),
                &format!("f:4:50: error: `ends_at` needs a `status`; {hint}"),
            ],
        );
        check_steps(
            "{at: 0s, status: on fire}, {at: 0s, status: firing, from: '', starts_at: x, ends_at: 5s},
             {at: 9s, status: firing, ends_at: 5s}, {at: 9s, status: resolved, starts_at: 6s, ends_at: 5s}",
            &[
                "f:4:18: error: `status` must be firing or resolved; leave it out where only time passes",
                "f:4:59: error: `from` must not be empty",
                "f:4:74: error: `starts_at`: a duration is made of whole numbers, each with a unit; durations are written \
                 as `30s`, `4h` or `1d12h`",
                "f:5:48: error: an alert that fires has no `ends_at`; it belongs to `status: resolved`",
                "f:5:104: error: `ends_at` is before `starts_at`",
            ],
        );
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[-{}\\[\\]:, a-z0-9'\"\n&*#]{0,80}") {
            let _ = cases(&text);
            let _ = cases(&format!("tests:\n- name: a\n  labels: {{a: b}}\n  steps: [{{at: 0s, {text}}}]"));
        }
    }
}
