//! Requests as an attacker, a proxy or a careless script writes them, byte by byte: what is refused, what is understood, and
//! that nothing hides behind it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Harness, alerts, http};

/// Sends bytes; everything that is answered until the connection is closed.
async fn said(harness: &Harness, bytes: impl AsRef<[u8]>) -> String {
    http::read_to_end(http::connect(harness.address(), bytes.as_ref()).await).await
}

/// A webhook whose head has these lines besides, and no others about its body.
fn webhook(lines: &str, body: &str) -> String {
    format!("POST /webhook HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n{body}")
}

fn status(answer: &str) -> &str {
    answer.strip_prefix("HTTP/1.1 ").or(answer.strip_prefix("HTTP/1.0 ")).map_or("none", |rest| &rest[..3])
}

#[tokio::test]
async fn a_head_that_is_too_large_or_has_too_many_lines_is_refused() {
    let harness = Harness::start().await;
    let get = |lines: &str| format!("GET /-/healthy HTTP/1.1\r\nconnection: close\r\n{lines}\r\n");
    let lines = |count: usize| "x: a\r\n".repeat(count);
    let large = |bytes: usize| format!("x: {}\r\n", "a".repeat(bytes));
    for (request, expected) in [
        (get(&lines(99)), "200"),
        (get(&lines(100)), "431"),
        (get(&large(30 * 1024)), "200"),
        (get(&large(33 * 1024)), "431"),
        // Whether or not it ever ends.
        (format!("GET /-/healthy HTTP/1.1\r\nx: {}", "a".repeat(40 * 1024)), "431"),
        (format!("GET /{} HTTP/1.1\r\nconnection: close\r\n\r\n", "a".repeat(33 * 1024)), "431"),
    ] {
        let answer = said(&harness, &request).await;
        assert_eq!(status(&answer), expected, "{}…\n{answer}", &request[..request.len().min(100)]);
    }
    harness.finish().await;
}

#[tokio::test]
async fn nobody_can_disagree_with_a_proxy_about_where_a_request_ends() {
    let harness = Harness::start().await;
    let body = alerts::one("Smuggled", "none").to_string();
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = |value: &str| format!("content-length: {value}\r\n");
    let real = body.len().to_string();
    for (lines, body, expected) in [
        (length(&real), &body, "200"),
        (length(&real) + &length(&real), &body, "200"),
        (length(&real) + &length("5"), &body, "400"),
        (length(&format!("+{real}")), &body, "400"),
        (length(&format!("{real}, {real}")), &body, "400"),
        (length("0x10"), &body, "400"),
        (length("99999999999999999999999"), &body, "400"),
        ("transfer-encoding: chunked\r\n".to_owned(), &chunked, "200"),
        ("transfer-encoding: gzip\r\n".to_owned(), &chunked, "400"),
        ("transfer-encoding: chunked, gzip\r\n".to_owned(), &chunked, "400"),
        ("transfer-encoding: xchunked\r\n".to_owned(), &chunked, "400"),
        ("content-length : 5\r\n".to_owned(), &body, "400"),
        // A line that goes on in the next.
        ("x: a\r\n b\r\n".to_owned() + &length(&real), &body, "400"),
        ("x: a\0b\r\n".to_owned() + &length(&real), &body, "400"),
    ] {
        let answer = said(&harness, webhook(&lines, body)).await;
        assert_eq!(status(&answer), expected, "{lines}\n{answer}");
    }
    // Both at once: the chunks count, and nothing that follows on the connection is listened to.
    for lines in
        ["transfer-encoding: chunked\r\ncontent-length: 5\r\n", "content-length: 5\r\ntransfer-encoding: chunked\r\n"]
    {
        let hidden = "GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n";
        let request = format!("POST /webhook HTTP/1.1\r\nhost: x\r\n{lines}\r\n{chunked}{hidden}");
        let answer = said(&harness, request).await;
        assert_eq!((status(&answer), answer.matches("HTTP/1.1").count()), ("200", 1), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn only_the_addresses_that_are_named_are_served_however_they_are_written() {
    let harness = Harness::start().await;
    let body = alerts::one("Odd", "none").to_string();
    let (length, mut wrong) = (body.len(), Vec::new());
    for (line, expected) in [
        ("POST /webhook HTTP/1.1", "200"),
        ("POST /webhook?a=b HTTP/1.1", "200"),
        ("POST http://elsewhere.example/webhook HTTP/1.1", "200"),
        ("POST /webhook HTTP/1.0", "200"),
        ("POST //webhook HTTP/1.1", "404"),
        ("POST /webhook/ HTTP/1.1", "404"),
        ("POST /%77ebhook HTTP/1.1", "404"),
        ("POST /-/../webhook HTTP/1.1", "404"),
        ("POST /webhook%00 HTTP/1.1", "404"),
        ("POST /WEBHOOK HTTP/1.1", "404"),
        ("OPTIONS * HTTP/1.1", "404"),
        ("CONNECT elsewhere.example:443 HTTP/1.1", "404"),
        ("TRACE /webhook HTTP/1.1", "405"),
        ("PUT /webhook HTTP/1.1", "405"),
        // A name where an authority stands with CONNECT.
        ("POST webhook HTTP/1.1", "404"),
        ("POST /web hook HTTP/1.1", "400"),
        ("P()ST /webhook HTTP/1.1", "400"),
        ("POST /webhook HTTP/3.0", "400"),
        ("POST /webhook", "400"),
    ] {
        let request = format!("{line}\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        let answer = said(&harness, request).await;
        if status(&answer) != expected {
            wrong.push(format!("{line}: not {expected}\n{answer}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // HTTP/2 is not spoken, and a preface is no request.
    let answer = said(&harness, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(!answer.contains("200"), "{answer}");
    harness.finish().await;
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_told_to_go_on() {
    let harness = Harness::start().await;
    let body = alerts::one("Polite", "none").to_string();
    let head = format!("expect: 100-continue\r\ncontent-length: {}\r\n", body.len());
    let mut stream = http::connect(harness.address(), webhook(&head, "").as_bytes()).await;
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(status(&http::read_to_end(stream).await), "200");
    harness.finish().await;
}

#[tokio::test]
async fn requests_that_do_not_wait_for_answers_are_answered_in_order() {
    let harness = Harness::start().await;
    let requests = "GET /-/healthy HTTP/1.1\r\n\r\nGET /nowhere HTTP/1.1\r\n\r\n".repeat(50);
    let answers = said(&harness, requests + "GET /-/healthy HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    let codes: Vec<&str> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(codes, [["200", "404"].repeat(50), vec!["200"]].concat());
    harness.finish().await;
}
