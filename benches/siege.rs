//! What one honest Alertmanager notices while many others keep the release binary busy.
//!
//! `cargo bench --bench siege` starts the binary with stand-ins for Slack, and then all of this comes at once, for a
//! minute, from this process: 200 connections that post webhooks as fast as they are answered, mostly copies; 1,000 sockets
//! that send a byte of a head now and then and come back when they are closed; 100 clients with a wrong token; and one
//! client that posts a new alert each second as Alertmanager does, on a kept connection and on a new one in turn. It prints
//! when those alerts arrived, and fails if one took 5 s, if memory passed 256 MiB, or if anything that was answered with 200
//! was lost or came twice.
//!
//! `cargo bench --bench siege -- [--seconds N] [--slow-bodies] [--big-bodies] [--no-auth]`. With `--slow-bodies` and
//! `--big-bodies` some of the crowd have a good token; the slow may cost 10 s. The binary has the allocator's setting that the
//! shipped unit and image have, unless the environment has another. It needs 4,096 file descriptors.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark: it may fail loudly, and prints"
)]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alertrouter::standin::{Kind, Received, StandIn};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

const POSTERS: usize = 200;
const LORISES: usize = 1_000;
const GUESSERS: usize = 100;
const BIG: usize = 20;
const TOKEN: &str = "the-token-that-the-siege-does-not-know";
const WRONG: &str = "one-of-the-tokens-that-the-siege-tries";
/// What was promised of those who have no credential. The variants are of besiegers who have one.
const LONGEST: Duration = Duration::from_secs(5);
const MOST_MEMORY_MIB: u64 = 256;

struct Options {
    seconds: u64,
    slow_bodies: bool,
    big_bodies: bool,
    auth: bool,
}

impl Options {
    /// Hundreds who may post and trickle have to go one after the other.
    fn longest(&self) -> Duration {
        if self.slow_bodies { 2 * LONGEST } else { LONGEST }
    }

    fn read() -> Self {
        let mut options = Self { seconds: 60, slow_bodies: false, big_bodies: false, auth: true };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seconds" => options.seconds = arguments.next().and_then(|n| n.parse().ok()).expect("--seconds N"),
                "--slow-bodies" => options.slow_bodies = true,
                "--big-bodies" => options.big_bodies = true,
                "--no-auth" => options.auth = false,
                // What cargo says.
                "--bench" => (),
                other => panic!("{other}: there are --seconds N, --slow-bodies, --big-bodies, --no-auth"),
            }
        }
        options
    }
}

/// What all clients share.
struct Siege {
    address: String,
    /// The header with the right credentials, and one with wrong ones.
    right: String,
    wrong: String,
    over: AtomicBool,
    next: AtomicU64,
    /// Answers by who asked and what came.
    answers: Mutex<BTreeMap<(&'static str, String), u64>>,
    /// Names of alerts that were answered with 200.
    taken: Mutex<Vec<String>>,
    /// The honest one's alerts, and when they were first posted.
    posted: Mutex<Vec<(String, Instant)>>,
}

fn main() {
    let options = Options::read();
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let failures = runtime.block_on(run(&options));
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    assert!(failures.is_empty(), "the siege was not withstood");
    println!("withstood");
}

/// This process has an end of each connection.
fn raise_descriptors() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    if limit.current.is_none_or(|current| current >= 4096) {
        return;
    }
    let raised = rustix::process::Rlimit { current: Some(4096), ..limit };
    let set = rustix::process::setrlimit(rustix::process::Resource::Nofile, raised);
    assert!(set.is_ok(), "the siege needs 4096 file descriptors and may have {:?}: ulimit -n 4096", limit.maximum);
}

async fn run(options: &Options) -> Vec<String> {
    let (honest, crowd) = (StandIn::start(Kind::Slack).await.unwrap(), StandIn::start(Kind::Slack).await.unwrap());
    let router = Router::start(options.auth, &honest.url(), &crowd.url());
    let header = |token: &str| if router.auth { format!("authorization: Bearer {token}\r\n") } else { String::new() };
    let siege = Arc::new(Siege {
        address: router.address.clone(),
        right: header(TOKEN),
        wrong: header(WRONG),
        over: AtomicBool::new(false),
        next: AtomicU64::new(0),
        answers: Mutex::default(),
        taken: Mutex::default(),
        posted: Mutex::default(),
    });
    println!(
        "{} s, {}",
        options.seconds,
        if router.auth { "with bearer tokens" } else { "nobody has to authenticate" }
    );
    let mut besiegers = JoinSet::new();
    for n in 0..POSTERS {
        besiegers.spawn(poster(siege.clone(), n));
    }
    for n in 0..LORISES {
        besiegers.spawn(loris(siege.clone(), n, options.slow_bodies));
    }
    for _ in 0..GUESSERS {
        besiegers.spawn(guesser(siege.clone()));
    }
    if options.big_bodies {
        let body: Arc<str> = big_body().into();
        for _ in 0..BIG {
            besiegers.spawn(big(siege.clone(), body.clone()));
        }
    }
    let mut honest_clients = JoinSet::new();
    honest_clients.spawn(alertmanager(siege.clone(), options.seconds));
    let arrivals = watch(&siege, &honest, &mut honest_clients).await;
    siege.over.store(true, Ordering::Relaxed);
    besiegers.shutdown().await;
    let left = drain(&siege).await;
    let failures =
        report(options, &siege, &router, &arrivals, &[honest.accepted(), crowd.accepted()].concat(), left).await;
    router.stop();
    failures
}

/// Notes when the honest one's alerts arrive, until all have or nothing comes any more.
async fn watch(siege: &Siege, honest: &StandIn, clients: &mut JoinSet<()>) -> HashMap<String, Instant> {
    let (mut arrivals, mut look) = (HashMap::new(), interval(Duration::from_millis(20)));
    let mut ended = None;
    loop {
        look.tick().await;
        let now = Instant::now();
        for name in honest.accepted().iter().flat_map(names) {
            arrivals.entry(name).or_insert(now);
        }
        if ended.is_none() && clients.try_join_next().is_some() {
            ended = Some(now);
        }
        let posted = siege.posted.lock().unwrap().len();
        if ended.is_some_and(|ended| arrivals.len() >= posted || now - ended > 2 * LONGEST) {
            return arrivals;
        }
    }
}

/// Waits until nothing waits to be delivered; how much does after a minute.
async fn drain(siege: &Siege) -> u64 {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        let text = scrape(siege).await;
        let waits: f64 = values(&text, "alertrouter_outbox_pending").iter().sum();
        if waits == 0.0 {
            return 0;
        }
        sleep(Duration::from_millis(500)).await;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let left = values(&scrape(siege).await, "alertrouter_outbox_pending").iter().sum::<f64>() as u64;
    left
}

async fn report(
    options: &Options,
    siege: &Siege,
    router: &Router,
    arrivals: &HashMap<String, Instant>,
    messages: &[Received],
    left: u64,
) -> Vec<String> {
    let mut failures = Vec::new();
    let posted = siege.posted.lock().unwrap().clone();
    let mut took: Vec<Duration> =
        posted.iter().filter_map(|(name, at)| Some(arrivals.get(name)?.saturating_duration_since(*at))).collect();
    took.sort_unstable();
    let (median, longest) = (took.get(took.len() / 2).copied(), took.last().copied());
    println!("honest alerts: {} posted, {} arrived, median {median:?}, longest {longest:?}", posted.len(), took.len());
    if took.len() < posted.len() || longest.is_none_or(|longest| longest > options.longest()) {
        failures.push(format!("the honest one's alerts have to arrive within {:?}", options.longest()));
    }
    for ((who, what), count) in &*siege.answers.lock().unwrap() {
        println!("{who:<10} {what:<24} {count:>9}");
    }
    let mut counts = HashMap::<String, u64>::new();
    for name in messages.iter().flat_map(names) {
        *counts.entry(name).or_default() += 1;
    }
    let taken = siege.taken.lock().unwrap().clone();
    let lost = taken.iter().filter(|name| !counts.contains_key(*name)).count() as u64;
    let doubled = counts.values().filter(|count| **count > 1).count();
    println!("alerts answered with 200: {}, lost: {lost}, doubled: {doubled}, still waiting: {left}", taken.len());
    if lost > left || doubled > 0 {
        failures.push(format!("{lost} lost of which {left} may still be waiting, {doubled} came twice"));
    }
    for line in scrape(siege).await.lines() {
        let told = ["alertrouter_connections", "alertrouter_requests_refused", "alertrouter_webhooks_total"];
        if told.iter().any(|name| line.starts_with(name)) && !line.ends_with(" 0") {
            println!("{line}");
        }
    }
    let memory = router.peak_mib();
    println!("peak resident memory: {memory} MiB; lines logged: {}", router.logged.load(Ordering::Relaxed));
    if memory >= MOST_MEMORY_MIB {
        failures.push(format!("memory has to stay under {MOST_MEMORY_MIB} MiB"));
    }
    failures
}

/// The names of the siege's alerts in a message.
fn names(message: &Received) -> Vec<String> {
    let text = String::from_utf8_lossy(&message.body).into_owned();
    let mut found: Vec<String> = text
        .split("Siege")
        .skip(1)
        .filter_map(|rest| Some(format!("Siege{}End", rest.split_once("End")?.0)))
        .filter(|name| name.len() < 40)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn values(text: &str, metric: &str) -> Vec<f64> {
    let lines = text.lines().filter(|line| line.starts_with(metric));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect()
}

async fn scrape(siege: &Siege) -> String {
    let head = format!("GET /metrics HTTP/1.1\r\nhost: siege\r\n{}connection: close\r\n\r\n", siege.right);
    for _ in 0..20 {
        if let Ok(Ok(mut stream)) = timeout(LONGEST, TcpStream::connect(&siege.address)).await {
            let mut text = String::new();
            let asked = stream.write_all(head.as_bytes()).await.is_ok();
            if asked && timeout(LONGEST, stream.read_to_string(&mut text)).await.is_ok() && text.contains("200 OK") {
                return text;
            }
        }
    }
    panic!("/metrics does not answer");
}

/// A connection that is opened when it is needed.
struct Client {
    siege: Arc<Siege>,
    who: &'static str,
    stream: Option<BufStream<TcpStream>>,
}

impl Client {
    fn new(siege: Arc<Siege>, who: &'static str) -> Self {
        Self { siege, who, stream: None }
    }

    /// Asks, and counts what came of it; the status if there was one.
    async fn ask(&mut self, request: &[u8]) -> Option<u16> {
        let status = timeout(Duration::from_secs(10), self.exchange(request)).await;
        let (what, status) = match status {
            Ok(Ok(status)) => (status.to_string(), Some(status)),
            Ok(Err(error)) => (format!("no answer: {}", error.kind()), None),
            Err(_) => ("no answer in 10 s".to_owned(), None),
        };
        if status.is_none() {
            self.stream = None;
        }
        *self.siege.answers.lock().unwrap().entry((self.who, what)).or_default() += 1;
        status
    }

    async fn exchange(&mut self, request: &[u8]) -> std::io::Result<u16> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(BufStream::new(TcpStream::connect(&self.siege.address).await?)),
        };
        stream.write_all(request).await?;
        stream.flush().await?;
        let (mut line, mut length, mut close) = (String::new(), 0, false);
        stream.read_line(&mut line).await?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
            close |= line.starts_with("connection: close");
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        if close {
            self.stream = None;
        }
        Ok(status)
    }
}

/// As Alertmanager: one alert each second, tried again until it is taken, on a kept connection and on a new one in turn.
async fn alertmanager(siege: Arc<Siege>, seconds: u64) {
    let (mut each, mut kept) = (interval(Duration::from_secs(1)), Client::new(siege.clone(), "honest"));
    let end = Instant::now() + Duration::from_secs(seconds) + 4 * LONGEST;
    for n in 0..seconds {
        each.tick().await;
        let name = format!("SiegeHonest{n}End");
        siege.posted.lock().unwrap().push((name.clone(), Instant::now()));
        let request = post(&siege.right, &body(&name, "honest"));
        let mut fresh = Client::new(siege.clone(), "honest");
        let client = if n % 2 == 0 { &mut kept } else { &mut fresh };
        while client.ask(&request).await != Some(200) {
            if Instant::now() > end {
                return;
            }
            sleep(Duration::from_millis(500)).await;
        }
        siege.taken.lock().unwrap().push(name);
    }
}

/// Posts as fast as it is answered: copies, and something new now and then.
async fn poster(siege: Arc<Siege>, n: usize) {
    let mut client = Client::new(siege.clone(), "posters");
    let copy = post(&siege.right, &body(&format!("SiegeCopy{n}End"), "crowd"));
    let mut fresh = interval(Duration::from_secs(5));
    while !siege.over.load(Ordering::Relaxed) {
        tokio::select! {
            biased;
            _ = fresh.tick() => {
                let name = format!("SiegeNew{}End", siege.next.fetch_add(1, Ordering::Relaxed));
                let request = post(&siege.right, &body(&name, "crowd"));
                if client.ask(&request).await == Some(200) {
                    siege.taken.lock().unwrap().push(name);
                }
            }
            // Cut off in the middle, it would leave an answer behind that nobody reads.
            () = std::future::ready(()) => {
                if client.ask(&copy).await.is_none() {
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Says as little as it can, for as long as it may; or a whole head with good credentials, and then its body so.
async fn loris(siege: Arc<Siege>, n: usize, slow_body: bool) {
    let head = format!("POST /webhook HTTP/1.1\r\nhost: siege\r\n{}content-length: 1000\r\n\r\n", siege.right);
    let first = if slow_body { head.as_bytes() } else { b"POST /webhook HTTP/1.1\r\nx: " };
    // Some say nothing at all.
    let is_silent = n.is_multiple_of(4) && !slow_body;
    while !siege.over.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(&siege.address).await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let mut is_open = is_silent || stream.write_all(first).await.is_ok();
        let (mut drip, mut answer) = (interval(Duration::from_secs(3)), [0; 512]);
        while is_open {
            tokio::select! {
                _ = drip.tick() => is_open = is_silent || stream.write_all(b"{").await.is_ok(),
                read = stream.read(&mut answer) => is_open = matches!(read, Ok(1..)),
            }
        }
        *siege.answers.lock().unwrap().entry(("lorises", "turned out".to_owned())).or_default() += 1;
    }
}

/// Tries a token, again and again. Where nobody has to authenticate: posts what is no webhook.
async fn guesser(siege: Arc<Siege>) {
    let mut client = Client::new(siege.clone(), "guessers");
    let request = post(&siege.wrong, "hello");
    while !siege.over.load(Ordering::Relaxed) {
        let _ = client.ask(&request).await;
    }
}

async fn big(siege: Arc<Siege>, body: Arc<str>) {
    let mut client = Client::new(siege.clone(), "big");
    let request = post(&siege.right, &body);
    while !siege.over.load(Ordering::Relaxed) {
        let _ = client.ask(&request).await;
    }
}

fn post(credentials: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /webhook HTTP/1.1\r\nhost: siege\r\nuser-agent: Alertmanager/0.25.0\r\n{credentials}\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A group of one alert, of the size that real ones have.
fn body(name: &str, team: &str) -> String {
    format!(
        r#"{{"receiver":"alertrouter","status":"firing","alerts":[{{"status":"firing","labels":{{"alertname":"{name}","cluster":"eu-1","environment":"production","instance":"10.0.0.1:9090","job":"ai-system","namespace":"inference","service":"checkout","severity":"warning","team":"{team}"}},"annotations":{{"description":"12.4% of the requests failed over the last 5 minutes, more than the 5% that the budget allows.","runbook_url":"https://runbooks.example/llm/high-error-ratio","summary":"More than 5 % of requests fail."}},"startsAt":"2026-11-21T19:19:44.86761Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.example:9090/graph?g0.expr=job%3Arequest_errors%3Aratio_rate5m+%3E+0.05\u0026g0.tab=1","fingerprint":"0000000000000000"}}],"groupLabels":{{"alertname":"{name}"}},"commonLabels":{{"alertname":"{name}"}},"commonAnnotations":{{}},"externalURL":"http://alertmanager.example:9093","version":"4","groupKey":"{{}}:{{alertname=\"{name}\"}}","truncatedAlerts":0}}"#
    )
}

/// A webhook of 16 MiB less a little.
fn big_body() -> String {
    let small = body("SiegeBigEnd", "crowd");
    let filling = "a".repeat(16 * 1024 * 1024 - small.len() - 100);
    small.replacen('{', &format!(r#"{{"filling":"{filling}","#), 1)
}

struct Router {
    process: Child,
    address: String,
    auth: bool,
    folder: PathBuf,
    logged: Arc<AtomicU64>,
}

impl Router {
    /// Starts the binary; with credentials if it is to have some and knows `auth`.
    fn start(auth: bool, honest: &str, crowd: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("alertrouter-siege-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("routes.yaml");
        let write = |auth: &str| std::fs::write(&file, routes(honest, crowd) + auth).unwrap();
        write(&format!("auth:\n  bearer_tokens:\n    - {{ token: {TOKEN}, roles: [ingest, metrics] }}\n"));
        let binary = || Command::new(env!("CARGO_BIN_EXE_alertrouter"));
        let knows = auth && binary().arg("check").arg(&file).output().unwrap().status.success();
        if auth && !knows {
            println!("this binary does not know `auth`: nobody has to authenticate");
        }
        if !knows {
            write("");
        }
        let threshold = std::env::var_os("MALLOC_MMAP_THRESHOLD_").unwrap_or_else(|| "131072".into());
        let mut process = binary()
            .env("MALLOC_MMAP_THRESHOLD_", threshold)
            .args(["serve", "--listen", "127.0.0.1:0", "--log-level", "warn,alertrouter::cli=info"])
            .arg("--config")
            .arg(&file)
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
        let logged = Arc::new(AtomicU64::new(0));
        let count = logged.clone();
        std::thread::spawn(move || lines.for_each(|_| _ = count.fetch_add(1, Ordering::Relaxed)));
        Self { process, address, auth: knows, folder, logged }
    }

    fn peak_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    fn stop(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// Each message is one alert, so that each can be counted.
fn routes(honest: &str, crowd: &str) -> String {
    let receiver = |name: &str, url: &str| {
        let pace = "rate_limit: { rate: 1000/s, burst: 1000, overflow: wait }";
        format!("  - name: {name}\n    slack: {{ webhook_url: '{url}' }}\n    {pace}\n")
    };
    format!(
        "receivers:\n{}{}route:\n  receivers: [crowd]\n  routes:\n    - {{ matchers: [team=honest], receivers: [honest] }}\n",
        receiver("honest", honest),
        receiver("crowd", crowd)
    )
}
