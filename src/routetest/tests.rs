//! From test files to what does not hold, through the real store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::coverage::{Coverage, Reached};
use super::file::{World, open};
use super::judge::{Failure, judge};
use super::simulate::{Seen, simulate};
use super::{Case, Sent, Step};
use crate::alert::{Labels, Status};
use crate::clock::Timestamp;
use crate::config::tests::folder;
use crate::config::{self, Config, secret};
use crate::dedup::Cache;
use crate::notification::{Reason, ReceiverName};
use crate::store::sqlite::{self, SqliteStore};

const ROUTES: &str = "
receivers:
  - name: oncall
    pagerduty: { routing_key: { env: KEY } }
  - name: team
    slack: { webhook_url: { env: HOOK } }
  - name: quiet
    send_resolved: false
    webhook: { url: http://localhost/ }
dedup: { ignore_labels: [replica], settle: 5m }
route:
  receivers: [team]
  repeat_interval: 4h
  routes:
    - matchers: [to=oncall]
      receivers: [oncall]
    - matchers: [to=both]
      receivers: [oncall, team]
    - matchers: [to=quiet]
      receivers: [quiet]
    - matchers: [to=often]
      receivers: [team]
      repeat_interval: 10m
    - matchers: [to=nobody]
      receivers: []
";

fn routes(text: &str) -> Config {
    let (config, problems) = config::parse(text.as_bytes(), &config::Options::without_secrets(), &secret::System);
    config.unwrap_or_else(|| panic!("{problems:?}"))
}

fn cases(text: &str, config: &Config) -> Vec<Case> {
    let receivers: Vec<ReceiverName> = config.receivers.iter().map(|known| known.target.name.clone()).collect();
    open(text.as_bytes())
        .unwrap()
        .cases(&World { routes: "routes.yaml", receivers: Some(&receivers), rules: None })
        .unwrap()
}

fn live(config: &Config, cases: &[Case]) -> Vec<Vec<Seen>> {
    let folder = folder(&[]);
    let options = sqlite::Options::new(Cache::new(0, Duration::ZERO));
    let store = SqliteStore::open(&folder.path().join("data"), options, Timestamp::UNIX_EPOCH).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(simulate(config, cases, Arc::new(store))).unwrap()
}

/// Of each test what does not hold.
fn run(routes_yaml: &str, tests: &str) -> Vec<(Case, Vec<Seen>, Vec<Failure>)> {
    let config = routes(routes_yaml);
    let cases = cases(&format!("tests:{tests}"), &config);
    let seen = live(&config, &cases);
    let judged = cases.into_iter().zip(seen).map(|(case, seen)| {
        let failures = judge(&case, &seen, &config, "routes.yaml");
        (case, seen, failures)
    });
    judged.collect()
}

#[track_caller]
fn passes(routes_yaml: &str, tests: &str) -> Vec<Vec<Seen>> {
    let judged = run(routes_yaml, tests);
    for (case, _, failures) in &judged {
        assert!(failures.is_empty(), "{}: {failures:#?}", case.name);
    }
    judged.into_iter().map(|(_, seen, _)| seen).collect()
}

/// README, "What is new", row by row. The names are the rows.
const TABLE: &str = "
  - name: firing, nothing is known
    labels: { a: '1', to: both }
    steps: [{ at: 1m, status: firing, decisions: first, receivers: [oncall, team] }]

  - name: firing, and later than the known start and the last notification
    labels: { a: '1' }
    steps:
      - { at: 0s, status: firing, decisions: first }
      - { at: 1m, status: firing, starts_at: 50s, decisions: refired, receivers: [team] }

  - name: firing, and later than the known start but not than the last notification
    labels: { a: '1' }
    steps:
      - { at: 1m, status: firing, starts_at: 0s, decisions: first }
      - { at: 2m, status: firing, starts_at: 50s, decisions: duplicate, receivers: [] }

  - name: firing, and repeat_interval is not reached
    labels: { a: '1' }
    steps:
      - { at: 0s, status: firing, decisions: first }
      - { at: 3h54m59s, status: firing, decisions: duplicate, receivers: [] }

  - name: firing, and repeat_interval is reached, five minutes early
    labels: { a: '1' }
    steps:
      - { at: 0s, status: firing, decisions: first }
      - { at: 3h55m, status: firing, decisions: repeat, receivers: [team] }

  - name: the repeat_interval of the route counts
    labels: { a: '1', to: often }
    steps:
      - { at: 0s, status: firing, decisions: first }
      - { at: 10m, status: firing, decisions: repeat, receivers: [team] }

  - name: firing after the known end
    labels: { a: '1' }
    steps:
      - { at: 0s, status: firing, decisions: first }
      - { at: 1m, status: resolved, decisions: resolved }
      - { at: 2m, status: firing, decisions: refired, receivers: [team] }

  - name: a firing copy of an ended episode whose resolve follows
    labels: { a: '1' }
    steps:
      - { at: 0s, status: firing, from: am-1, decisions: first }
      - { at: 1s, status: firing, from: am-2, decisions: duplicate }
      - { at: 1m, status: resolved, from: am-1, decisions: resolved }
      - { at: 2m, status: firing, from: am-2, decisions: held, receivers: [] }
      - { at: 3m, status: resolved, from: am-2, decisions: [stale, duplicate], receivers: [] }
      - { at: 1h, decisions: {}, receivers: [] }

  - name: a firing copy of an ended episode that stays
    labels: { a: '1', to: both }
    steps:
      - { at: 0s, status: firing, from: am-1, decisions: first }
      - { at: 1s, status: firing, from: am-2, decisions: duplicate }
      - { at: 1m, status: resolved, from: am-1, decisions: resolved }
      - { at: 2m, status: firing, from: am-2, decisions: held, receivers: [] }
      - { at: 6m59s, decisions: {}, receivers: [] }
      - { at: 7m, decisions: { oncall: refired, team: refired }, receivers: [team, oncall] }
      - { at: 8m, status: firing, from: am-2, decisions: duplicate }

  - name: what came due between two steps belongs to the later one
    labels: { a: '1' }
    steps:
      - { at: 0s, status: firing, from: am-1, decisions: first }
      - { at: 1s, status: firing, from: am-2, decisions: duplicate }
      - { at: 1m, status: resolved, from: am-1, decisions: resolved }
      - { at: 2m, status: firing, from: am-2, decisions: held, receivers: [] }
      - { at: 9m, status: resolved, from: am-1, ends_at: 9m, decisions: [refired, resolved], receivers: [team] }

  - name: a resolve at the moment when a held copy comes due is too late for it
    labels: { a: '1' }
    steps:
      - { at: 0s, status: firing, from: am-1 }
      - { at: 1s, status: firing, from: am-2 }
      - { at: 1m, status: resolved, from: am-1 }
      - { at: 2m, status: firing, from: am-2, decisions: held }
      - { at: 7m, status: resolved, from: am-2, ends_at: 7m, decisions: [refired, resolved] }

  - name: the resolve of the known episode
    labels: { a: '1', to: both }
    steps:
      - { at: 0s, status: firing, decisions: first }
      - { at: 1m, status: resolved, decisions: resolved, receivers: [oncall, team] }

  - name: the resolve of an earlier episode
    labels: { a: '1' }
    steps:
      - { at: 5m, status: firing, decisions: first }
      - { at: 6m, status: resolved, starts_at: 1m, ends_at: 2m, decisions: stale, receivers: [] }

  - name: a second resolve
    labels: { a: '1' }
    steps:
      - { at: 0s, status: firing, from: am-1, decisions: first }
      - { at: 1m, status: resolved, from: am-1, decisions: resolved }
      - { at: 2m, status: resolved, from: am-2, decisions: duplicate, receivers: [] }

  - name: the resolve of what is not known
    labels: { a: '1', to: both }
    steps: [{ at: 1m, status: resolved, decisions: unknown_resolved, receivers: [oncall] }]

  - name: with send_resolved false the state changes and nothing is sent
    labels: { a: '1', to: quiet }
    steps:
      - { at: 0s, status: firing, decisions: first, receivers: [quiet] }
      - { at: 1m, status: resolved, decisions: resolved, receivers: [] }
      - { at: 2m, status: firing, decisions: refired, receivers: [quiet] }

  - name: what is dropped on purpose decides nothing
    labels: { a: '1', to: nobody }
    receivers: []
    steps: [{ at: 0s, status: firing, decisions: {}, receivers: [] }]

  - name: labels that are ignored do not tell alerts apart
    labels: { a: '1', replica: one }
    steps:
      - { at: 0s, status: firing, decisions: first, receivers: [team] }
      - { at: 10s, status: firing, labels: { replica: two }, starts_at: 0s, decisions: duplicate, receivers: [] }
      - { at: 1m, status: firing, labels: { a: '2' }, decisions: first, receivers: [team] }

  - name: a resolve goes to whoever was told, whatever the routes say by now
    labels: { a: '1', replica: one, to: oncall }
    steps:
      - { at: 0s, status: firing, decisions: first, receivers: [oncall] }
      - { at: 1m, status: resolved, decisions: resolved, receivers: [oncall] }

  - name: an ended alert is forgotten after five days
    labels: { a: '1' }
    steps:
      - { at: 0s, status: firing, decisions: first }
      - { at: 1h, status: resolved, decisions: resolved }
      - { at: 5d1h1m, status: firing, decisions: first }
";

#[test]
fn every_row_of_the_decision_table_is_reached() {
    let seen = passes(ROUTES, TABLE);
    let decided = seen.iter().flatten().flat_map(|seen| &seen.decisions);
    let reasons: BTreeSet<Reason> = decided.map(|(_, reason)| *reason).collect();
    assert_eq!(reasons, Reason::ALL.into_iter().collect());
}

#[test]
fn without_a_settle_time_a_copy_is_held_and_released_at_once() {
    passes(
        &ROUTES.replace("settle: 5m", "settle: 0s"),
        "
  - name: a
    labels: { a: b }
    steps:
      - { at: 0s, status: firing, from: am-1, decisions: first }
      - { at: 1s, status: firing, from: am-2, decisions: duplicate }
      - { at: 1m, status: resolved, from: am-1, decisions: resolved }
      - { at: 2m, status: firing, from: am-2, decisions: [held, refired], receivers: [team] }
",
    );
}

#[test]
fn says_what_does_not_hold_and_why() {
    let judged = run(
        ROUTES,
        "
  - name: whom the routes name
    labels: { a: b, to: both }
    receivers: [quiet, oncall]
  - name: the root
    labels: { a: b }
    receivers: []
  - name: over time
    labels: { a: b, to: both }
    steps:
      - { at: 0s, status: firing, decisions: { oncall: first }, receivers: [oncall] }
      - { at: 1h1m, status: firing, decisions: first, receivers: [team, oncall] }
      - { at: 2h, decisions: [stale, refired], receivers: [team] }
      - { at: 3h, decisions: {}, receivers: [] }
      - { at: 4h, status: firing, labels: { to: nobody }, decisions: repeat }
",
    );
    let lines: Vec<String> = judged
        .iter()
        .flat_map(|(case, _, failures)| failures.iter().map(move |failure| (case, failure)))
        .map(|(case, failure)| {
            let Failure { expected, got, because, .. } = failure;
            format!("{} | {failure} | {expected} | {got} | {because}", case.name)
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_route_is_named_by_its_matchers_on_the_way_down() {
    let routes = "
receivers: [{ name: a, webhook: { url: http://x/ } }]
route:
  receivers: [a]
  routes:
    - matchers: ['team=~\"db|web\"', x=y]
      routes:
        - { matchers: ['odd=\"a\tb\"'], continue: true }
        - {}
    - { matchers: [team=db], receivers: [] }
";
    let because = |labels: &str| {
        let judged = run(routes, &format!("\n  - {{ name: a, labels: {{ {labels} }}, receivers: [] }}"));
        judged[0].2.first().map(|failure| failure.because.clone())
    };
    assert_eq!(because("z: z").unwrap(), "routes.yaml:3 (the root) takes it");
    assert_eq!(because("team: db"), None);
    let path = r#"{team=~"db|web", x="y"}"#;
    assert_eq!(because("team: db, x: y").unwrap(), format!("routes.yaml:9 {path} {{}} takes it"));
    let both = format!(r#"routes.yaml:8 {path} {{odd="a\tb"}} and routes.yaml:9 {path} {{}} take it"#);
    assert_eq!(because("team: db, x: y, odd: \"a\\tb\"").unwrap(), both);
}

#[track_caller]
fn check_coverage(tree: &str, tests: &str, reached: usize, missed: &[&str]) {
    let config = routes(&format!("receivers: [{{ name: a, webhook: {{ url: http://x/ }} }}]\nroute: {tree}"));
    let mut all = Reached::default();
    for case in cases(&format!("tests: {tests}"), &config) {
        all.add(&config.tree, &case);
    }
    let coverage = Coverage::of(&config.tree, &all, "f");
    assert_eq!(coverage.missed, missed, "{tree}");
    assert_eq!((coverage.reached, coverage.total), (reached, reached + missed.len()), "{tree}");
}

#[test]
fn coverage_counts_the_routes_where_alerts_end() {
    let one = "[{ name: a, labels: { a: b }, receivers: [a] }]";
    let root = "f:2 (the root) to [a]";
    let check = |tree: &str, reached, missed: &[&str]| check_coverage(tree, one, reached, missed);
    check("{ receivers: [a] }", 1, &[]);
    check("{ receivers: [a], routes: [{ matchers: [a=b] }] }", 1, &[root]);
    check("{ receivers: [a], routes: [{ matchers: [a=c], receivers: [] }] }", 1, &[r#"f:2 {a="c"} to []"#]);
    // Both routes of an alert that goes on are reached.
    check("{ receivers: [a], routes: [{ matchers: [a=b], continue: true }, { matchers: [a=~b] }] }", 2, &[root]);
    // A child takes everything, or everything that gets there: the parent itself gets nothing.
    check("{ receivers: [a], routes: [{}] }", 1, &[]);
    check("{ receivers: [a], routes: [{ continue: true }] }", 1, &[]);
    check("{ receivers: [a], routes: [{ matchers: ['a=~\".*\"'] }] }", 1, &[]);
    check("{ receivers: [a], routes: [{ matchers: [a=b], routes: [{ matchers: [a=b] }] }] }", 1, &[root]);
    // Nothing comes past a route that takes everything, and to nothing below what it shuts off.
    check("{ receivers: [a], routes: [{}, { matchers: [a=b], routes: [{ matchers: [c=d] }] }] }", 1, &[]);
    check("{ receivers: [a], routes: [{ matchers: [a=b] }, { matchers: [c=d, a=b] }] }", 1, &[root]);
    check("{ receivers: [a], routes: [{ continue: true }, { matchers: [c=d] }] }", 1, &[r#"f:2 {c="d"} to [a]"#]);
    // One that may let something past is no reason.
    check("{ receivers: [a], routes: [{ matchers: [a=~.+] }] }", 1, &[root]);
}

#[test]
fn coverage_asks_what_a_case_is_about() {
    let tree = "{ receivers: [a], routes: [{ matchers: [a=b] }, { matchers: [a=c] }] }";
    let steps =
        "[{ name: a, labels: { a: b }, steps: [{ at: 0s, status: firing, labels: { a: c }, decisions: first }] }]";
    check_coverage(tree, steps, 1, &["f:2 (the root) to [a]", r#"f:2 {a="b"} to [a]"#]);
    let both = steps.replace("steps:", "receivers: [a], steps:");
    check_coverage(tree, &both, 2, &["f:2 (the root) to [a]"]);
}

#[test]
fn coverage_says_how_many_routes_it_leaves_out() {
    let not_counted = Coverage { reached: 1, total: 1, missed: Vec::new(), not_counted: 1 };
    let expected = "coverage: 1 of 1 route (100 %)\n  1 route can never take an alert and is not counted\n";
    assert_eq!(super::report::coverage(&not_counted, None), expected);
}

#[test]
fn coverage_is_not_rounded_up() {
    let coverage = |reached, total: usize| Coverage { reached, total, missed: Vec::new(), not_counted: 0 };
    let check = |reached, total, percent, least: u8| {
        let coverage = coverage(reached, total);
        assert_eq!(coverage.percent(), percent);
        assert!(coverage.is_at_least(least), "{reached} of {total} is at least {least} %");
        assert!(least == 100 || !coverage.is_at_least(least + 1), "{reached} of {total} is not {} %", least + 1);
    };
    check(3, 4, 75, 75);
    check(1999, 2000, 99, 99);
    check(2, 3, 66, 66);
    check(0, 3, 0, 0);
    check(3, 3, 100, 100);
}

prop_compose! {
    fn any_step()(passed in 0u64..400, kind in 0u8..5, from in 0u8..3, to in 0u8..5, replica in 0u8..2,
                  starts in proptest::option::weighted(0.2, 0u64..2000), ends in proptest::option::weighted(0.2, 0u64..2000))
        -> (u64, Option<Sent>) {
        let to = ["both", "quiet", "often", "nobody", "oncall"][usize::from(to.min(4))];
        let labels: Labels =
            [("a", "b"), ("to", to), ("replica", ["x", "y"][usize::from(replica)])].into_iter().collect();
        let status = if kind < 3 { Status::Firing } else { Status::Resolved };
        let seconds = |time: Option<u64>| time.map(Duration::from_secs);
        let ends_at = seconds(ends).filter(|_| status == Status::Resolved);
        let sent = Sent { status, from: format!("am-{from}"), labels, starts_at: seconds(starts), ends_at };
        (passed, (kind != 4).then_some(sent))
    }
}

prop_compose! {
    fn any_case()(steps in proptest::collection::vec(any_step(), 1..20)) -> Case {
        let mut at = 0;
        let steps = steps.into_iter().map(|(passed, sent)| {
            at += passed;
            Step { at: Duration::from_secs(at), sent, receivers: None, decisions: None }
        });
        let labels = [("a", "b")].into_iter().collect();
        Case { name: String::new(), at: (1, 1), labels, receivers: None, steps: steps.collect() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn whoever_is_to_be_told_is_notified_and_nobody_else(cases in proptest::collection::vec(any_case(), 1..12)) {
        let config = routes(ROUTES);
        // Each case twice, to see that a case knows nothing of the others.
        let twice: Vec<Case> = cases.iter().chain(cases.iter().rev()).cloned().collect();
        let mut seen = live(&config, &twice);
        let mut again = seen.split_off(cases.len());
        again.reverse();
        prop_assert_eq!(&seen, &again);
        prop_assert_eq!(&live(&config, &cases[..1]), &seen[..1]);
        for (case, seen) in cases.iter().zip(&seen) {
            prop_assert_eq!(case.steps.len(), seen.len());
            for seen in seen {
                // What the store has decided, receiver by receiver, is what was delivered.
                let told = seen.decisions.iter().filter(|(receiver, reason)| {
                    let target = &config.receivers.iter().find(|known| known.target.name == *receiver).unwrap().target;
                    match reason {
                        Reason::First | Reason::Refired | Reason::Repeat => true,
                        Reason::Resolved => target.send_resolved,
                        Reason::UnknownResolved => target.keeps_state && target.send_resolved,
                        Reason::Duplicate | Reason::Held | Reason::Stale => false,
                    }
                });
                let mut told: Vec<&ReceiverName> = told.map(|(receiver, _)| receiver).collect();
                let mut notified: Vec<&ReceiverName> = seen.notified.iter().collect();
                told.sort();
                notified.sort();
                prop_assert_eq!(told, notified, "{:?}", seen);
            }
        }
    }
}
