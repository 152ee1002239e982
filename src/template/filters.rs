//! Filters: MiniJinja's own without those that would undo the escaping, and what people need for alerts.

use std::time::Duration;

use minijinja::value::StringInput;
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::Escape;
use crate::clock::{Timestamp, between};
use crate::receiver::text;

/// The names of all filters, for suggestions.
pub(super) const NAMES: [&str; 52] = [
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "default",
    "dictsort",
    "duration",
    "first",
    "float",
    "format",
    "groupby",
    "html",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "link",
    "lines",
    "list",
    "lower",
    "map",
    "markdown",
    "max",
    "min",
    "oneline",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "since",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "time",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
    "url",
    "zip",
];

pub(super) fn install(environment: &mut Environment<'_>, escape: Escape) {
    for name in ["safe", "escape", "e", "pprint"] {
        environment.remove_filter(name);
    }
    environment.remove_global("debug");
    if matches!(escape, Escape::Mrkdwn | Escape::Html) {
        // It would count as markup.
        environment.remove_filter("tojson");
    }
    environment.add_filter("truncate", |value: String, max: usize| text::cut(&value, max));
    environment.add_filter("oneline", |value: String| text::one_line(&value));
    environment.add_filter("duration", duration);
    environment.add_filter("time", time);
    environment.add_filter("since", since);
    environment.add_filter("url", move |value: StringInput<'_>| escape.url(&address(&value)));
    environment.add_filter("link", move |value: StringInput<'_>, label: String| link(escape, &address(&value), &label));
    environment.add_filter("html", |value: String| Escape::Html.text(&value));
    environment.add_filter("markdown", |value: String| markdown(&value));
}

/// An address as the alert has it: one that is written as markup already is taken back.
fn address(value: &StringInput<'_>) -> String {
    if value.is_safe() { value.as_str().replace("&amp;", "&") } else { value.as_str().to_owned() }
}

/// A link as the service writes it; its label alone where the address cannot be linked.
fn link(escape: Escape, address: &str, label: &str) -> Value {
    match (escape, text::http_url(address)) {
        (Escape::Mrkdwn, Some(url)) => Value::from_safe_string(text::mrkdwn_link(&url, &escape.text(label))),
        (Escape::Html, Some(url)) => Value::from_safe_string(text::html_link(&url, &escape.text(label))),
        (Escape::Plain | Escape::Json, Some(url)) => format!("{label}: {url}").into(),
        (_, None) => label.into(),
    }
}

/// A time of an alert, in UTC, as strftime writes it; "" for one that is not known.
fn time(value: &str, format: Option<&str>) -> Result<String, Error> {
    let format = format.unwrap_or("%Y-%m-%d %H:%M UTC");
    let Some(at) = parsed(value)? else { return Ok(String::new()) };
    jiff::fmt::strtime::format(format, at)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("time: {error}")))
}

/// Seconds as people say them. Prometheus writes a value that is none as `NaN`, and so does this.
fn duration(seconds: f64) -> String {
    if seconds.is_nan() {
        return "NaN".to_owned();
    }
    text::human(Duration::from_secs_f64(seconds.clamp(0.0, 1e12)))
}

/// How long ago that was when the webhook came: `2h 5m`; "" for a time that is not known.
fn since(state: &State<'_, '_>, value: &str) -> Result<String, Error> {
    let notification = state.lookup("notification").unwrap_or_default();
    let received = notification.get_attr("receivedAt").ok().and_then(|at| at.as_str().map(str::to_owned));
    let received = received.and_then(|at| at.parse::<Timestamp>().ok());
    let (Some(at), Some(received)) = (parsed(value)?, received) else { return Ok(String::new()) };
    Ok(text::human(between(at, received)))
}

/// `None` for Go's zero time, which stands for a time that is not known.
fn parsed(value: &str) -> Result<Option<Timestamp>, Error> {
    if value.is_empty() || value.starts_with("0001-01-01") {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| Error::new(ErrorKind::InvalidOperation, "this is no time"))
}

/// Text that shows as it is where Markdown is read (`CommonMark`'s backslash escapes, which Discord reads too).
fn markdown(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for this in text::clean(value).chars() {
        if matches!(this, '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '(' | ')' | '#' | '|' | '~') {
            out.push('\\');
        }
        out.push(this);
    }
    out
}
