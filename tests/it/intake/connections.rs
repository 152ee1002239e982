//! Clients that do not say everything they began to say.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::harness::{Harness, alerts, http};

/// The head of a webhook that announces more than will come.
const HEAD: &[u8] = b"POST /webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"alerts\":";

#[tokio::test]
async fn half_open_connections_do_not_hold_up_the_shutdown() {
    let harness = Harness::start().await;
    let mut open: Vec<TcpStream> = Vec::new();
    // Answers that nobody reads.
    let unread = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20);
    let kept = b"GET /-/ready HTTP/1.1\r\nhost: x\r\n\r\n";
    for bytes in [&b""[..], b"POST /webhook HT", HEAD, &unread, kept] {
        open.push(http::connect(harness.address(), bytes).await);
    }
    // The last of them has been answered and is kept alive; so the others have been accepted, too.
    open[4].readable().await.unwrap();
    // From here on time-outs come as soon as there is nothing else to do.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    harness.finish().await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for stream in open {
        http::read_to_end(stream).await;
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_refused_within_8_seconds() {
    let harness = Harness::start().await;
    let stream = http::connect(harness.address(), HEAD).await;
    harness.look().await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    stream.readable().await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(8100), "{:?}", began.elapsed());
    tokio::time::resume();
    let mut answer = [0; 4096];
    let length = stream.try_read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("did not arrive in time"), "{answer}");
    assert!(answer.contains("retry-after: 5"), "{answer}");
    assert_eq!(harness.rejected().await, []);
    harness.finish().await;
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing_behind() {
    let harness = Harness::start().await;
    drop(http::connect(harness.address(), HEAD).await);
    drop(http::connect(harness.address(), &HEAD[..20]).await);
    assert_eq!(harness.accept(&alerts::one("A", "warning")).await["notifications"], 1);
    harness.deliver(Duration::from_secs(10)).await;
    assert_eq!((harness.slack_texts().len(), harness.rejected().await.len()), (1, 0));
    harness.finish().await;
}

#[tokio::test]
async fn bodies_come_in_chunks_too_and_connections_are_kept() {
    let harness = Harness::start().await;
    let mut requests = Vec::new();
    for (name, last) in [("A", false), ("B", true)] {
        let body = alerts::one(name, "warning").to_string();
        let (first, second) = body.split_at(body.len() / 2);
        let close = if last { "connection: close\r\n" } else { "" };
        let head = format!("POST /webhook HTTP/1.1\r\nhost: x\r\n{close}transfer-encoding: chunked\r\n\r\n");
        let chunks = [first, second, ""].map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).concat();
        requests.extend_from_slice((head + &chunks).as_bytes());
    }
    let answers = http::read_to_end(http::connect(harness.address(), &requests).await).await;
    assert_eq!(answers.matches(r#""notifications":1"#).count(), 2, "{answers}");
    harness.deliver(Duration::from_secs(10)).await;
    assert_eq!(harness.slack_texts().len(), 2);
    harness.finish().await;
}
