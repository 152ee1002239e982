//! No room on the disk: with the real binary, whose files may not grow any more.
//!
//! A limit on the size of its files (`RLIMIT_FSIZE`, set and lifted with util-linux' `prlimit` while it runs) makes every write
//! to the database fail, for root and for anybody else, without a file system of its own. The error is EFBIG, which SQLite
//! calls an I/O error; SQLite's own "database or disk is full" is met in `store::sqlite::tests::full`.

use std::time::Duration;

use alertrouter::clock::{Clock, SystemClock, after};
use alertrouter::receiver::Answer;
use alertrouter::standin::{Behaviour, Gate};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::process::{Router, debian, run, serve};
use crate::harness::wait::{patiently, until};
use crate::harness::{Folder, Services, alerts, http};

const ROUTES: &str = "
receivers:
  - name: team-slack
    slack: { webhook_url: SLACK_WEBHOOK_URL }
    rate_limit: { rate: 1000/s, burst: 1000 }
route: { receivers: [team-slack] }
";

struct Machine {
    router: Router,
    services: Services,
    folder: Folder,
}

impl Machine {
    /// What it says of itself holds for a moment.
    async fn ready(&self) {
        let ready = async || http::get(&self.router.address, "/-/ready").await.0 == 200;
        until("readiness", || self.router.process.log(), ready).await;
    }

    async fn start() -> Self {
        let (services, folder) = (Services::start().await, Folder::new());
        std::fs::write(folder.0.join("routes.yaml"), services.fill_in(ROUTES)).unwrap();
        let plain = serve(&folder.0, "127.0.0.1:0", &[]);
        let mut command = Command::new("sh");
        // A write over the limit is an error like any other, instead of a signal that kills.
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(plain.as_std().get_program());
        command.args(plain.as_std().get_args()).env("RUST_BACKTRACE", "1");
        Self { router: Router::from_command(command).await, services, folder }
    }

    async fn limit(&self, size: &str) {
        let id = self.router.process.child.id().unwrap();
        let mut command = debian("prlimit", "util-linux");
        command.args([format!("--pid={id}"), format!("--fsize={size}:")]);
        let said = run(command).await;
        assert_eq!(said.code, Some(0), "{}", said.err);
    }

    async fn disk_is_full(&self) {
        self.limit("4096").await;
    }

    async fn there_is_room(&self) {
        self.limit("unlimited").await;
    }

    async fn post(&self, body: &Value) -> Answer {
        http::post_for_answer(&self.router.address, "/webhook", body.to_string().into()).await
    }

    /// Posts as Alertmanager does, again after a 503; how often.
    async fn post_until_accepted(&self, body: &Value) -> usize {
        let mut posts = 0;
        until(
            "a 200",
            || self.router.process.log(),
            async || {
                posts += 1;
                let answer = self.post(body).await;
                assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
                answer.status == 200
            },
        )
        .await;
        posts
    }

    fn texts(&self) -> Vec<String> {
        let accepted = self.services.slack.accepted();
        let text =
            |json: &Value| json["text"].as_str().unwrap_or_default().split(':').take(2).collect::<Vec<_>>().join(":");
        accepted.iter().map(|message| text(&message.json)).collect()
    }

    async fn end(mut self) {
        self.router.wait_until_delivered().await;
        assert_eq!(self.router.sum("alertrouter_dead_letters").await, 0.0);
        assert_eq!(self.router.process.terminate().await, Some(0), "{}", self.router.process.log());
        let database = rusqlite::Connection::open(self.folder.0.join("data/alertrouter.db")).unwrap();
        let verdict: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok");
    }
}

/// An alert of a group of its own, and its end.
fn alert(name: &str) -> (Value, Value) {
    let now = SystemClock::new().now();
    let firing = alerts::firing(&json!({ "alertname": name, "severity": "warning" }), now);
    let resolved = alerts::resolved(&firing, after(now, Duration::from_secs(1)));
    (alerts::group(name, &[firing]), alerts::group(name, &[resolved]))
}

#[tokio::test]
async fn full_during_intake() {
    let machine = Machine::start().await;
    let (firing, resolved) = alert("DiskFull");
    machine.disk_is_full().await;
    for _ in 0..3 {
        let answer = machine.post(&firing).await;
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!((answer.status, answer.retry_after), (503, Some(Duration::from_secs(5))), "{said}");
        assert!(said.contains("the store is not available: disk I/O error"), "{said}");
    }
    let (status, said) = http::get(&machine.router.address, "/-/ready").await;
    assert_eq!((status, said.as_str()), (503, "the store cannot be used; the log says why\n"));
    assert!(machine.router.process.log().contains("not ready error=the store is not available: disk I/O error"));
    assert_eq!(http::get(&machine.router.address, "/-/healthy").await.0, 200, "a restart would not help");
    assert_eq!(machine.router.sum("alertrouter_webhooks_total").await, 3.0);
    machine.there_is_room().await;
    // It comes back by itself, and takes each alert once.
    assert_eq!(machine.post_until_accepted(&firing).await, 1);
    assert_eq!(machine.post_until_accepted(&firing).await, 1);
    machine.ready().await;
    assert_eq!(machine.post_until_accepted(&resolved).await, 1);
    patiently("both messages", machine.services.slack.wait_for_accepted(2)).await;
    machine.router.wait_until_delivered().await;
    assert_eq!(machine.texts(), ["[FIRING:1] DiskFull", "[RESOLVED:1] DiskFull"]);
    machine.end().await;
}

#[tokio::test]
async fn full_during_settle() {
    let mut machine = Machine::start().await;
    let (firing, resolved) = alert("DiskFull");
    let gate = Gate::closed();
    machine.services.slack.behave(Behaviour::Wait(gate.clone()));
    assert_eq!(machine.post_until_accepted(&firing).await, 1);
    assert_eq!(machine.post_until_accepted(&resolved).await, 1);
    patiently("an attempt", machine.services.slack.wait_for(1)).await;
    machine.disk_is_full().await;
    gate.open();
    let line = machine.router.process.wait_for("the outcome is not noted yet").await;
    assert!(line.contains("disk I/O error"), "{line}");
    assert_eq!(http::get(&machine.router.address, "/-/ready").await.0, 503);
    assert_eq!(machine.texts(), ["[FIRING:1] DiskFull"], "it has arrived, and what comes next in its lane waits");
    machine.there_is_room().await;
    patiently("the resolve", machine.services.slack.wait_for_accepted(2)).await;
    machine.router.wait_until_delivered().await;
    assert_eq!(machine.texts(), ["[FIRING:1] DiskFull", "[RESOLVED:1] DiskFull"], "nothing is sent twice");
    machine.ready().await;
    machine.end().await;
}
