//! How a receiver is delivered to: `timeout`, `retry`, `rate_limit`.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::rate;
use crate::receiver::{Delivery, Overflow, RateLimit};
use crate::yaml::{Context, Fields, Node, Span};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// How it is delivered; `default` is the service's pace, `can_fold` whether it can be told of many alerts in one message.
pub(super) fn read(
    cx: &mut Context<'_>,
    fields: &mut Fields<'_>,
    default: RateLimit,
    can_fold: bool,
) -> Option<Delivery> {
    let timeout = match fields.take(cx, "timeout") {
        Some(node) => cx.duration(node, "`timeout`", Duration::from_millis(100)..=Duration::from_mins(5)),
        None => Some(10 * SECOND),
    };
    let max_age = match fields.take(cx, "retry") {
        Some(node) => retry(cx, node, fields.at),
        None => Some(DAY),
    };
    let rate_limit = match fields.take(cx, "rate_limit") {
        Some(node) => rate_limit(cx, node, fields.at, default, can_fold),
        None => Some(default),
    };
    Some(Delivery { timeout: timeout?, max_age: max_age?, rate_limit: rate_limit? })
}

fn retry(cx: &mut Context<'_>, node: &Node, at: Span) -> Option<Duration> {
    let mut fields = Fields::open(cx, node, at, "`retry`")?;
    let max_age = match fields.take(cx, "max_age") {
        Some(node) => cx.duration(node, "`max_age`", SECOND..=30 * DAY),
        None => Some(DAY),
    };
    fields.close(cx, &[]);
    max_age
}

fn rate_limit(cx: &mut Context<'_>, node: &Node, at: Span, default: RateLimit, can_fold: bool) -> Option<RateLimit> {
    let mut fields = Fields::open(cx, node, at, "`rate_limit`")?;
    let period = match fields.take(cx, "rate") {
        Some(node) => rate::rate(cx, node),
        None => Some(default.period),
    };
    let burst = match fields.take(cx, "burst") {
        Some(node) => cx.integer(node, "`burst`", 1..=10_000).and_then(|number| u32::try_from(number).ok()),
        None => Some(default.burst.get()),
    };
    let overflow = match fields.take(cx, "overflow") {
        Some(node) => overflow(cx, node, can_fold),
        None => Some(default.overflow),
    };
    fields.close(cx, &[]);
    Some(RateLimit { period: period?, burst: NonZeroU32::new(burst?)?, overflow: overflow? })
}

fn overflow(cx: &mut Context<'_>, node: &Node, can_fold: bool) -> Option<Overflow> {
    match cx.text(node, "`overflow`")? {
        "wait" => Some(Overflow::Wait),
        "digest" if can_fold => Some(Overflow::Digest),
        "digest" => {
            let message = "this service takes no digests: what it opens it has to close by name";
            cx.error_with(node.span, message, "write `overflow: wait`");
            None
        }
        _ => {
            let hint = if can_fold { "write `overflow: wait` or `overflow: digest`" } else { "write `overflow: wait`" };
            cx.error_with(node.span, "unknown `overflow`", hint);
            None
        }
    }
}
