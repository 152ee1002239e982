//! A collector that is away costs spans and nothing else; and what a restart does to a trace. Off, there is nothing.

use std::time::Duration;

use alertrouter::clock::between;
use alertrouter::standin::Behaviour;
use alertrouter::traces::Settings;
use rusqlite::Connection;
use tokio::net::TcpSocket;

use super::collector::{Collector, Instead};
use super::{MINUTE, SOON, TRACE, TRACEPARENT, accept, finish, post, start};
use crate::harness::process::{Router, alertrouter, run, serve};
use crate::harness::wait::{patiently, until};
use crate::harness::{Folder, Harness, ROUTES, Services, alerts};

/// A shutdown waits no longer for a collector, with much room for a busy machine.
const SHUTDOWN: Duration = Duration::from_secs(30);

fn dropped(reason: &str) -> String {
    format!("alertrouter_trace_spans_dropped_total{{reason=\"{reason}\"}}")
}

const FAILURES: &str = "alertrouter_trace_export_failures_total";

#[tokio::test]
async fn a_collector_that_comes_back_gets_what_it_missed() {
    let (harness, collector) = start(ROUTES, &[]).await;
    collector.then([Instead::ComeBack(25), Instead::Answer(429), Instead::Answer(502)]);
    let began = harness.now();
    accept(&harness, &alerts::one("DiskFull", "warning"), &[]).await;
    harness.deliver(SOON).await;
    harness.pass_until(MINUTE * 4, async || !collector.spans().is_empty()).await;
    assert_eq!(collector.requests().len(), 4, "the same spans four times");
    // Until the batch is old enough, as long as the collector asks for, and what comes then without being asked for.
    let took = between(began, harness.now()).as_secs();
    assert!(took >= 5 + 25 + 2 + 4, "{took} s");
    harness.pass_until(MINUTE, async || harness.metric("alertrouter_trace_spans_exported_total").await > 0.0).await;
    assert_eq!((harness.metric(FAILURES).await, harness.metric(&dropped("export_failed")).await), (3.0, 0.0));
    finish(harness, &collector).await;
}

#[tokio::test]
async fn what_a_collector_refuses_is_counted_and_not_sent_again() {
    let (harness, collector) = start(ROUTES, &[]).await;
    collector.then([Instead::Answer(400)]);
    accept(&harness, &alerts::one("Refused", "warning"), &[]).await;
    harness.deliver(SOON).await;
    harness.pass_until(MINUTE, async || harness.metric(&dropped("export_failed")).await > 0.0).await;
    assert_eq!((collector.requests().len(), harness.metric(FAILURES).await), (1, 1.0));
    collector.then([Instead::Reject(2)]);
    accept(&harness, &alerts::one("In-part", "warning"), &[]).await;
    harness.deliver(SOON).await;
    harness.pass_until(MINUTE, async || harness.metric(&dropped("rejected")).await > 0.0).await;
    assert_eq!(harness.metric(&dropped("rejected")).await, 2.0);
    assert_eq!(harness.metric("alertrouter_trace_spans_exported_total").await, collector.count());
    assert_eq!(harness.slack_texts().len(), 2, "alerts do not know of it");
    finish(harness, &collector).await;
}

#[tokio::test]
async fn a_collector_that_hangs_holds_up_nothing() {
    let patient = ("OTEL_EXPORTER_OTLP_TIMEOUT", "300000");
    let env = [("OTEL_BSP_MAX_QUEUE_SIZE", "10"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5"), patient];
    let (mut harness, collector) = start(ROUTES, &env).await;
    collector.hang();
    for number in 0..20 {
        accept(&harness, &alerts::one(&format!("Alert-{number}"), "critical"), &[]).await;
    }
    harness.deliver(SOON).await;
    assert_eq!((harness.slack_texts().len(), harness.pagerduty_events().len()), (20, 20));
    // 7 spans for each alert; 10 wait, and 5 are under way.
    assert!(harness.metric(&dropped("queue_full")).await >= 20.0 * 7.0 - 15.0);
    assert_eq!(harness.metric("alertrouter_trace_spans_exported_total").await, 0.0);
    tokio::time::timeout(SHUTDOWN, harness.stop()).await.expect("the shutdown waits for the collector");
    harness.launch().await;
    harness.finish().await;
}

#[tokio::test]
async fn a_collector_that_is_not_there_holds_up_nothing() {
    // Bound, so that nobody else gets it, and not listening.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let settings = Settings::read(&format!("http://{}", closed.local_addr().unwrap()), |_| None).unwrap();
    let mut harness = Harness::with(ROUTES, |all| all.traces = settings).await;
    accept(&harness, &alerts::one("DiskFull", "warning"), &[]).await;
    harness.deliver(SOON).await;
    harness.pass_until(MINUTE, async || harness.metric(&dropped("export_failed")).await > 0.0).await;
    assert_eq!((harness.metric(FAILURES).await, harness.slack_texts().len()), (4.0, 1));
    tokio::time::timeout(SHUTDOWN, harness.stop()).await.expect("the shutdown waits for the collector");
    harness.launch().await;
    harness.finish().await;
}

#[tokio::test]
async fn the_last_spans_go_out_with_the_shutdown() {
    let (mut harness, collector) = start(ROUTES, &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")]).await;
    collector.then([Instead::Answer(503)]);
    for name in ["A", "B", "C"] {
        accept(&harness, &alerts::one(name, "warning"), &[]).await;
    }
    // No time passes on the clock that the batches wait by: four spans wait to be sent again, and the others behind them.
    harness.services.slack.wait_for_accepted(3).await;
    harness.wait_until(async || harness.pending().await == 0 && !collector.requests().is_empty()).await;
    assert_eq!(collector.spans().len(), 0);
    harness.stop().await;
    assert_eq!((collector.named("POST /webhook").len(), collector.named("deliver team-slack").len()), (3, 3));
    harness.launch().await;
    finish(harness, &collector).await;
}

#[tokio::test]
async fn an_attempt_after_a_kill_continues_the_trace() {
    let (services, folder, collector) = (Services::start().await, Folder::new(), Collector::start().await);
    std::fs::write(folder.0.join("routes.yaml"), services.fill_in(ROUTES)).unwrap();
    let command = || {
        let mut command = serve(&folder.0, "127.0.0.1:0", &["--otlp-endpoint", &collector.url()]);
        command.env("OTEL_BSP_SCHEDULE_DELAY", "20").env("OTEL_SERVICE_NAME", "router-a");
        command
    };
    let mut router = Router::from_command(command()).await;
    services.slack.set_down(true);
    let body = alerts::one("DiskFull", "warning");
    assert_eq!(post(&router.address, &body, &[("traceparent", TRACEPARENT)]).await, 200);
    let log = || format!("{:#?}", collector.spans());
    until("the first attempt", log, async || !collector.named("deliver team-slack").is_empty()).await;
    until("the webhook", log, async || !collector.named("POST /webhook").is_empty()).await;
    assert!(router.process.log().contains(&format!("trace_id={TRACE}")), "{}", router.process.log());
    router.process.kill().await;
    let before = collector.named("deliver team-slack").len();

    services.slack.set_down(false);
    let mut router = Router::from_command(command()).await;
    patiently("the message", services.slack.wait_for_accepted(1)).await;
    let delivered = |span: &super::Seen| span.get("alertrouter.outcome") == "delivered";
    until("its span", log, async || collector.named("deliver team-slack").iter().any(delivered)).await;
    let attempts = collector.named("deliver team-slack");
    let last = attempts.iter().find(|span| delivered(span)).unwrap();
    assert_eq!((last.trace.as_str(), &last.parent), (TRACE, &collector.one("POST /webhook").id));
    let number: usize = last.get("alertrouter.attempt").parse().unwrap();
    assert!(number > before && last.resource["service.name"] == "router-a", "{attempts:#?}");
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
}

#[tokio::test]
async fn what_was_written_without_traces_is_delivered_with_them() {
    let (mut harness, collector) = start(ROUTES, &[]).await;
    harness.services.slack.behave(Behaviour::answer(503, ""));
    accept(&harness, &alerts::one("DiskFull", "warning"), &[("traceparent", TRACEPARENT)]).await;
    harness.services.slack.wait_for(1).await;
    harness.stop().await;
    let database = Connection::open(harness.data_dir().join("alertrouter.db")).unwrap();
    let kept: String = database.query_row("SELECT traceparent FROM delivery", [], |row| row.get(0)).unwrap();
    assert!(kept.starts_with(&format!("00-{TRACE}-")) && kept.ends_with("-01"), "{kept}");
    // As an older version has left it; and what a bad disk may make of it.
    for broken in ["NULL", "'00-what'", "CAST(x'ff00ff' AS TEXT)"] {
        database.execute(&format!("UPDATE delivery SET traceparent = {broken}"), []).unwrap();
        harness.services.slack.behave(Behaviour::answer(503, ""));
        let before = harness.services.slack.received().len();
        harness.launch().await;
        harness.pass_until(MINUTE * 10, async || harness.services.slack.received().len() > before).await;
        harness.stop().await;
    }
    let attempts = collector.named("deliver team-slack");
    assert!(attempts.len() >= 4 && attempts[0].trace == TRACE, "{attempts:#?}");
    assert!(attempts[1..].iter().all(|span| span.trace != TRACE && span.parent.is_empty()), "{attempts:#?}");
    drop(database);
    harness.launch().await;
    harness.deliver(MINUTE * 10).await;
    finish(harness, &collector).await;
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_kept() {
    let mut harness = Harness::start().await;
    accept(&harness, &alerts::one("DiskFull", "critical"), &[("traceparent", TRACEPARENT)]).await;
    harness.deliver(SOON).await;
    for series in [FAILURES, "alertrouter_trace_spans_exported_total", &dropped("queue_full")] {
        assert_eq!(harness.metric(series).await, 0.0, "{series}");
    }
    harness.stop().await;
    let database = Connection::open(harness.data_dir().join("alertrouter.db")).unwrap();
    let rows = "SELECT count(*), count(traceparent) FROM delivery";
    let counts: (i64, i64) = database.query_row(rows, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(counts, (2, 0));
    drop(database);
    harness.launch().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_cannot_be_used_ends_the_start_with_a_line() {
    let (folder, services) = (Folder::new(), Services::start().await);
    std::fs::write(folder.0.join("routes.yaml"), services.fill_in(ROUTES)).unwrap();
    let with = async |endpoint: &str, env: &[(&str, &str)]| {
        let mut command = serve(&folder.0, "127.0.0.1:0", &[]);
        command.env("ALERTROUTER_OTLP_ENDPOINT", endpoint).envs(env.iter().copied());
        run(command).await
    };
    for (endpoint, env, expected) in [
        ("collector:4318", None, "error: --otlp-endpoint is not an address of http:// or https://"),
        ("http://c:4318", Some(("OTEL_TRACES_SAMPLER", "often")), "error: OTEL_TRACES_SAMPLER is \"often\"; use "),
        (
            "http://c:4317",
            Some(("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")),
            "error: OTEL_EXPORTER_OTLP_PROTOCOL is \"grpc\"",
        ),
    ] {
        let said = with(endpoint, env.as_slice()).await;
        assert!(said.err.starts_with(expected) && said.err.lines().count() == 1, "{said:?}");
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    }
    assert!(!folder.0.join("data").exists(), "the store was opened");
    // The address may hold a password, and help shows what the environment says.
    let mut help = alertrouter();
    help.args(["serve", "--help"]).env("ALERTROUTER_OTLP_ENDPOINT", "http://me:marker@collector");
    let said = run(help).await;
    assert!(said.out.contains("ALERTROUTER_OTLP_ENDPOINT") && !said.out.contains("marker"), "{}", said.out);
}

#[tokio::test]
async fn the_standard_variables_switch_nothing_on() {
    let (services, folder, collector) = (Services::start().await, Folder::new(), Collector::start().await);
    std::fs::write(folder.0.join("routes.yaml"), services.fill_in(ROUTES)).unwrap();
    let off: [&[(&str, &str)]; 3] = [
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "URL"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "URL")],
        &[("ALERTROUTER_OTLP_ENDPOINT", "URL"), ("OTEL_SDK_DISABLED", "true")],
        &[("ALERTROUTER_OTLP_ENDPOINT", "")],
    ];
    for (number, env) in off.into_iter().enumerate() {
        let mut command = serve(&folder.0, "127.0.0.1:0", &[]);
        command.envs(env.iter().map(|(name, value)| (name, value.replace("URL", &collector.url()))));
        let mut router = Router::from_command(command).await;
        let body = alerts::one(&format!("Alert-{number}"), "warning");
        assert_eq!(post(&router.address, &body, &[]).await, 200);
        router.wait_until_delivered().await;
        assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
        let log = router.process.log();
        assert!(!log.contains("trace_id="), "{log}");
        // Who has asked for traces is told why there are none.
        let is_disabled = env.iter().any(|(name, _)| *name == "OTEL_SDK_DISABLED");
        assert_eq!(log.contains("no traces are exported: OTEL_SDK_DISABLED is true"), is_disabled, "{log}");
    }
    assert_eq!(collector.requests().len(), 0);
}
