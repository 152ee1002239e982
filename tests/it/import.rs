//! `import` against Debian's amtool: for random routing trees the imported file reaches the receivers that
//! `amtool config routes test` prints for the original.

use std::collections::BTreeMap;

use alertrouter::alert::Labels;
use alertrouter::config;
use alertrouter::import::{self, Imported};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::harness::Folder;
use crate::harness::process::{Said, debian, run};

/// The receivers of every original, and what each of them becomes. `two-slack` has the name that a part of `two` would
/// get; `null` tells nobody.
const RECEIVERS: [(&str, &[&str]); 5] = [
    ("one", &["one"]),
    ("two", &["two-pagerduty", "two-slack-2", "two-slack-3"]),
    ("two-slack", &["two-slack"]),
    ("null", &[]),
    ("mails", &["mails"]),
];
/// Makes 2,000 pairs of a tree and a label set; amtool takes some 10 ms for one.
const TREES: u32 = 80;
const SETS: usize = 25;

type Set = BTreeMap<&'static str, &'static str>;

/// An alertmanager.yml. JSON is YAML.
fn file(route: &Value) -> Value {
    let (webhook, slack) = (json!({"url": "http://127.0.0.1:1/"}), json!({"api_url": "http://127.0.0.1:1/x"}));
    json!({"route": route, "receivers": [
        {"name": "one", "webhook_configs": [webhook]},
        {"name": "two", "pagerduty_configs": [{"routing_key": "k"}], "slack_configs": [slack, slack]},
        {"name": "two-slack", "webhook_configs": [webhook]},
        {"name": "null"},
        {"name": "mails", "email_configs": [{"to": "a@x.org", "from": "b@x.org", "smarthost": "x:25"}]},
    ]})
}

fn label() -> impl Strategy<Value = &'static str> {
    select(&["a", "b", "c"][..])
}

fn value() -> impl Strategy<Value = &'static str> {
    select(&["", "x", "y", "xy", "x y"][..])
}

/// `\w` is read by the classic syntax only.
fn regex() -> impl Strategy<Value = &'static str> {
    select(&["", "x|y", "x.*", ".*", ".+", "[xy]+", "(x|y)y", r"\w+"][..])
}

/// One entry of `matchers`: one or several, in the spellings that both of Alertmanager's parsers or one of them read.
fn matchers() -> impl Strategy<Value = String> {
    let equal = (label(), select(&["=", "!="][..]), value());
    let like = (label(), select(&["=~", "!~"][..]), regex());
    let one = (prop_oneof![equal, like], 0..3).prop_map(|((name, op, value), style)| match style {
        0 => format!("{name}{op}\"{value}\""),
        1 => format!(" {name} {op} \"{value}\" "),
        _ => format!("{name}{op}{value}"),
    });
    (vec(one, 1..3), 0..3).prop_map(|(all, style)| match style {
        0 => all.join(","),
        1 => format!("{{{}}}", all.join(",")),
        _ => format!("{},", all.join(",")),
    })
}

fn receiver() -> impl Strategy<Value = Option<&'static str>> {
    proptest::option::weighted(0.7, select(&RECEIVERS[..]).prop_map(|(name, _)| name))
}

/// A route without children.
fn leaf() -> impl Strategy<Value = Value> {
    let continues = proptest::bool::weighted(0.4);
    let (equal, like) = (btree_map(label(), value(), 0..2), btree_map(label(), regex(), 0..2));
    let own = (receiver(), vec(matchers(), 0..3), equal, like, continues);
    own.prop_map(|(receiver, matchers, equal, like, continues)| {
        json!({"receiver": receiver, "matchers": matchers, "match": equal, "match_re": like, "continue": continues})
    })
}

/// A route below the root, with up to three levels below it.
fn route() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 12, 4, |inner| {
        (leaf(), vec(inner, 0..4)).prop_map(|(mut route, children)| {
            route["routes"] = children.into();
            route
        })
    })
}

fn root() -> impl Strategy<Value = Value> {
    let receiver = select(&RECEIVERS[..]).prop_map(|(name, _)| name);
    (receiver, vec(route(), 0..5)).prop_map(|(receiver, routes)| json!({"receiver": receiver, "routes": routes}))
}

async fn amtool(arguments: Vec<String>) -> Said {
    let mut amtool = debian("amtool", "prometheus-alertmanager");
    amtool.args(arguments);
    run(amtool).await
}

/// What amtool prints for each of the label sets, a few asked side by side.
async fn routed(path: &str, sets: &[Set]) -> Vec<Said> {
    let mut all = Vec::new();
    for few in sets.chunks(4) {
        let mut asked = JoinSet::new();
        for (number, set) in few.iter().enumerate() {
            let mut arguments = ["config", "routes", "test", "--config.file", path].map(str::to_owned).to_vec();
            arguments.extend(set.iter().map(|(name, value)| format!("{name}=\"{value}\"")));
            asked.spawn(async move { (number, amtool(arguments).await) });
        }
        let mut said = asked.join_all().await;
        said.sort_by_key(|(number, _)| *number);
        all.extend(said.into_iter().map(|(_, said)| said));
    }
    all
}

/// What the original's receivers are called here, each once.
fn ours(printed: &str) -> Vec<&'static str> {
    let mut all = Vec::new();
    for name in printed.trim_end().split(',') {
        let (_, ours) = RECEIVERS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{printed}"));
        let new: Vec<_> = ours.iter().copied().filter(|name| !all.contains(name)).collect();
        all.extend(new);
    }
    all
}

fn agree(runtime: &Runtime, folder: &Folder, route: &Value, sets: &[Set]) -> Result<(), TestCaseError> {
    let path = folder.0.join("alertmanager.yml");
    let original = file(route).to_string();
    std::fs::write(&path, &original).unwrap();
    let path = path.display().to_string();
    let said = runtime.block_on(amtool(vec!["check-config".to_owned(), path.clone()]));
    prop_assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);

    let options = import::Options { file: path.clone(), keep_secrets: false };
    let (imported, problems) = import::import(original.as_bytes(), &options);
    let Some(Imported { text, .. }) = imported else { return Err(TestCaseError::fail(format!("{problems:?}"))) };
    let options = config::Options::without_secrets();
    let (config, problems) = config::parse(text.as_bytes(), &options, &config::secret::System);
    let Some(config) = config else { return Err(TestCaseError::fail(format!("{problems:?}\n{text}"))) };

    for (set, said) in sets.iter().zip(runtime.block_on(routed(&path, sets))) {
        prop_assert_eq!(said.code, Some(0), "{}", said.err);
        let labels: Labels = set.iter().map(|(name, value)| (*name, *value)).collect();
        let receivers = config.tree.receivers(&labels);
        let names: Vec<&str> = receivers.iter().map(|(name, _)| name.as_str()).collect();
        prop_assert_eq!(names, ours(&said.out), "{}\n{}", labels, text);
    }
    Ok(())
}

#[test]
fn an_imported_tree_reaches_whom_the_original_reaches() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = Folder::new();
    let set = btree_map(label(), select(&["x", "y", "xy", "x y", "z"][..]), 0..4);
    let config = Config { cases: TREES, max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
    let result =
        TestRunner::new(config).run(&(root(), vec(set, SETS)), |(route, sets)| agree(&runtime, &folder, &route, &sets));
    if let Err(error) = result {
        panic!("{error}");
    }
}
