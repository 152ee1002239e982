//! Debian's Alertmanager posts to the real binary.

use std::path::Path;

use alertrouter::clock::{Clock, SystemClock};
use alertrouter::standin::{StandIn, grafana, pagerduty};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::auth;
use crate::harness::process::{Process, Router, debian, free_address, serve};
use crate::harness::wait::{until, until_taken};
use crate::harness::{Folder, ROUTES, Services, http};

/// Groups wait just long enough for the alerts of one post to come together.
const CONFIG: &str = "
route:
  receiver: alertrouter
  group_by: [alertname, severity]
  group_wait: 100ms
  group_interval: 500ms
  repeat_interval: 4h
receivers:
  - name: alertrouter
    webhook_configs: [{ url: 'http://ROUTER/webhook', send_resolved: true }]
";

pub struct Alertmanager {
    pub process: Process,
    pub address: String,
}

impl Alertmanager {
    /// Starts one that posts to `router`. `cluster` is empty for one that knows no peers.
    async fn start(folder: &Path, name: &str, router: &str, cluster: &[String]) -> Self {
        Self::with_config(folder, name, &CONFIG.replace("ROUTER", router), cluster).await
    }

    pub async fn with_config(folder: &Path, name: &str, config: &str, cluster: &[String]) -> Self {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("alertmanager.yml"), config).unwrap();
        let address = free_address().await;
        let mut command = debian("prometheus-alertmanager", "prometheus-alertmanager");
        command.arg(format!("--config.file={}", folder.join("alertmanager.yml").display()));
        command.arg(format!("--storage.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        if cluster.is_empty() {
            command.arg("--cluster.listen-address=");
        }
        command.args(cluster);
        Self::from_command(command, address).await
    }

    /// One with a command line of its own that listens on `address`.
    pub async fn from_command(command: Command, address: String) -> Self {
        let alertmanager = Self { process: Process::start(command), address };
        alertmanager.until("an Alertmanager that answers", async || alertmanager.answers("/-/ready").await).await;
        alertmanager
    }

    async fn answers(&self, path: &str) -> bool {
        http::try_get(&self.address, path).await.is_ok_and(|(status, _)| status == 200)
    }

    async fn until(&self, what: &str, is_so: impl AsyncFnMut() -> bool) {
        until(what, || self.process.log(), is_so).await;
    }

    pub async fn until_it_has_a_peer(&self) {
        self.until("a cluster", async || {
            let (_, text) = http::get(&self.address, "/api/v2/status").await;
            let status: Value = serde_json::from_str(&text).unwrap();
            let cluster = &status["cluster"];
            cluster["status"] == "ready" && cluster["peers"].as_array().is_some_and(|peers| peers.len() == 2)
        })
        .await;
    }

    /// Waits until it has tried in vain to post.
    async fn until_it_fails(&self) {
        self.until("a post that fails", async || self.process.log().contains("Notify attempt failed")).await;
    }

    /// Reports alerts as Prometheus does.
    pub async fn report(&self, alerts: &[Value]) {
        let body = json!(alerts).to_string();
        let (status, answer) = http::post_text(&self.address, "/api/v2/alerts", body.into()).await;
        assert_eq!(status, 200, "{answer}");
    }
}

/// The command-line arguments of two that find each other. The second hardly waits for the first.
async fn pair() -> [Vec<String>; 2] {
    let (one, two) = (free_address().await, free_address().await);
    let arguments = |own: &str, peer: &str| {
        vec![
            format!("--cluster.listen-address={own}"),
            format!("--cluster.advertise-address={own}"),
            format!("--cluster.peer={peer}"),
            "--cluster.peer-timeout=100ms".to_owned(),
            "--cluster.gossip-interval=20ms".to_owned(),
            "--cluster.pushpull-interval=500ms".to_owned(),
            "--cluster.reconnect-interval=200ms".to_owned(),
        ]
    };
    [arguments(&one, &two), arguments(&two, &one)]
}

pub fn alert(instance: &str, severity: &str) -> Value {
    let name = format!("Test{severity}");
    json!({
        "labels": { "alertname": name, "severity": severity, "instance": instance },
        "annotations": { "summary": "Something broke." },
        "startsAt": SystemClock::new().now().to_string(),
        "generatorURL": "http://prometheus.example:9090/graph",
    })
}

fn resolve(alert: &Value) -> Value {
    let mut alert = alert.clone();
    alert["endsAt"] = SystemClock::new().now().to_string().into();
    alert
}

/// The shipped routes.yaml with the stand-ins' addresses, and the credentials in the environment.
struct Shipped {
    folder: Folder,
    slack: String,
}

impl Shipped {
    fn new(services: &Services) -> Self {
        let folder = Folder::new();
        let key = "routing_key: { env: PAGERDUTY_ROUTING_KEY }";
        let shipped = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/routes.yaml")).unwrap();
        assert!(shipped.contains(key) && shipped.contains("http://localhost:3000"), "{shipped}");
        let routes = shipped
            .replace(key, &format!("{key}\n      url: {}", services.pagerduty.url()))
            .replace("http://localhost:3000", &services.grafana.url());
        std::fs::write(folder.0.join("routes.yaml"), routes).unwrap();
        Self { folder, slack: services.slack.url() }
    }

    fn folder(&self) -> &Path {
        &self.folder.0
    }

    async fn start(&self, listen: &str) -> Router {
        let mut command = serve(self.folder(), listen, &[]);
        command.env("PAGERDUTY_ROUTING_KEY", pagerduty::ROUTING_KEY);
        command.env("SLACK_WEBHOOK_URL", &self.slack);
        command.env("GRAFANA_TOKEN", grafana::TOKEN);
        Router::from_command(command).await
    }
}

/// Which of `instances` the messages to Slack speak of, one entry for each message.
fn told(slack: &StandIn, instances: &[&str]) -> Vec<String> {
    let texts = slack.accepted().into_iter().map(|request| request.json.to_string());
    texts
        .map(|text| instances.iter().filter(|name| text.contains(**name)).copied().collect::<Vec<_>>().join(","))
        .collect()
}

/// The actions of PagerDuty's events.
fn events(pagerduty: &StandIn) -> Vec<String> {
    let actions = pagerduty.accepted().into_iter().map(|request| request.json["event_action"].clone());
    actions.map(|action| action.as_str().unwrap_or_default().to_owned()).collect()
}

fn copies(metrics: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.starts_with("alertrouter_alerts_total{"));
    lines
        .filter(|line| line.contains(r#"reason="duplicate""#))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum()
}

#[tokio::test]
async fn the_shipped_routes_tell_each_receiver_once() {
    let services = Services::start().await;
    let shipped = Shipped::new(&services);
    let mut router = shipped.start("127.0.0.1:0").await;
    let alertmanager = Alertmanager::start(shipped.folder(), "am", &router.address, &[]).await;
    let log = |router: &Router| format!("{}{}", router.process.log(), alertmanager.process.log());

    let (critical, warning, info) = (alert("db-one", "critical"), alert("web-one", "warning"), alert("deploy", "info"));
    alertmanager.report(&[critical.clone(), warning.clone(), info.clone()]).await;
    until_taken(&services.slack, "2 messages", || log(&router), |slack| slack.accepted().len() == 2).await;
    until_taken(&services.grafana, "an annotation", || log(&router), |grafana| grafana.annotations().len() == 1).await;
    until_taken(&services.pagerduty, "a trigger", || log(&router), |pagerduty| events(pagerduty).len() == 1).await;
    let names = ["db-one", "web-one", "deploy", "db-two"];
    let mut first = told(&services.slack, &names);
    first.sort();
    assert_eq!(first, ["db-one", "web-one"]);
    assert_eq!(services.pagerduty.incidents()[0].severity, "critical");

    // An alert joins: Alertmanager sends both, the new one alone is told.
    let joins = alert("db-two", "critical");
    alertmanager.report(std::slice::from_ref(&joins)).await;
    until_taken(&services.slack, "a third message", || log(&router), |slack| slack.accepted().len() == 3).await;
    assert_eq!(told(&services.slack, &names)[2], "db-two");
    until_taken(&services.pagerduty, "a second trigger", || log(&router), |pagerduty| events(pagerduty).len() == 2)
        .await;
    router.wait_until_delivered().await;
    assert!(copies(&router.metrics().await) > 0.0, "the group's first alert did not come again");

    // A restart forgets nothing: the whole group comes again with the next that joins.
    let address = router.address.clone();
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
    router = shipped.start(&address).await;
    let joins_later = alert("db-three", "critical");
    alertmanager.report(std::slice::from_ref(&joins_later)).await;
    until_taken(&services.slack, "a fourth message", || log(&router), |slack| slack.accepted().len() == 4).await;
    assert_eq!(told(&services.slack, &["db-one", "db-two", "db-three"])[3], "db-three");
    router.wait_until_delivered().await;
    assert!(copies(&router.metrics().await) >= 4.0, "two alerts for two receivers did not come again");
    assert_eq!(events(&services.pagerduty), ["trigger"; 3]);

    // Everything ends.
    alertmanager.report(&[&critical, &joins, &joins_later, &warning, &info].map(resolve)).await;
    let closed = |pagerduty: &StandIn| pagerduty.incidents().iter().all(|incident| !incident.open);
    until_taken(&services.pagerduty, "closed incidents", || log(&router), closed).await;
    let region = |grafana: &StandIn| grafana.annotations()[0].time_end > grafana.annotations()[0].time;
    until_taken(&services.grafana, "a region", || log(&router), region).await;
    // In one message for each group, or in more if Alertmanager looked while it was still being told.
    let ends = |slack: &StandIn| {
        let last = told(slack, &["db-one", "db-two", "db-three", "web-one"]).split_off(4).join(",");
        let mut last: Vec<_> = last.split(',').map(str::to_owned).collect();
        last.sort();
        last
    };
    until_taken(&services.slack, "4 ends", || log(&router), |slack| ends(slack).len() >= 4).await;
    router.wait_until_delivered().await;
    assert_eq!(ends(&services.slack), ["db-one", "db-three", "db-two", "web-one"]);
    assert_eq!(events(&services.pagerduty), ["trigger", "trigger", "trigger", "resolve", "resolve", "resolve"]);
    assert_eq!((services.pagerduty.incidents().len(), services.grafana.annotations().len()), (3, 1));
    assert_eq!(router.sum("alertrouter_rejected_total").await, 0.0);
}

/// Reports an alert to both of a pair, and later its end. Each has to pass both on, and each service hears of them once.
async fn both_report(shipped: &Shipped, services: &Services, listen: &str, clusters: [Vec<String>; 2]) -> Router {
    let one = Alertmanager::start(shipped.folder(), "one", listen, &clusters[0]).await;
    let two = Alertmanager::start(shipped.folder(), "two", listen, &clusters[1]).await;
    let clustered = !clusters[0].is_empty();
    let running = if clustered {
        // The router is away, so both try again and again until it is back, whatever they tell each other.
        one.until_it_has_a_peer().await;
        two.until_it_has_a_peer().await;
        None
    } else {
        Some(shipped.start(listen).await)
    };
    let alert = alert("db", "critical");
    tokio::join!(one.report(std::slice::from_ref(&alert)), two.report(std::slice::from_ref(&alert)));
    let router = if let Some(router) = running {
        router
    } else {
        one.until_it_fails().await;
        two.until_it_fails().await;
        shipped.start(listen).await
    };
    let log = || format!("{}{}{}", router.process.log(), one.process.log(), two.process.log());
    let posts = async || http::metric_or_zero(&router.metrics().await, r#"alertrouter_webhooks_total{code="200"}"#);
    until("a post of each", log, async || posts().await >= 2.0).await;
    router.wait_until_delivered().await;
    assert_eq!((events(&services.pagerduty), services.slack.accepted().len()), (vec!["trigger".to_owned()], 1));
    assert!(copies(&router.metrics().await) > 0.0, "no copy arrived");

    let end = resolve(&alert);
    tokio::join!(one.report(std::slice::from_ref(&end)), two.report(std::slice::from_ref(&end)));
    // Peers that hear of each other send the end once or twice.
    let ends = if clustered { 3.0 } else { 4.0 };
    until("the end", log, async || posts().await >= ends).await;
    router.wait_until_delivered().await;
    assert_eq!((events(&services.pagerduty).join(" "), services.slack.accepted().len()), ("trigger resolve".into(), 2));
    router
}

#[tokio::test]
async fn two_alertmanagers_that_do_not_know_each_other_make_one_notification() {
    let services = Services::start().await;
    let shipped = Shipped::new(&services);
    let mut router = both_report(&shipped, &services, &free_address().await, [Vec::new(), Vec::new()]).await;
    assert_eq!(router.process.terminate().await, Some(0));
}

#[tokio::test]
async fn two_clustered_alertmanagers_make_one_notification_after_an_outage() {
    let services = Services::start().await;
    let shipped = Shipped::new(&services);
    let mut router = both_report(&shipped, &services, &free_address().await, pair().await).await;
    assert_eq!(router.process.terminate().await, Some(0));
}

#[tokio::test]
async fn what_came_up_while_the_router_was_down_is_told_once() {
    let services = Services::start().await;
    let shipped = Shipped::new(&services);
    let mut router = shipped.start("127.0.0.1:0").await;
    let address = router.address.clone();
    let alertmanager = Alertmanager::start(shipped.folder(), "am", &address, &[]).await;
    router.process.kill().await;
    let first = alert("db-one", "critical");
    alertmanager.report(std::slice::from_ref(&first)).await;
    alertmanager.until_it_fails().await;
    router = shipped.start(&address).await;
    let log = || format!("{}{}", router.process.log(), alertmanager.process.log());
    until_taken(&services.pagerduty, "a trigger", log, |pagerduty| events(pagerduty).len() == 1).await;

    // What joins brings the first along once more.
    alertmanager.report(&[alert("db-two", "critical")]).await;
    until_taken(&services.slack, "a second message", log, |slack| slack.accepted().len() == 2).await;
    router.wait_until_delivered().await;
    assert_eq!(told(&services.slack, &["db-one", "db-two"]), ["db-one", "db-two"]);
    assert_eq!(events(&services.pagerduty), ["trigger"; 2]);
}

/// As [`CONFIG`], with the receivers that README has for those who have to authenticate.
const AUTHENTICATED: &str = "
route:
  receiver: alertrouter
  group_by: [alertname, severity]
  group_wait: 100ms
  group_interval: 500ms
  repeat_interval: 4h
  routes: [{ matchers: [instance=\"by-password\"], receiver: alertrouter-basic }]
receivers:
RECEIVERS
";

#[tokio::test]
async fn with_the_token_or_password_of_the_readme_it_gets_in_and_with_an_old_one_it_does_not() {
    let services = Services::start().await;
    let readme = auth::Readme::new();
    let file = |name: &str| readme.folder.0.join(name);
    std::fs::write(file("routes.yaml"), readme.routes(&services.fill_in(ROUTES))).unwrap();
    let mut router = readme.start("127.0.0.1:0").await;
    let config = AUTHENTICATED.replace("RECEIVERS", &readme.alertmanager_receivers(&router.address));
    let alertmanager = Alertmanager::with_config(&readme.folder.0, "am", &config, &[]).await;
    let log = |router: &Router| format!("{}{}", router.process.log(), alertmanager.process.log());

    let names = ["by-token", "by-password", "after-the-change"];
    alertmanager.report(&[alert("by-token", "warning"), alert("by-password", "warning")]).await;
    until_taken(&services.slack, "2 messages", || log(&router), |slack| slack.accepted().len() == 2).await;
    let mut heard = told(&services.slack, &names);
    heard.sort();
    assert_eq!(heard, ["by-password", "by-token"]);

    // Its token is taken away, and 401 is final to it: the group's next look says the same, until it has the new one.
    std::fs::write(file("alertrouter-ingest"), "another-token-0123456789").unwrap();
    router.process.signal("HUP").await;
    router.process.wait_for("routes.yaml reloaded").await;
    alertmanager.report(&[alert("after-the-change", "warning")]).await;
    let refused = || alertmanager.process.log().contains("unexpected status code 401");
    alertmanager.until("a 401", async || refused()).await;
    assert!(router.process.log().contains("request refused"), "{}", router.process.log());
    assert_eq!(services.slack.accepted().len(), 2);
    std::fs::write(file("alertrouter-token"), "another-token-0123456789").unwrap();
    until_taken(&services.slack, "a third message", || log(&router), |slack| slack.accepted().len() == 3).await;
    assert_eq!(told(&services.slack, &names)[2], "after-the-change");
    assert_eq!(router.process.terminate().await, Some(0));
}

#[tokio::test]
async fn an_alertmanager_that_dies_is_missed() {
    let services = Services::start().await;
    let shipped = Shipped::new(&services);
    // The shortest there is, and a Watchdog that is repeated in time for it.
    let heartbeat = "{ name: prod, matchers: [alertname=\"Watchdog\"], every: 10s, receivers: [oncall] }";
    let shipped_file = std::fs::read_to_string(shipped.folder().join("routes.yaml")).unwrap();
    std::fs::write(shipped.folder().join("routes.yaml"), format!("{shipped_file}\nheartbeats: [{heartbeat}]\n"))
        .unwrap();
    let mut router = shipped.start("127.0.0.1:0").await;
    let config = CONFIG.replace("ROUTER", &router.address).replace("repeat_interval: 4h", "repeat_interval: 1s");
    let start = async || Alertmanager::with_config(shipped.folder(), "am", &config, &[]).await;
    let mut alertmanager = start().await;
    let watchdog = json!({ "labels": { "alertname": "Watchdog", "severity": "info" } });
    alertmanager.report(std::slice::from_ref(&watchdog)).await;
    let beats = async || http::metric(&router.metrics().await, r#"alertrouter_alerts_received_total{status="firing"}"#);
    until("a repeat of Watchdog", || alertmanager.process.log(), async || beats().await >= 3.0).await;
    assert_eq!(events(&services.pagerduty), Vec::<String>::new());

    assert_eq!(alertmanager.process.terminate().await, Some(0));
    let log = || router.process.log();
    until_taken(&services.pagerduty, "a trigger", log, |pagerduty| events(pagerduty).len() == 1).await;
    assert_eq!(services.pagerduty.incidents()[0].severity, "critical");
    let said = services.pagerduty.accepted()[0].json.to_string();
    assert!(said.contains("HeartbeatMissing") && said.contains("Nothing has been heard of prod for 1"), "{said}");
    let metrics = router.metrics().await;
    assert_eq!(http::metric(&metrics, r#"alertrouter_heartbeat_up{heartbeat="prod"}"#), 0.0);
    assert!(http::metric(&metrics, r#"alertrouter_heartbeat_silence_seconds{heartbeat="prod"}"#) >= 10.0, "{metrics}");

    alertmanager = start().await;
    alertmanager.report(&[watchdog]).await;
    let closed = |pagerduty: &StandIn| pagerduty.incidents().iter().all(|incident| !incident.open);
    until_taken(&services.pagerduty, "its end", log, closed).await;
    router.wait_until_delivered().await;
    assert_eq!(events(&services.pagerduty), ["trigger", "resolve"]);
    assert_eq!(router.process.terminate().await, Some(0));
}
