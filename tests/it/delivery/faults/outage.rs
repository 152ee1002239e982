//! A receiver is down for a day, and comes back.

use std::collections::BTreeMap;
use std::time::Duration;

use alertrouter::clock::{Timestamp, after, between};
use alertrouter::standin::{Received, StandIn};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{Log, To, counted, is_up, whole};
use crate::harness::wait::PATIENCE;
use crate::harness::{Folder, Harness, ROUTES, alerts, start};

/// PagerDuty and Slack at their default pace, and Grafana told of what PagerDuty misses. Everything is delivered one by one:
/// what a digest folds is another matter.
const DAY_ROUTES: &str = "
receivers:
  - name: oncall
    pagerduty: { url: PAGERDUTY_URL, routing_key: PAGERDUTY_ROUTING_KEY }
    fallback: dashboards
  - name: team-slack
    slack: { webhook_url: SLACK_WEBHOOK_URL }
    rate_limit: { rate: 1/s, burst: 5, overflow: wait }
  - name: dashboards
    grafana: { url: GRAFANA_URL, token: GRAFANA_TOKEN }
route:
  receivers: [team-slack]
  routes:
    - matchers: [severity=critical]
      receivers: [oncall, team-slack]
";

const PROBE: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// Alertmanager tells again of what still fires.
const REPEAT: Duration = Duration::from_secs(4 * 3600);
const GROUPS: u32 = 110;
/// Who sleeps on the harness' clock while nothing is under way: a worker for each receiver, who looks for fallbacks, for
/// heartbeats, and housekeeping.
const SLEEPERS: usize = 6;
/// What Alertmanager sends during the day, and when: many groups that fire one after the other, repeat and, most of them,
/// end. Every third is critical.
fn the_day() -> BTreeMap<Duration, Vec<Value>> {
    let mut day = BTreeMap::<_, Vec<_>>::new();
    for group in 0..GROUPS {
        // The first ten minutes after the outage began, the last an hour before its end.
        let fires = 10 * MINUTE + group * 12 * MINUTE;
        let ends = fires + HOUR + group % 7 * 2 * HOUR;
        let severity = if group % 3 == 0 { "critical" } else { "warning" };
        let name = format!("Alert-{group:02}");
        let labels = json!({ "alertname": name, "severity": severity });
        let alert = alerts::firing(&labels, after(start(), fires));
        let mut at = fires;
        while at < ends.min(DAY) {
            day.entry(at).or_default().push(alerts::group(&name, std::slice::from_ref(&alert)));
            at += REPEAT;
        }
        if ends < DAY {
            let resolved = alerts::resolved(&alert, after(start(), ends));
            day.entry(ends).or_default().push(alerts::group(&name, &[resolved]));
        }
    }
    day
}

/// How often a receiver was probed, and how far apart.
#[derive(Debug)]
struct Probes {
    seen: usize,
    last: Timestamp,
    /// As long as each of them is looked at.
    longest_when_close: Duration,
}

impl Probes {
    fn look(&mut self, service: &StandIn, now: Timestamp, is_close: bool) -> bool {
        let seen = service.turned_away();
        if seen == self.seen {
            return false;
        }
        let apart = between(self.last, now);
        if is_close {
            self.longest_when_close = self.longest_when_close.max(apart);
        }
        (self.seen, self.last) = (seen, now);
        true
    }
}

/// Lets time pass until both receivers have been probed in it, and all who work for them sleep again: only then do they know
/// how it ended, and count from there.
async fn probe(harness: &Harness, time: Duration, database: &Connection, probes: &mut [Probes; 2]) {
    let services = [&harness.services.pagerduty, &harness.services.slack];
    let (mut came, mut passes) = ([false; 2], time);
    let ended = tokio::time::timeout(PATIENCE, async {
        while came != [true; 2] {
            harness.clock.advance(passes);
            // Whoever that wakes has his turn before this one.
            tokio::task::yield_now().await;
            while harness.clock.sleepers() < SLEEPERS || is_under_way(database) {
                // The harness' own way to look takes four rounds, and this is done thousands of times.
                tokio::task::yield_now().await;
            }
            for (at, service) in services.iter().enumerate() {
                came[at] |= probes[at].look(service, harness.now(), time == PROBE);
            }
            // The last wait before a receiver counts as down may be longer than those between probes.
            passes = Duration::from_secs(1);
        }
    });
    assert!(ended.await.is_ok(), "PagerDuty and Slack have been probed: {came:?} at {}", harness.now());
}

fn is_under_way(database: &Connection) -> bool {
    let sql = "SELECT EXISTS (SELECT 1 FROM delivery WHERE lease_until IS NOT NULL)";
    database.prepare_cached(sql).unwrap().query_row([], |row| row.get(0)).unwrap()
}

/// What should arrive in each lane, in order, `F`iring or `R`esolved: of all, and of the criticals.
fn expected(day: &BTreeMap<Duration, Vec<Value>>) -> [BTreeMap<String, String>; 2] {
    let (mut all, mut criticals) = (BTreeMap::<_, String>::new(), BTreeMap::<_, String>::new());
    for body in day.values().flatten() {
        let (name, alert) = (body["groupKey"].as_str().unwrap().to_owned(), &body["alerts"][0]);
        let letter = if alert["status"] == "resolved" { 'R' } else { 'F' };
        if alert["labels"]["severity"] == "critical" {
            criticals.entry(name.clone()).or_default().push(letter);
        }
        all.entry(name).or_default().push(letter);
    }
    [all, criticals]
}

/// How many notifications these lanes have.
fn total(lanes: &BTreeMap<String, String>) -> usize {
    lanes.values().map(String::len).sum()
}

/// Lives through the day, with a reload and a restart in it; how often who was probed.
async fn endure(harness: &mut Harness, day: &BTreeMap<Duration, Vec<Value>>) -> [Probes; 2] {
    let database = Connection::open(harness.data_dir().join("alertrouter.db")).unwrap();
    let fresh = || Probes { seen: 0, last: after(start(), 10 * MINUTE), longest_when_close: Duration::ZERO };
    let mut probes = [fresh(), fresh()];
    let mut days_work = day.iter().peekable();
    harness.skip_to(10 * MINUTE);
    let (mut reloaded, mut restarted) = (false, false);
    while between(start(), harness.now()) < DAY {
        let now = between(start(), harness.now());
        while let Some((_, bodies)) = days_work.next_if(|(at, _)| **at <= now) {
            for body in bodies {
                assert_eq!(harness.accept(body).await["duplicates"], 0, "{body}");
            }
        }
        if now > 6 * HOUR && !reloaded {
            reloaded = true;
            assert_eq!(harness.reload(DAY_ROUTES).await.0, 200);
        }
        if now > 12 * HOUR && !restarted {
            restarted = true;
            harness.restart().await;
        }
        // Every probe of the first hour and of the last; of those between them every tenth, because two thousand more
        // show nothing new and take a minute.
        let is_close = now < HOUR || now >= 23 * HOUR;
        probe(harness, if is_close { PROBE } else { 10 * PROBE }, &database, &mut probes).await;
    }
    assert!(days_work.next().is_none() && reloaded && restarted);
    probes
}

/// Each page was told elsewhere, and so was its end.
fn check_fallback(harness: &Harness, for_pagerduty: &BTreeMap<String, String>) {
    let annotations = harness.services.grafana.annotations();
    for (name, lane) in for_pagerduty {
        let told: Vec<_> = annotations.iter().filter(|annotation| annotation.text.contains(name.as_str())).collect();
        assert!(!told.is_empty(), "{name}: {annotations:?}");
        if lane.ends_with('R') {
            assert!(told.iter().all(|annotation| annotation.time_end > annotation.time), "{name}: {told:?}");
        }
    }
}

/// Both are back, and strict: whoever is too fast is answered with 429. Their buckets hold a few more than the router's, because
/// the harness' time may pass while a request is on its way. How long it took until nothing waited for them.
async fn drain(harness: &Harness) -> [Duration; 2] {
    let clock = std::sync::Arc::new(harness.clock.clone());
    harness.services.pagerduty.limit_rate(clock.clone(), Duration::from_millis(500), 24);
    harness.services.slack.limit_rate(clock, Duration::from_secs(1), 8);
    harness.services.pagerduty.set_down(false);
    harness.services.slack.set_down(false);
    let back = harness.now();
    let mut drained = [None; 2];
    while drained.iter().any(Option::is_none) {
        harness.clock.advance(Duration::from_millis(500));
        harness.look().await;
        let waiting = harness.stats().await.receivers;
        for (at, to) in [To::PagerDuty, To::Slack].into_iter().enumerate() {
            if drained[at].is_none() && waiting.get(to.receiver()).is_none_or(|counts| counts.pending == 0) {
                drained[at] = Some(between(back, harness.now()));
            }
        }
        assert!(between(back, harness.now()) < HOUR, "{waiting:?}");
    }
    drained.map(Option::unwrap)
}

/// All has arrived, each lane in its order, and no incident is left open that has ended.
fn check_arrived(harness: &Harness, for_slack: &BTreeMap<String, String>, for_pagerduty: &BTreeMap<String, String>) {
    let slack = harness.services.slack.received();
    assert!(slack.iter().chain(&harness.services.pagerduty.received()).all(Received::is_accepted), "no 429 at all");
    let mut lanes = BTreeMap::<_, String>::new();
    for text in harness.slack_texts() {
        let name = text.split(' ').nth(1).unwrap().trim_end_matches(':').to_owned();
        lanes.entry(name).or_default().push(if text.starts_with("[RESOLVED") { 'R' } else { 'F' });
    }
    assert_eq!(lanes, *for_slack);
    let mut lanes = BTreeMap::<_, String>::new();
    for event in harness.pagerduty_events() {
        let (action, name) = event.split_once(' ').unwrap();
        lanes.entry(name.to_owned()).or_default().push(if action == "resolve" { 'R' } else { 'F' });
    }
    assert_eq!(lanes, *for_pagerduty);
    let open = harness.services.pagerduty.incidents().iter().filter(|incident| incident.open).count();
    assert_eq!(open, for_pagerduty.values().filter(|lane| !lane.ends_with('R')).count());
}

#[tokio::test]
async fn down_for_a_day_and_back() {
    let log = Log::capture();
    // In memory where there is such a folder: a day has ten thousand transactions, and other tests are about the disk.
    let folder = Folder::in_memory();
    let mut harness = Harness::with(DAY_ROUTES, |settings| settings.data_dir = folder.0.join("data")).await;
    harness.services.pagerduty.set_down(true);
    harness.services.slack.set_down(true);
    let day = the_day();
    let [for_slack, for_pagerduty] = expected(&day);
    let (messages, pages) = (total(&for_slack), total(&for_pagerduty));
    assert!(messages > 250 && pages > 80, "{messages} {pages}");

    let [oncall, team] = endure(&mut harness, &day).await;
    for (to, probes) in [(To::PagerDuty, &oncall), (To::Slack, &team)] {
        assert!(!is_up(&harness, to).await);
        // One every 30 s for 50 min and 1 h, and one every 5 min for 22 h; a few more at first and after the restart, before
        // it is known again that it is down.
        assert!((475..=510).contains(&probes.seen), "{to:?}: {probes:?}");
        // The harness may see one a step late.
        assert!(probes.longest_when_close <= 2 * PROBE + Duration::from_secs(5), "{to:?}: {probes:?}");
    }
    assert_eq!(harness.dead().await, 0, "nothing is older than a day");
    assert_eq!(harness.pending().await, (messages + pages) as u64, "nothing is lost");
    check_fallback(&harness, &for_pagerduty);

    let drained = drain(&harness).await;
    let probes = oncall.seen + team.seen;
    println!("{probes} probes; {pages} pages drained in {:?}, {messages} messages in {:?}", drained[0], drained[1]);
    // A probe's wait, then the pace.
    assert!(drained[0] < PROBE + Duration::from_secs(pages as u64 / 2 + 30), "{drained:?}");
    assert!(drained[1] < PROBE + Duration::from_secs(messages as u64 + 30), "{drained:?}");
    check_arrived(&harness, &for_slack, &for_pagerduty);
    for (to, count) in [(To::PagerDuty, pages), (To::Slack, messages)] {
        assert!(is_up(&harness, to).await);
        assert_eq!(counted(&harness, to, "delivered").await, whole(count), "{to:?}");
    }
    assert_eq!(log.lines("receiver is up again").len(), 2, "once each");
    harness.deliver(MINUTE).await;
    harness.finish().await;
}

#[tokio::test]
async fn what_is_older_than_a_day_is_a_dead_letter_and_what_is_younger_is_not() {
    let log = Log::capture();
    let routes = ROUTES
        .replace("- name: oncall", "- name: oncall\n    fallback: team-slack")
        .replace("[oncall, team-slack]", "[oncall]");
    let harness = Harness::with_routes(&routes).await;
    harness.services.pagerduty.set_down(true);
    harness.accept(&alerts::one("Older", "critical")).await;
    harness.services.pagerduty.wait_for_turned_away(1).await;
    harness.pass(10 * MINUTE).await;
    harness.skip_to(HOUR);
    harness.accept(&alerts::one("Younger", "critical")).await;
    harness.pass(10 * MINUTE).await;
    assert_eq!(harness.slack_texts().len(), 2, "both were told elsewhere after 5 min");
    harness.skip_to(Duration::from_secs(86_400 - 120));
    harness.pass(100 * Duration::from_secs(1)).await;
    assert_eq!(harness.dead().await, 0);
    harness.pass(2 * MINUTE).await;
    assert_eq!((harness.dead().await, harness.pending().await), (1, 1));
    let lines = log.lines("given up: a dead letter");
    assert!(lines.len() == 1 && lines[0].contains("Older"), "{lines:?}");
    harness.services.pagerduty.set_down(false);
    harness.deliver(MINUTE).await;
    assert_eq!(harness.pagerduty_events(), ["trigger Younger"]);
    assert_eq!(
        (harness.slack_texts().len(), counted(&harness, To::PagerDuty, "fallback").await),
        (2, 2.0),
        "told once each"
    );
    // It was never told to PagerDuty, so its next copy is a first one.
    assert_eq!(harness.accept(&alerts::one("Older", "critical")).await["notifications"], 1);
    harness.deliver(MINUTE).await;
    assert_eq!(harness.pagerduty_events(), ["trigger Younger", "trigger Older"]);
    harness.finish().await;
}

#[tokio::test]
async fn recovery_goes_by_age() {
    let routes = ROUTES.replacen("rate: 1000/s, burst: 1000", "rate: 1/s, burst: 1", 1);
    let harness = Harness::with_routes(&routes.replace("[oncall, team-slack]", "[oncall]")).await;
    harness.services.pagerduty.set_down(true);
    let names: Vec<_> = ('A'..='P').map(|letter| format!("Page-{letter}")).collect();
    for name in &names {
        harness.accept(&alerts::one(name, "critical")).await;
        harness.pass(MINUTE).await;
    }
    // Some have been probed more often than others by now, and all at different times.
    harness.pass(10 * MINUTE).await;
    harness.services.pagerduty.set_down(false);
    harness.deliver(2 * MINUTE).await;
    let events = harness.pagerduty_events();
    let (probe, drained) = events.split_first().unwrap();
    let expected: Vec<_> = names.iter().map(|name| format!("trigger {name}")).filter(|event| event != probe).collect();
    assert_eq!(drained, expected, "whichever was the probe, the others go oldest first");
    harness.finish().await;
}
