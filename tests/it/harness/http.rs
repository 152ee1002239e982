//! A small client on the product's own transport.

use std::time::Duration;

use alertrouter::clock::Timestamp;
use alertrouter::deliver::Transport;
use alertrouter::receiver::{Answer, Method, Outgoing};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends a request that has to be answered.
async fn send(method: Method, address: &str, path: &str, body: Vec<u8>) -> Answer {
    let request = Outgoing {
        step: "test",
        method,
        url: format!("http://{address}{path}").into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.into(),
        template_error: None,
    };
    try_send(request).await.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Sends a request; an error if there was no answer.
pub async fn try_send(request: Outgoing) -> Result<Answer, String> {
    let transport = Transport::new().unwrap();
    transport.send(request, Duration::from_secs(60), Timestamp::UNIX_EPOCH).await.map_err(|error| error.to_string())
}

/// One that asks often: it reads the system's certificates once.
pub struct Client(Transport);

impl Client {
    pub fn new() -> Self {
        Self(Transport::new().unwrap())
    }

    /// GETs a path, with a bearer token unless that is empty; an error if there was no answer, or none that is a 2xx.
    pub async fn get(&self, address: &str, path: &str, token: &str) -> Result<String, String> {
        self.ask(Method::Get, address, path, token).await
    }

    /// The same by POST, without a body.
    pub async fn post(&self, address: &str, path: &str) -> Result<String, String> {
        self.ask(Method::Post, address, path, "").await
    }

    async fn ask(&self, method: Method, address: &str, path: &str, token: &str) -> Result<String, String> {
        let bearer = (!token.is_empty()).then(|| ("authorization".into(), format!("Bearer {token}").into()));
        let request = Outgoing {
            step: "test",
            method,
            url: format!("http://{address}{path}").into(),
            headers: bearer.into_iter().collect(),
            body: Vec::new().into(),
            template_error: None,
        };
        let answer = self.0.send(request, Duration::from_secs(10), Timestamp::UNIX_EPOCH).await;
        let answer = answer.map_err(|error| format!("{address}{path}: {error}"))?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        if (200..300).contains(&answer.status) { Ok(text) } else { Err(format!("{address}{path}: {text}")) }
    }
}

pub async fn post(address: &str, path: &str, body: Vec<u8>) -> (u16, Value) {
    let (status, text) = post_text(address, path, body).await;
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

pub async fn post_text(address: &str, path: &str, body: Vec<u8>) -> (u16, String) {
    let answer = send(Method::Post, address, path, body).await;
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

/// The whole answer, for those who look at its headers.
pub async fn post_for_answer(address: &str, path: &str, body: Vec<u8>) -> Answer {
    send(Method::Post, address, path, body).await
}

/// Opens a connection and sends bytes as they are.
pub async fn connect(address: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Everything that still comes on a connection, until the other side closes it.
pub async fn read_to_end(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A request without a body, in bytes; the whole answer as text.
pub async fn raw(address: &str, method: &str, path: &str) -> String {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    read_to_end(connect(address, head.as_bytes()).await).await
}

pub async fn get(address: &str, path: &str) -> (u16, String) {
    let answer = send(Method::Get, address, path, Vec::new()).await;
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

/// GETs a path; an error if there was no answer.
pub async fn try_get(address: &str, path: &str) -> Result<(u16, String), String> {
    let url = format!("http://{address}{path}").into();
    let request = Outgoing {
        step: "test",
        method: Method::Get,
        url,
        headers: Vec::new(),
        body: Vec::new().into(),
        template_error: None,
    };
    let answer = try_send(request).await?;
    Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
}

/// The value of a series in the text of `/metrics`.
pub fn metric(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("there is no {series} in\n{text}")).parse().unwrap()
}

/// The value of a series in the text of `/metrics`; 0 as long as it has not been counted.
pub fn metric_or_zero(text: &str, series: &str) -> f64 {
    if text.lines().any(|line| line.starts_with(series)) { metric(text, series) } else { 0.0 }
}

/// The sum over all series of a metric in the text of `/metrics`.
pub fn sum(text: &str, metric: &str) -> f64 {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric)?;
        rest.starts_with(['{', ' ']).then(|| rest.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
    });
    values.sum()
}
