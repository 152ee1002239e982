//! The acceptance test of the whole chain: a metric misbehaves, Prometheus' rule fires, a pair of Alertmanagers notifies, one
//! message arrives, the resolve follows. `make stack` runs it and shows its story.

#![expect(clippy::print_stdout, reason = "a person who runs it alone reads its story")]

mod compose;
mod service;
pub mod shipped;

use std::time::Duration;

use alertrouter::clock::{Clock, SystemClock, Timestamp, between};
use serde_json::Value;
use tokio::time::timeout;

use crate::harness::http;
use crate::harness::wait::until_within;
use shipped::Stack;

/// What issue and README promise: so long from the breach of a rule without `for` to the message.
const PROMISED: Duration = Duration::from_secs(60);
/// A resolve also waits until the bad requests have left the rule's window, and for the pair's `group_interval`.
const RESOLVED_WITHIN: Duration = Duration::from_secs(120);
/// After the first of a pair the other one comes, or has heard in time that it need not.
const COPY_WITHIN: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(250);
const ALERT: &str = "LLMFailingNow";

fn now() -> Timestamp {
    SystemClock::new().now()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|_| panic!("{text} is no time"))
}

/// When a line was written that begins with its time.
fn time_of(line: &str) -> Timestamp {
    time(line.split_whitespace().next().unwrap_or_default())
}

/// A way, told leg by leg: when it began, and when the last leg ended.
struct Way(Timestamp, Timestamp);

impl Way {
    fn from(start: Timestamp) -> Self {
        println!("     from start   of which this leg");
        Self(start, start)
    }

    fn leg(&mut self, at: Timestamp, what: &str) {
        let seconds = |since| between(since, at).as_secs_f64();
        println!("  {:9.1} s {:12.1} s   {what}", seconds(self.0), seconds(self.1));
        self.1 = at;
    }
}

impl Stack {
    async fn until(&self, bound: Duration, what: &str, is_so: impl AsyncFnMut() -> bool) {
        until_within(bound, LOOK, what, || self.log(), is_so).await;
    }

    /// Waits until every part sees the others, and there is traffic to judge.
    async fn until_it_is_well(&self) {
        for alertmanager in &self.alertmanagers {
            alertmanager.until_it_has_a_peer().await;
        }
        // Until it has found them Prometheus drops what it has to say, and says it again a minute later.
        self.until(RESOLVED_WITHIN, "a Prometheus that knows both Alertmanagers", async || {
            let found = self.ask_prometheus("/api/v1/alertmanagers").await;
            found["activeAlertmanagers"].as_array().is_some_and(|found| found.len() == 2)
        })
        .await;
        self.until(RESOLVED_WITHIN, "targets that answer", async || {
            let targets = self.ask_prometheus("/api/v1/targets?state=active").await;
            let health = targets["activeTargets"].as_array().map_or(&[][..], Vec::as_slice);
            health.len() == 5 && health.iter().all(|target| target["health"] == "up")
        })
        .await;
        self.until(RESOLVED_WITHIN, "traffic", async || {
            let rate = "/api/v1/query?query=rate(llm_requests_total%7Bmodel%3D%22large%22%7D%5B20s%5D)%3E0";
            self.ask_prometheus(rate).await["result"].as_array().is_some_and(|series| !series.is_empty())
        })
        .await;
        for service in ["llm-service", "stand-in", "alertrouter", "alertmanager-1", "alertmanager-2"] {
            self.is_healthy(service).await;
        }
    }

    /// The lines of the stand-in with this in it.
    fn sent(&self, what: &str) -> Vec<String> {
        self.stand_in.log().lines().filter(|line| line.contains(what)).map(str::to_owned).collect()
    }

    /// Whether the rule fires in Prometheus, and since when it does or when it was last looked at.
    async fn rule(&self) -> Option<(bool, Timestamp)> {
        let answer = self.ask_prometheus("/api/v1/rules?type=alert").await;
        let mut rules =
            answer["groups"].as_array()?.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let rule = rules.find(|rule| rule["name"] == ALERT)?;
        let at = rule["alerts"][0]["activeAt"].as_str();
        Some((rule["state"] == "firing", time(at.or(rule["lastEvaluation"].as_str())?)))
    }

    /// Waits until the rule fires, or no longer; since when it does.
    async fn until_the_rule_fires(&self, bound: Duration, fires: bool) -> Timestamp {
        let mut since = None;
        self.until(bound, "the rule in Prometheus", async || {
            since = self.rule().await.filter(|(is_firing, _)| *is_firing == fires).map(|(_, at)| at);
            since.is_some()
        })
        .await;
        since.unwrap()
    }

    /// When each Alertmanager that has the alert was told of it.
    async fn told(&self) -> Vec<Timestamp> {
        let mut told = Vec::new();
        for alertmanager in &self.alertmanagers {
            let path = format!("/api/v2/alerts?filter=alertname%3D{ALERT}");
            let answer = self.client.get(&alertmanager.address, &path, "").await.unwrap_or_default();
            let alerts: Value = serde_json::from_str(&answer).unwrap_or_default();
            told.extend(alerts[0]["updatedAt"].as_str().map(time));
        }
        told
    }

    /// When the router took the first webhook about the alert after a moment.
    fn accepted(&self, since: Timestamp) -> Timestamp {
        let log = self.router.process.log();
        let line =
            log.lines().find(|line| line.contains(": accepted") && line.contains(ALERT) && time_of(line) >= since);
        time_of(line.unwrap_or_else(|| panic!("no webhook was accepted:\n{log}")))
    }

    /// How many copies for Slack the router has dropped.
    async fn copies(&self) -> f64 {
        http::metric_or_zero(&self.metrics().await, &counted("duplicate"))
    }

    /// Misbehaves until Slack and PagerDuty were told, then behaves until they were told of the end.
    async fn tell_the_story(&self, round: usize) {
        let before = self.copies().await;
        let misbehave = async |how: &str| {
            let path = format!("/misbehave/{how}");
            self.client.post(&self.service_address, &path).await.unwrap();
            println!("\nPOST http://{}{path}", self.service_address);
            now()
        };

        let breach = misbehave("errors").await;
        let mut way = Way::from(breach);
        let left = || PROMISED.saturating_sub(between(breach, now()));
        let fired = self.until_the_rule_fires(left(), true).await;
        way.leg(fired, &format!("{ALERT} fires in Prometheus"));
        self.until(left(), "the alert in both Alertmanagers", async || self.told().await.len() == 2).await;
        way.leg(self.told().await.into_iter().max().unwrap(), "both Alertmanagers have it");
        let firing = format!("Slack ◀ [FIRING:1] {ALERT}");
        self.until(left(), "a message", async || self.sent(&firing).len() >= round).await;
        self.until(left(), "a page", async || self.sent("PagerDuty ◀ TRIGGER").len() >= round).await;
        way.leg(self.accepted(breach), "alertrouter has taken it");
        let message = time_of(&self.sent(&firing)[round - 1]);
        way.leg(message, &format!("Slack is told, of {} promised", PROMISED.as_secs()));
        assert!(between(breach, message) <= PROMISED, "{}", self.log());

        let over = misbehave("off").await;
        let mut way = Way::from(over);
        let ended = self.until_the_rule_fires(RESOLVED_WITHIN, false).await;
        way.leg(ended, "it fires no more");
        let resolved = format!("Slack ◀ [RESOLVED:1] {ALERT}");
        self.until(RESOLVED_WITHIN, "a message of the end", async || self.sent(&resolved).len() >= round).await;
        self.until(RESOLVED_WITHIN, "an incident that is closed", async || self.sent("◀ RESOLVE").len() >= round).await;
        way.leg(self.accepted(over), "alertrouter has taken it");
        way.leg(time_of(&self.sent(&resolved)[round - 1]), "Slack is told of the end");

        // The other one of the pair posts a copy of each, unless the first one's gossip was faster.
        let both = self.until(RESOLVED_WITHIN, "copies", async || self.copies().await >= before + 2.0);
        let _ = timeout(COPY_WITHIN, both).await;
        println!("\n{} of 2 copies of the pair came, and were dropped", self.copies().await - before);
    }
}

/// A series of the router's metrics.
fn counted(reason: &str) -> String {
    format!("alertrouter_alerts_total{{receiver=\"team-slack\",reason=\"{reason}\"}}")
}

#[tokio::test]
async fn an_alert_travels_from_a_metric_to_one_message_and_so_does_its_end() {
    let start = now();
    println!("\nThe stack of deploy/compose.yaml, without containers:");
    let mut stack = Stack::start().await;
    stack.until_it_is_well().await;
    println!(
        "Prometheus, 2 clustered Alertmanagers, alertrouter, stand-ins and the service are well after {:.1} s",
        between(start, now()).as_secs_f64()
    );

    // Where the machine is busy, the second of the pair may be so late that it need not post. Not every time.
    let mut rounds = 0_u32;
    while rounds == 0 || rounds < 3 && stack.copies().await == 0.0 {
        rounds += 1;
        stack.tell_the_story(rounds as usize).await;
    }

    let metrics = stack.metrics().await;
    let count = |reason| http::metric_or_zero(&metrics, &counted(reason));
    assert!(count("duplicate") >= 1.0, "the pair sent no copy in {rounds} rounds:\n{}", stack.log());
    let told = [count("first") + count("refired"), count("resolved")];
    assert_eq!(told, [f64::from(rounds); 2], "{metrics}");
    let others = ["repeat", "held", "stale", "unknown_resolved"].map(count);
    assert_eq!(others, [0.0; 4], "{metrics}");
    // One message and one event for each, and nothing else but Watchdog, which may come meanwhile.
    assert_eq!(stack.sent("Slack ◀").len(), 2 * rounds as usize, "{}", stack.stand_in.log());
    assert_eq!(stack.sent("PagerDuty ◀").len(), 2 * rounds as usize, "{}", stack.stand_in.log());
    let others = stack.sent("Grafana ◀ annotation").into_iter().filter(|line| !line.contains(": Watchdog: "));
    assert_eq!(others.count(), 0, "{}", stack.stand_in.log());
    assert_eq!(stack.sent("answered"), [""; 0], "something was refused");
    let answered: f64 = http::sum(&metrics, "alertrouter_webhooks_total");
    assert_eq!(answered, http::metric(&metrics, r#"alertrouter_webhooks_total{code="200"}"#), "{metrics}");

    println!("\nWhat the services were sent:\n");
    stack.stand_in.log().lines().skip_while(|line| !line.starts_with("20")).for_each(|line| println!("{line}"));
    for process in [&mut stack.router.process, &mut stack.stand_in, &mut stack.service] {
        assert_eq!(process.terminate().await, Some(0), "{}", process.log());
    }
}
