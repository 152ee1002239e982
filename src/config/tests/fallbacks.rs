//! Who is told instead of whom.

use super::*;

/// What is wrong with a file of webhook receivers: each its name and further keys, a line each. Only the first is named by
/// a route.
#[track_caller]
fn check_fallbacks(receivers: &[&str], expected: &[&str]) {
    let items: Vec<String> =
        receivers.iter().map(|keys| format!("- {{webhook: {{url: http://x/}}, name: {keys}}}\n")).collect();
    let text = format!("receivers:\n{}route: {{receivers: [a]}}", items.concat());
    assert_eq!(lines(&text), expected, "{text}");
}

#[test]
fn fallbacks_are_checked() {
    check_fallbacks(&["a, fallback: b", "b, fallback: c, fallback_after: 24h", "c"], &[]);
    check_fallbacks(&["a, fallback: b, fallback_after: 10s", "b"], &[]);
    check_fallbacks(
        &["a, fallback: teem", "team"],
        &[
            "f:2:50: error: there is no receiver `teem`; did you mean `team`?",
            "f:3:37: warning: no route uses the receiver `team`; name it in `receivers` of a route, or remove it",
        ],
    );
    check_fallbacks(
        &["a, fallback: nobody"],
        &["f:2:50: error: there is no receiver `nobody`; add it to the `receivers`, or remove `fallback`"],
    );
    check_fallbacks(
        &["a, fallback: a"],
        &["f:2:50: error: `a` cannot be its own fallback; name another receiver, or remove `fallback`"],
    );
    check_fallbacks(
        &["a, fallback: b, fallback_after: 0s", "b"],
        &[
            "f:2:69: error: `fallback_after` must be between 10s and 1d; what has failed once is tried again within seconds; dead letters fall back at once",
        ],
    );
    check_fallbacks(
        &["a, fallback: b, fallback_after: 25h", "b"],
        &["f:2:69: error: `fallback_after` must be between 10s and 1d; later than that nobody is helped"],
    );
    check_fallbacks(
        &["a, fallback: b, fallback_after: 5"],
        &[
            "f:2:50: error: there is no receiver `b`; add it to the `receivers`, or remove `fallback`",
            "f:2:69: error: `fallback_after`: the number needs a unit; durations are written as `30s`, `4h` or `1d12h`",
        ],
    );
    check_fallbacks(
        &["a, fallback_after: 1m"],
        &["f:2:40: error: `fallback_after` without `fallback`; say who is told then: `fallback: NAME`"],
    );
    check_fallbacks(
        &["a, fallback: [b]", "b"],
        &[
            "f:2:50: error: `fallback` must be a single value, and this is a list",
            "f:3:37: warning: no route uses the receiver `b`; name it in `receivers` of a route, or remove it",
        ],
    );
    check_fallbacks(
        &["a, fallback:", "b, fallback: a"],
        &[
            "f:2:40: error: `fallback` has no value; give it one, or remove the key",
            "f:3:37: warning: no route uses the receiver `b`; name it in `receivers` of a route, or remove it",
        ],
    );
}

#[test]
fn fallbacks_that_go_in_a_circle() {
    let hint = "one of them must be the last: remove its `fallback`";
    check_fallbacks(
        &["a, fallback: b", "b, fallback: a"],
        &[&format!("f:2:50: error: fallbacks go in a circle: a → b → a; {hint}")],
    );
    // Two circles, each once; what leads into one is no part of it.
    let two = ["a, fallback: c", "b, fallback: c", "c, fallback: d", "d, fallback: e", "e, fallback: c"];
    let more = ["x, fallback: y", "y, fallback: x", "z, fallback: z"];
    let unused = |line: usize, name: &str| {
        let hint = "name it in `receivers` of a route, or remove it";
        format!("f:{line}:37: warning: no route uses the receiver `{name}`; {hint}")
    };
    let expected = [
        unused(3, "b"),
        format!("f:4:50: error: fallbacks go in a circle: c → d → e → c; {hint}"),
        unused(7, "x"),
        format!("f:7:50: error: fallbacks go in a circle: x → y → x; {hint}"),
        unused(8, "y"),
        unused(9, "z"),
        "f:9:50: error: `z` cannot be its own fallback; name another receiver, or remove `fallback`".to_owned(),
    ];
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check_fallbacks(&[&two[..], &more[..]].concat(), &expected);
}

#[test]
fn a_fallback_is_used_if_its_receiver_is() {
    check_fallbacks(
        &["a, fallback: b", "c", "b, fallback: d", "d"],
        &["f:3:37: warning: no route uses the receiver `c`; name it in `receivers` of a route, or remove it"],
    );
    check_fallbacks(
        &["a", "b, fallback: c", "c"],
        &[
            "f:3:37: warning: no route uses the receiver `b`; name it in `receivers` of a route, or remove it",
            "f:4:37: warning: no route uses the receiver `c`; name it in `receivers` of a route, or remove it",
        ],
    );
}
