//! Durations as Prometheus writes them.

use std::time::Duration;

/// Milliseconds per unit, in the only order that Prometheus accepts (`model.ParseDuration`): a year is 365 days.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing there.
    #[error("a duration must not be empty")]
    Empty,
    /// A number is missing, negative, or has a fraction.
    #[error("a duration is made of whole numbers, each with a unit")]
    NotANumber,
    /// A number without a unit.
    #[error("the number needs a unit")]
    NoUnit,
    /// A unit that Prometheus does not know.
    #[error("unknown unit")]
    UnknownUnit,
    /// Units out of order or given twice.
    #[error("units go from large to small, each at most once")]
    Order,
    /// More than 2^64 milliseconds.
    #[error("the duration is too long")]
    TooLong,
}

/// Reads `30s`, `1d12h` or `0`: whole numbers with the units y w d h m s ms, from large to small.
///
/// # Errors
/// See [`DurationError`].
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(Duration::ZERO),
        _ => {}
    }
    let (mut rest, mut total, mut allowed) = (text, 0_u64, &UNITS[..]);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        if number.is_empty() {
            return Err(DurationError::NotANumber);
        }
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if unit.is_empty() {
            return Err(if after.is_empty() { DurationError::NoUnit } else { DurationError::NotANumber });
        }
        let Some(place) = allowed.iter().position(|(name, _)| *name == unit) else {
            let known = UNITS.iter().any(|(name, _)| *name == unit);
            return Err(if known { DurationError::Order } else { DurationError::UnknownUnit });
        };
        let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(allowed[place].1));
        total = millis.and_then(|millis| total.checked_add(millis)).ok_or(DurationError::TooLong)?;
        allowed = &allowed[place + 1..];
        rest = after;
    }
    Ok(Duration::from_millis(total))
}

/// `text` as Prometheus writes durations: `1d12h`, `0s`. Fractions of a millisecond are cut.
#[must_use]
pub fn show(duration: Duration) -> String {
    let mut left = duration.as_millis();
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, millis) in UNITS {
        let millis = u128::from(millis);
        if left >= millis {
            text.push_str(&(left / millis).to_string());
            text.push_str(unit);
            left %= millis;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_prometheus_reads() {
        let check = |text: &str, millis: u64| assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        check("0", 0);
        check("0s", 0);
        check("30s", 30_000);
        check("90m", 5_400_000);
        check("1d12h", 129_600_000);
        check("1y2w3d4h5m6s7ms", 33_019_506_007);
        check("250ms", 250);
        check("007s", 7000);
    }

    #[test]
    fn refuses_what_prometheus_refuses() {
        use DurationError::*;
        let check = |text: &str, error| assert_eq!(parse(text), Err(error), "{text}");
        check("", Empty);
        check("5", NoUnit);
        check("1h5", NoUnit);
        check("h", NotANumber);
        check("-5m", NotANumber);
        check("1.5h", NotANumber);
        check("1 h", NotANumber);
        check("5 minutes", NotANumber);
        check("5min", UnknownUnit);
        check("5M", UnknownUnit);
        check("5m1h", Order);
        check("1h1h", Order);
        check("99999999999y", TooLong);
        check("99999999999999999999999s", TooLong);
    }

    proptest::proptest! {
        #[test]
        fn shows_what_it_reads(millis in 0_u64..u64::MAX / 2) {
            let duration = Duration::from_millis(millis);
            proptest::prop_assert_eq!(parse(&show(duration)), Ok(duration));
        }

        #[test]
        fn never_panics(text in "[0-9ywdhms. é-]{0,12}") {
            let _ = parse(&text);
        }
    }
}
