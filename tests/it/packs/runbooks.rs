//! The runbooks of rules/README.md: somebody reads them at night, and pastes what they find there.

use std::collections::BTreeSet;

use promql_parser::parser;

use super::metrics::header;
use super::{Packs, folder, selectors};
use crate::routes_file::blocks;

/// What runbooks look at and no rule reads, by who exports it.
const FURTHER: [&str; 13] = [
    "litellm_llm_api_latency_metric",
    "vllm:num_preemptions_total",
    "vllm:request_decode_time_seconds",
    "vllm:request_generation_tokens",
    "vllm:request_prefill_time_seconds",
    "vllm:request_prompt_tokens",
    "vllm:request_queue_time_seconds",
    "alertrouter_alerts_total",
    "alertrouter_config_last_reload_success_timestamp_seconds",
    "alertrouter_notification_duration_seconds",
    "alertrouter_rate_limited_total",
    "alertmanager_notifications_failed_total",
    "prometheus_notifications_dropped_total",
];

fn readme() -> String {
    std::fs::read_to_string(folder().join("README.md")).unwrap()
}

#[test]
fn queries_are_of_series_that_there_are() {
    let packs = Packs::read();
    let recorded = packs.rules.iter().filter(|rule| !rule.alerts).map(|rule| rule.name.clone());
    let metrics = packs.rule_files.iter().flat_map(header).flat_map(|metric| metric.series());
    let known: BTreeSet<String> = recorded.chain(metrics).collect();
    let further = |name: &str| {
        let part_of_histogram = |metric: &str| name == format!("{metric}_sum") || name == format!("{metric}_count");
        FURTHER.into_iter().find(|&metric| name == metric || part_of_histogram(metric))
    };
    let mut used = BTreeSet::new();
    let readme = readme();
    let blocks = blocks(&readme, "promql");
    for query in blocks.iter().flat_map(|block| block.lines()) {
        let expression = parser::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        for selector in selectors(&expression) {
            let name = selector.name.as_deref().unwrap_or_else(|| panic!("{query}: {selector} has no name"));
            if !known.contains(name) {
                used.insert(further(name).unwrap_or_else(|| panic!("{query}: nothing records or exports {name}")));
            }
        }
    }
    assert_eq!(used, BTreeSet::from(FURTHER), "what is known anyway need not be listed");
}

#[test]
fn recorded_series_that_are_named_in_full_exist() {
    let packs = Packs::read();
    let recorded: BTreeSet<&str> = packs.rules.iter().filter(|rule| !rule.alerts).map(|rule| &*rule.name).collect();
    let readme = readme();
    // The level, the metric, the operation: no other code has two colons and nothing else.
    let named = regex::Regex::new(r"`(\w+:\w+:\w+)`").unwrap();
    let mut count = 0;
    for name in named.captures_iter(&readme).map(|found| found.get(1).unwrap().as_str()) {
        assert!(recorded.contains(name), "nothing records {name}");
        count += 1;
    }
    assert!(count > 30, "only {count} series are named");
}

#[test]
fn sections_are_of_alerts_and_have_one_form() {
    let packs = Packs::read();
    let alerts: BTreeSet<&str> = packs.alerts().map(|alert| &*alert.name).collect();
    let readme = readme();
    for section in readme.split("\n### ").skip(1) {
        let section = section.split("\n## ").next().unwrap();
        let (name, body) = section.split_once('\n').unwrap();
        assert!(alerts.contains(name), "no alert is called {name}");
        let bold = body.lines().filter_map(|line| line.strip_prefix("**")?.split("**").next());
        assert_eq!(bold.collect::<Vec<_>>(), ["What it means.", "Look first", "Do."], "{name}");
    }
}
