//! The dashboards in deploy/grafana: their form, Grafana's own schema, and what their queries find in recorded runs.

mod data;
mod form;
mod promtool;
mod recording;
mod router;
mod schema;
mod service;
mod variables;

use std::path::PathBuf;

use serde_json::Value;

use crate::harness::files_under;

/// A file of `deploy/grafana/dashboards`.
#[derive(Debug)]
struct Dashboard {
    name: String,
    content: Value,
}

/// An expression that Grafana sends to Prometheus, with variables in it.
#[derive(Debug)]
struct Query {
    /// The panel or annotation that sends it, and which of its queries it is.
    of: String,
    expression: String,
    legend: Option<String>,
}

impl Dashboard {
    fn named(name: &str) -> Self {
        all().into_iter().find(|dashboard| dashboard.name == name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// Everything that is placed, rows among it.
    fn panels(&self) -> Vec<&Value> {
        let outer = list(&self.content["panels"]);
        outer.flat_map(|panel| [panel].into_iter().chain(list(&panel["panels"]))).collect()
    }

    /// Panels that show something.
    fn shown(&self) -> impl Iterator<Item = &Value> {
        self.panels().into_iter().filter(|panel| panel["type"] != "row")
    }

    fn variables(&self) -> impl Iterator<Item = &Value> {
        list(&self.content["templating"]["list"])
    }

    fn annotations(&self) -> impl Iterator<Item = &Value> {
        list(&self.content["annotations"]["list"])
    }

    fn queries(&self) -> Vec<Query> {
        let query = |of: &str, target: &Value| Query {
            of: format!("{of} ({})", text(&target["refId"])),
            expression: text(&target["expr"]).to_owned(),
            legend: target["legendFormat"].as_str().map(str::to_owned),
        };
        let of_panel = |panel: &Value| {
            list(&panel["targets"]).map(|target| query(text(&panel["title"]), target)).collect::<Vec<_>>()
        };
        let of_annotation = |annotation: &Value| query(text(&annotation["name"]), &annotation["target"]);
        self.shown().flat_map(of_panel).chain(self.annotations().map(of_annotation)).collect()
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/dashboards")
}

fn all() -> Vec<Dashboard> {
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().display().to_string();
        let text = std::fs::read_to_string(path).unwrap();
        let content = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        Dashboard { name, content }
    };
    let dashboards: Vec<_> = files_under(&folder()).into_iter().map(read).collect();
    assert!(dashboards.len() > 1, "the dashboards are not where they were");
    dashboards
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
