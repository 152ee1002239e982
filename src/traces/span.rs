//! A span while it lasts.

use std::fmt;

use opentelemetry::trace::{
    Link, Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanLimits};

use super::context;
use super::export::Queue;
use super::settings::Settings;
use crate::notification::TraceParent;

/// So many characters of a text are kept: labels and what services answer are strangers' words, of any length.
const TEXT: usize = 256;
/// So many attributes and links a span has at most; what is set here is fewer.
const LIMITS: SpanLimits = SpanLimits {
    max_events_per_span: 0,
    max_attributes_per_span: 32,
    max_links_per_span: 32,
    max_attributes_per_event: 0,
    max_attributes_per_link: 0,
};

/// Begins traces, or nothing without an endpoint; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Traces(Option<SdkTracer>);

impl Traces {
    pub(super) fn new(settings: &Settings, resource: Resource, queue: Queue) -> Self {
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(settings.sampler.clone())
            .with_span_limits(LIMITS)
            .with_span_processor(queue)
            .build();
        Self(Some(provider.tracer(env!("CARGO_PKG_NAME"))))
    }

    /// A request that came in. It continues the sender's trace if `traceparent` is one; `tracestate` belongs to that.
    #[must_use]
    pub fn request(&self, name: &'static str, traceparent: Option<&str>, tracestate: Option<&str>) -> Span {
        let Some(tracer) = &self.0 else { return Span(None) };
        let parent = traceparent.and_then(|text| context::parse(text, tracestate));
        begin(tracer, SpanBuilder::from_name(name).with_kind(SpanKind::Server), parent)
    }

    /// An attempt of a delivery: in the trace of the webhook that it came of, if that is known. A digest has none of its own,
    /// and `carries` those of what it tells.
    #[must_use]
    pub fn attempt(&self, receiver: &str, came_of: Option<&TraceParent>, carries: &[TraceParent]) -> Span {
        let Some(tracer) = &self.0 else { return Span(None) };
        let read = |parent: &TraceParent| context::parse(&parent.0, None);
        let links = carries.iter().filter_map(read).map(|context| Link::new(context, Vec::new(), 0)).collect();
        let span =
            SpanBuilder::from_name(format!("deliver {receiver}")).with_kind(SpanKind::Internal).with_links(links);
        begin(tracer, span, came_of.and_then(read))
    }
}

fn begin(tracer: &SdkTracer, span: SpanBuilder, parent: Option<SpanContext>) -> Span {
    // Not the current one: there is none, and nobody else's must become a parent.
    let within = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
    let span = tracer.build_with_context(span, &within);
    Span(Some(Box::new(Live { span, tracer: tracer.clone() })))
}

/// What somebody does, from its beginning until this is dropped; or nothing, without an endpoint.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Live>>);

struct Live {
    span: opentelemetry_sdk::trace::Span,
    tracer: SdkTracer,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&context::write(self.span.span_context()))
    }
}

impl Span {
    /// Whether somebody will see it: what costs something to find out need not be found out otherwise.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.0.as_ref().is_some_and(|live| live.span.is_recording())
    }

    /// A step of it.
    #[must_use]
    pub fn step(&self, name: &'static str) -> Self {
        self.within().begin(SpanBuilder::from_name(name).with_kind(SpanKind::Internal))
    }

    /// Begins steps of it elsewhere.
    #[must_use]
    pub fn within(&self) -> Within {
        Within(self.0.as_ref().map(|live| Box::new((live.tracer.clone(), live.span.span_context().clone()))))
    }

    /// Adds something to it. Of a text the first 256 characters are kept.
    pub fn set<'a>(&mut self, name: &'static str, value: impl Into<Attribute<'a>>) {
        let Some(live) = self.0.as_mut().filter(|live| live.span.is_recording()) else { return };
        let value = match value.into() {
            Attribute::Text(text) => Value::from(cut(text)),
            Attribute::Number(number) => Value::from(number),
        };
        live.span.set_attribute(KeyValue::new(name, value));
    }

    /// It failed: a word of a closed set, or a status code, and why.
    pub fn fail(&mut self, kind: &str, why: &str) {
        self.set("error.type", kind);
        if let Some(live) = self.0.as_mut().filter(|live| live.span.is_recording()) {
            live.span.set_status(Status::error(cut(why)));
        }
    }

    /// For what comes of it later.
    #[must_use]
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.0.as_ref().map(|live| TraceParent(context::write(live.span.span_context())))
    }

    /// For the log: by it a trace is found.
    #[must_use]
    pub fn trace_id(&self) -> Option<impl fmt::Display + use<>> {
        self.0.as_ref().map(|live| live.span.span_context().trace_id())
    }
}

/// Begins steps of a span where that is not at hand.
#[derive(Debug, Clone, Default)]
pub struct Within(Option<Box<(SdkTracer, SpanContext)>>);

impl Within {
    /// A request that goes out.
    #[must_use]
    pub fn request(&self, method: &'static str) -> Span {
        self.begin(SpanBuilder::from_name(method).with_kind(SpanKind::Client))
    }

    fn begin(&self, span: SpanBuilder) -> Span {
        let Some((tracer, parent)) = self.0.as_deref() else { return Span(None) };
        begin(tracer, span, Some(parent.clone()))
    }
}

/// A value of an attribute.
#[derive(Debug, Clone, Copy)]
pub enum Attribute<'a> {
    /// Words.
    Text(&'a str),
    /// A count or a code.
    Number(i64),
}

impl<'a> From<&'a str> for Attribute<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Attribute<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Attribute<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u16> for Attribute<'_> {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for Attribute<'_> {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_endpoint_it_is_free() {
        let traces = Traces::default();
        let came_of = TraceParent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
        let used = allocation_counter::measure(|| {
            let mut span = traces.request("POST /webhook", Some(&came_of.0), None);
            span.set("alertrouter.group", "{}:{alertname=\"DiskFull\"}");
            span.fail("503", "the store is not available");
            let mut step = span.step("commit");
            step.set("alertrouter.deliveries", 2_usize);
            let mut attempt = traces.attempt("oncall", Some(&came_of), std::slice::from_ref(&came_of));
            attempt.set("alertrouter.attempt", 1_u32);
            let request = attempt.within().request("POST");
            assert!(!span.is_seen() && !request.is_seen() && span.traceparent().is_none() && span.trace_id().is_none());
        });
        assert_eq!(used.count_total, 0);
        // A pointer in every request and attempt.
        assert_eq!(size_of::<Span>(), size_of::<usize>());
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        let cut = cut(&"\u{e9}".repeat(300));
        assert_eq!((cut.chars().count(), cut.ends_with("\u{e9}…")), (257, true));
    }
}
