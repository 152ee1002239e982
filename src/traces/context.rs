//! Where a span stands, as W3C Trace Context writes it. The SDK's own reader takes `+1` for a number and a dash too many.

use std::str::FromStr;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`
const LENGTH: usize = 55;
/// What a sender's `tracestate` may be long: what W3C has everybody keep. It is kept with every span of its trace.
const STATE_LENGTH: usize = 512;

/// Reads a `traceparent` and the `tracestate` that belongs to it. `None` for everything that is not exactly one; a state that
/// cannot be read is left out.
pub(super) fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<SpanContext> {
    let bytes = traceparent.as_bytes();
    let shape = |(at, byte): (usize, &u8)| match at {
        2 | 35 | 52 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    if bytes.len() < LENGTH || !bytes.iter().take(LENGTH).enumerate().all(shape) {
        return None;
    }
    // A version after this one may have more to say, behind a dash.
    let version_is_known = match &traceparent[..2] {
        "ff" => false,
        "00" => bytes.len() == LENGTH,
        _ => bytes.get(LENGTH).is_none_or(|byte| *byte == b'-'),
    };
    if !version_is_known {
        return None;
    }
    let trace = TraceId::from_hex(&traceparent[3..35]).ok()?;
    let span = SpanId::from_hex(&traceparent[36..52]).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(&traceparent[53..LENGTH], 16).ok()?) & TraceFlags::SAMPLED;
    let state =
        tracestate.filter(|state| state.len() <= STATE_LENGTH).and_then(|state| TraceState::from_str(state).ok());
    let context = SpanContext::new(trace, span, flags, true, state.unwrap_or_default());
    context.is_valid().then_some(context)
}

/// The `traceparent` of a span.
pub(super) fn write(context: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_was_written_is_read() {
        for text in [GOOD, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"] {
            let context = parse(text, None).unwrap();
            assert_eq!((write(&context).as_str(), context.is_remote()), (text, true));
        }
        // Of the flags only `sampled` means something; a later version may be longer.
        let later = parse("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-what", None).unwrap();
        assert_eq!(write(&later), GOOD);
    }

    #[test]
    fn what_is_not_exactly_one_is_none() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-+1",
            "+0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01what",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e47\u{e9}-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0\u{e9}",
        ] {
            assert!(parse(text, None).is_none(), "{text}");
        }
    }

    #[test]
    fn a_state_is_kept_while_it_is_short_and_can_be_read() {
        let state = |state: &str| parse(GOOD, Some(state)).unwrap().trace_state().header();
        assert_eq!(state("vendor=a,other=b"), "vendor=a,other=b");
        assert_eq!(state("no state"), "");
        assert_eq!(state(&format!("vendor={}", "x".repeat(STATE_LENGTH))), "");
    }
}
