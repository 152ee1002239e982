//! Rates: `1/s`, `30/m`, `100/h`.

use std::time::Duration;

use crate::yaml::{Context, Node};

/// What one notification costs.
pub(super) fn rate(cx: &mut Context<'_>, node: &Node) -> Option<Duration> {
    let period = period(cx.text(node, "`rate`")?);
    if period.is_none() {
        let hint = "rates are written as `1/s`, `30/m` or `100/h`, from 1 to 10000";
        cx.error_with(node.span, "`rate` must be a number per second, minute or hour", hint);
    }
    period
}

/// The time that one of `N/s`, `N/m` or `N/h` costs. `None` if it is not written like that, or if `N` is not between 1
/// and 10000.
fn period(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_once('/')?;
    let unit = match unit.trim() {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        "h" => Duration::from_hours(1),
        _ => return None,
    };
    let number = number.trim();
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { number.parse::<u32>().ok()? } else { return None };
    (1..=10_000).contains(&number).then(|| unit / number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rates() {
        let check =
            |text: &str, millis: Option<u64>| assert_eq!(period(text), millis.map(Duration::from_millis), "{text}");
        check("1/s", Some(1000));
        check("2/s", Some(500));
        check("30/m", Some(2000));
        check("100 / h", Some(36_000));
        for text in ["", "1", "0/s", "-1/s", "+1/s", "1.5/s", "1/d", "1/min", "10001/s", "/s", "1/2/s"] {
            check(text, None);
        }
    }
}
