//! The whole app in this process: real sockets, a real store, stand-ins for the services, a clock that only moves when it
//! is told to.

pub mod alerts;
pub mod certificates;
pub mod http;
pub mod process;
pub mod wait;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use alertrouter::app::{App, LoadConfig, Loaded, Reach, Settings};
use alertrouter::clock::{Clock, ManualClock, Timestamp, after, between};
use alertrouter::config;
use alertrouter::standin::{Kind, Received, StandIn, grafana, pagerduty, slack};
use alertrouter::store::{Admin, Rejected, Stats};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The clock moves in steps of this, or of half a percent of the time that may pass.
const STEP: Duration = Duration::from_millis(100);
/// Nothing that is awaited takes longer, by the machine's clock, however busy that is.
const PATIENCE: Duration = Duration::from_secs(60);

/// Receivers `oncall`, `team-slack` and `dashboards` behind the stand-ins; criticals to the first two, warnings to Slack,
/// info to Grafana. Rates are high, so that only tests about pace meet them.
pub const ROUTES: &str = "
receivers:
  - name: oncall
    pagerduty: { url: PAGERDUTY_URL, routing_key: PAGERDUTY_ROUTING_KEY }
    rate_limit: { rate: 1000/s, burst: 1000 }
  - name: team-slack
    slack: { webhook_url: SLACK_WEBHOOK_URL }
    rate_limit: { rate: 1000/s, burst: 1000 }
  - name: dashboards
    grafana: { url: GRAFANA_URL, token: GRAFANA_TOKEN }
    rate_limit: { rate: 1000/s, burst: 1000 }
route:
  receivers: [team-slack]
  routes:
    - matchers: [severity=critical]
      receivers: [oncall, team-slack]
    - matchers: [severity=info]
      receivers: [dashboards]
    - matchers: [severity=none]
      receivers: []
";

/// The stand-ins.
pub struct Services {
    pub slack: StandIn,
    pub pagerduty: StandIn,
    pub grafana: StandIn,
}

impl Services {
    pub async fn start() -> Self {
        Self {
            slack: StandIn::start(Kind::Slack).await.unwrap(),
            pagerduty: StandIn::start(Kind::PagerDuty).await.unwrap(),
            grafana: StandIn::start(Kind::Grafana).await.unwrap(),
        }
    }

    /// `routes` with the stand-ins' addresses and credentials filled in.
    pub fn fill_in(&self, routes: &str) -> String {
        routes
            .replace("PAGERDUTY_URL", &self.pagerduty.url())
            .replace("PAGERDUTY_ROUTING_KEY", pagerduty::ROUTING_KEY)
            .replace("SLACK_WEBHOOK_URL", &self.slack.url())
            .replace("SLACK_API_URL", &self.slack.slack_api_url())
            .replace("SLACK_TOKEN", slack::TOKEN)
            .replace("GRAFANA_URL", &self.grafana.url())
            .replace("GRAFANA_TOKEN", grafana::TOKEN)
    }
}

/// A folder that is removed when the test ends.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        Self::under(&std::env::temp_dir())
    }

    /// Where a write costs nothing, if the machine has such a place.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::under(memory) } else { Self::new() }
    }

    fn under(folder: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("alertrouter-it-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = folder.join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Every file below a folder, sorted.
pub fn files_under(folder: &Path) -> Vec<PathBuf> {
    let (mut left, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { left.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

/// The running service.
pub struct Harness {
    pub services: Services,
    pub clock: ManualClock,
    /// Written to and reloaded by [`Harness::reload`].
    routes: Arc<std::sync::Mutex<String>>,
    settings: Settings,
    running: Option<Running>,
    finished: bool,
    _folder: Folder,
}

struct Running {
    address: String,
    admin: Arc<dyn Admin>,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Harness {
    /// Starts the service with [`ROUTES`].
    pub async fn start() -> Self {
        Self::with_routes(ROUTES).await
    }

    /// Starts the service; the words of [`Services::fill_in`] are replaced in `routes`.
    pub async fn with_routes(routes: &str) -> Self {
        Self::with(routes, |_| ()).await
    }

    /// Starts the service with settings of its own.
    pub async fn with(routes: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let services = Services::start().await;
        let folder = Folder::new();
        let mut settings = Settings {
            data_dir: folder.0.join("data"),
            web_config: None,
            max_body: 16 * 1024 * 1024,
            max_outbox: 1_000_000,
            reach: Reach::LOOPBACK,
            traces: None,
        };
        change(&mut settings);
        let routes = Arc::new(std::sync::Mutex::new(services.fill_in(routes)));
        let clock = ManualClock::new(start());
        let mut harness = Self { services, clock, routes, settings, running: None, finished: false, _folder: folder };
        harness.launch().await;
        harness
    }

    /// Starts the service again on the same data.
    pub async fn launch(&mut self) {
        let mut look = tokio::time::interval(Duration::from_millis(20));
        let opened = tokio::time::timeout(PATIENCE, async {
            loop {
                let app = App::open(self.loader(), self.settings.clone(), Arc::new(self.clock.clone())).await;
                // A process that another test starts has this one's lock, too, until it has become that program.
                match app {
                    Err(error) if error.to_string().contains("is in use by another alertrouter") => look.tick().await,
                    app => return app.unwrap(),
                };
            }
        });
        let app = opened.await.expect("the data directory stays in use");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (admin, shutdown) = (app.admin(), CancellationToken::new());
        #[expect(clippy::disallowed_methods, reason = "the handle is kept, and awaited in `stop`")]
        let task = tokio::spawn(app.run(listener, shutdown.clone()));
        self.running = Some(Running { address, admin, shutdown, task });
    }

    fn loader(&self) -> LoadConfig {
        let routes = self.routes.clone();
        Box::new(move || {
            let text = routes.lock().unwrap().clone();
            let options = config::Options::default();
            let (config, problems) = config::parse(text.as_bytes(), &options, &config::secret::System);
            let lines = problems.iter().map(|problem| problem.one_line("routes.yaml"));
            let said = lines.collect::<Vec<_>>().join("\n");
            config.map(|config| Loaded { config, hash: 1 }).ok_or(said)
        })
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the service was stopped")
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.running().address
    }

    /// Asks for a graceful shutdown and waits until it is done.
    pub async fn stop(&mut self) {
        let running = self.running.take().expect("the service was stopped before");
        drop(running.admin);
        running.shutdown.cancel();
        running.task.await.unwrap().unwrap();
    }

    /// Begins a graceful shutdown without waiting for its end.
    pub fn begin_shutdown(&self) {
        self.running().shutdown.cancel();
    }

    /// Stops and starts on the same data.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.launch().await;
    }

    /// Replaces routes.yaml, which is read at the next start or reload.
    pub fn write_routes(&self, routes: &str) {
        *self.routes.lock().unwrap() = self.services.fill_in(routes);
    }

    /// Replaces routes.yaml and reloads it; the answer's status and text.
    pub async fn reload(&self, routes: &str) -> (u16, String) {
        self.write_routes(routes);
        http::post_text(self.address(), "/-/reload", Vec::new()).await
    }

    /// Posts a webhook body; the answer's status and JSON.
    pub async fn post(&self, body: &Value) -> (u16, Value) {
        http::post(self.address(), "/webhook", body.to_string().into()).await
    }

    /// Posts a webhook body that has to be taken.
    pub async fn accept(&self, body: &Value) -> Value {
        let (status, answer) = self.post(body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Posts bytes; the answer's status and JSON.
    pub async fn post_bytes(&self, body: Vec<u8>) -> (u16, Value) {
        http::post(self.address(), "/webhook", body).await
    }

    /// GETs a path; the answer's status and text.
    pub async fn get(&self, path: &str) -> (u16, String) {
        http::get(self.address(), path).await
    }

    /// The value of a series of `/metrics`, named as in the text: `alertrouter_dead_letters{receiver="oncall"}`.
    pub async fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        http::metric(&text, series)
    }

    /// What the store counts.
    pub async fn stats(&self) -> Stats {
        self.running().admin.stats().await.unwrap()
    }

    /// How many notifications wait.
    pub async fn pending(&self) -> u64 {
        self.stats().await.receivers.values().map(|receiver| receiver.pending).sum()
    }

    /// How many dead letters there are.
    pub async fn dead(&self) -> u64 {
        self.stats().await.receivers.values().map(|receiver| receiver.dead).sum()
    }

    /// The time on the clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets time pass in small steps until nothing waits any more; at most `longest` of it.
    pub async fn deliver(&self, longest: Duration) {
        self.pass_until(longest, async || self.pending().await == 0).await;
    }

    /// Lets time pass in small steps until `done`; at most `longest` of it, and then what is under way may end.
    pub async fn pass_until(&self, longest: Duration, mut done: impl AsyncFnMut() -> bool) {
        let end = after(self.now(), longest);
        let step = STEP.max(longest / 200);
        let passed = tokio::time::timeout(PATIENCE, async {
            while !done().await {
                self.look().await;
                if self.now() < end {
                    self.clock.advance(step.min(between(self.now(), end)));
                }
            }
        });
        let in_time = passed.await.is_ok();
        assert!(in_time, "it did not come about within {longest:?}: {:?}", self.stats().await);
    }

    /// Lets this much time pass in small steps.
    pub async fn pass(&self, time: Duration) {
        let end = after(self.now(), time);
        self.pass_until(time, async || self.now() >= end).await;
        self.look().await;
    }

    /// Lets `time` pass since the beginning of the test, at once. For when nothing is under way.
    pub fn skip_to(&self, time: Duration) {
        let target = after(start(), time);
        assert!(target >= self.now(), "that moment has passed");
        self.clock.advance(between(self.now(), target));
    }

    /// Gives the service time to do what it can do now: what it does waits for its store or for a socket, and so does
    /// this, some rounds of both. Nothing is written for it: a slow disk would make the tests as slow.
    pub async fn look(&self) {
        for _ in 0..4 {
            self.running().admin.keep_rejected(Vec::new()).await.unwrap();
            tokio::task::yield_now().await;
        }
    }

    /// Lets this much of the real time pass at once, which is what the time-outs of requests are measured in.
    pub async fn time_out(&self, time: Duration) {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    /// Waits, without any time passing on the clock, until `done`.
    pub async fn wait_until(&self, done: impl AsyncFnMut() -> bool) {
        self.pass_until(Duration::ZERO, done).await;
    }

    /// What was refused, newest first.
    pub async fn rejected(&self) -> Vec<Rejected> {
        self.running().admin.rejected(1000).await.unwrap()
    }

    /// Where the store lives.
    pub fn data_dir(&self) -> &Path {
        &self.settings.data_dir
    }

    /// The texts of the messages that Slack took.
    pub fn slack_texts(&self) -> Vec<String> {
        let text = |message: &Received| message.json["text"].as_str().unwrap_or_default().to_owned();
        self.services.slack.accepted().iter().map(text).collect()
    }

    /// `trigger` or `resolve` and the name of the incident's alert, for each event that PagerDuty took.
    pub fn pagerduty_events(&self) -> Vec<String> {
        let events = self.services.pagerduty.accepted();
        let name_of = |key: &serde_json::Value| {
            let trigger =
                events.iter().find(|event| event.json["dedup_key"] == *key && event.json["payload"].is_object());
            trigger.map_or("?", |event| event.json["payload"]["class"].as_str().unwrap_or_default())
        };
        let text = |event: &Received| {
            format!("{} {}", event.json["event_action"].as_str().unwrap_or_default(), name_of(&event.json["dedup_key"]))
        };
        events.iter().map(text).collect()
    }

    /// Ends the test: nothing may be left that the test did not look at.
    pub async fn finish(mut self) {
        let stats = self.stats().await;
        let left: Vec<_> = stats.receivers.iter().filter(|(_, receiver)| receiver.pending > 0).collect();
        self.finished = true;
        assert!(left.is_empty(), "left in the outbox: {left:?}");
        self.stop().await;
    }

    /// Ends a test whose shutdown has begun already, so that the store can no longer be asked.
    pub async fn finish_in_shutdown(mut self) {
        self.finished = true;
        self.stop().await;
    }

    /// Ends a test that leaves something in the outbox on purpose.
    pub async fn finish_with_pending(mut self, pending: u64) {
        let waiting = self.pending().await;
        self.finished = true;
        assert_eq!(waiting, pending, "in the outbox");
        self.stop().await;
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        let is_over = self.finished || std::thread::panicking();
        assert!(is_over, "a test has to end with `finish`, so that nothing is left in the outbox unnoticed");
    }
}

/// When every test begins.
pub fn start() -> Timestamp {
    "2026-11-21T20:00:00Z".parse().unwrap()
}
