//! How long it takes to decide who hears of an alert.
//!
//! `cargo bench --bench routing` generates a routes.yaml of 10, 100 and 1,000 routes in five shapes, loads it as the
//! service does and routes the same label sets through each, on one thread. What is measured is processor time, so that
//! other programs disturb it little; still, compare ratios within one run: absolute figures are the machine's.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark: it may fail loudly, and prints"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use alertrouter::alert::Labels;
use alertrouter::config::{Options, parse, secret};
use alertrouter::route::{Route, Tree};

const LABEL_SETS: usize = 10_000;
/// How long each case is measured, at least.
const LONG_ENOUGH: Duration = Duration::from_millis(500);
const SEVERITIES: [&str; 4] = ["critical", "warning", "info", "none"];

fn main() {
    println!("{:<38} {:>7} {:>13} {:>13} {:>18}", "tree", "routes", "label sets/s", "matchers/s", "10,000 label sets");
    for routes in [10, 100, 1000] {
        measure("flat, team=\"NAME\", severity=\"…\"", routes, &flat_equal(routes));
        measure("flat, service=~\"NAME|NAME\"", routes, &flat_regex(routes, "checkout-N|checkout-N-canary"));
        measure("flat, service=~\"NAME.*\"", routes, &flat_regex(routes, "checkout-N(-.+)?"));
        measure("flat, service=~\".*NAME.*\"", routes, &flat_regex(routes, "(.*-)?N(-.*)?"));
        measure("nested, team=\"NAME\", then severity=\"…\"", routes, &nested(routes));
    }
}

fn measure(name: &str, routes: usize, children: &str) {
    let tree = load(children);
    let below_root = tree.root.walk().count() - 1;
    assert!(below_root.abs_diff(routes) <= routes / 10, "{below_root} routes");
    let sets: Vec<Labels> = (0..LABEL_SETS).map(|n| labels(n, routes)).collect();
    let asked: usize = sets.iter().map(|labels| matchers_asked(&tree, labels)).sum();
    let round = || {
        for labels in &sets {
            black_box(tree.receivers(black_box(labels)));
        }
    };
    // Regular expressions make their working memory when they are first asked.
    round();
    let (started, mut rounds, mut took) = (processor_time(), 0, Duration::ZERO);
    while took < LONG_ENOUGH {
        round();
        (rounds, took) = (rounds + 1, processor_time().saturating_sub(started));
    }
    let seconds = took.as_secs_f64() / f64::from(rounds);
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    let (sets, matchers) = (LABEL_SETS as f64 / seconds, asked as f64 / seconds);
    println!("{name:<38} {below_root:>7} {sets:>13.0} {matchers:>13.0} {:>15.1} ms", seconds * 1000.0);
}

/// What this thread has used so far; it grows by some milliseconds at a time.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// As the service loads its file.
fn load(children: &str) -> Tree {
    let file = format!(
        "receivers:\n- name: chat\n  webhook: {{ url: 'http://127.0.0.1:9/' }}\n\
         route:\n  receivers: [chat]\n  routes:\n{children}"
    );
    let (config, problems) = parse(file.as_bytes(), &Options::without_secrets(), &secret::System);
    config.unwrap_or_else(|| panic!("{}", problems[0].one_line("routes.yaml"))).tree
}

/// Four routes a team, one for each severity.
fn flat_equal(routes: usize) -> String {
    let mut file = String::new();
    for n in 0..routes {
        writeln!(file, "  - matchers: [team=\"team-{}\", severity=\"{}\"]", n / 4, SEVERITIES[n % 4]).unwrap();
    }
    file
}

/// A route for each service, `N` in the pattern, and for all severities but one.
fn flat_regex(routes: usize, pattern: &str) -> String {
    let mut file = String::new();
    for n in 0..routes {
        let pattern = pattern.replace('N', &n.to_string());
        writeln!(file, "  - matchers: ['service=~\"{pattern}\"', 'severity=~\"critical|warning|info\"']").unwrap();
    }
    file
}

/// Five routes a team: its own, and one for each severity below.
fn nested(routes: usize) -> String {
    let mut file = String::new();
    for team in 0..routes / 5 {
        writeln!(file, "  - matchers: [team=\"team-{team}\"]\n    routes:").unwrap();
        for severity in SEVERITIES {
            writeln!(file, "    - matchers: [severity=\"{severity}\"]").unwrap();
        }
    }
    file
}

/// The labels of one alert in ten that real ones have; one in ten belongs to nobody.
fn labels(n: usize, routes: usize) -> Labels {
    // A large prime scatters them, the same way in each run.
    let scattered = n * 7_919;
    let team = scattered % (routes * 11 / 40).max(1);
    let service = scattered % (routes * 11 / 10);
    [
        ("alertname", "HighErrorRatio".to_owned()),
        ("cluster", "eu-1".to_owned()),
        ("environment", "production".to_owned()),
        ("instance", format!("10.0.{}.{}:9090", n / 256, n % 256)),
        ("job", "checkout".to_owned()),
        ("namespace", "shop".to_owned()),
        ("pod", format!("checkout-{n}")),
        ("service", format!("checkout-{service}{}", if n.is_multiple_of(3) { "-canary" } else { "" })),
        ("severity", SEVERITIES[n % 4].to_owned()),
        ("team", format!("team-{team}")),
    ]
    .into_iter()
    .collect()
}

/// How many matchers are asked until it is decided.
fn matchers_asked(tree: &Tree, labels: &Labels) -> usize {
    fn scan(route: &Route, labels: &Labels, asked: &mut usize) -> bool {
        for matcher in &route.matchers {
            *asked += 1;
            if !matcher.matches(labels) {
                return false;
            }
        }
        for child in &route.routes {
            if scan(child, labels, asked) && !child.continues {
                break;
            }
        }
        true
    }
    let mut asked = 0;
    scan(&tree.root, labels, &mut asked);
    asked
}
