//! `kill -9` under load: whatever was answered with 200 is delivered, in order, however often the process dies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alertrouter::clock::{Clock, SystemClock, Timestamp, after};
use alertrouter::deliver::Transport;
use alertrouter::receiver::{Method, Outgoing};
use alertrouter::standin::StandIn;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::harness::process::Router;
use crate::harness::wait::patiently;
use crate::harness::{Folder, Services, alerts};

const KILLS: usize = 10;
const CLIENTS: usize = 4;
/// Posts that are answered between two kills.
const ANSWERED: std::ops::Range<u64> = 60..180;
/// How many alerts of a client fire at the same time.
const FIRING: usize = 5;

const ROUTES: &str = "
receivers:
  - name: oncall
    pagerduty: { url: PAGERDUTY_URL, routing_key: PAGERDUTY_ROUTING_KEY }
    rate_limit: { rate: 10000/s, burst: 10000 }
route: { receivers: [oncall] }
";

/// Where the router listens and how many posts it has answered, both over all its lives.
struct World {
    address: watch::Sender<String>,
    answered: watch::Sender<u64>,
    stop: CancellationToken,
    transport: Transport,
}

impl World {
    /// Posts a group until it is answered with 200, as Alertmanager does; `false` if the test ends before.
    async fn post(&self, body: &Value) -> bool {
        let mut address = self.address.subscribe();
        loop {
            let to = address.borrow_and_update().clone();
            let url = format!("http://{to}/webhook").into();
            let request = Outgoing::json("webhook", Method::Post, url, body);
            match self.transport.send(request, Duration::from_secs(60), Timestamp::UNIX_EPOCH).await {
                Ok(answer) if answer.status == 200 => {
                    self.answered.send_modify(|answered| *answered += 1);
                    return true;
                }
                Ok(answer) => panic!("answered {}: {:?}", answer.status, answer.body),
                // It was killed; it comes back elsewhere.
                Err(_) => tokio::select! {
                    () = self.stop.cancelled() => return false,
                    changed = address.changed() => changed.unwrap(),
                },
            }
        }
    }

    /// Fires one alert after the other, each resolved a little later, until the test ends. The instances that were
    /// answered for: whether they were resolved.
    async fn client(self: Arc<Self>, client: usize) -> BTreeMap<String, bool> {
        let clock = SystemClock::new();
        let mut told = BTreeMap::new();
        let mut firing = Vec::new();
        for number in 0.. {
            if self.stop.is_cancelled() {
                break;
            }
            let instance = format!("client{client}-alert{number}");
            let labels = json!({ "alertname": "Crash", "severity": "critical", "instance": instance });
            let alert = alerts::firing(&labels, clock.now());
            if self.post(&alerts::group(&instance, std::slice::from_ref(&alert))).await {
                told.insert(instance.clone(), false);
            }
            firing.push((instance, alert));
            if firing.len() > FIRING {
                let (instance, alert) = firing.remove(0);
                let resolved = alerts::resolved(&alert, after(clock.now(), Duration::from_secs(1)));
                if self.post(&alerts::group(&instance, &[resolved])).await {
                    told.insert(instance, true);
                }
            }
        }
        told
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_ten_kills() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (services, folder) = (Services::start().await, Folder::new());
    std::fs::write(folder.0.join("routes.yaml"), services.fill_in(ROUTES)).unwrap();
    let mut router = Router::start(&folder.0).await;
    let world = Arc::new(World {
        address: watch::Sender::new(router.address.clone()),
        answered: watch::Sender::new(0),
        stop: CancellationToken::new(),
        transport: Transport::new().unwrap(),
    });
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(world.clone().client(client));
    }
    let mut answered = world.answered.subscribe();
    let mut found_waiting = 0;
    for _ in 0..KILLS {
        let enough = *answered.borrow() + random.u64(ANSWERED);
        patiently("enough answers", answered.wait_for(|answered| *answered >= enough)).await.unwrap();
        router.process.kill().await;
        router = Router::start(&folder.0).await;
        found_waiting += waiting_at_start(&router);
        world.address.send_replace(router.address.clone());
    }
    world.stop.cancel();
    let told: BTreeMap<_, _> = patiently("the clients' end", clients.join_all()).await.into_iter().flatten().collect();
    assert!(told.len() > KILLS, "{told:?}");
    println!("{found_waiting} notifications were left to the lives after a kill");
    assert!(found_waiting > 0, "the kills came too late to hurt");
    router.wait_until_delivered().await;
    assert_eq!(router.sum("alertrouter_dead_letters").await, 0.0);
    check(&services.pagerduty, &told);
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
    let database = Connection::open(folder.0.join("data/alertrouter.db")).unwrap();
    let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

/// How many notifications a router has found in its outbox.
fn waiting_at_start(router: &Router) -> u64 {
    let log = router.process.log();
    let waiting = log.split("pending=").nth(1).and_then(|rest| rest.split_whitespace().next());
    waiting.unwrap_or_else(|| panic!("it does not say what it found:\n{log}")).parse().unwrap()
}

/// Everything told has arrived, each trigger before its resolve.
fn check(pagerduty: &StandIn, told: &BTreeMap<String, bool>) {
    let mut key_of = BTreeMap::new();
    let mut events = BTreeMap::<String, Vec<String>>::new();
    for request in pagerduty.accepted() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = text(&request.json["dedup_key"]);
        if request.json["event_action"] == "trigger" {
            key_of.insert(text(&request.json["payload"]["source"]), key.clone());
        }
        events.entry(key).or_default().push(text(&request.json["event_action"]));
    }
    let mut wrong = Vec::new();
    for (instance, resolved) in told {
        let Some(key) = key_of.get(instance) else {
            wrong.push(format!("{instance} was lost"));
            continue;
        };
        let last = events[key].last().unwrap();
        if *resolved && last != "resolve" {
            wrong.push(format!("{instance} was resolved; PagerDuty got {:?}", events[key]));
        }
    }
    for (key, events) in &events {
        // Twice is allowed after a crash, backwards never.
        if events[0] != "trigger" || !events.is_sorted_by_key(|event| event == "resolve") {
            wrong.push(format!("{key}: {events:?}"));
        }
    }
    let open: Vec<_> = pagerduty.incidents().into_iter().filter(|incident| incident.open).collect();
    for (instance, _) in told.iter().filter(|(_, resolved)| **resolved) {
        if let Some(incident) = open.iter().find(|incident| key_of.get(instance) == Some(&incident.dedup_key)) {
            wrong.push(format!("{instance} was resolved and is open: {incident:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
