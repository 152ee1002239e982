//! What `--explain` prints: the tree, and in words what became of each route.

use std::fmt::Write as _;

use crate::alert::Labels;
use crate::notification::ReceiverName;
use crate::route::explain::{Explanation, Outcome, Told};
use crate::route::{Position, Route};
use crate::yaml::duration;

/// A wider line of the tree pushes its own outcome to the right, instead of all of them.
const WIDEST_TREE: usize = 60;
/// Of a longer label value the beginning is enough to see why it does not match.
const LONGEST_VALUE: usize = 60;

/// Draws the tree of `file`: the labels, a line for each route, a line for each receiver that is told.
pub(super) fn draw(file: &str, labels: &Labels, explanation: &Explanation<'_>) -> String {
    let mut lines: Vec<usize> = explanation.walk().map(|step| step.route.at.line).collect();
    let routes = lines.len();
    lines.sort_unstable();
    lines.dedup();
    let mut drawing = Drawing { file, columns: lines.len() < routes, rows: Vec::new() };
    drawing.add(explanation, "route".to_owned(), "");
    drawing.below(explanation, "", "");

    let width = |of: fn(&Row) -> &str| drawing.rows.iter().map(|row| of(row).chars().count()).max().unwrap_or_default();
    let (place_width, tree_width) = (width(|row| &row.place), width(|row| &row.tree).min(WIDEST_TREE));
    let mut text = format!("{labels}\n\n");
    for Row { takes, place, tree, outcome } in &drawing.rows {
        let mark = if *takes { '>' } else { ' ' };
        let _ = writeln!(text, "{mark} {place:place_width$}  {tree:tree_width$}  {outcome}");
    }
    text.push('\n');
    let told = explanation.told();
    for told in &told {
        let _ = writeln!(text, "{}", drawing.told(told));
    }
    if !told.is_empty() {
        text.push('\n');
    }
    crate::yaml::plain_lines(&text)
}

/// A route's line.
struct Row {
    takes: bool,
    place: String,
    tree: String,
    outcome: String,
}

struct Drawing<'a> {
    file: &'a str,
    /// Whether routes share a line, so that only line and column tell them apart.
    columns: bool,
    rows: Vec<Row>,
}

impl Drawing<'_> {
    /// Adds what is below a route. `trunk` stands before each line; `barrier` says which route further up keeps the alert
    /// away, if one does.
    fn below(&mut self, above: &Explanation<'_>, trunk: &str, barrier: &str) {
        for (n, step) in above.below.iter().enumerate() {
            let last = n + 1 == above.below.len();
            let (branch, bar) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
            let continues = if step.route.continues { " continue: true" } else { "" };
            self.add(step, format!("{trunk}{branch}{}{continues}", matchers(step.route)), barrier);
            let line = self.line(step.route);
            let barrier = match step.outcome {
                Outcome::Mismatch { .. } => format!("{line} does not match"),
                Outcome::NotAsked { .. } => format!("{line} was not asked"),
                Outcome::Unreached => barrier.to_owned(),
                Outcome::Takes | Outcome::PassesOn => String::new(),
            };
            self.below(step, &format!("{trunk}{bar}"), &barrier);
        }
    }

    fn add(&mut self, step: &Explanation<'_>, tree: String, barrier: &str) {
        self.rows.push(Row {
            takes: step.outcome == Outcome::Takes,
            place: format!("{}:{}", self.file, self.place(step.route.at)),
            tree,
            outcome: self.outcome(step, barrier),
        });
    }

    fn outcome(&self, step: &Explanation<'_>, barrier: &str) -> String {
        match step.outcome {
            Outcome::Takes if step.route.receivers.is_empty() => "takes it and tells nobody: receivers: []".to_owned(),
            Outcome::Takes => format!("takes it: {}", names(step.route)),
            Outcome::PassesOn => "matches, and a route below takes it".to_owned(),
            Outcome::Mismatch { matcher, value: "" } => format!("does not match {matcher}: there is no such label"),
            Outcome::Mismatch { matcher, value } => format!("does not match {matcher}: it is {}", cut(value)),
            Outcome::NotAsked { after, would_match } => {
                let though = if would_match { ", though it would match" } else { "" };
                format!("not asked{though}: {} matches and has no `continue: true`", self.line(after))
            }
            Outcome::Unreached => format!("not reached: {barrier}"),
        }
    }

    /// Why a receiver is told again when it is.
    fn told(&self, told: &Told<'_>) -> String {
        let Told { receiver, repeat_interval, routes } = told;
        let lines: Vec<String> = routes.iter().map(|route| self.line(route)).collect();
        let agree = routes.iter().all(|route| route.repeat_interval == *repeat_interval);
        let why = if agree {
            lines.join(", ")
        } else {
            let each = routes.iter().zip(lines);
            let each = each.map(|(route, line)| format!("{line} says {}", duration::show(route.repeat_interval)));
            format!("{}: the shorter one counts", each.collect::<Vec<_>>().join(", "))
        };
        let once = if repeat_interval.is_zero() { ", told once" } else { "" };
        format!("{}: repeat_interval {}{once} ({why})", receiver.as_str(), duration::show(*repeat_interval))
    }

    fn line(&self, route: &Route) -> String {
        format!("line {}", self.place(route.at))
    }

    fn place(&self, at: Position) -> String {
        let Position { line, column } = at;
        if self.columns { format!("{line}:{column}") } else { line.to_string() }
    }
}

fn matchers(route: &Route) -> String {
    let all: Vec<String> = route.matchers.iter().map(ToString::to_string).collect();
    format!("{{{}}}", all.join(", "))
}

fn names(route: &Route) -> String {
    route.receivers.iter().map(ReceiverName::as_str).collect::<Vec<_>>().join(", ")
}

/// A label's value in quotes.
fn cut(value: &str) -> String {
    let start: String = value.chars().take(LONGEST_VALUE).collect();
    let dots = if start.len() < value.len() { "…" } else { "" };
    format!("{start:?}{dots}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Options, parse, secret};
    use crate::route::explain::explain;

    const ROUTES: &str = r#"receivers:
- {name: chat, webhook: {url: http://x/}}
- {name: dba, webhook: {url: http://x/}}
- {name: page, webhook: {url: http://x/}}
- {name: audit, webhook: {url: http://x/}}
route:
  receivers: [chat]
  routes:
  - matchers: [audit="yes"]
    receivers: [audit]
    repeat_interval: 0s
    continue: true
  - matchers: [service=~"db|cache", team!=web]
    receivers: [dba]
    repeat_interval: 1h
    continue: true
    routes:
    - matchers: [severity="critical"]
      receivers: [dba, page]
    - matchers: [severity="none"]
      receivers: []
  - matchers: [severity="critical"]
    receivers: [page]
  - matchers: [severity=~"critical|warning", 'cluster!~"a very long matcher takes its own outcome to the right, only that one"']
    routes:
    - matchers: [tier="1"]
      routes:
      - matchers: [zone="a"]
  - receivers: [chat]
"#;

    fn drawn(file: &str, labels: &[(&str, &str)]) -> String {
        let (config, problems) = parse(file.as_bytes(), &Options::without_secrets(), &secret::System);
        let tree = config.unwrap_or_else(|| panic!("{problems:?}")).tree;
        let labels = labels.iter().copied().collect();
        draw("routes.yaml", &labels, &explain(&tree, &labels))
    }

    #[test]
    fn says_of_each_route_what_became_of_it() {
        let critical = [("service", "db"), ("severity", "critical"), ("team", "search")];
        insta::assert_snapshot!("several_take_it", drawn(ROUTES, &critical));
        let none = [("service", "cache"), ("severity", "none"), ("audit", "yes")];
        insta::assert_snapshot!("one_tells_nobody", drawn(ROUTES, &none));
        insta::assert_snapshot!("no_labels", drawn(ROUTES, &[]));
        insta::assert_snapshot!("below_what_does_not_match", drawn(ROUTES, &[("severity", "warning"), ("tier", "2")]));
    }

    #[test]
    fn routes_on_one_line_are_told_apart_by_their_columns() {
        let file = "receivers: [{name: a, webhook: {url: http://x/}}]\n\
                    route: {receivers: [a], routes: [{matchers: [x=y]}, {matchers: [x=z]}]}";
        insta::assert_snapshot!("columns", drawn(file, &[("x", "y")]));
    }

    #[test]
    fn long_values_are_cut_and_nothing_reaches_the_terminal_raw() {
        let file = "receivers: [{name: a, webhook: {url: http://x/}}]\n\
                    route: {receivers: [a], routes: [{matchers: [\"x=\\\"\\e[31m\\\"\"]}]}";
        let text = drawn(file, &[("x", &format!("\u{1b}[2J{}", "é".repeat(100)))]);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let cut = format!("it is \"\\u{{1b}}[2J{}\"…", "é".repeat(56));
        assert!(text.contains(r#"does not match x="\u{1b}[31m": "#) && text.contains(&cut), "{text}");
    }
}
