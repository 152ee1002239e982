//! What the rule packs cost a real Prometheus that has a month of history.
//!
//! `cargo bench --bench rules` fills a Prometheus with the series of 10 models and 200 users, as if it had scraped and
//! evaluated them for a month, lets it scrape and evaluate every 15 s for three minutes, and asks it how long each rule took:
//! first with the packs for services and for the router, then with those for exporters. Then it asks for each expression by
//! itself and looks at the processor time, which other programs disturb little (`cpu ms`; `ratio` is to that of the
//! yardstick, a query of fixed cost). `best ms` and so on are what Prometheus says of its rounds, waits included.
//! Compare ratios within one run: absolute figures are the machine's.
//!
//! What the rules read far back are recorded series, so those have all their samples, for as long back as a rule in the
//! files reaches. What is scraped has all of its samples in the last two hours, which Prometheus holds in memory, and a few
//! in each older block, so that the index has them: no rule reads more of them. `raw_hours` gives them all for longer.
//!
//! Settings, after `--`: `models=10 users=200 instances=1 seconds=200 raw_hours=0 packs=services,exporters`
//! `prometheus=PATH promtool=PATH`. Takes some 10 minutes and 1 GB of disk as it stands.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark: it may fail loudly, and prints"
)]
#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#![expect(clippy::cast_precision_loss, reason = "counts and times far below 2^53")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use promql_parser::parser::{Expr, Offset, VectorSelector};

/// Of scrapes and evaluations.
const INTERVAL: u64 = 15;
/// What Prometheus holds in memory: between 1 and 3 hours.
const HEAD: u64 = 2 * HOUR;
const MONTH: u64 = 30 * 24 * HOUR;
const HOUR: u64 = 3600;
/// What is read no further back fills itself while the bench runs.
const SOON: u64 = 5 * 60;
/// The lengths of blocks after compaction, at a retention of 35 days.
const BLOCKS: [u64; 4] = [54 * HOUR, 18 * HOUR, 6 * HOUR, 2 * HOUR];
/// How often a scraped series has a sample in older blocks.
const SPARSE: u64 = 6 * HOUR;
/// How often each expression is asked for by itself.
const REPEATS: usize = 15;

fn main() {
    let settings = Settings::from_args();
    for packs in settings.packs.split(',') {
        run(&settings, packs);
    }
}

fn run(settings: &Settings, packs: &str) {
    let (files, targets, yardstick) = match packs {
        "services" => (["rules/llm", "rules/alertrouter"].as_slice(), services(settings), "llm_requests_total"),
        "exporters" => {
            (["rules/llm/exporters"].as_slice(), exporters(settings), "litellm_proxy_total_requests_metric_total")
        }
        other => panic!("packs={other}: services or exporters"),
    };
    let files: Vec<PathBuf> = files.iter().flat_map(|folder| rule_files(folder)).collect();
    let recorded = recorded(&files, settings);
    let scraped: usize = targets.iter().map(|target| target.series.len()).sum();
    println!(
        "\npacks for {packs}: {} models, {} users, {} instances",
        settings.models, settings.users, settings.instances
    );
    println!("{scraped} scraped series, {} recorded ones with history", recorded.len());

    let now = unix_now() / INTERVAL * INTERVAL;
    let all: Vec<&Series> = targets.iter().flat_map(|target| &target.series).chain(&recorded).collect();
    let mut prometheus = Prometheus::create(settings);
    let samples = prometheus.write_blocks(settings, &all, now - HEAD);
    prometheus.start(settings);
    let samples = samples + prometheus.fill_head(&all, now - HEAD);
    println!("{samples} samples of history");
    let targets: Arc<[Target]> = targets.into();
    prometheus.scrape(&targets, &files);
    let mut groups = prometheus.watch(settings.seconds);
    let query = format!("sum(rate({yardstick}[5m]))");
    let (before, _) = prometheus.processor_time_of(&query);
    for rule in groups.iter_mut().flat_map(|group| &mut group.rules) {
        let empty;
        (rule.processor, empty) = prometheus.processor_time_of(&rule.query);
        // A level is what recorded series have in their names, and alerts do not.
        if empty && rule.name.contains(':') {
            println!("{} records nothing here", rule.name);
        }
    }
    let yardstick = before.min(prometheus.processor_time_of(&query).0);
    println!("yardstick: {query} takes {:.2} ms of processor time", yardstick * 1000.0);
    report(&groups, yardstick);
    prometheus.report();
    prometheus.stop();
}

struct Settings {
    models: usize,
    users: usize,
    instances: usize,
    seconds: u64,
    raw_hours: u64,
    packs: String,
    prometheus: String,
    promtool: String,
}

impl Settings {
    fn from_args() -> Self {
        let given: BTreeMap<String, String> =
            std::env::args().filter_map(|arg| arg.split_once('=').map(|(k, v)| (k.into(), v.into()))).collect();
        let text = |name: &str, default: &str| given.get(name).map_or(default, String::as_str).to_owned();
        let number = |name: &str, default: &str| text(name, default).parse::<usize>().unwrap();
        Self {
            models: number("models", "10"),
            users: number("users", "200"),
            instances: number("instances", "1"),
            seconds: number("seconds", "200") as u64,
            raw_hours: number("raw_hours", "0") as u64,
            packs: text("packs", "services,exporters"),
            prometheus: text("prometheus", "prometheus"),
            promtool: text("promtool", "promtool"),
        }
    }

    fn names(&self, label: &str) -> Vec<String> {
        let (count, word) = match label {
            "model" | "model_name" | "requested_model" | "gen_ai_request_model" => (self.models, "model"),
            "litellm_model_name" => (self.models, "deployed"),
            "user" | "hashed_api_key" => (self.users, "user"),
            "instance" => (self.instances, "host"),
            "receiver" => (10, "receiver"),
            "alertname" => (50, "Alert"),
            other => panic!("what values has label {other}?"),
        };
        (0..count).map(|n| format!("{word}-{n}")).collect()
    }
}

/// A series and how it moves.
struct Series {
    /// Sorted by name, `__name__` first.
    labels: Vec<(String, String)>,
    /// In the text formats, with all labels.
    text: String,
    moves: Moves,
    /// Seconds between samples, and how far they reach back.
    step: u64,
    reach: u64,
}

#[derive(Clone, Copy)]
enum Moves {
    /// Grows by so many units a second.
    Counter {
        rate: f64,
        unit: f64,
    },
    /// Swings around a value.
    Gauge(f64),
    /// As a gauge, but whole.
    Whole(f64),
    Constant(f64),
}

impl Series {
    fn new(name: &str, labels: &[(&str, &str)], moves: Moves) -> Self {
        let mut labels: Vec<_> = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        labels.sort();
        let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let text = format!("{name}{{{}}}", pairs.join(","));
        labels.insert(0, ("__name__".to_owned(), name.to_owned()));
        Self { labels, text, moves, step: INTERVAL, reach: 0 }
    }

    fn at(&self, time: u64) -> f64 {
        let phase = self.text.len() as f64;
        let time = time as f64;
        let swing = |around: f64| around * (1.0 + 0.3 * (time / 13751.0 + phase).sin() + 0.05 * (time / 83.0).sin());
        match self.moves {
            // 1.76e9 is November 2025: no matter when, as long as it is the same for every sample.
            Moves::Counter { rate, unit } => (rate * (time - 1.76e9) + phase).floor() * unit,
            Moves::Gauge(around) => swing(around),
            Moves::Whole(around) => swing(around).round(),
            Moves::Constant(value) => value,
        }
    }
}

/// What Prometheus scrapes: the labels `job` and `instance` are its series' own already.
struct Target {
    job: &'static str,
    instance: String,
    series: Vec<Series>,
}

impl Target {
    fn new(job: &'static str, instance: &str) -> Self {
        let mut target = Self { job, instance: instance.to_owned(), series: Vec::new() };
        target.add("up", &[], Moves::Constant(1.0));
        target.add("process_start_time_seconds", &[], Moves::Constant(1.76e9));
        target
    }

    fn add(&mut self, name: &str, labels: &[(&str, &str)], moves: Moves) {
        let labels = [labels, &[("job", self.job), ("instance", &self.instance)]].concat();
        self.series.push(Series::new(name, &labels, moves));
    }

    fn counter(&mut self, name: &str, labels: &[(&str, &str)], rate: f64) {
        self.add(name, labels, Moves::Counter { rate, unit: 1.0 });
    }

    /// Bounds as the Python client writes them, which is how Prometheus 3 stores them.
    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], bounds: &[&str], rate: f64) {
        for (n, bound) in bounds.iter().chain(&["+Inf"]).enumerate() {
            let part = 0.5 + 0.5 * n as f64 / bounds.len() as f64;
            self.counter(&format!("{name}_bucket"), &[labels, &[("le", bound)]].concat(), rate * part);
        }
        self.counter(&format!("{name}_count"), labels, rate);
        self.add(&format!("{name}_sum"), labels, Moves::Counter { rate: rate * 3000.0, unit: 0.001 });
    }

    fn exposition(&self, time: u64) -> String {
        let mut text = String::with_capacity(self.series.len() * 128);
        for series in self.series.iter().filter(|series| series.labels[0].1 != "up") {
            writeln!(text, "{} {}", series.text, series.at(time)).unwrap();
        }
        text
    }
}

/// A service that calls language models, and the router.
fn services(settings: &Settings) -> Vec<Target> {
    let mut targets = Vec::new();
    for instance in settings.names("instance") {
        let mut target = Target::new("ai-system", &instance);
        for model in &settings.names("model") {
            for user in &settings.names("user") {
                let labels = [("model", model.as_str()), ("user", user)];
                let with = |name, value| [labels[0], labels[1], (name, value)];
                target.counter("llm_requests_total", &with("status", "success"), 0.1);
                target.counter("llm_requests_total", &with("status", "error"), 0.001);
                for error in ["rate_limit", "timeout", "server_error"] {
                    target.counter("llm_errors_total", &with("error_type", error), 0.0003);
                }
                for (kind, rate) in [("input", 100.0), ("output", 30.0)] {
                    target.counter("llm_tokens_total", &with("token_type", kind), rate);
                }
                let bounds = ["0.5", "1.0", "2.0", "5.0", "10.0", "20.0", "30.0", "60.0"];
                target.histogram("llm_request_duration_seconds", &labels, &bounds, 0.101);
                target.add("llm_cost_dollars_total", &labels, Moves::Counter { rate: 0.5, unit: 0.0001 });
                target.add("llm_active_requests", &labels, Moves::Whole(2.0));
            }
        }
        targets.push(target);
    }
    targets.push(router(settings));
    targets
}

fn router(settings: &Settings) -> Target {
    let mut target = Target::new("alertrouter", "router-0");
    target.add("alertrouter_config_last_reload_successful", &[], Moves::Constant(1.0));
    for code in ["200", "400", "413", "503"] {
        target.counter("alertrouter_webhooks_total", &[("code", code)], if code == "200" { 0.1 } else { 0.0 });
    }
    for status in ["firing", "resolved"] {
        target.counter("alertrouter_alerts_received_total", &[("status", status)], 0.1);
    }
    for what in ["alert", "body"] {
        target.counter("alertrouter_rejected_total", &[("what", what)], 0.0);
    }
    for receiver in &settings.names("receiver") {
        for outcome in ["delivered", "retried", "dead", "dropped", "suppressed"] {
            let rate = if outcome == "delivered" { 0.05 } else { 0.0 };
            target.counter("alertrouter_notifications_total", &[("receiver", receiver), ("outcome", outcome)], rate);
        }
        target.add("alertrouter_receiver_up", &[("receiver", receiver)], Moves::Constant(1.0));
        target.add("alertrouter_outbox_pending", &[("receiver", receiver)], Moves::Whole(5.0));
        target.add("alertrouter_outbox_oldest_seconds", &[("receiver", receiver)], Moves::Whole(10.0));
    }
    // Alerts of other packs, which are counted too.
    for alert in &settings.names("alertname") {
        for state in ["pending", "firing"] {
            let labels = [("alertname", alert.as_str()), ("alertstate", state), ("severity", "warning")];
            target.add("ALERTS", &labels, Moves::Constant(1.0));
        }
    }
    target
}

fn exporters(settings: &Settings) -> Vec<Target> {
    let mut targets: Vec<_> = settings.names("instance").iter().map(|instance| litellm(settings, instance)).collect();
    for model in &settings.names("model") {
        for replica in ["a", "b"] {
            targets.push(vllm(model, replica));
        }
    }
    for instance in 0..10 {
        targets.push(genai(settings, &format!("app-{instance}")));
    }
    targets
}

fn litellm(settings: &Settings, instance: &str) -> Target {
    let mut target = Target::new("litellm", instance);
    target.add("litellm_in_flight_requests", &[], Moves::Whole(50.0));
    let halves: Vec<String> = (1..20).map(|n| format!("{:?}", f64::from(n) / 2.0)).collect();
    let bounds: Vec<&str> = ["0.005", "0.00625", "0.0125", "0.025", "0.05", "0.1"]
        .into_iter()
        .chain(halves.iter().map(String::as_str))
        .chain(["10.0", "15.0", "20.0", "25.0", "30.0", "60.0", "120.0", "180.0", "240.0", "300.0"])
        .collect();
    for model in &settings.names("requested_model") {
        for key in &settings.names("hashed_api_key") {
            let labels = [("requested_model", model.as_str()), ("hashed_api_key", key)];
            for (code, rate) in [("200", 0.1), ("429", 0.001), ("500", 0.001)] {
                let labels = [labels.as_slice(), &[("status_code", code)]].concat();
                target.counter("litellm_proxy_total_requests_metric_total", &labels, rate);
            }
            for (status, class) in [("429", "Openai.RateLimitError"), ("500", "Openai.InternalServerError")] {
                let labels = [labels.as_slice(), &[("exception_status", status), ("exception_class", class)]].concat();
                target.counter("litellm_proxy_failed_requests_metric_total", &labels, 0.001);
            }
            target.histogram("litellm_request_total_latency_metric", &labels, &bounds, 0.1);
            let labels = [("model", model.as_str()), ("hashed_api_key", key)];
            target.add("litellm_spend_metric_total", &labels, Moves::Counter { rate: 0.5, unit: 0.0001 });
            for deployment in ["east", "west"] {
                let base = format!("https://{deployment}.example/v1");
                let labels = [
                    ("litellm_model_name", model.as_str()),
                    ("model_id", deployment),
                    ("api_base", &base),
                    ("hashed_api_key", key),
                ];
                target.counter("litellm_deployment_total_requests_total", &labels, 0.05);
                let labels = [labels.as_slice(), &[("exception_status", "500")]].concat();
                target.counter("litellm_deployment_failure_responses_total", &labels, 0.0005);
            }
        }
    }
    target
}

fn vllm(model: &str, replica: &str) -> Target {
    let mut target = Target::new("vllm", &format!("{model}-{replica}"));
    let labels = [("model_name", model), ("engine", "0")];
    for reason in ["stop", "length", "abort", "error", "repetition"] {
        let labels = [labels.as_slice(), &[("finished_reason", reason)]].concat();
        target.counter("vllm:request_success_total", &labels, if reason == "stop" { 10.0 } else { 0.05 });
    }
    for handler in ["/v1/chat/completions", "/v1/models", "/health"] {
        for status in ["2xx", "4xx", "5xx"] {
            let labels = [("handler", handler), ("method", "POST"), ("status", status)];
            target.counter("http_requests_total", &labels, if status == "2xx" { 10.0 } else { 0.1 });
        }
    }
    let bounds = [
        "0.3", "0.5", "0.8", "1.0", "1.5", "2.0", "2.5", "5.0", "10.0", "15.0", "20.0", "30.0", "40.0", "50.0", "60.0",
        "120.0", "240.0", "480.0", "960.0", "1920.0", "7680.0",
    ];
    for name in ["vllm:e2e_request_latency_seconds", "vllm:time_to_first_token_seconds"] {
        target.histogram(name, &labels, &bounds, 10.0);
    }
    target.add("vllm:num_requests_running", &labels, Moves::Whole(100.0));
    target.add("vllm:num_requests_waiting", &labels, Moves::Whole(5.0));
    target.add("vllm:kv_cache_usage_perc", &labels, Moves::Gauge(0.5));
    target.counter("vllm:generation_tokens_total", &labels, 5000.0);
    target
}

fn genai(settings: &Settings, instance: &str) -> Target {
    let mut target = Target::new("genai", instance);
    let seconds = [
        "0.01", "0.02", "0.04", "0.08", "0.16", "0.32", "0.64", "1.28", "2.56", "5.12", "10.24", "20.48", "40.96",
        "81.92",
    ];
    let tokens = ["1.0", "4.0", "16.0", "64.0", "256.0", "1024.0", "4096.0", "16384.0", "65536.0", "262144.0"];
    for model in &settings.names("gen_ai_request_model") {
        let provider = if model.ends_with('1') { "anthropic" } else { "openai" };
        for operation in ["chat", "embeddings", "execute_tool"] {
            let labels = [
                ("gen_ai_operation_name", operation),
                ("gen_ai_provider_name", provider),
                ("gen_ai_request_model", model),
            ];
            let name = "gen_ai_client_operation_duration_seconds";
            target.histogram(name, &labels, &seconds, 2.0);
            for error in ["timeout", "500"] {
                target.histogram(name, &[labels.as_slice(), &[("error_type", error)]].concat(), &seconds, 0.01);
            }
            for kind in ["input", "output"] {
                let labels = [labels.as_slice(), &[("gen_ai_token_type", kind)]].concat();
                target.histogram("gen_ai_client_token_usage", &labels, &tokens, 2.0);
            }
        }
    }
    target
}

fn rule_files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.to_str().unwrap().ends_with(".rules.yaml")).collect()
}

#[derive(serde::Deserialize)]
struct RuleFile {
    groups: Vec<FileGroup>,
}

#[derive(serde::Deserialize)]
struct FileGroup {
    interval: Option<String>,
    rules: Vec<FileRule>,
}

#[derive(serde::Deserialize)]
struct FileRule {
    record: Option<String>,
    expr: String,
}

/// What rules have recorded that rules of `files` read again, as far back as they do.
fn recorded(files: &[PathBuf], settings: &Settings) -> Vec<Series> {
    let read = |path| serde_yaml::from_str::<RuleFile>(&fs::read_to_string(path).unwrap()).unwrap();
    let groups: Vec<FileGroup> = files.iter().flat_map(|path| read(path).groups).collect();
    let (mut reaches, mut steps) = (BTreeMap::new(), BTreeMap::new());
    for group in &groups {
        let interval = group.interval.as_ref().map(|text| promql_parser::util::parse_duration(text).unwrap().as_secs());
        for name in group.rules.iter().filter_map(|rule| rule.record.clone()) {
            steps.insert(name.clone(), interval.unwrap_or(INTERVAL));
            reaches.insert(name, 0);
        }
    }
    for rule in groups.iter().flat_map(|group| &group.rules) {
        reach(&promql_parser::parser::parse(&rule.expr).unwrap(), 0, &mut reaches);
    }
    // Others are there after the first evaluations.
    reaches.retain(|_, reach| *reach > SOON);
    let mut all = Vec::new();
    for (name, reach) in reaches {
        println!("{name} is read {} back", human(reach));
        let around = if name.contains("error") || name.contains("slow") { 1.0 } else { 500.0 };
        for labels in recorded_labels(&name, settings) {
            let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let mut series = Series::new(&name, &labels, Moves::Gauge(around));
            (series.step, series.reach) = (steps[&name], reach.max(HEAD) + HOUR);
            if name.ends_with(":tile30m") {
                series.step = HOUR / 2;
            }
            // It has a sample only when an alert starts.
            if name == "alertname_severity:alerts_fired:edge" {
                (series.step, series.moves) = (12 * HOUR, Moves::Constant(1.0));
            }
            all.push(series);
        }
    }
    all
}

/// The labels of every series that a rule records under this name, by the level in front: `job_model:…`.
fn recorded_labels(name: &str, settings: &Settings) -> Vec<Vec<(String, String)>> {
    let (level, metric) = name.split_once(':').unwrap();
    let genai = metric.starts_with("gen_ai");
    let job = match metric {
        _ if genai => "genai",
        _ if metric.starts_with("litellm") => "litellm",
        _ if metric.starts_with("vllm") => "vllm",
        _ if metric.starts_with("llm") => "ai-system",
        _ => "alertrouter",
    };
    let mut all = vec![vec![]];
    // Labels of two words.
    let level = level.replace("requested_model", "requested").replace("model_name", "served");
    for label in level.split('_') {
        let (label, values) = match label {
            "requested" => ("requested_model", settings.names("requested_model")),
            "served" => ("model_name", settings.names("model_name")),
            "job" => ("job", vec![job.to_owned()]),
            "model" if genai => ("gen_ai_request_model", settings.names("gen_ai_request_model")),
            "model" => ("model", settings.names("model")),
            "user" => ("user", settings.names("user")),
            "provider" => ("gen_ai_provider_name", vec!["openai".to_owned()]),
            "type" => ("gen_ai_token_type", vec!["input".to_owned(), "output".to_owned()]),
            "alertname" => ("alertname", settings.names("alertname")),
            "severity" => ("severity", vec!["warning".to_owned()]),
            other => panic!("{name} is read back in time: what values has {other}?"),
        };
        all = all
            .into_iter()
            .flat_map(|labels: Vec<(String, String)>| {
                values.iter().map(move |value| [labels.clone(), vec![(label.to_owned(), value.clone())]].concat())
            })
            .collect();
    }
    all
}

/// How far back an expression reads each series that `reaches` names.
fn reach(expr: &Expr, back: u64, reaches: &mut BTreeMap<String, u64>) {
    let mut selector = |selector: &VectorSelector, range: u64| {
        if let Some(reach) = selector.name.as_ref().and_then(|name| reaches.get_mut(name)) {
            *reach = (*reach).max(back + range + offset(selector.offset.as_ref()));
        }
    };
    match expr {
        Expr::VectorSelector(vector) => selector(vector, 0),
        Expr::MatrixSelector(matrix) => selector(&matrix.vs, matrix.range.as_secs()),
        Expr::Subquery(sub) => reach(&sub.expr, back + sub.range.as_secs() + offset(sub.offset.as_ref()), reaches),
        Expr::Aggregate(aggregate) => reach(&aggregate.expr, back, reaches),
        Expr::Unary(unary) => reach(&unary.expr, back, reaches),
        Expr::Paren(paren) => reach(&paren.expr, back, reaches),
        Expr::Binary(binary) => {
            reach(&binary.lhs, back, reaches);
            reach(&binary.rhs, back, reaches);
        }
        Expr::Call(call) => call.args.args.iter().for_each(|arg| reach(arg, back, reaches)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}

fn offset(offset: Option<&Offset>) -> u64 {
    match offset {
        Some(Offset::Pos(offset)) => offset.as_secs(),
        Some(Offset::Neg(_)) | None => 0,
    }
}

/// The server under test, in a folder of its own. It does not outlive this value.
struct Prometheus {
    folder: PathBuf,
    process: Option<Child>,
    address: String,
}

impl Prometheus {
    fn create(settings: &Settings) -> Self {
        let folder = std::env::temp_dir().join(format!("alertrouter-bench-rules-{}", std::process::id()));
        fs::create_dir_all(folder.join("data")).unwrap();
        fs::write(folder.join("prometheus.yml"), "").unwrap();
        let version = Command::new(&settings.prometheus).arg("--version").output().unwrap();
        println!("{}", String::from_utf8_lossy(&version.stdout).lines().next().unwrap_or_default());
        Self { folder, process: None, address: String::new() }
    }

    /// History, in such blocks as Prometheus has at `end`. Returns how many samples.
    fn write_blocks(&self, settings: &Settings, all: &[&Series], end: u64) -> u64 {
        let started = Instant::now();
        let (mut samples, mut blocks, mut cursor) = (0, 0, (end - MONTH) / BLOCKS[0] * BLOCKS[0]);
        while cursor < end {
            let fits = |&length: &u64| cursor.is_multiple_of(length) && cursor + length <= end;
            let length = BLOCKS.into_iter().find(fits).unwrap_or(BLOCKS[3]);
            let until = (cursor + length).min(end);
            samples += self.write_block(settings, all, (cursor, until, end), length);
            (cursor, blocks) = (cursor + length, blocks + 1);
        }
        println!("{blocks} blocks written in {:.0} s", started.elapsed().as_secs_f64());
        samples
    }

    fn write_block(&self, settings: &Settings, all: &[&Series], span: (u64, u64, u64), length: u64) -> u64 {
        let (from, until, end) = span;
        let path = self.folder.join("history.openmetrics");
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path).unwrap());
        let mut samples = 0;
        for series in all {
            let (step, reach) = match series.reach {
                0 if end - from <= settings.raw_hours * HOUR => (series.step, MONTH),
                0 => (SPARSE, 2 * MONTH),
                reach => (series.step, reach),
            };
            let mut time = from.max(end.saturating_sub(reach)).next_multiple_of(step.min(HOUR));
            while time < until {
                writeln!(file, "{} {} {time}", series.text, series.at(time)).unwrap();
                (samples, time) = (samples + 1, time + step);
            }
        }
        file.write_all(b"# EOF\n").unwrap();
        file.into_inner().unwrap();
        let output = Command::new(&settings.promtool)
            .args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"])
            .arg(format!("--max-block-duration={}h", length / HOUR))
            .args([&path, &self.folder.join("data")])
            .output()
            .unwrap();
        assert!(output.status.success(), "promtool: {}", String::from_utf8_lossy(&output.stderr));
        fs::remove_file(path).unwrap();
        samples
    }

    fn start(&mut self, settings: &Settings) {
        self.address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let log = File::create(self.folder.join("log")).unwrap();
        let process = Command::new(&settings.prometheus)
            .arg(format!("--config.file={}", self.folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", self.folder.join("data").display()))
            .arg(format!("--web.listen-address={}", self.address))
            .args(["--storage.tsdb.retention.time=35d", "--web.enable-lifecycle", "--web.enable-remote-write-receiver"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        while !self.try_request("GET", "/-/ready", &[]).is_ok_and(|(status, _)| status == 200) {
            assert!(self.process.as_mut().unwrap().try_wait().unwrap().is_none(), "prometheus ended: {}", self.log());
            sleep(Duration::from_millis(200));
        }
    }

    /// What Prometheus would hold in memory, up to this moment. Returns how many samples.
    fn fill_head(&self, all: &[&Series], from: u64) -> u64 {
        let started = Instant::now();
        let (mut samples, mut time) = (0, from);
        loop {
            // No series may get an hour ahead of another.
            let until = (time + 10 * 60).min(unix_now() / INTERVAL * INTERVAL);
            for some in all.chunks(1000) {
                let (body, count) = write_request(some, time, until);
                samples += count;
                if count > 0 {
                    let (status, answer) = self.try_request("POST", "/api/v1/write", &snappy(&body)).unwrap();
                    assert_eq!(status, 204, "{answer}");
                }
            }
            if until >= unix_now() / INTERVAL * INTERVAL {
                println!("memory filled in {:.0} s", started.elapsed().as_secs_f64());
                return samples;
            }
            time = until;
        }
    }

    /// From now on it scrapes and evaluates.
    fn scrape(&self, targets: &Arc<[Target]>, rules: &[PathBuf]) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = format!("global: {{ scrape_interval: {INTERVAL}s, evaluation_interval: {INTERVAL}s }}\n");
        config += "rule_files:\n";
        for path in rules {
            writeln!(config, "  - {}", path.display()).unwrap();
        }
        config += "scrape_configs:\n";
        for job in targets.iter().map(|target| target.job).collect::<BTreeSet<_>>() {
            write!(config, "  - job_name: {job}\n    honor_labels: true\n    static_configs:\n").unwrap();
            for (n, target) in targets.iter().enumerate().filter(|(_, target)| target.job == job) {
                let labels = format!("{{ __metrics_path__: /{n}, instance: {} }}", target.instance);
                write!(config, "      - targets: ['{address}']\n        labels: {labels}\n").unwrap();
            }
        }
        fs::write(self.folder.join("prometheus.yml"), config).unwrap();
        let targets = Arc::clone(targets);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let targets = Arc::clone(&targets);
                std::thread::spawn(move || serve(&stream.unwrap(), &targets));
            }
        });
        let (status, answer) = self.try_request("POST", "/-/reload", &[]).unwrap();
        assert_eq!(status, 200, "{answer} {}", self.log());
    }

    /// Notes how long each evaluation of each rule took.
    fn watch(&self, seconds: u64) -> Vec<Group> {
        let mut seen: BTreeMap<(String, String), (Group, String)> = BTreeMap::new();
        let started = Instant::now();
        while started.elapsed().as_secs() < seconds {
            sleep(Duration::from_secs(3));
            let answer: RulesAnswer = self.get("/api/v1/rules");
            for group in answer.data.groups {
                let key = (group.file.clone(), group.name.clone());
                // The first round is another matter: Prometheus restores alerts and touches blocks for the first time.
                if group.last_evaluation.starts_with("0001-") || !seen.contains_key(&key) {
                    seen.entry(key).or_insert_with(|| (Group::new(&group), group.last_evaluation));
                } else if let Some((all, last)) = seen.get_mut(&key).filter(|(_, last)| *last != group.last_evaluation)
                {
                    if !last.starts_with("0001-") {
                        all.note(&group);
                    }
                    last.clone_from(&group.last_evaluation);
                }
            }
        }
        seen.into_values().map(|(group, _)| group).collect()
    }

    /// Seconds of processor time that a query takes. The least of some: scrapes and evaluations go on meanwhile.
    /// And whether the answer is empty.
    fn processor_time_of(&self, query: &str) -> (f64, bool) {
        let encoded: String = query.bytes().fold("/api/v1/query?query=".to_owned(), |mut path, byte| {
            write!(path, "%{byte:02x}").unwrap();
            path
        });
        let mut empty = false;
        let one = |_| {
            let before = self.processor_time();
            let (status, answer) = self.try_request("GET", &encoded, &[]).unwrap();
            assert_eq!(status, 200, "{answer}");
            empty = answer.contains("\"result\":[]");
            self.processor_time() - before
        };
        let least = quantiles(&(0..REPEATS).map(one).collect::<Vec<_>>()).0;
        (least, empty)
    }

    /// Seconds, of all threads.
    fn processor_time(&self) -> f64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.process.as_ref().unwrap().id())).unwrap();
        let nanos = |text: String| text.split(' ').next().unwrap().parse::<f64>().unwrap();
        let times = threads.filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("schedstat")).ok());
        times.map(nanos).sum::<f64>() / 1e9
    }

    /// What Prometheus says of itself.
    fn report(&self) {
        let (_, text) = self.try_request("GET", "/metrics", &[]).unwrap();
        let sum = |name: &str| -> f64 {
            let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
            lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
        };
        let (took, rounds) =
            (sum("prometheus_rule_group_duration_seconds_sum"), sum("prometheus_rule_group_duration_seconds_count"));
        println!(
            "prometheus_rule_group_duration_seconds: {:.1} ms on average over {rounds} rounds, first ones included; missed: {}",
            took / rounds * 1000.0,
            sum("prometheus_rule_group_iterations_missed_total")
        );
        println!(
            "series in memory: {}, blocks: {} of {:.0} MiB, resident memory: {:.0} MiB",
            sum("prometheus_tsdb_head_series"),
            sum("prometheus_tsdb_blocks_loaded"),
            sum("prometheus_tsdb_storage_blocks_bytes") / 1_048_576.0,
            sum("process_resident_memory_bytes") / 1_048_576.0
        );
    }

    fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let (status, answer) = self.try_request("GET", path, &[]).unwrap();
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str(&answer).unwrap()
    }

    /// Status and body. HTTP/1.0, so that nothing comes in chunks.
    fn try_request(&self, method: &str, path: &str, body: &[u8]) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "{method} {path} HTTP/1.0\r\ncontent-length: {}\r\n\r\n", body.len())?;
        stream.write_all(body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Ok((head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned()))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }

    fn stop(self) {
        for line in self.log().lines().filter(|line| !line.contains("level=info") && !line.contains("level=INFO")) {
            println!("prometheus says: {line}");
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// Answers one scrape.
fn serve(stream: &TcpStream, targets: &[Target]) {
    let mut lines = BufReader::new(stream).lines();
    let Some(Ok(first)) = lines.next() else { return };
    while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
    let target: usize = first.split([' ', '/']).find_map(|part| part.parse().ok()).unwrap();
    let body = targets[target].exposition(unix_now());
    let mut stream = BufWriter::new(stream);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close";
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
}

/// A `prometheus.WriteRequest` with the samples of some series between two times, and how many there are.
fn write_request(all: &[&Series], from: u64, until: u64) -> (Vec<u8>, u64) {
    let (mut request, mut samples) = (Vec::new(), 0);
    for series in all {
        let mut timeseries = Vec::new();
        for (name, value) in &series.labels {
            let mut label = Vec::new();
            field(&mut label, 1, name.as_bytes());
            field(&mut label, 2, value.as_bytes());
            field(&mut timeseries, 1, &label);
        }
        let mut time = from.next_multiple_of(series.step);
        let before = samples;
        while time < until {
            let mut sample = vec![1 << 3 | 1];
            sample.extend(series.at(time).to_le_bytes());
            sample.push(2 << 3);
            varint(&mut sample, time * 1000);
            field(&mut timeseries, 2, &sample);
            (samples, time) = (samples + 1, time + series.step);
        }
        if samples > before {
            field(&mut request, 1, &timeseries);
        }
    }
    (request, samples)
}

/// A field of a protocol buffer: bytes or a message.
fn field(into: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    into.push(number << 3 | 2);
    varint(into, bytes.len() as u64);
    into.extend(bytes);
}

fn varint(into: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        into.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            break;
        }
    }
}

/// Snappy's block format, without compression: literals of at most 64 KiB.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(bytes.len() + bytes.len() / 1000 + 16);
    varint(&mut packed, bytes.len() as u64);
    for chunk in bytes.chunks(1 << 16) {
        packed.push(61 << 2);
        packed.extend(u16::try_from(chunk.len() - 1).unwrap().to_le_bytes());
        packed.extend(chunk);
    }
    packed
}

#[derive(serde::Deserialize)]
struct RulesAnswer {
    data: RulesData,
}

#[derive(serde::Deserialize)]
struct RulesData {
    groups: Vec<AnswerGroup>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerGroup {
    name: String,
    file: String,
    interval: f64,
    last_evaluation: String,
    evaluation_time: f64,
    rules: Vec<AnswerRule>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerRule {
    name: String,
    query: String,
    health: String,
    #[serde(default)]
    last_error: String,
    evaluation_time: f64,
}

/// How long the evaluations of a group and its rules took, in seconds.
struct Group {
    name: String,
    interval: f64,
    took: Vec<f64>,
    rules: Vec<Rule>,
}

struct Rule {
    name: String,
    query: String,
    took: Vec<f64>,
    /// Of its expression alone.
    processor: f64,
}

impl Group {
    fn new(group: &AnswerGroup) -> Self {
        let new = |rule: &AnswerRule| Rule {
            name: rule.name.clone(),
            query: rule.query.clone(),
            took: Vec::new(),
            processor: 0.0,
        };
        let rules = group.rules.iter().map(new).collect();
        Self { name: group.name.clone(), interval: group.interval, took: Vec::new(), rules }
    }

    fn note(&mut self, group: &AnswerGroup) {
        self.took.push(group.evaluation_time);
        for (all, rule) in self.rules.iter_mut().zip(&group.rules) {
            assert_eq!(rule.health, "ok", "{}: {}", rule.name, rule.last_error);
            all.took.push(rule.evaluation_time);
        }
    }
}

fn report(groups: &[Group], yardstick: f64) {
    let figures = |name: &str, rules: &str, processor: f64, took: &[f64]| {
        let ms = |seconds: f64| format!("{:.2}", seconds * 1000.0);
        let ((best, middle, worst), ratio) = (quantiles(took), format!("{:.2}", processor / yardstick));
        line(&[name, rules, &ms(processor), &ratio, &ms(best), &ms(middle), &ms(worst), &took.len().to_string()]);
    };
    let head = |first| line(&[first, "rules", "cpu ms", "ratio", "best ms", "median", "worst", "rounds"]);
    head("group, and its slowest rule");
    let mut load = 0.0;
    for group in groups {
        let processor: f64 = group.rules.iter().map(|rule| rule.processor).sum();
        load += processor / group.interval;
        figures(&group.name, &group.rules.len().to_string(), processor, &group.took);
        let slowest = group.rules.iter().max_by(|a, b| a.processor.total_cmp(&b.processor)).unwrap();
        figures(&format!("  {}", slowest.name), "", slowest.processor, &slowest.took);
    }
    println!("all groups together: {:.2} % of one core\n", load * 100.0);
    let mut rules: Vec<_> = groups.iter().flat_map(|group| &group.rules).collect();
    rules.sort_by(|a, b| b.processor.total_cmp(&a.processor));
    head("the slowest rules");
    for rule in rules.into_iter().take(30) {
        figures(&rule.name, "", rule.processor, &rule.took);
    }
}

fn line(cells: &[&str; 8]) {
    let [name, rest @ ..] = cells;
    println!("{name:<62}{}", rest.map(|cell| format!("{cell:>9}")).concat());
}

/// The least, the median and the most.
fn quantiles(all: &[f64]) -> (f64, f64, f64) {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    let at = |index: usize| all.get(index).copied().unwrap_or(0.0);
    (at(0), at(all.len() / 2), at(all.len().saturating_sub(1)))
}

fn human(seconds: u64) -> String {
    if seconds >= 2 * 24 * HOUR {
        format!("{:.1} days", seconds as f64 / 86400.0)
    } else {
        format!("{} min", seconds / 60)
    }
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
