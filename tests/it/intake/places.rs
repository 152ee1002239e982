//! More connections than there are places for.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::harness::process::{Router, debian, serve};
use crate::harness::wait::patiently;
use crate::harness::{Folder, Harness, ROUTES, Services, alerts, http};

/// More than there are places, which are 512.
const MANY: usize = 600;

/// Both ends of each connection are in this process.
fn have_descriptors() {
    let (limit, wanted) = (getrlimit(Resource::Nofile), 4096);
    if limit.current.is_some_and(|current| current < wanted) {
        let set = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
        assert!(set.is_ok(), "this test needs {wanted} file descriptors and may have {:?}", limit.maximum);
    }
}

/// One exchange on a connection that is kept; the beginning of the answer.
async fn ask(stream: &mut TcpStream, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}

fn webhook(name: &str) -> String {
    let body = alerts::one(name, "warning").to_string();
    format!("POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn an_alert_gets_through_while_silent_connections_have_taken_every_place() {
    have_descriptors();
    let harness = Harness::start().await;
    let mut known = http::connect(harness.address(), b"").await;
    assert!(ask(&mut known, &webhook("Before")).await.unwrap().starts_with("HTTP/1.1 200 "));
    let mut stranger = http::connect(harness.address(), b"").await;
    assert!(ask(&mut stranger, "GET /-/healthy HTTP/1.1\r\n\r\n").await.unwrap().starts_with("HTTP/1.1 200 "));
    let mut silent = Vec::new();
    for n in 0..MANY {
        let said: &[u8] = match n % 3 {
            0 => b"",
            1 => b"POST /webhook HTTP/1.1\r\nx: a",
            _ => b"POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{",
        };
        silent.push(http::connect(harness.address(), said).await);
    }
    let began = Instant::now();
    assert_eq!(harness.accept(&alerts::one("During", "warning")).await["notifications"], 1);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // Who was known has not lost its place, and who was not has.
    assert!(ask(&mut known, &webhook("After")).await.unwrap().starts_with("HTTP/1.1 200 "));
    assert_eq!(patiently("an end", http::read_to_end(stranger)).await, "");
    let metrics = harness.get("/metrics").await.1;
    let (open, evicted) = (
        http::metric(&metrics, "alertrouter_connections"),
        http::metric(&metrics, "alertrouter_connections_evicted_total"),
    );
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let too_many = (MANY - 512) as f64;
    assert!(open <= 512.0 && evicted >= too_many, "{open} are open, {evicted} had to go");
    drop(silent);
    harness.deliver(Duration::from_secs(10)).await;
    assert_eq!(harness.slack_texts().len(), 3);
    harness.finish().await;
}

#[tokio::test]
async fn the_limit_on_descriptors_is_raised_and_one_that_is_too_low_is_told_of() {
    let (services, folder) = (Services::start().await, Folder::new());
    std::fs::write(folder.0.join("routes.yaml"), services.fill_in(ROUTES)).unwrap();
    for (limit, line, warned) in
        [("256:2000", "2000                 2000", false), ("256:300", "300                  300", true)]
    {
        let plain = serve(&folder.0, "127.0.0.1:0", &[]);
        let mut command = debian("prlimit", "util-linux");
        command.arg(format!("--nofile={limit}")).arg(plain.as_std().get_program()).args(plain.as_std().get_args());
        let mut router = Router::from_command(command).await;
        let limits = format!("/proc/{}/limits", router.process.child.id().unwrap());
        let limits = std::fs::read_to_string(limits).unwrap();
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        assert!(files.contains(line), "{files}");
        assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
        assert_eq!(router.process.log().contains("LimitNOFILE=1024"), warned, "{}", router.process.log());
    }
}
