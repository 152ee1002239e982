//! Series as a Prometheus would have scraped them, one sample every 15 s.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

/// README of rules/ has this scrape interval; Grafana's data source is provisioned with it.
pub(super) const SCRAPE: Duration = Duration::from_secs(15);

/// Series by name and labels, and their value at each scrape: none where they were not there.
#[derive(Debug, Default)]
pub(super) struct Recording {
    scrapes: usize,
    series: BTreeMap<String, Vec<Option<String>>>,
}

impl Recording {
    /// Begins the next scrape.
    pub(super) fn scrape(&mut self) {
        self.scrapes += 1;
    }

    /// A sample of the present scrape. `series` is written as in the text of /metrics.
    pub(super) fn add(&mut self, target: &str, series: &str, value: &impl ToString) {
        assert!(self.scrapes > 0, "no scrape has begun");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let comma = if labels == "}" { "" } else { "," };
        let samples = self.series.entry(format!("{name}{{{target}{comma}{labels}")).or_default();
        samples.resize(self.scrapes - 1, None);
        samples.push(Some(value.to_string()));
    }

    /// Series that were higher at some time than before.
    pub(super) fn raised(&self) -> impl Iterator<Item = &str> {
        self.moved(|before, after| after > before)
    }

    /// Series that were lower at some time than before.
    pub(super) fn fell(&self) -> impl Iterator<Item = &str> {
        self.moved(|before, after| after < before)
    }

    fn moved(&self, so: fn(f64, f64) -> bool) -> impl Iterator<Item = &str> {
        let moved = move |samples: &Vec<Option<String>>| {
            let values: Vec<f64> = samples.iter().flatten().map(|sample| sample.parse().unwrap()).collect();
            values.windows(2).any(|pair| so(pair[0], pair[1]))
        };
        self.series.iter().filter(move |(_, samples)| moved(samples)).map(|(series, _)| &**series)
    }

    /// Series, with the labels of their targets.
    pub(super) fn series(&self) -> impl Iterator<Item = &str> {
        self.series.keys().map(String::as_str)
    }

    pub(super) fn length(&self) -> Duration {
        SCRAPE * u32::try_from(self.scrapes).unwrap()
    }

    /// As `input_series` of promtool's tests. A series that ends is marked as stale, as Prometheus does.
    pub(super) fn input_series(&self) -> Value {
        let one = |(series, samples): (&String, &Vec<Option<String>>)| {
            let mut was_there = false;
            let padded = samples.iter().chain(std::iter::repeat_n(&None, self.scrapes - samples.len()));
            let values = padded.map(|sample| {
                let value = sample.as_deref().unwrap_or(if was_there { "stale" } else { "_" });
                was_there = sample.is_some();
                value
            });
            json!({ "series": series, "values": values.collect::<Vec<_>>().join(" ") })
        };
        self.series.iter().map(one).collect()
    }
}
