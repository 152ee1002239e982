//! `outbox`: beside the real service, and without it.

use alertrouter::standin::Behaviour;
use serde_json::Value;

use super::{command, folder, said};
use crate::harness::process::{Router, run};
use crate::harness::wait::until;
use crate::harness::{Folder, ROUTES, Services, alerts, http};

struct World {
    services: Services,
    folder: Folder,
    router: Router,
}

impl World {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(arguments: &[&str]) -> Self {
        let services = Services::start().await;
        let folder = folder(&[("routes.yaml", &services.fill_in(ROUTES))]);
        let router = Router::start_with(&folder.0, "127.0.0.1:0", arguments).await;
        Self { services, folder, router }
    }

    async fn post(&self, body: &Value) -> (u16, Value) {
        http::post(&self.router.address, "/webhook", body.to_string().into()).await
    }

    /// Gives up one critical for PagerDuty, whose alert has this name; Slack gets it.
    async fn dies(&self, name: &str) {
        let refused = r#"{"status":"invalid event","message":"Event object is invalid","errors":["no"]}"#;
        self.services.pagerduty.behave(Behaviour::answer(400, refused));
        let before = self.router.sum("alertrouter_dead_letters").await;
        assert_eq!(self.post(&alerts::one(name, "critical")).await.0, 200);
        self.until("alertrouter_dead_letters", before + 1.0).await;
        // Slack's, too, has ended: what is listed then is what died.
        self.router.wait_until_delivered().await;
    }

    async fn until(&self, metric: &str, value: f64) {
        let log = || self.router.process.log();
        until(metric, log, async || self.router.sum(metric).await == value).await;
    }

    async fn outbox(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let said = said(&self.folder, &[&["outbox"], arguments].concat()).await;
        (said.code, said.out, said.err)
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let (code, out, err) = self.outbox(&[arguments, &["--format", "json"]].concat()).await;
        assert_eq!((code, err.as_str()), (Some(0), ""));
        serde_json::from_str(&out).unwrap()
    }

    /// Ids and states.
    async fn list(&self, arguments: &[&str]) -> Vec<(i64, String)> {
        let list = self.json(&[&["list"], arguments].concat()).await;
        let row = |row: &Value| (row["id"].as_i64().unwrap(), row["state"].as_str().unwrap().to_owned());
        list["deliveries"].as_array().unwrap().iter().map(row).collect()
    }

    async fn stop(mut self) {
        assert_eq!(self.router.process.terminate().await, Some(0), "{}", self.router.process.log());
    }
}

#[tokio::test]
async fn a_dead_letter_is_sent_again_beside_the_service() {
    let world = World::start().await;
    assert_eq!(world.outbox(&["list"]).await, (Some(0), "nothing waits, nothing is dead\n".to_owned(), String::new()));
    world.dies("DiskFull").await;
    let dead = world.list(&[]).await;
    assert_eq!(dead.len(), 1);
    let id = dead[0].0.to_string();
    let (code, out, err) = world.outbox(&["retry", "--receiver", "oncall", "--dry-run"]).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out, "would be: 1 dead letter waits again (--dry-run changes nothing)\n");
    let (code, out, err) = world.outbox(&["retry", &id]).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let then = "the service tries within seconds, unless their receiver is down or at its rate limit";
    assert_eq!(out, format!("1 dead letter waits again; {then}\n"));
    world.router.wait_until_delivered().await;
    assert_eq!(world.router.sum("alertrouter_dead_letters").await, 0.0);
    assert_eq!(world.services.pagerduty.incidents().len(), 1);
    let shown = world.json(&["show", &id]).await;
    assert_eq!((&shown["state"], &shown["attempts"]), (&"delivered".into(), &2.into()));
    let events: Vec<_> = shown["events"].as_array().unwrap().iter().map(|event| &event["what"]).collect();
    assert_eq!(events, ["dead", "retried"]);
    // It counts as told: a copy is none of our business, its end closes the incident.
    assert_eq!(world.post(&alerts::one("DiskFull", "critical")).await.1["notifications"], 0);
    assert_eq!(world.post(&alerts::one_resolved("DiskFull", "critical")).await.1["notifications"], 2);
    world.router.wait_until_delivered().await;
    assert!(world.services.pagerduty.incidents().iter().all(|incident| !incident.open));
    let delivered = world.list(&["--state", "delivered", "--alertname", "DiskFull", "--receiver", "oncall"]).await;
    assert_eq!(delivered.len(), 2);
    assert_eq!(world.list(&["--state", "all", "--older-than", "1h"]).await, []);
    let log = world.router.process.log();
    assert!(log.contains("another process has changed the outbox"), "{log}");
    world.stop().await;
}

#[tokio::test]
async fn an_alert_that_was_told_since_is_left_out() {
    let world = World::start().await;
    world.dies("DiskFull").await;
    assert_eq!(world.post(&alerts::one("DiskFull", "critical")).await.1["notifications"], 1);
    world.router.wait_until_delivered().await;
    let (code, out, _) = world.outbox(&["retry", "--all"]).await;
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("outbox_retry_told", out);
    assert_eq!(world.router.sum("alertrouter_dead_letters").await, 1.0);
    world.stop().await;
}

#[tokio::test]
async fn what_is_discarded_makes_room_and_is_not_counted() {
    let world = World::start_with(&["--max-outbox", "2"]).await;
    world.services.slack.set_down(true);
    for name in ["A", "B"] {
        assert_eq!(world.post(&alerts::one(name, "warning")).await.0, 200);
    }
    assert_eq!(world.post(&alerts::one("C", "warning")).await.0, 503);
    let waiting = world.list(&["--state", "waiting"]).await;
    assert_eq!(waiting.len(), 2);
    // One of them may just be being sent: then it is said, and nothing is done.
    let log = || world.router.process.log();
    let id = waiting[0].0.to_string();
    until("the discard", log, async || {
        let (code, _, err) = world.outbox(&["discard", &id]).await;
        let busy = format!("error: notification {id} is being sent right now; try again\nnothing was changed\n");
        assert!(code == Some(0) || err == busy, "{code:?} {err}");
        code == Some(0)
    })
    .await;
    assert_eq!(world.router.sum("alertrouter_outbox_pending").await, 1.0);
    assert_eq!(world.post(&alerts::one("C", "warning")).await.0, 200, "there is room again");
    assert_eq!(world.post(&alerts::one("D", "warning")).await.0, 503, "for one");
    let full = world.post(&alerts::one("B", "warning")).await;
    assert_eq!(full.0, 503, "what was discarded was never told, and would be sent again: {full:?}");
    world.services.slack.set_down(false);
    world.router.wait_until_delivered().await;
    let texts: Vec<_> =
        world.services.slack.accepted().iter().map(|message| message.json["text"].to_string()).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(!texts.iter().any(|text| text.contains("] B")), "{texts:?}");
    world.dies("E").await;
    assert_eq!(world.outbox(&["discard", "--all"]).await.0, Some(0));
    assert_eq!(world.router.sum("alertrouter_dead_letters").await, 0.0);
    assert_eq!(world.list(&["--state", "discarded"]).await.len(), 2);
    assert_eq!(world.list(&[]).await, []);
    world.stop().await;
}

#[tokio::test]
async fn without_the_service_it_waits_for_it() {
    let mut world = World::start().await;
    world.dies("DiskFull").await;
    assert_eq!(world.router.process.terminate().await, Some(0));
    let (code, out, _) = world.outbox(&["retry", "--all"]).await;
    assert_eq!((code, out.as_str()), (Some(0), "1 dead letter waits again; the service sends them when it runs\n"));
    world.router = Router::start(&world.folder.0).await;
    world.router.wait_until_delivered().await;
    assert_eq!(world.services.pagerduty.incidents().len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn what_people_read() {
    let world = World::start().await;
    world.services.slack.behave(Behaviour::answer(404, "no_service"));
    let hostile = serde_json::json!({ "alertname": "Disk\u{1b}[31mFull", "severity": "warning", "job": "node\nfake" });
    let group =
        alerts::group("disks", &[alerts::firing(&hostile, crate::harness::start()), alerts::alert("Two", "warning")]);
    assert_eq!(world.post(&group).await.0, 200);
    world.until("alertrouter_dead_letters", 1.0).await;
    let (_, list, _) = world.outbox(&["list"]).await;
    let (_, shown, _) = world.outbox(&["show", "1"]).await;
    assert!(!list.contains('\u{1b}') && !shown.contains('\u{1b}'));
    // Times and ages are those of today.
    let time = regex::Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").unwrap();
    let ago = regex::Regex::new(r"\(\w+( \w+)? ago\)").unwrap();
    let age = regex::Regex::new(r"dead   \d+s").unwrap();
    let shown = ago.replace_all(&time.replace_all(&shown, "TIME"), "(AGE ago)").into_owned();
    insta::assert_snapshot!("outbox_list", age.replace_all(&list, "dead   0s"));
    insta::assert_snapshot!("outbox_show", shown);
    let json = world.json(&["list"]).await;
    assert_eq!(json["more"], false);
    let keys: Vec<_> = json["deliveries"][0].as_object().unwrap().keys().collect();
    insta::assert_debug_snapshot!("outbox_list_json_keys", keys);
    world.stop().await;
}

#[tokio::test]
async fn help() {
    for command in ["list", "show", "retry", "discard"] {
        let said = said(&folder(&[]), &["outbox", command, "--help"]).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        insta::assert_snapshot!(format!("help_outbox_{command}"), said.out);
    }
}

#[tokio::test]
async fn a_filter_or_an_id_is_needed() {
    let folder = folder(&[]);
    for arguments in [
        &["outbox"][..],
        &["outbox", "retry"],
        &["outbox", "discard", "--dry-run"],
        &["outbox", "retry", "1", "--all"],
        &["outbox", "retry", "1", "--receiver", "a"],
        &["outbox", "retry", "one"],
        &["outbox", "list", "--state", "limbo"],
        &["outbox", "list", "--older-than", "yesterday"],
        &["outbox", "discard", "--state", "delivered"],
        &["outbox", "show"],
    ] {
        let said = said(&folder, arguments).await;
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{arguments:?}: {}", said.err);
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_one_clear_line() {
    let world = World::start().await;
    for arguments in [&["outbox", "list"][..], &["outbox", "show", "1"], &["outbox", "retry", "--all"]] {
        let nowhere = said(&world.folder, &[arguments, &["--data-dir", "nowhere"]].concat()).await;
        let error = "error: nowhere/alertrouter.db does not exist; is --data-dir the one of the service?\n";
        assert_eq!((nowhere.code, nowhere.err.as_str()), (Some(1), error), "{arguments:?}");
    }
    assert!(!world.folder.0.join("nowhere").exists());
    std::fs::create_dir(world.folder.0.join("empty")).unwrap();
    let empty = said(&world.folder, &["outbox", "discard", "--all", "--data-dir", "empty"]).await;
    assert!(empty.code == Some(1) && empty.err.contains("empty/alertrouter.db does not exist"), "{}", empty.err);
    let missing = "error: there is no notification 7 in the outbox\n".to_owned();
    assert_eq!(world.outbox(&["show", "7"]).await, (Some(1), String::new(), missing));
    world.dies("DiskFull").await;
    let id = world.list(&[]).await[0].0.to_string();
    let lines = "error: notification 7000 does not exist\nnothing was changed\n".to_owned();
    assert_eq!(world.outbox(&["retry", &id, "7000"]).await, (Some(1), String::new(), lines.clone()));
    assert_eq!(world.outbox(&["discard", &id, "7000"]).await, (Some(1), String::new(), lines));
    assert_eq!(world.router.sum("alertrouter_dead_letters").await, 1.0);
    world.stop().await;
}

#[tokio::test]
async fn a_database_that_somebody_else_has_locked_or_written() {
    let world = World::start().await;
    world.dies("DiskFull").await;
    let database = rusqlite::Connection::open(world.folder.0.join("data/alertrouter.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut locked = command(&world.folder.0, &["outbox", "discard", "--all"]);
    locked.kill_on_drop(true);
    let locked = run(locked).await;
    assert_eq!(locked.code, Some(1));
    assert!(locked.err.contains("another program has locked it; try again"), "{}", locked.err);
    assert_eq!(locked.err.lines().count(), 1, "{}", locked.err);
    database.execute_batch("ROLLBACK").unwrap();
    for (version, words) in [(99, "newer alertrouter"), (1, "start the service once with this version")] {
        database.pragma_update(None, "user_version", version).unwrap();
        for arguments in [&["outbox", "list"][..], &["outbox", "retry", "--all"]] {
            let said = said(&world.folder, arguments).await;
            assert_eq!((said.code, said.err.lines().count()), (Some(1), 1), "{}", said.err);
            assert!(said.err.contains(words), "{}", said.err);
        }
    }
    world.stop().await;
}
