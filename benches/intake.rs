//! How many alerts a second the release binary accepts durably, how fast it answers, how much memory it takes.
//!
//! `cargo bench --bench intake` starts the binary on a fresh data directory and posts from 32 connections on loopback, a
//! fixed number of requests per case. Compare ratios within one run: absolute figures are the machine's.
//! `GET /-/healthy` is the yardstick: what HTTP alone costs here.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark: it may fail loudly, and prints")]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const CONNECTIONS: u64 = 32;

/// Nobody listens there: deliveries stay in the outbox, so that intake alone is measured.
const ROUTES: &str = "
receivers:
  - name: slack
    slack: { webhook_url: 'http://127.0.0.1:9/services/T0/B0/x' }
route:
  receivers: [slack]
";

fn main() {
    let mut router = Router::start();
    println!("resident memory, idle: {} MiB", router.resident_mib());
    println!("{:<34} {:>10} {:>10} {:>8} {:>8} {:>8}", "case", "requests/s", "alerts/s", "p50 ms", "p99 ms", "ratio");
    let yardstick = router.run("GET /-/healthy", None, 100_000, 0, |_| get("/-/healthy"));
    router.run("POST, 1 new alert a body", Some(yardstick), 100_000, 1, |n| post(&body(n, 1, "one")));
    println!("resident memory, 100,000 known alerts: {} MiB", router.resident_mib());
    router.run("POST, 1 known alert a body", Some(yardstick), 100_000, 1, |n| post(&body(n, 1, "one")));
    router.run("POST, 100 new alerts a body", Some(yardstick), 2_000, 100, |n| post(&body(n, 100, "hundred")));
    println!("resident memory, 300,000 known alerts: {} MiB", router.resident_mib());
    router.stop();
}

struct Router {
    process: Child,
    address: String,
    folder: PathBuf,
}

impl Router {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("alertrouter-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("routes.yaml"), ROUTES).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_alertrouter"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log-level", "alertrouter=warn,alertrouter::cli=info"])
            .arg("--config")
            .arg(folder.join("routes.yaml"))
            .arg("--data-dir")
            .arg(folder.join("data"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().unwrap().unwrap();
            if let Some((_, address)) = line.split_once("listening on ") {
                break address.trim().to_owned();
            }
        };
        std::thread::spawn(move || lines.count());
        Self { process, address, folder }
    }

    /// Sends `requests` requests over all connections; returns requests per second. The ratio is to `yardstick`.
    fn run(
        &mut self,
        name: &str,
        yardstick: Option<f64>,
        requests: u64,
        alerts: u64,
        request: impl Fn(u64) -> Vec<u8> + Sync,
    ) -> f64 {
        let next = AtomicU64::new(0);
        let all = Mutex::new(Vec::with_capacity(usize::try_from(requests).unwrap()));
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                scope.spawn(|| {
                    let mut connection = Connection::open(&self.address);
                    let mut took = Vec::new();
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= requests {
                            break;
                        }
                        let bytes = request(n);
                        let sent = Instant::now();
                        connection.exchange(&bytes);
                        took.push(sent.elapsed());
                    }
                    all.lock().unwrap().extend(took);
                });
            }
        });
        let seconds = started.elapsed().as_secs_f64();
        let mut took = all.into_inner().unwrap();
        took.sort_unstable();
        let percentile = |p: usize| took[(took.len() - 1) * p / 100].as_secs_f64() * 1000.0;
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
        let (rate, alerts) = (requests as f64 / seconds, (requests * alerts) as f64 / seconds);
        let (p50, p99, ratio) = (percentile(50), percentile(99), rate / yardstick.unwrap_or(rate));
        println!("{name:<34} {rate:>10.0} {alerts:>10.0} {p50:>8.2} {p99:>8.2} {ratio:>8.3}");
        rate
    }

    fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    fn stop(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(BufReader::new(stream))
    }

    fn exchange(&mut self, request: &[u8]) {
        self.0.get_mut().write_all(request).unwrap();
        let (mut line, mut length) = (String::new(), 0);
        self.0.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        while line != "\r\n" {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
    }
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").into_bytes()
}

fn post(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /webhook HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A group of `count` alerts of the size that real ones have, about 850 bytes each.
fn body(n: u64, count: u64, family: &str) -> String {
    let mut alerts = String::new();
    for i in 0..count {
        let comma = if i == 0 { "" } else { "," };
        write!(
            alerts,
            r#"{comma}{{"status":"firing","labels":{{"alertname":"LLMHighErrorRatio","cluster":"eu-1","environment":"production","instance":"10.0.{i}.{n}:9090","job":"ai-system","model":"{family}-{i}","namespace":"inference","service":"checkout-{n}","severity":"critical","team":"platform"}},"annotations":{{"description":"12.4% of the requests to model {family}-{i} failed over the last 5 minutes, more than the 5% that the budget allows.","runbook_url":"https://runbooks.example/llm/high-error-ratio","summary":"More than 5 % of requests to a model fail."}},"startsAt":"2026-11-21T19:19:44.86761Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example:9090/graph?g0.expr=job_model%3Allm_request_errors_per_requests%3Aratio_rate5m+%3E+0.05\u0026g0.tab=1","fingerprint":"0000000000000000"}}"#
        )
        .unwrap();
    }
    format!(
        r#"{{"receiver":"alertrouter","status":"firing","alerts":[{alerts}],"groupLabels":{{"alertname":"LLMHighErrorRatio"}},"commonLabels":{{"alertname":"LLMHighErrorRatio"}},"commonAnnotations":{{}},"externalURL":"http://alertmanager.example:9093","version":"4","groupKey":"{{}}:{{alertname=\"LLMHighErrorRatio\", service=\"checkout-{n}\"}}","truncatedAlerts":0}}"#
    )
}
