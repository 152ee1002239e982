//! Variables, put in as Grafana and its Prometheus data source do.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Dashboard, text};

/// What Grafana puts in by itself, for a data source that is scraped every 15 s and the last 40 minutes.
const OF_GRAFANA: [(&str, &str); 3] = [("__rate_interval", "1m"), ("__interval", "15s"), ("__range", "2400s")];

/// What somebody has selected; everything, where he has not.
pub(super) type Selected = BTreeMap<&'static str, Vec<&'static str>>;

/// The names of variables in a text, Grafana's own left out.
pub(super) fn named(text: &str) -> Vec<String> {
    let names = regex::Regex::new(r"\$(?:\{([A-Za-z_]\w*)[^}]*\}|([A-Za-z_]\w*))").unwrap();
    let name = |found: regex::Captures<'_>| found.get(1).or(found.get(2)).unwrap().as_str().to_owned();
    names.captures_iter(text).map(name).filter(|name| !name.starts_with("__")).collect()
}

/// `expression` as it is sent to Prometheus. Panics on a variable that there is not.
pub(super) fn put_in(dashboard: &Dashboard, selected: &Selected, expression: &str) -> String {
    let mut sent = expression.to_owned();
    for (name, value) in OF_GRAFANA {
        sent = sent.replace(&format!("${name}"), value);
    }
    for variable in dashboard.variables() {
        let name = text(&variable["name"]);
        sent = sent.replace(&format!("${name}"), &value(variable, selected.get(name).map(Vec::as_slice)));
    }
    assert!(!sent.contains('$'), "{}: a variable is not defined in {sent}", dashboard.name);
    sent
}

fn value(variable: &Value, selected: Option<&[&str]>) -> String {
    match (selected, variable["multi"].as_bool()) {
        (Some(selected), Some(true)) => {
            let words: Vec<_> = selected.iter().map(|word| in_regex(word)).collect();
            if words.len() == 1 { words[0].clone() } else { format!("({})", words.join("|")) }
        }
        (Some(selected), _) => selected[0].to_owned(),
        (None, Some(true)) => text(&variable["allValue"]).to_owned(),
        (None, _) => text(&variable["query"]).to_owned(),
    }
}

/// A value among others in a regular expression, within double quotes of PromQL.
fn in_regex(value: &str) -> String {
    let special = |it: char| r"$^*{}[]'+?.()|".contains(it);
    let escaped = value.replace('\\', r"\\\\").chars().fold(String::new(), |mut text, it| {
        text.push_str(if special(it) { r"\\" } else { "" });
        text.push(it);
        text
    });
    escaped.replace('"', r#"\""#)
}
