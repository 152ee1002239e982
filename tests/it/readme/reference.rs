//! README's tables, held against what they describe: the schema, the command line, the metrics.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{readme, section};
use crate::harness::process::{alertrouter, run};
use crate::routes_file::root;

/// A row of a table: its cells.
type Row = Vec<String>;

/// The tables of a text, by the first cell of their head.
fn tables(text: &str) -> Vec<(String, Vec<Row>)> {
    let cells = |line: &str| {
        let line = line.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{1}");
        line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect::<Row>()
    };
    let mut found: Vec<(String, Vec<Row>)> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with('|') && lines.peek().is_some_and(|next| next.starts_with("|---")) {
            lines.next();
            let mut rows = Vec::new();
            while let Some(row) = lines.next_if(|row| row.starts_with('|')) {
                rows.push(cells(row));
            }
            found.push((cells(line)[0].clone(), rows));
        }
    }
    found
}

/// What stands in code in a cell.
fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The keys that a row is about: `a`, `b` of `` `a`, or `b` ``; of `a: {b, c}` all three, with `a.` before the latter.
fn keys(row: &Row) -> Vec<String> {
    let mut found = Vec::new();
    for text in code(&row[0]) {
        let (name, inner) =
            text.split_once(": {").map_or((text, ""), |(name, inner)| (name, inner.trim_end_matches('}')));
        found.push(name.to_owned());
        found.extend(inner.split(", ").filter(|key| !key.is_empty()).map(|key| format!("{name}.{key}")));
    }
    found
}

/// The keys of a table's row; where it says in its second column what an entry is made of, that as well.
fn keys_of(head: &str, row: &Row) -> Vec<String> {
    let mut found = keys(row);
    if head == "key of `auth`" {
        let entry = found[0].clone();
        found.extend(code(&row[1]).into_iter().map(|key| format!("{entry}.{key}")));
    }
    found
}

/// Which object of the schema is in which table: the section, the head of the table, and what stands before its keys there.
const TABLES: &[(&str, &str, &str, &str)] = &[
    ("", "## routes.yaml", "key of the file", ""),
    ("Root", "## routes.yaml", "key of a route", ""),
    ("Route", "## routes.yaml", "key of a route", ""),
    ("Receiver", "## routes.yaml", "key of a receiver", ""),
    ("Retry", "## routes.yaml", "key of a receiver", "retry."),
    ("Dedup", "## routes.yaml", "key of `dedup`", ""),
    ("Heartbeat", "## routes.yaml", "key of an entry of `heartbeats`", ""),
    ("RateLimit", "### Rate limits and digests", "key of `rate_limit`", ""),
    ("Slack", "### slack", "key", ""),
    ("PagerDuty", "### pagerduty", "key", ""),
    ("Grafana", "### grafana", "key", ""),
    ("Webhook", "### webhook", "key", ""),
    ("Email", "### email", "key", ""),
    ("EmailAuth", "### email", "key", "auth."),
    ("Auth", "## Who may post", "key of `auth`", ""),
    ("BearerToken", "## Who may post", "key of `auth`", "bearer_tokens."),
    ("BasicUser", "## Who may post", "key of `auth`", "basic_users."),
    ("ClientCertificate", "## Who may post", "key of `auth`", "client_certificates."),
];
/// Two forms of one thing, which stand in a sentence below the tables.
const IN_WORDS: [&str; 1] = ["SecretFrom"];

fn object<'a>(schema: &'a Value, name: &str) -> &'a Value {
    if name.is_empty() { schema } else { &schema["$defs"][name] }
}

/// The default that a description names: what stands after "Default ", up to the first blank, comma or full stop.
fn default_of(property: &Value) -> Option<String> {
    let description = property["description"].as_str()?;
    let (_, rest) = description.split_once("Default ")?;
    let word = rest.split([' ', '\n', ';', ',']).next()?.trim_end_matches('.');
    Some(word.trim_matches(['`', '<', '>', '[', ']']).to_owned()).filter(|word| !word.is_empty() && word != "for")
}

async fn schema() -> Value {
    let mut command = alertrouter();
    command.arg("schema");
    serde_json::from_str(&run(command).await.out).unwrap()
}

#[tokio::test]
async fn every_key_of_the_schema_has_its_row_and_every_row_its_key() {
    let schema = schema().await;
    let objects: BTreeSet<&str> = schema["$defs"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, object)| object.get("properties").is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    let covered: BTreeSet<&str> =
        TABLES.iter().map(|(name, ..)| *name).chain(IN_WORDS).filter(|name| !name.is_empty()).collect();
    assert_eq!(objects, covered, "an object of the schema that README has no table for");
    let mut used = BTreeMap::<(&str, &str), BTreeSet<String>>::new();
    for (name, headline, head, prefix) in TABLES {
        let all = tables(&section(headline));
        let (_, rows) =
            all.iter().find(|(first, _)| first == head).unwrap_or_else(|| panic!("{headline}: no table {head:?}"));
        for (key, property) in object(&schema, name)["properties"].as_object().unwrap() {
            let key = format!("{prefix}{key}");
            let row = rows
                .iter()
                .find(|row| keys_of(head, row).contains(&key))
                .unwrap_or_else(|| panic!("{headline}, {head}: no row for `{key}`"));
            if let Some(default) = default_of(property) {
                // Roles have a table of their own, which says which is the default.
                let roles = tables(&section("## Who may post")).into_iter().find(|(head, _)| head == "role").unwrap().1;
                let of_roles =
                    || roles.iter().filter(|row| row[2] == "the default").map(|row| row[0].clone()).collect();
                let said: String =
                    if key.rsplit('.').next() == Some("roles") { of_roles() } else { row[1..].join(" ") };
                assert!(said.contains(&default), "{headline}: the default of `{key}` is {default}: {row:?}");
            }
            used.entry((headline, head)).or_default().insert(key);
        }
    }
    for ((headline, head), known) in used {
        let all = tables(&section(headline));
        let (_, rows) = all.iter().find(|(first, _)| *first == head).unwrap();
        let unknown: Vec<_> = rows
            .iter()
            .flat_map(|row| keys_of(head, row))
            .filter(|key| !known.contains(key) && !is_of_another(key))
            .collect();
        assert!(unknown.is_empty(), "{headline}, {head}: no such keys: {unknown:?}");
    }
}

/// Keys that a table names because they go together, and that have their own table elsewhere.
fn is_of_another(key: &str) -> bool {
    key.starts_with("rate_limit.")
}

async fn help(command: &[&str]) -> String {
    let mut process = alertrouter();
    process.args(command).arg("--help").env("COLUMNS", "100");
    let said = run(process).await;
    assert_eq!(said.code, Some(0), "{command:?}");
    said.out
}

/// The names below a headline of a help.
fn subcommands(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The flags that a text names.
fn flags(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("--") {
        let starts = text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '-');
        let name: String = text[at + 2..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
        if starts && name.chars().next().is_some_and(|c| c.is_ascii_lowercase()) {
            found.insert(format!("--{}", name.trim_end_matches('-')));
        }
    }
    found
}

/// The flags that a help offers, without those of every command.
fn offered(help: &str) -> BTreeSet<String> {
    let lines = help.lines().filter(|line| line.trim_start().starts_with('-'));
    let all = lines.filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
    let names = all.map(|word| word.split(['=', '[', ',']).next().unwrap_or_default().to_owned());
    names.filter(|name| !matches!(name.as_str(), "--help" | "--version")).collect()
}

/// The row of a command in the table of commands.
fn row_of(command: &str) -> String {
    let all = tables(&section("## Commands"));
    let (_, rows) = all.iter().find(|(head, _)| head == "command").unwrap();
    let found =
        rows.iter().find(|row| code(&row[0]).first().is_some_and(|text| text.split(' ').nth(1) == Some(command)));
    found.unwrap_or_else(|| panic!("README, Commands: no row for `alertrouter {command}`"))[0].clone()
}

#[tokio::test]
async fn every_command_and_flag_has_its_place() {
    let commands = subcommands(&help(&[]).await);
    assert!(commands.len() > 8, "{commands:?}");
    for name in &commands {
        let (row, text) = (row_of(name), help(&[name]).await);
        match name.as_str() {
            "serve" => every_flag_of_serve(&text),
            "outbox" => {
                let mut offers = BTreeSet::new();
                for part in subcommands(&text) {
                    assert!(row.contains(&part), "{row} lacks {part}");
                    offers.extend(offered(&help(&["outbox", &part]).await));
                }
                let said = flags(&(section("### The outbox") + &row));
                assert_eq!(offers, said, "README, The outbox: {:?}", offers.symmetric_difference(&said));
            }
            _ => assert_eq!(offered(&text), flags(&row), "README, Commands: `alertrouter {name}`"),
        }
    }
    let all = tables(&section("## Commands"));
    let (_, rows) = all.iter().find(|(head, _)| head == "command").unwrap();
    for row in rows {
        let name = code(&row[0])[0].split(' ').nth(1).unwrap();
        assert!(commands.iter().any(|command| command == name), "README, Commands: there is no `alertrouter {name}`");
    }
}

fn every_flag_of_serve(help: &str) {
    let all = tables(&section("## Commands"));
    let (_, rows) = all.iter().find(|(head, _)| head == "flag").unwrap();
    let named: BTreeSet<String> = rows.iter().map(|row| code(&row[0])[0].to_owned()).collect();
    assert_eq!(named, offered(help), "README, Commands: flags of serve");
    // Each flag is followed by its default, if it has one, before the next.
    let parts = help.split("\n      --").skip(1);
    for part in parts {
        let name = format!("--{}", part.split([' ', '\n']).next().unwrap());
        if let Some(default) = part.split("[default: ").nth(1).and_then(|rest| rest.split(']').next()) {
            let row = rows.iter().find(|row| code(&row[0])[0] == name).unwrap();
            assert_eq!(row[1].trim_matches('`'), default, "README, Commands: the default of {name}");
        }
    }
}

/// The families of README's table, with their labels.
fn metrics() -> BTreeMap<String, BTreeSet<String>> {
    let all = tables(&section("## Metrics"));
    let (_, rows) = all.iter().find(|(head, _)| head == "metric").unwrap();
    let mut found = BTreeMap::new();
    for text in rows.iter().flat_map(|row| code(&row[0])) {
        let (name, labels) = text.split_once('{').unwrap_or((text, ""));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).map(str::to_owned);
        found.insert(name.to_owned(), labels.collect());
    }
    found
}

#[test]
fn every_metric_has_its_row_and_every_row_its_metric() {
    // Which hold what is exported, with and without a web configuration.
    let snapshots = ["names_types_and_labels"].map(|name| format!("tests/it/snapshots/it__metrics__{name}.snap"));
    let mut families = BTreeMap::<String, BTreeSet<String>>::new();
    for file in snapshots {
        let text = std::fs::read_to_string(root(&file)).unwrap();
        let mut family = String::new();
        for line in text.lines().skip_while(|line| *line != "---").skip(1).skip_while(|line| *line != "---").skip(1) {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap_or_default();
            if line.starts_with(' ') {
                let labels = words.filter(|label| *label != "le").map(str::to_owned);
                families.get_mut(&family).unwrap().extend(labels);
            } else {
                family = name.trim_start_matches("alertrouter_").to_owned();
                families.entry(family.clone()).or_default();
            }
        }
    }
    let named = metrics();
    for (family, labels) in &families {
        if family.starts_with("process_") {
            assert!(named.contains_key("process_*"));
            continue;
        }
        let row = named.get(family).unwrap_or_else(|| panic!("README, Metrics: no row for {family}"));
        assert!(row == labels || family == "build_info", "README, Metrics: {family} has the labels {labels:?}");
    }
    // Those of `--web-config` come with it only; its tests read them.
    let source = crate::harness::files_under(root("src/metrics").as_ref()).into_iter();
    let source: String = source.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for name in named.keys().filter(|name| !families.contains_key(*name) && *name != "process_*") {
        let registered = name.trim_end_matches("_total");
        assert!(source.contains(&format!("\"{registered}\"")), "README, Metrics: there is no alertrouter_{name}");
    }
}

#[test]
fn the_version_of_rust_is_that_of_the_manifest() {
    let manifest = std::fs::read_to_string(root("Cargo.toml")).unwrap();
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(readme().contains(&format!("With Rust ({version} or newer)")), "README names another Rust than {version}");
}
