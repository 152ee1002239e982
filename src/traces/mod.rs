//! Traces for OpenTelemetry (`--otlp-endpoint`): what a webhook set off, up to the last attempt of the last delivery.
//!
//! Spans are begun where the work is done, with attributes that are chosen there. So nothing of the log gets into a trace, and
//! `--log-level` does not empty one. Without an endpoint there is nothing: a [`Span`] is a `None` then, and every call on it
//! returns at once.

mod context;
mod export;
mod settings;
mod span;

pub use export::{Collector, Export, Posting, Reply, Request};
pub use settings::Settings;
pub use span::{Attribute, Span, Traces, Within};
