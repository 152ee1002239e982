//! Questions to a recording, with the rules of rules/ evaluated over it: Debian's promtool as a Prometheus.
//!
//! `promtool test rules` is that: it evaluates all rules, alerts and their `for` among them, in order, and says what an
//! expression gives when nothing is expected of it. (A server on blocks that promtool makes would need one restart for
//! each level of recording rules, and has no ALERTS.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use regex::{Captures, Regex};

use serde_json::{Value, json};

use super::recording::{Recording, SCRAPE};
use crate::harness::Folder;
use crate::harness::process::{debian, run};

pub(super) type Labels = BTreeMap<String, String>;

/// What an expression gives, over all times at which it was asked.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// At a time, each series and its value.
    pub(super) at: BTreeMap<String, Vec<(Labels, f64)>>,
}

impl Results {
    pub(super) fn all(&self) -> impl Iterator<Item = &(Labels, f64)> {
        self.at.values().flatten()
    }
}

/// Evaluates expressions every minute of the recording, and every 4 minutes those that are asked for their labels only. What
/// cannot be evaluated fails the test.
pub(super) async fn ask(
    recording: &Recording,
    rule_files: &[&str],
    expressions: &BTreeSet<String>,
    names: &BTreeSet<String>,
) -> BTreeMap<String, Results> {
    let folder = Folder::new();
    let times = (1..).map(|minute| Duration::from_secs(60) * minute).take_while(|time| *time <= recording.length());
    let checks = times.flat_map(|time| {
        let seconds = time.as_secs();
        let names = names.iter().filter(move |_| seconds.is_multiple_of(240));
        let check = move |expression| json!({ "expr": expression, "eval_time": format!("{seconds}s") });
        expressions.iter().chain(names).map(check)
    });
    let rules = |name: &&str| format!("{}/rules/{name}", env!("CARGO_MANIFEST_DIR"));
    let test = json!({
        "rule_files": rule_files.iter().map(rules).collect::<Vec<_>>(),
        "evaluation_interval": format!("{}s", SCRAPE.as_secs()),
        "tests": [{
            "interval": format!("{}s", SCRAPE.as_secs()),
            "input_series": recording.input_series(),
            "promql_expr_test": checks.collect::<Vec<Value>>(),
        }],
    });
    std::fs::write(folder.0.join("test.json"), test.to_string()).unwrap();
    let mut promtool = debian("promtool", "prometheus");
    promtool.current_dir(&folder.0).args(["test", "rules", "test.json"]).env("GOGC", "400");
    let said = run(promtool).await;
    assert!(said.err.contains("FAILED:"), "nothing was found at all: {} {}", said.out, said.err);
    let mut results: BTreeMap<String, Results> = BTreeMap::new();
    for block in said.err.split("\n    expr: ").skip(1) {
        let (question, answer) = block.split_once(",\n").unwrap_or_else(|| panic!("promtool: {block}"));
        let (expression, time) = question.rsplit_once(", time: ").unwrap();
        let expression: String = serde_json::from_str(expression).unwrap();
        let got = answer.split("got: ").nth(1).unwrap_or_else(|| panic!("{expression}: {answer}"));
        results.entry(expression).or_default().at.insert(time.to_owned(), samples(got));
    }
    results
}

static SAMPLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\} ([-+.\w]+)"#).unwrap());
static LABEL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"(\w+)=("(?:[^"\\]|\\.)*")"#).unwrap());

/// Reads `{a="b", c="d"} 1E+00, {…} NaN`.
fn samples(text: &str) -> Vec<(Labels, f64)> {
    let label = |found: Captures<'_>| (found[1].to_owned(), serde_json::from_str(&found[2]).unwrap());
    let labels = |text: &str| LABEL.captures_iter(text).map(label).collect();
    let sample = |found: Captures<'_>| (labels(&found[1]), found[2].parse().unwrap());
    let samples: Vec<_> = SAMPLE.captures_iter(text).map(sample).collect();
    assert!(!samples.is_empty(), "promtool said {text}");
    samples
}
