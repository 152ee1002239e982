//! Peers that keep hyper waiting, on a stream in memory and with paused time.

use std::convert::Infallible;
use std::net::IpAddr;

use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::http::connection::HEAD_TIMEOUT;

static LONG: [u8; 100_000] = [b'a'; 100_000];
const REQUEST: &[u8] = b"HEAD /metrics HTTP/1.1\r\nhost: x\r\n\r\n";

struct Server {
    client: DuplexStream,
    task: JoinSet<()>,
}

impl Server {
    /// Answers everything with `answer`, over a pipe that holds 1 KiB.
    fn start(answer: &'static [u8]) -> Self {
        let (client, stream) = duplex(1024);
        let place = Arc::new(Place::new(IpAddr::from([192, 0, 2, 1])));
        let stream = TokioIo::new(Patient::new(stream, place.clone()));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let service = service_fn(move |_: Request<Incoming>| {
                assert!(place.asked());
                place.answered();
                async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(answer)))) }
            });
            let mut builder = http1::Builder::new();
            builder.max_buf_size(8192).header_read_timeout(None);
            let _ = builder.serve_connection(stream, service).await;
        });
        Self { client, task }
    }

    /// How long it is until the server has had enough.
    async fn ends_after(&mut self) -> Duration {
        let began = Instant::now();
        self.task.join_next().await.unwrap().unwrap();
        began.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let mut server = Server::start(b"");
    assert_eq!(server.ends_after().await, HEAD_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_is_not_waited_for_any_longer() {
    let mut server = Server::start(b"");
    let began = Instant::now();
    let mut trickle = tokio::time::interval(Duration::from_secs(1));
    for byte in REQUEST {
        trickle.tick().await;
        if server.client.write_all(&[*byte]).await.is_err() {
            break;
        }
    }
    assert!(began.elapsed() <= HEAD_TIMEOUT + Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_is_not_kept_for_ever() {
    let mut server = Server::start(&LONG);
    server.client.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(server.ends_after().await, ANSWER_READ_WITHIN);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_read_byte_by_byte_is_not_kept_for_ever() {
    let mut server = Server::start(&LONG);
    server.client.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let (began, mut buffer) = (Instant::now(), [0; 512]);
    let mut trickle = tokio::time::interval(Duration::from_secs(1));
    while server.client.read(&mut buffer).await.unwrap_or(0) > 0 {
        trickle.tick().await;
    }
    assert!(began.elapsed() < ANSWER_READ_WITHIN + Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn requests_are_not_read_while_their_answers_are_not() {
    let mut server = Server::start(b"");
    let mut sent = 0;
    while sent < 10_000_000 {
        // A pipe that is nearly full takes a part.
        match timeout(Duration::from_secs(1), server.client.write(&REQUEST[sent % REQUEST.len()..])).await {
            Ok(written) => sent += written.unwrap(),
            Err(_) => break,
        }
    }
    assert!(sent < 50_000, "{sent} bytes of requests were taken, and no answer was read");
    // Once they are read, it goes on where it was.
    let (mut answers, mut buffer) = (0, [0; 512]);
    while let Ok(Ok(read @ 1..)) = timeout(Duration::from_secs(1), server.client.read(&mut buffer)).await {
        answers += String::from_utf8_lossy(&buffer[..read]).matches("HTTP").count();
    }
    assert!(answers > sent / REQUEST.len() * 9 / 10, "{answers} answers to {} requests", sent / REQUEST.len());
}
