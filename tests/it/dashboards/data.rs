//! Every query is asked of a recorded run: it names what exists, and finds something.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::parser;

use super::promtool::{Results, ask};
use super::recording::Recording;
use super::service::{self, ODD_MODEL, ODD_USER};
use super::variables::{Selected, put_in};
use super::{Dashboard, Query, router};
use crate::packs::{Packs, header, made, selectors, used};

/// Panels that find nothing in 40 minutes, and why. One that does is not to be listed.
const WITHOUT_DATA: &[(&str, &str)] = &[
    // llm.rules.yaml records what is usual for models that have been there for 3 days, from the 7 days that end a day ago;
    // its tests (rules/tests/llm_cost.test.yaml) have them.
    ("llm.json", "Cost of an hour, and what is usual (B)"),
];

const ROUTER_RULES: &[&str] = &["alertrouter/alertrouter.rules.yaml", "alertrouter/noise.rules.yaml"];
const SERVICE_RULES: &[&str] = &["llm/llm.rules.yaml", "llm/slo.rules.yaml"];

/// What a dashboard asks, and what is answered.
struct Answers {
    dashboard: Dashboard,
    queries: Vec<Query>,
    results: BTreeMap<String, Results>,
}

impl Answers {
    /// For all that may be selected.
    async fn to(name: &str, recording: &Recording, rules: &[&str], selections: &[&Selected]) -> Self {
        let dashboard = Dashboard::named(name);
        let queries = dashboard.queries();
        let mut asked = BTreeSet::new();
        for selected in selections {
            asked.extend(queries.iter().map(|query| put_in(&dashboard, selected, &query.expression)));
            asked.extend(sources(&dashboard, selected));
        }
        let names =
            asked.iter().flat_map(|expression| names(expression)).filter(|name| !asked.contains(name)).collect();
        let results = ask(recording, rules, &asked, &names).await;
        Self { dashboard, queries, results }
    }

    /// With everything selected.
    fn sent(&self, query: &Query) -> String {
        put_in(&self.dashboard, &Selected::new(), &query.expression)
    }

    fn result(&self, query: &Query) -> Option<&Results> {
        self.results.get(&self.sent(query))
    }

    /// That each query finds numbers, and nothing that is none.
    fn find_data(&self) {
        let name = &*self.dashboard.name;
        for query in &self.queries {
            let without = WITHOUT_DATA.contains(&(name, &query.of));
            let Some(result) = self.result(query) else {
                assert!(without, "{name}: {} finds nothing: {}", query.of, self.sent(query));
                continue;
            };
            assert!(!without, "{name}: {} does find data", query.of);
            for (labels, value) in result.all() {
                assert!(value.is_finite(), "{name}: {} is {value} for {labels:?}: {}", query.of, self.sent(query));
            }
        }
    }

    /// That what is selected is there, with the labels that are relied upon.
    fn name_what_exists(&self) {
        let of_queries = self.queries.iter().map(|query| (query.of.clone(), self.sent(query)));
        let of_variables =
            sources(&self.dashboard, &Selected::new()).into_iter().map(|sent| ("a variable".to_owned(), sent));
        for (of, sent) in of_queries.chain(of_variables) {
            let expression = parse(&sent);
            let mut labels = made(&expression);
            for name in names(&sent) {
                let series = self.results.get(&name);
                if series.is_none() && WITHOUT_DATA.contains(&(&self.dashboard.name, &of)) {
                    labels.extend(used(&expression));
                    continue;
                }
                let series = series.unwrap_or_else(|| panic!("{}: {of}: there is no {name}", self.dashboard.name));
                labels.extend(series.all().flat_map(|(labels, _)| labels.keys().cloned()));
            }
            for label in used(&expression) {
                assert!(labels.contains(&label), "{}: {of}: nothing has a label {label}: {sent}", self.dashboard.name);
            }
        }
    }

    /// What the label has in all that is shown of what is selected.
    fn values_of(&self, label: &str, selected: &Selected) -> BTreeSet<&str> {
        let depending = self.queries.iter().filter(|query| query.expression.contains(&format!("${label}")));
        let sent = depending.map(|query| put_in(&self.dashboard, selected, &query.expression));
        let series = sent.filter_map(|sent| self.results.get(&sent)).flat_map(Results::all);
        series.filter_map(|(labels, _)| labels.get(label).map(String::as_str)).collect()
    }

    /// That each series of a panel has a legend of its own, of labels that it has.
    fn have_legends(&self) {
        let label = regex::Regex::new(r"\{\{\s*(\w+)\s*\}\}").unwrap();
        for (query, legend) in self.queries.iter().filter_map(|query| Some((query, query.legend.as_ref()?))) {
            for (time, series) in self.result(query).into_iter().flat_map(|result| &result.at) {
                let mut shown = BTreeSet::new();
                for (labels, _) in series {
                    let of = format!("{}: {} at {time}: {labels:?}", self.dashboard.name, query.of);
                    let value = |found: &regex::Captures<'_>| -> String {
                        labels.get(&found[1]).unwrap_or_else(|| panic!("{of} has no {}", &found[1])).clone()
                    };
                    assert!(shown.insert(label.replace_all(legend, value).into_owned()), "{of} looks like another one");
                }
            }
        }
    }
}

fn parse(expression: &str) -> parser::Expr {
    parser::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

/// The names that an expression selects.
fn names(expression: &str) -> Vec<String> {
    let expression = parse(expression);
    let name = |it: &parser::VectorSelector| it.name.clone().unwrap_or_else(|| panic!("{it} has no name"));
    selectors(&expression).into_iter().map(name).collect()
}

/// What variables are filled from: `label_values(SELECTOR, LABEL)`, as an expression that needs both.
fn sources(dashboard: &Dashboard, selected: &Selected) -> Vec<String> {
    let queries = dashboard.variables().filter_map(|variable| variable["query"]["query"].as_str());
    let source = |query: &str| {
        let (selector, label) =
            query.strip_prefix("label_values(").unwrap().trim_end_matches(')').rsplit_once(", ").unwrap();
        format!("count by ({label}) ({})", put_in(dashboard, selected, selector))
    };
    queries.map(source).collect()
}

#[tokio::test]
async fn the_routers_queries_find_data() {
    let recording = router::recorded().await;
    router::check(&recording);
    let answers = Answers::to("alertrouter.json", &recording, ROUTER_RULES, &[&Selected::new()]).await;
    answers.find_data();
    answers.name_what_exists();
    answers.have_legends();
}

#[tokio::test]
async fn the_services_queries_find_data_and_only_what_is_selected() {
    let (models, users) = ([ODD_MODEL], [ODD_USER, "ann"]);
    let some = Selected::from([("model", models.to_vec()), ("user", users.to_vec()), ("job", vec!["ai-system"])]);
    let recording = service::recorded();
    let answers = Answers::to("llm.json", &recording, SERVICE_RULES, &[&Selected::new(), &some]).await;
    answers.find_data();
    answers.name_what_exists();
    answers.have_legends();
    assert_eq!(answers.values_of("model", &some), BTreeSet::from(models));
    assert_eq!(answers.values_of("user", &some), BTreeSet::from(users));
}

/// The service of the recording exports what the rules are written for, no more and no less.
#[test]
fn the_service_exports_what_rules_read() {
    let packs = Packs::read();
    let file = packs.rule_files.iter().find(|file| file.name == SERVICE_RULES[0]).unwrap();
    let mut declared = BTreeSet::new();
    for metric in header(file) {
        for name in metric.series() {
            let le = name.ends_with("_bucket").then_some("le");
            let labels: BTreeSet<_> = metric.labels().chain(le).map(str::to_owned).collect();
            declared.insert((name, labels));
        }
    }
    let recording = service::recorded();
    let label = regex::Regex::new(r#"(\w+)=""#).unwrap();
    let labels = |series: &str| -> BTreeSet<String> {
        let names = label.captures_iter(series).map(|found| found[1].to_owned());
        names.filter(|name| !["job", "instance"].contains(&&**name)).collect()
    };
    let exported: BTreeSet<_> =
        recording.series().map(|it| (it.split('{').next().unwrap().to_owned(), labels(it))).collect();
    assert_eq!(exported, declared);
}

/// An exception that names no query excuses nothing.
#[test]
fn exceptions_are_about_queries_that_there_are() {
    for (name, of) in WITHOUT_DATA {
        let dashboard = Dashboard::named(name);
        assert!(dashboard.queries().iter().any(|query| query.of == *of), "{name}: {of}");
    }
}
