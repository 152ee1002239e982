//! What messages are made of: Block Kit's objects and bounded pieces of mrkdwn.

use serde_json::{Value, json};

use super::super::describe::{Level, Link};
use super::super::text::{mrkdwn_code, mrkdwn_link};
use crate::clock::Timestamp;

/// One label, in bytes.
const MAX_LABEL: usize = 150;

/// `verbatim` keeps Slack from making links and mentions out of plain words (`@here`, `#general`).
pub(super) fn mrkdwn_object(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

pub(super) fn section(text: &str) -> Value {
    json!({ "type": "section", "text": mrkdwn_object(text) })
}

/// Red to blue by the worst severity that fires, green if none does.
pub(super) fn color(worst: Option<Level>) -> &'static str {
    match worst {
        Some(Level::Critical) => "#D00000",
        Some(Level::Error) => "#E8590C",
        Some(Level::Warning) => "#F2C744",
        Some(Level::Info) => "#439FE0",
        None => "#2EB67D",
    }
}

/// A time that Slack shows in the reader's own zone.
pub(super) fn date(at: Timestamp) -> String {
    let utc = at.strftime("%Y-%m-%d %H:%M UTC");
    format!("<!date^{}^{{date_short_pretty}} {{time}}|{utc}>", at.as_second())
}

/// Labels as code, as many as fit; the rest is counted.
pub(super) fn codes<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>, max: usize) -> String {
    let (mut out, mut left_out) = (String::new(), 0);
    for (name, value) in labels {
        if left_out > 0 {
            left_out += 1;
            continue;
        }
        let code = mrkdwn_code(format_args!("{name}={value}"), MAX_LABEL);
        if out.len() + 1 + code.len() + 12 > max {
            left_out += 1;
        } else {
            out.push_str(if out.is_empty() { "" } else { " " });
            out.push_str(&code);
        }
    }
    if left_out > 0 { format!("{out} +{left_out} more") } else { out }
}

/// Links side by side, as many as fit into `max` and are not longer than `each`.
pub(super) fn join_links<'a>(links: impl Iterator<Item = &'a Link>, max: usize, each: usize) -> String {
    let mut out = String::new();
    for link in links {
        let link = mrkdwn_link(&link.url, link.label);
        if link.len() <= each && out.len() + 4 + link.len() <= max {
            out.push_str(if out.is_empty() { "" } else { " · " });
            out.push_str(&link);
        }
    }
    out
}
