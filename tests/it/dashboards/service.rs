//! A service that calls language models, as rules/README.md describes it, through 40 minutes with two incidents.

use std::collections::BTreeMap;

use super::recording::Recording;

/// Of the histogram, as the clients of Prometheus write them.
const BOUNDS: [(&str, f64); 9] = [
    ("0.5", 0.5),
    ("1.0", 1.0),
    ("2.0", 2.0),
    ("5.0", 5.0),
    ("10.0", 10.0),
    ("20.0", 20.0),
    ("30.0", 30.0),
    ("60.0", 60.0),
    ("+Inf", f64::INFINITY),
];

/// Name, requests per minute of a user, usual duration in seconds, dollars for 1000 tokens. A name may hold anything.
const MODELS: [(&str, f64, f64, f64); 3] =
    [("large", 6.0, 4.0, 0.03), ("small", 20.0, 0.6, 0.001), (ODD_MODEL, 2.0, 2.0, 0.01)];
pub(super) const ODD_MODEL: &str = r"v1.5 (eu)|a+b\c";
const USERS: [&str; 4] = ["ann", "bob", "batch", ODD_USER];
pub(super) const ODD_USER: &str = "o'neil+qa@example.org";

/// Scrapes of the recording, one every 15 s.
const SCRAPES: u32 = 160;
/// While `small` fails.
const FAILS: std::ops::Range<u32> = 40..80;
/// While `large` is slow.
const SLOW: std::ops::Range<u32> = 90..130;

/// The counters and gauges of one process.
#[derive(Debug, Default)]
struct Process(BTreeMap<String, f64>);

impl Process {
    fn count(&mut self, series: String, by: f64) {
        *self.0.entry(series).or_default() += by;
    }

    fn request(&mut self, random: &mut fastrand::Rng, scrape: u32, model: (&str, f64, f64, f64), user: &str) {
        let (name, _, usual, price) = model;
        let labels = format!("model={name:?},user={user:?}");
        let fails = random.f64() < if name == "small" && FAILS.contains(&scrape) { 0.3 } else { 0.01 };
        let slow = if name == "large" && SLOW.contains(&scrape) { 4.0 } else { 1.0 };
        let seconds = usual * slow * (0.3 + 1.4 * random.f64() + random.f64().powi(6) * 4.0);
        let status = if fails { "error" } else { "success" };
        self.count(format!("llm_requests_total{{{labels},status={status:?}}}"), 1.0);
        for (le, _) in BOUNDS.iter().filter(|(_, bound)| seconds <= *bound) {
            self.count(format!("llm_request_duration_seconds_bucket{{{labels},le={le:?}}}"), 1.0);
        }
        self.count(format!("llm_request_duration_seconds_count{{{labels}}}"), 1.0);
        self.count(format!("llm_request_duration_seconds_sum{{{labels}}}"), seconds);
        if fails {
            let kind = if random.bool() { "rate_limit" } else { "timeout" };
            return self.count(format!("llm_errors_total{{{labels},error_type={kind:?}}}"), 1.0);
        }
        let (input, output) = (random.u32(200..3000), random.u32(50..800));
        self.count(format!("llm_tokens_total{{{labels},token_type=\"input\"}}"), input.into());
        self.count(format!("llm_tokens_total{{{labels},token_type=\"output\"}}"), output.into());
        self.count(format!("llm_cost_dollars_total{{{labels}}}"), f64::from(input + output) / 1000.0 * price);
    }

    /// What happens between two scrapes.
    fn live(&mut self, random: &mut fastrand::Rng, scrape: u32) {
        for (model, user) in MODELS.iter().flat_map(|model| USERS.map(|user| (model, user))) {
            let expected = model.1 / 4.0 * if user == "batch" { 3.0 } else { 1.0 };
            let requests = (0..20).filter(|_| random.f64() < expected / 20.0).count();
            for _ in 0..requests {
                self.request(random, scrape, *model, user);
            }
            let active = format!("llm_active_requests{{model={:?},user={user:?}}}", model.0);
            self.0.insert(active, f64::from(random.u32(0..3)));
        }
    }
}

/// The same at every run.
pub(super) fn recorded() -> Recording {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut recording, mut processes) = (Recording::default(), [Process::default(), Process::default()]);
    for scrape in 0..SCRAPES {
        recording.scrape();
        for (nth, process) in processes.iter_mut().enumerate() {
            process.live(&mut random, scrape);
            let target = format!("job=\"ai-system\",instance=\"10.0.0.{}:8000\"", nth + 1);
            recording.add(&target, "up", &1);
            for (series, value) in &process.0 {
                recording.add(&target, series, value);
            }
        }
    }
    recording
}
