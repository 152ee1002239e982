use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::clock::ManualClock;

/// A request as it goes over the wire, and the answer as it comes back: empty if the connection was closed.
async fn send(standin: &StandIn, method: &str, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(standin.address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A reset is an answer like any other here.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

const JSON: &str = "content-type: application/json; charset=utf-8\r\n";

async fn post(standin: &StandIn, body: &Value) -> String {
    let path = standin.url();
    let path = path.strip_prefix(&format!("http://{}", standin.address)).unwrap();
    send(standin, "POST", path, JSON, &body.to_string()).await
}

fn has(answer: &str, status: u16, part: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(part), "{status} {part}: {answer}");
}

fn trigger() -> Value {
    json!({
        "routing_key": pagerduty::ROUTING_KEY, "event_action": "trigger", "dedup_key": "k",
        "payload": {"summary": "Down", "source": "web", "severity": "critical", "timestamp": "2026-11-21T19:00:00Z"},
    })
}

#[tokio::test]
async fn slack_refuses_in_its_own_words() {
    let slack = StandIn::start(Kind::Slack).await.unwrap();
    let section = |text: String| json!({"type": "section", "text": {"type": "mrkdwn", "text": text}});
    let header = |text: String| json!({"type": "header", "text": {"type": "plain_text", "text": text}});
    for (message, status, word) in [
        (json!({"text": "hello"}), 200, "ok"),
        (json!({"blocks": [section("x".repeat(3000)), header("x".repeat(150))]}), 200, "ok"),
        (json!({}), 400, "no_text"),
        (json!({"text": ""}), 400, "no_text"),
        (json!([]), 400, "invalid_payload"),
        (json!({"attachments": vec![json!({}); 101]}), 400, "too_many_attachments"),
        (json!({"blocks": vec![section("x".into()); 51]}), 400, "invalid_blocks"),
        (json!({"attachments": [{"blocks": [section("x".repeat(3001))]}]}), 400, "invalid_blocks"),
        (json!({"blocks": [section(String::new())]}), 400, "invalid_blocks"),
        (json!({"blocks": [header("x".repeat(151))]}), 400, "invalid_blocks"),
        (json!({"blocks": [{"type": "nonsense"}]}), 400, "invalid_blocks"),
        (json!({"blocks": vec![section("x".repeat(2900)); 4]}), 400, "msg_blocks_too_long"),
    ] {
        has(&post(&slack, &message).await, status, word);
    }
    has(&send(&slack, "POST", slack::PATH, JSON, "{").await, 400, "invalid_payload");
    has(&send(&slack, "POST", slack::PATH, "", "{\"text\":\"x\"}").await, 400, "invalid_payload");
    has(&send(&slack, "POST", "/services/T0/B0/other", JSON, "{\"text\":\"x\"}").await, 404, "no_service");
    assert_eq!(slack.accepted().len(), 2);
}

#[tokio::test]
async fn slack_notices_mentions_and_odd_links() {
    let slack = StandIn::start(Kind::Slack).await.unwrap();
    let text = "<https://a.example|a> <!date^1^{date}|x> &lt;!here&gt; <!channel> <javascript:x|y>";
    post(&slack, &json!({"text": text})).await;
    assert_eq!(slack.injections(), ["<!channel> <javascript:x|y>", "<javascript:x|y>"]);
}

/// A request to Slack's Web API.
async fn call(standin: &StandIn, method: &str, body: &Value) -> Value {
    let auth = format!("{JSON}authorization: Bearer {}\r\n", slack::TOKEN);
    let answer = send(standin, "POST", &format!("{}/{method}", slack::API), &auth, &body.to_string()).await;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    serde_json::from_str(body).unwrap_or_else(|_| Value::from(answer.lines().next()))
}

#[tokio::test]
async fn slack_keeps_messages_and_threads() {
    let standin = StandIn::start(Kind::Slack).await.unwrap();
    let section = json!([{"type": "section", "text": {"type": "mrkdwn", "text": "x"}}]);
    let first =
        call(&standin, "chat.postMessage", &json!({"channel": "#alerts", "text": "a", "blocks": section})).await;
    let ts = first["ts"].as_str().unwrap();
    assert_eq!((&first["ok"], &first["channel"]), (&true.into(), &slack::CHANNEL_ID.into()));
    let reply = json!({"channel": slack::CHANNEL_ID, "text": "b", "thread_ts": ts, "reply_broadcast": true});
    assert_eq!(call(&standin, "chat.postMessage", &reply).await["message"]["thread_ts"], ts);
    let edit = json!({"channel": slack::CHANNEL_ID, "ts": ts, "text": "c", "parse": "none"});
    assert_eq!(call(&standin, "chat.update", &edit).await["ok"], true);
    let shown: Vec<_> = standin.slack_messages().into_iter().map(|message| (message.content, message.edits)).collect();
    assert_eq!(shown[0], (json!({"text": "c", "blocks": null, "attachments": null}), 1), "a text without blocks");
    assert!(standin.slack_messages()[1].is_broadcast);
    assert!(standin.injections().is_empty());
    let edit = json!({"channel": slack::CHANNEL_ID, "ts": ts, "text": "@here"});
    call(&standin, "chat.update", &edit).await;
    assert_eq!(standin.injections(), ["an edit without `parse: none`"]);
    standin.delete_slack_message(ts);
    let answer = call(&standin, "chat.postMessage", &reply).await;
    assert_eq!((&answer["ok"], &answer["message"]["thread_ts"]), (&true.into(), &Value::Null), "said nowhere else");
    assert_eq!(standin.slack_messages()[2].thread_ts, None);
}

#[tokio::test]
async fn slacks_web_api_refuses_with_a_200() {
    let standin = StandIn::start(Kind::Slack).await.unwrap();
    let posted = call(&standin, "chat.postMessage", &json!({"channel": "alerts", "text": "a"})).await;
    let with = |mut body: Value, key: &str, value: Value| {
        body[key] = value;
        body
    };
    let post = json!({"channel": "#alerts", "text": "a"});
    let edit = json!({"channel": slack::CHANNEL_ID, "ts": posted["ts"], "text": "a", "parse": "none"});
    let twins = json!([{"type": "divider", "block_id": "x"}, {"type": "divider", "block_id": "x"}]);
    for (method, body, word) in [
        ("chat.postMessage", with(post.clone(), "channel", "#other".into()), "channel_not_found"),
        ("chat.postMessage", with(post.clone(), "channel", Value::Null), "channel_not_found"),
        ("chat.postMessage", with(post.clone(), "text", Value::Null), "no_text"),
        ("chat.postMessage", with(post.clone(), "blocks", json!([{"type": "section"}])), "invalid_blocks"),
        ("chat.postMessage", with(post.clone(), "blocks", twins), "invalid_blocks"),
        ("chat.postMessage", with(post.clone(), "attachments", vec![json!({}); 101].into()), "too_many_attachments"),
        ("chat.postMessage", json!([]), "json_not_object"),
        ("chat.update", with(edit.clone(), "channel", "#alerts".into()), "channel_not_found"),
        ("chat.update", with(edit.clone(), "ts", "1.2".into()), "message_not_found"),
        ("chat.update", with(edit.clone(), "text", "x".repeat(4001).into()), "msg_too_long"),
        ("chat.update", with(edit.clone(), "text", Value::Null), "no_text"),
        ("chat.delete", edit.clone(), "unknown_method"),
    ] {
        assert_eq!(call(&standin, method, &body).await, json!({"ok": false, "error": word}), "{method} {body}");
    }
    assert_eq!(call(&standin, "chat.update", &edit).await["ok"], true);
    standin.close_slack_edit_window();
    assert_eq!(call(&standin, "chat.update", &edit).await["error"], "edit_window_closed");
    let path = format!("{}/chat.postMessage", slack::API);
    let wrong = format!("{JSON}authorization: Bearer xoxb-other\r\n");
    has(&send(&standin, "POST", &path, JSON, &post.to_string()).await, 200, "not_authed");
    has(&send(&standin, "POST", &path, &wrong, &post.to_string()).await, 200, "invalid_auth");
    let auth = format!("authorization: Bearer {}\r\n", slack::TOKEN);
    has(&send(&standin, "POST", &path, &auth, &post.to_string()).await, 200, "invalid_post_type");
    let bare = format!("{auth}content-type: application/json\r\n");
    has(&send(&standin, "POST", &path, &bare, &post.to_string()).await, 200, "missing_charset");
    let texts: Vec<_> = standin.accepted().iter().map(|request| request.json["text"].clone()).collect();
    assert_eq!(texts, ["a", "a", "a"], "a post, an edit, a post");
}

#[tokio::test]
async fn slacks_web_api_keeps_its_limits() {
    let standin = StandIn::start(Kind::Slack).await.unwrap();
    let clock = ManualClock::new("2026-11-21T20:00:00Z".parse().unwrap());
    let shared: SharedClock = Arc::new(clock.clone());
    standin.keep_slack_limits(&shared);
    let post = json!({"channel": "#alerts", "text": "a"});
    for _ in 0..5 {
        assert_eq!(call(&standin, "chat.postMessage", &post).await["ok"], true);
    }
    assert_eq!(call(&standin, "chat.postMessage", &post).await, "HTTP/1.1 429 Too Many Requests");
    let edit = json!({"channel": slack::CHANNEL_ID, "ts": "1795291200.000001", "text": "b", "parse": "none"});
    for _ in 0..50 {
        assert_eq!(call(&standin, "chat.update", &edit).await["ok"], true, "edits have a limit of their own");
    }
    assert_eq!(call(&standin, "chat.update", &edit).await, "HTTP/1.1 429 Too Many Requests");
    clock.advance(Duration::from_secs(2));
    assert_eq!(call(&standin, "chat.update", &edit).await["ok"], true);
    assert_eq!(call(&standin, "chat.postMessage", &post).await["ok"], true);
}

#[tokio::test]
async fn pagerduty_keeps_incidents() {
    let pagerduty = StandIn::start(Kind::PagerDuty).await.unwrap();
    let resolve = json!({"routing_key": pagerduty::ROUTING_KEY, "event_action": "resolve", "dedup_key": "k"});
    for event in [&resolve, &trigger(), &trigger(), &resolve, &trigger()] {
        has(&post(&pagerduty, event).await, 202, "\"dedup_key\":\"k\"");
    }
    let incidents: Vec<_> =
        pagerduty.incidents().into_iter().map(|incident| (incident.open, incident.triggers)).collect();
    assert_eq!(incidents, [(false, 2), (true, 1)]);
    let received = pagerduty.received();
    assert_eq!(pagerduty.render(&received[1]), "TRIGGER critical: Down\n  source web · key k");
    assert_eq!(pagerduty.render(&received[3]), "RESOLVE Down\n  key k");
}

#[tokio::test]
async fn pagerduty_refuses_what_is_not_valid() {
    let pagerduty = StandIn::start(Kind::PagerDuty).await.unwrap();
    for (pointer, value, part) in [
        ("/routing_key", json!("short"), "Length of 'routing_key' is incorrect (should be 32 characters)"),
        ("/event_action", json!("explode"), "event_action"),
        ("/dedup_key", json!("k".repeat(256)), "dedup_key"),
        ("/payload/summary", json!(""), "payload.summary"),
        ("/payload/summary", json!("x".repeat(1025)), "payload.summary"),
        ("/payload/source", Value::Null, "payload.source"),
        ("/payload/severity", json!("page"), "payload.severity"),
        ("/payload/timestamp", json!("yesterday"), "payload.timestamp"),
    ] {
        let mut event = trigger();
        *event.pointer_mut(pointer).unwrap() = value;
        has(&post(&pagerduty, &event).await, 400, part);
    }
    let mut large = trigger();
    large["payload"]["custom_details"] = json!({"x": "y".repeat(pagerduty::MAX_EVENT)});
    has(&post(&pagerduty, &large).await, 413, "512 KB");
    has(&send(&pagerduty, "POST", pagerduty::PATH, "", &trigger().to_string()).await, 400, "JSON parse error");
    assert_eq!(pagerduty.incidents(), []);
}

#[tokio::test]
async fn grafana_keeps_annotations() {
    let grafana = StandIn::start(Kind::Grafana).await.unwrap();
    let auth = format!("{JSON}authorization: Bearer {}\r\n", grafana::TOKEN);
    let path = "/api/annotations";
    let good = r#"{"text":"<b>Down</b> &amp; out","time":1795287600000,"tags":["episode:a-1","x"]}"#;
    has(&send(&grafana, "POST", path, JSON, good).await, 401, "Unauthorized");
    has(&send(&grafana, "POST", path, &auth, "{").await, 400, "bad request data");
    has(&send(&grafana, "POST", path, &auth, r#"{"text":"x","time":1.5}"#).await, 400, "bad request data");
    has(&send(&grafana, "POST", path, &auth, r#"{"text":"","time":5}"#).await, 400, "Failed to save annotation");
    has(&send(&grafana, "POST", path, &auth, good).await, 200, r#""id":1"#);
    has(&send(&grafana, "PATCH", "/api/annotations/9", &auth, "{}").await, 404, "Annotation not found");
    let end = r#"{"text":"","time":0,"timeEnd":1795287660000}"#;
    has(&send(&grafana, "PATCH", "/api/annotations/1", &auth, end).await, 200, "Annotation patched");
    let annotation = &grafana.annotations()[0];
    assert_eq!((annotation.time, annotation.time_end), (1_795_287_600_000, 1_795_287_660_000));
    assert!(annotation.text.contains("Down"), "a patch ignores what is empty");
    has(&send(&grafana, "GET", "/api/annotations?tags=episode%3Aa-1&tags=x", &auth, "").await, 200, r#""id":1"#);
    has(&send(&grafana, "GET", "/api/annotations?tags=other", &auth, "").await, 200, "[]");
    assert_eq!(grafana.render(&grafana.received()[6]), "annotation 1 now 19:00:00 – 19:01:00: Down & out");
    grafana.delete_annotation(1);
    has(&send(&grafana, "PATCH", "/api/annotations/1", &auth, end).await, 404, "Annotation not found");
}

#[tokio::test]
async fn misbehaves_as_told_and_in_order() {
    let slack = StandIn::start(Kind::Slack).await.unwrap();
    let hello = json!({"text": "hello"});
    let gate = Gate::closed();
    slack.behave(Behaviour::answer(500, "<html>"));
    slack.behave(Behaviour::rate_limited(7));
    slack.behave(Behaviour::ResetConnection);
    slack.behave(Behaviour::LoseAnswer);
    slack.behave(Behaviour::Wait(gate.clone()));
    slack.behave(Behaviour::Hang);
    has(&post(&slack, &hello).await, 500, "<html>");
    has(&post(&slack, &hello).await, 429, "retry-after: 7");
    assert_eq!(post(&slack, &hello).await, "");
    assert_eq!(post(&slack, &hello).await, "");
    let waiting = async {
        let answer = post(&slack, &hello).await;
        has(&answer, 200, "ok");
    };
    let opening = async {
        assert_eq!(slack.wait_for(5).await[4].status, None);
        gate.open();
        slack.wait_for_accepted(2).await;
    };
    tokio::join!(waiting, opening);
    tokio::select! {
        answer = post(&slack, &hello) => panic!("answered: {answer}"),
        received = slack.wait_for(6) => {
            let statuses: Vec<_> = received.iter().map(|received| received.status).collect();
            assert_eq!(statuses, [Some(500), Some(429), None, Some(200), Some(200), None]);
        }
    }
    assert_eq!(slack.render(&slack.received()[0]), "answered 500 <html>\nhello");
    has(&post(&slack, &hello).await, 200, "ok");
}

#[tokio::test]
async fn is_down_until_told() {
    let slack = StandIn::start(Kind::Slack).await.unwrap();
    slack.set_down(true);
    assert_eq!(post(&slack, &json!({"text": "x"})).await, "");
    slack.wait_for_turned_away(1).await;
    slack.set_down(false);
    has(&post(&slack, &json!({"text": "x"})).await, 200, "ok");
    assert_eq!(slack.received().len(), 1);
}

#[tokio::test]
async fn takes_one_message_a_second_when_told() {
    let slack = StandIn::start(Kind::Slack).await.unwrap();
    let clock = ManualClock::new("2026-11-21T20:00:00Z".parse().unwrap());
    slack.limit_rate(Arc::new(clock.clone()), Duration::from_secs(1), 2);
    let hello = json!({"text": "hello"});
    has(&post(&slack, &hello).await, 200, "ok");
    has(&post(&slack, &hello).await, 200, "ok");
    has(&post(&slack, &hello).await, 429, "retry-after: 1");
    clock.advance(Duration::from_secs(1));
    has(&post(&slack, &hello).await, 200, "ok");
    has(&post(&slack, &hello).await, 429, "retry-after: 1");
}

#[tokio::test]
async fn is_gone_when_dropped() {
    let slack = StandIn::start(Kind::Slack).await.unwrap();
    let address = slack.address;
    drop(slack);
    // The task ends when the runtime next comes to it.
    tokio::task::yield_now().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[test]
fn on_one_address_each_path_is_one_services() {
    for (path, owner) in [
        (slack::PATH, Some(Kind::Slack)),
        ("/services", Some(Kind::Slack)),
        ("/servicesx", None),
        ("/api/chat.postMessage", Some(Kind::Slack)),
        ("/api/annotationsx", Some(Kind::Slack)),
        ("/api/annotations", Some(Kind::Grafana)),
        ("/api/annotations/7", Some(Kind::Grafana)),
        ("/api/annotations?tags=a&limit=1", Some(Kind::Grafana)),
        ("/apis/annotation.grafana.app/v0alpha1", Some(Kind::Grafana)),
        (pagerduty::PATH, Some(Kind::PagerDuty)),
        ("/v2?x=/api/annotations", Some(Kind::PagerDuty)),
        ("/", None),
        ("", None),
    ] {
        assert_eq!(Kind::of_path(path), owner, "{path}");
    }
}

#[tokio::test]
async fn on_one_address_each_service_answers_for_itself() {
    let all = StandIn::start(Kind::Every).await.unwrap();
    has(&send(&all, "POST", slack::PATH, JSON, r#"{"text": "hello"}"#).await, 200, "ok");
    has(&send(&all, "POST", pagerduty::PATH, JSON, &trigger().to_string()).await, 202, "success");
    let token = format!("{JSON}authorization: Bearer {}\r\n", grafana::TOKEN);
    has(&send(&all, "POST", "/api/annotations", &token, r#"{"text": "a", "time": 1}"#).await, 200, "Annotation added");
    let token = format!("{JSON}authorization: Bearer {}\r\n", slack::TOKEN);
    let message = json!({"channel": slack::CHANNEL, "text": "hello"}).to_string();
    has(&send(&all, "POST", "/api/chat.postMessage", &token, &message).await, 200, r#""ok":true"#);
    has(&send(&all, "POST", "/other", JSON, "{}").await, 404, "none of the services");
    assert_eq!((all.incidents().len(), all.annotations().len(), all.slack_messages().len()), (1, 1, 1));
    let owners: Vec<_> = all.take().await.iter().map(|received| all.addressee(received)).collect();
    let expected = [Some(Kind::Slack), Some(Kind::PagerDuty), Some(Kind::Grafana), Some(Kind::Slack), None];
    assert_eq!(owners, expected);
    assert_eq!(all.received(), [], "what was taken is forgotten");
}

#[tokio::test]
async fn what_nobody_takes_is_turned_away_in_the_end() {
    let all = StandIn::start(Kind::Every).await.unwrap();
    let mut stream = TcpStream::connect(all.address()).await.unwrap();
    let request = "GET / HTTP/1.1\r\nhost: x\r\n";
    let last = format!("{request}connection: close\r\n\r\n");
    let requests = format!("{request}\r\n").repeat(MOST_WAITING) + &last;
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = String::new();
    let _ = stream.read_to_string(&mut answers).await;
    assert_eq!((answers.matches("HTTP/1.1 404").count(), all.turned_away()), (MOST_WAITING, 1));
    assert_eq!(all.take().await.len(), MOST_WAITING);
    has(&send(&all, "GET", "/", "", "").await, 404, "");
}

#[test]
fn what_a_service_remembers_has_a_bound() {
    let mut pagerduty = pagerduty::State::default();
    let mut event = trigger();
    for number in 0..=MOST_REMEMBERED {
        event["dedup_key"] = number.to_string().into();
        let received = Received {
            method: "POST".to_owned(),
            path: pagerduty::PATH.to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Vec::new().into(),
            json: event.clone(),
            status: None,
            answer: String::new(),
        };
        assert_eq!(pagerduty.answer(&received).status, 202);
    }
    let keys: Vec<_> = pagerduty.incidents().iter().map(|incident| incident.dedup_key.as_str()).collect();
    let newest = MOST_REMEMBERED.to_string();
    assert_eq!((keys.len(), keys[0], keys[MOST_REMEMBERED - 1]), (MOST_REMEMBERED, "1", newest.as_str()));
}
