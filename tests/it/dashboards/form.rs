//! What every panel owes to whoever looks at it at night, and what Grafana does not complain of.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::recording::SCRAPE;
use super::variables::named;
use super::{Dashboard, all, list, text};
use crate::packs::Packs;
use crate::routes_file::root;

const PLACEHOLDER: &str = "https://alertrouter.example/";

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

#[test]
fn a_dashboard_is_a_file_to_provision() {
    let mut uids = BTreeSet::new();
    for Dashboard { name, content } in all() {
        assert!(content["id"].is_null() && content["__inputs"].is_null(), "{name} was exported for somebody else");
        assert!(uids.insert(text(&content["uid"]).to_owned()), "{name} has the uid of another one");
        assert!(content["schemaVersion"].as_u64() >= Some(39), "{name}: schemaVersion");
        for key in ["uid", "title", "description", "refresh"] {
            assert!(!text(&content[key]).is_empty(), "{name} has no {key}");
        }
    }
}

#[test]
fn a_panel_asks_a_question_and_has_a_unit_an_id_and_a_data_source() {
    for dashboard in all() {
        let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard.panels() {
            let of = format!("{}: {}", dashboard.name, text(&panel["title"]));
            assert!(ids.insert(panel["id"].as_u64().unwrap_or_else(|| panic!("{of}: no id"))), "{of}: its id is taken");
            assert!(titles.insert(text(&panel["title"])) && !text(&panel["title"]).is_empty(), "{of}: its title");
        }
        for panel in dashboard.shown() {
            let of = format!("{}: {}", dashboard.name, text(&panel["title"]));
            let (question, answer) = text(&panel["description"]).split_once('?').unwrap_or_default();
            assert!(question.len() > 10 && answer.len() > 30, "{of}: the description is no question with an answer");
            assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{of}: no unit");
            assert_eq!(panel["datasource"], source(), "{of}");
            assert!(list(&panel["targets"]).count() > 0, "{of}: no query");
            let ids: BTreeSet<_> = list(&panel["targets"]).map(|target| text(&target["refId"])).collect();
            assert_eq!(ids.len(), list(&panel["targets"]).count(), "{of}: refId");
            for target in list(&panel["targets"]) {
                assert_eq!(target["datasource"], source(), "{of}");
            }
        }
        for annotation in dashboard.annotations() {
            assert_eq!(annotation["datasource"], source(), "{}", annotation["name"]);
        }
        for variable in dashboard.variables().filter(|variable| variable["type"] == "query") {
            assert_eq!(variable["datasource"], source(), "{}", variable["name"]);
            // Grafana asks the one and shows the other.
            assert_eq!(variable["query"]["query"], variable["definition"], "{}", variable["name"]);
        }
    }
}

#[test]
fn panels_lie_side_by_side_in_24_columns() {
    for dashboard in all() {
        let mut taken = BTreeMap::new();
        for panel in dashboard.panels() {
            let title = text(&panel["title"]);
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(w > 0 && h > 0 && x + w <= 24, "{}: {title} is out of the grid", dashboard.name);
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                let before = taken.insert(cell, title);
                assert!(before.is_none(), "{}: {title} lies on {before:?}", dashboard.name);
            }
        }
        let lines = taken.keys().map(|(_, y)| y + 1).max().unwrap();
        let holes = (0..lines).flat_map(|y| (0..24).map(move |x| (x, y))).filter(|cell| !taken.contains_key(cell));
        assert_eq!(holes.collect::<Vec<_>>(), [], "{} has holes", dashboard.name);
    }
}

#[test]
fn what_is_used_is_defined_and_what_is_defined_is_used() {
    for dashboard in all() {
        let defined: BTreeSet<_> = dashboard.variables().map(|variable| text(&variable["name"]).to_owned()).collect();
        let used: BTreeSet<_> = named(&dashboard.content.to_string()).into_iter().collect();
        assert_eq!(used, defined, "{}", dashboard.name);
        for variable in dashboard.variables().filter(|it| it["multi"] == true) {
            // Empty, "All" would be a list of every value, and each query as long as that.
            assert_eq!((&variable["includeAll"], text(&variable["allValue"])), (&json!(true), ".*"));
        }
    }
}

/// Several values, and what stands in them, are only right as a whole regular expression.
#[test]
fn variables_stand_where_grafana_escapes_them() {
    let whole = regex::Regex::new(r#"(=~|!~)"\$(\w+)""#).unwrap();
    for dashboard in all() {
        let queries = dashboard.queries().into_iter().map(|query| (query.of, query.expression));
        let of_variable = |it: &Value| (text(&it["name"]).to_owned(), text(&it["query"]["query"]).to_owned());
        for (of, expression) in queries.chain(dashboard.variables().map(of_variable)) {
            let rest = whole.replace_all(&expression, "");
            assert_eq!(named(&rest), Vec::<String>::new(), "{}: {of}: {expression}", dashboard.name);
        }
    }
}

#[test]
fn rates_that_are_drawn_have_grafanas_window() {
    let windows = regex::Regex::new(r"\brate\([^\[]*\[([^\]]*)\]").unwrap();
    let mut count = 0;
    for dashboard in all() {
        for query in dashboard.queries() {
            for window in windows.captures_iter(&query.expression) {
                assert_eq!(&window[1], "$__rate_interval", "{}: {}", dashboard.name, query.of);
                count += 1;
            }
        }
    }
    assert!(count > 10, "only {count} rates were found");
}

fn anchors(file: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root(file)).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches(['#', ' ']));
    let anchor = |heading: &str| {
        let kept = heading.to_lowercase();
        kept.chars().filter(|it| it.is_alphanumeric() || " -_".contains(*it)).collect::<String>().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn links_lead_to_sections_that_exist() {
    let mut count = 0;
    for dashboard in all() {
        let of_panels = dashboard.shown().flat_map(|panel| list(&panel["links"]));
        for link in of_panels.chain(list(&dashboard.content["links"])).filter(|link| link["type"] != "dashboards") {
            let (file, anchor) = text(&link["url"]).strip_prefix(PLACEHOLDER).unwrap().split_once('#').unwrap();
            assert!(anchors(file).contains(anchor), "{}: {file} has no section {anchor}", dashboard.name);
            count += 1;
        }
    }
    assert!(count > 30, "only {count} links were found");
}

/// Whoever is paged by an alert finds the panel that shows it, and no panel speaks of an alert that there is not.
#[test]
fn panels_name_the_alerts_that_there_are() {
    let named_alert = regex::Regex::new(r"\b(?:Alertrouter|LLM|AlertBudget)[A-Z]\w+").unwrap();
    let packs = Packs::read();
    let of_dashboards = ["alertrouter/", "llm/llm.rules", "llm/slo.rules"];
    let shipped = packs.alerts().filter(|alert| of_dashboards.iter().any(|file| alert.file.starts_with(file)));
    let alerts: BTreeSet<_> = shipped.map(|alert| &*alert.name).filter(|name| *name != "Watchdog").collect();
    let dashboards = all();
    let panels = dashboards.iter().flat_map(Dashboard::shown);
    let named: BTreeSet<_> =
        panels.flat_map(|panel| named_alert.find_iter(text(&panel["description"]))).map(|it| it.as_str()).collect();
    assert_eq!(named, alerts);
}

/// Dashboard, panel, where its colour changes, the alert that has the same threshold, and how that is written there.
const THRESHOLDS: &[(&str, &str, f64, &str, &str)] = &[
    ("alertrouter.json", "Oldest waiting", 300.0, "AlertrouterOutboxStuck", "> 300"),
    ("alertrouter.json", "Oldest waiting, by receiver", 300.0, "AlertrouterOutboxStuck", "> 300"),
    ("alertrouter.json", "Webhooks with 5xx", 0.5, "AlertrouterIntakeFailing", "> 0.5"),
    ("alertrouter.json", "Attempts that fail", 0.5, "AlertrouterDeliveriesFailing", "> 0.5"),
    ("alertrouter.json", "Alerts that fire most, 7 days", 6.0, "AlertBudgetRuleExceeded", "> 5"),
    ("alertrouter.json", "Critical, 30 days", 3.0, "AlertBudgetCriticalExceeded", "> 2"),
    ("alertrouter.json", "Warnings, 7 days", 11.0, "AlertBudgetWarningExceeded", "> 10"),
    ("llm.json", "Most failures", 0.05, "LLMHighErrorRatio", "> 0.05"),
    ("llm.json", "Error ratio", 0.05, "LLMHighErrorRatio", "> 0.05"),
    ("llm.json", "Slowest: over 10 s", 0.05, "LLMHighLatencyP95", "> 0.05"),
    ("llm.json", "P95", 10.0, "LLMHighLatencyP95", "> 0.05"),
    ("llm.json", "Spent in 24 hours", 1000.0, "LLMDailyBudgetExceeded", "> 1000"),
    ("llm.json", "Spent in 24 hours, by job", 1000.0, "LLMDailyBudgetExceeded", "> 1000"),
    ("llm.json", "Availability burn rate, 1 hour", 14.4, "LLMAvailabilityBudgetBurnPage", "> 14.4 * (1 - 0.99)"),
    ("llm.json", "Latency burn rate, 1 hour", 14.4, "LLMLatencyBudgetBurnPage", "> 14.4 * (1 - 0.95)"),
];

#[test]
fn colours_change_where_alerts_fire() {
    let packs = Packs::read();
    for (file, title, value, alert, written) in THRESHOLDS {
        let dashboard = Dashboard::named(file);
        let panel = dashboard.shown().find(|panel| panel["title"] == **title).unwrap_or_else(|| panic!("no {title}"));
        let steps = list(&panel["fieldConfig"]["defaults"]["thresholds"]["steps"]);
        assert!(steps.filter_map(|step| step["value"].as_f64()).any(|step| step == *value), "{title}: {value}");
        let rule = packs.alerts().find(|rule| rule.name == *alert).unwrap_or_else(|| panic!("no {alert}"));
        assert!(rule.text("expr").contains(written), "{alert} has no {written} any more, which {title} shows");
    }
}

#[test]
fn provisioning_says_what_the_dashboards_expect() {
    let read = |path: &str| -> Value {
        let text = std::fs::read_to_string(root(&format!("deploy/grafana/provisioning/{path}"))).unwrap();
        serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let sources = read("datasources/prometheus.yaml");
    let data_source = &sources["datasources"][0];
    assert_eq!((text(&data_source["type"]), text(&data_source["uid"])), ("prometheus", "prometheus"));
    assert_eq!(text(&data_source["jsonData"]["timeInterval"]), format!("{}s", SCRAPE.as_secs()));
    let provider = &read("dashboards/alertrouter.yaml")["providers"][0];
    assert_eq!((text(&provider["type"]), text(&provider["options"]["path"])), ("file", "/etc/grafana/dashboards"));
}
