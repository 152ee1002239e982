//! Everything that goes wrong around a delivery, one test a fault: what the user sees, and that nothing is lost or sent out
//! of order. README's "What happens when" is the list of them (`guard`).

mod answers;
mod clock;
mod disk;
pub mod guard;
mod lanes;
mod locked;
mod network;
mod outage;
mod redirects;
mod tls;

use std::cell::RefCell;
use std::io::Write;
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use alertrouter::standin::{Behaviour, StandIn};

use crate::harness::{Harness, ROUTES, Services, alerts, http};

/// `timeout: 30s`, which is enough for whatever is answered, however busy the machine is.
const TIMEOUT: Duration = Duration::from_secs(30);

const SOON: Duration = Duration::from_secs(60);

thread_local! {
    /// What is logged on this thread, if somebody listens.
    static HEARD: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

/// What this test's thread logs, as an operator would read it. The store's own thread is not heard.
pub(super) struct Log(Lines);

impl Log {
    /// From now on.
    pub(super) fn capture() -> Self {
        // One subscriber for all threads: with one a thread, tracing may remember of a line that nobody wants it because
        // the first thread that came by did not.
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let heard = || HEARD.with_borrow(Option::clone).unwrap_or_default();
            let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(heard).finish();
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        let lines = Lines(Some(Arc::default()));
        HEARD.set(Some(lines.clone()));
        Self(lines)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.0.as_ref().unwrap().lock().unwrap().clone()).unwrap()
    }

    /// The lines with this text in them.
    pub(super) fn lines(&self, part: &str) -> Vec<String> {
        self.text().lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        HEARD.set(None);
    }
}

/// Where lines go; nowhere on threads that nobody listens to.
#[derive(Clone, Default)]
struct Lines(Option<Arc<Mutex<Vec<u8>>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(text) = &self.0 {
            text.lock().unwrap().extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A receiver of [`ROUTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Slack,
    PagerDuty,
    Grafana,
}

impl To {
    pub(super) const ALL: [Self; 3] = [Self::Slack, Self::PagerDuty, Self::Grafana];

    pub(super) fn receiver(self) -> &'static str {
        match self {
            Self::Slack => "team-slack",
            Self::PagerDuty => "oncall",
            Self::Grafana => "dashboards",
        }
    }

    /// What an alert has to say to reach it, and nobody else, by [`routes`].
    pub(super) fn severity(self) -> &'static str {
        match self {
            Self::Slack => "warning",
            Self::PagerDuty => "critical",
            Self::Grafana => "info",
        }
    }

    pub(super) fn service(self, services: &Services) -> &StandIn {
        match self {
            Self::Slack => &services.slack,
            Self::PagerDuty => &services.pagerduty,
            Self::Grafana => &services.grafana,
        }
    }
}

/// [`ROUTES`] with one receiver a severity, each with further `keys`.
pub(super) fn routes(keys: &str) -> String {
    ROUTES.replace("    rate_limit", &format!("    {keys}\n    rate_limit")).replace("[oncall, team-slack]", "[oncall]")
}

/// The value of a counter of notifications.
pub(super) async fn counted(harness: &Harness, to: To, outcome: &str) -> f64 {
    let series = format!("alertrouter_notifications_total{{receiver=\"{}\",outcome=\"{outcome}\"}}", to.receiver());
    http::metric_or_zero(&harness.get("/metrics").await.1, &series)
}

/// A count as a metric has it.
pub(super) fn whole(count: usize) -> f64 {
    u32::try_from(count).unwrap().into()
}

pub(super) async fn is_up(harness: &Harness, to: To) -> bool {
    harness.metric(&format!("alertrouter_receiver_up{{receiver=\"{}\"}}", to.receiver())).await == 1.0
}

/// Whether the service knows of an alert that has fired and ended, each told once and in this order.
pub(super) fn arrived_once(harness: &Harness, to: To, name: &str) {
    match to {
        To::Slack => {
            let expected = [format!("[FIRING:1] {name}: "), format!("[RESOLVED:1] {name}: ")];
            let texts = harness.slack_texts();
            let of_alert: Vec<_> = texts.iter().filter(|text| text.contains(name)).collect();
            assert_eq!(of_alert.len(), 2, "{texts:?}");
            assert!(of_alert.iter().zip(&expected).all(|(text, begin)| text.starts_with(begin)), "{texts:?}");
        }
        To::PagerDuty => {
            let mut events = harness.pagerduty_events();
            events.retain(|event| event.ends_with(name));
            // A repetition changes nothing there.
            events.dedup();
            assert_eq!(events, [format!("trigger {name}"), format!("resolve {name}")]);
            let incidents = harness.services.pagerduty.incidents();
            let incidents: Vec<_> = incidents.iter().filter(|incident| incident.summary.contains(name)).collect();
            assert!(incidents.len() == 1 && !incidents[0].open, "{incidents:?}");
        }
        To::Grafana => {
            let annotations = harness.services.grafana.annotations();
            let spans: Vec<_> = annotations
                .iter()
                .filter(|annotation| annotation.text.contains(name))
                .map(|annotation| annotation.time_end - annotation.time)
                .collect();
            assert_eq!(spans, [60_000], "one region of a minute");
        }
    }
}

/// One service after the other misbehaves once.
pub(super) struct Trials {
    pub(super) harness: Harness,
    log: Log,
    alerts: usize,
}

/// What a fault has made of a delivery.
pub(super) struct Fate {
    /// The alert that it was about.
    pub(super) name: String,
    /// The log's words for each failed attempt.
    pub(super) why: Vec<String>,
}

impl Trials {
    /// Each receiver with these keys.
    pub(super) async fn start(keys: &str) -> Self {
        let log = Log::capture();
        Self { harness: Harness::with_routes(&routes(keys)).await, log, alerts: 0 }
    }

    /// Has an alert fire and end, with one fault in between: the service behaves like this at the first attempt. Nothing
    /// may be lost, given up or sent out of order, whatever it was.
    pub(super) async fn one(&mut self, to: To, behaviour: Behaviour) -> Fate {
        let Self { harness, log, alerts } = self;
        *alerts += 1;
        let name = format!("Alert-{alerts:02}");
        let ended = async || (counted(harness, to, "retried").await, counted(harness, to, "delivered").await);
        let (before, heard) = (ended().await, log.text().len());
        let service = to.service(&harness.services);
        let (hangs, requests) = (matches!(behaviour, Behaviour::Hang), service.received().len());
        service.behave(behaviour);
        harness.accept(&alerts::one(&name, to.severity())).await;
        harness.accept(&alerts::one_resolved(&name, to.severity())).await;
        if hangs {
            service.wait_for(requests + 1).await;
            harness.time_out(TIMEOUT).await;
        }
        // The harness' time stands still while the real one passes.
        harness.wait_until(async || ended().await != before).await;
        harness.deliver(SOON).await;
        let why: Vec<_> = log.text()[heard..].lines().filter(|line| line.contains(FAILED)).map(said).collect();
        let (retried, delivered) = ended().await;
        let counted = (retried - before.0, delivered - before.1, harness.dead().await);
        assert_eq!(counted, (whole(why.len()), 2.0, 0), "{}", log.text());
        assert!(is_up(harness, to).await, "one failure is none to speak of");
        Fate { name, why }
    }

    /// The first attempt fails with these words, and the second succeeds.
    pub(super) async fn is_tried_again(&mut self, to: To, behaviour: Behaviour, why: &str) -> Fate {
        let shown = format!("{to:?}: {behaviour:?}");
        let fate = self.one(to, behaviour).await;
        assert_eq!(fate.why, [why], "{shown}");
        fate
    }

    /// The same, and nobody sees anything of it.
    pub(super) async fn arrives_once(&mut self, to: To, behaviour: Behaviour, why: &str) {
        let fate = self.is_tried_again(to, behaviour, why).await;
        arrived_once(&self.harness, to, &fate.name);
    }

    /// The first attempt is taken for what it is: a delivery.
    pub(super) async fn is_no_failure(&mut self, to: To, behaviour: Behaviour) {
        let shown = format!("{to:?}: {behaviour:?}");
        let fate = self.one(to, behaviour).await;
        assert_eq!(fate.why, Vec::<String>::new(), "{shown}");
        arrived_once(&self.harness, to, &fate.name);
    }

    /// What Slack was told of an alert: `[FIRI` or `[RESO`.
    pub(super) fn told_slack(&self, name: &str) -> Vec<String> {
        let texts = self.harness.slack_texts();
        texts.iter().filter(|text| text.contains(name)).map(|text| text[..5].to_owned()).collect()
    }
}

/// What the log says of an attempt that is followed by another.
const FAILED: &str = "failed; will try again";

/// The `why` of a line of the log.
fn said(line: &str) -> String {
    let quoted = line.split("why=").nth(1).unwrap_or_else(|| panic!("no reason in {line}"));
    serde_json::Deserializer::from_str(quoted).into_iter::<String>().next().unwrap().unwrap()
}
