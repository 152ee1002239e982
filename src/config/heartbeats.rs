//! `heartbeats:`: the alerts that must keep arriving.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::receivers::Names;
use super::routes;
use crate::heartbeat::Definition;
use crate::yaml::{Context, Fields, Node, Note, Span, discreet};

/// `every` unless the file says otherwise.
const EVERY: Duration = Duration::from_mins(5);
/// Alertmanager looks at a group every `group_interval`, which is hardly ever less than that.
const RANGE: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_hours(24);

const NOTES: [Note; 4] = [
    Note::Instead("receiver", "it is a list here: `receivers: [NAME]`"),
    Note::Instead("interval", "it is called `every` here"),
    Note::Instead("repeat_interval", "while nothing is heard it is told again after the root's `repeat_interval`"),
    Note::Instead("match", "write `matchers: [alertname=\"Watchdog\"]`"),
];

/// Reads the list; `None` if there is an error anywhere in it.
pub(super) fn heartbeats(cx: &mut Context<'_>, node: &Node, names: &mut Names) -> Option<Vec<Definition>> {
    let items = cx.list(node, "`heartbeats`", "- name: …")?;
    let mut taken: Vec<(&str, Span)> = Vec::new();
    let read: Vec<_> = items.iter().filter_map(|item| heartbeat(cx, item, names, &mut taken)).collect();
    (read.len() == items.len()).then_some(read)
}

fn heartbeat<'n>(
    cx: &mut Context<'_>,
    node: &'n Node,
    names: &mut Names,
    taken: &mut Vec<(&'n str, Span)>,
) -> Option<Definition> {
    let mut fields = Fields::open(cx, node, node.span, "a heartbeat")?;
    let name = fields.require(cx, "name").and_then(|node| name(cx, node, taken));
    let matchers = fields.require(cx, "matchers").and_then(|node| {
        let matchers = routes::matchers(cx, node)?;
        if matchers.is_empty() {
            let hint = "name the alert that always fires: `[alertname=\"Watchdog\"]`";
            cx.error_with(node.span, "`matchers` of a heartbeat must not be empty", hint);
        }
        Some(matchers).filter(|matchers| !matchers.is_empty())
    });
    let every = match fields.take(cx, "every") {
        Some(node) => cx.duration(node, "`every`", RANGE),
        None => Some(EVERY),
    };
    let receivers = fields.require(cx, "receivers").and_then(|node| {
        let receivers = routes::receivers(cx, node, "`receivers` of a heartbeat", names)?;
        if receivers.is_empty() {
            cx.error_with(node.span, "`receivers` of a heartbeat must not be empty", "say who is told when it stops");
        }
        Some(receivers).filter(|receivers| !receivers.is_empty())
    });
    fields.close(cx, &NOTES);
    Some(Definition { name: name?, matchers: matchers?, every: every?, receivers: receivers? })
}

fn name<'n>(cx: &mut Context<'_>, node: &'n Node, taken: &mut Vec<(&'n str, Span)>) -> Option<String> {
    let text = cx.text(node, "`name`")?;
    if text.chars().any(char::is_control) || text.trim() != text || text.len() > 200 {
        cx.error(node.span, "`name` must be printable, at most 200 bytes long, and neither begin nor end with a blank");
        return None;
    }
    if let Some((_, first)) = taken.iter().find(|(name, _)| *name == text) {
        let hint = format!("the first one is in line {}; give each its own name", cx.source.line(first.start));
        cx.error_with(node.span, format!("two heartbeats have the name {}", discreet(text)), hint);
        return None;
    }
    taken.push((text, node.span));
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::{Options, parse, secret};
    use crate::heartbeat::Definition;

    /// The heartbeats of a file with the receivers `a` and `b`, of which routes name `a` alone, and what is wrong with it.
    fn read(heartbeats: &str) -> (Vec<Definition>, Vec<String>) {
        let receivers = "receivers: [{name: a, webhook: {url: http://x/}}, {name: b, webhook: {url: http://x/}}]";
        let text = format!("{receivers}\nroute: {{receivers: [a]}}\nheartbeats:{heartbeats}\n");
        let (config, problems) = parse(text.as_bytes(), &Options::without_secrets(), &secret::System);
        let lines = problems.iter().map(|problem| problem.one_line("f")).collect();
        (config.map(|config| config.heartbeats).unwrap_or_default(), lines)
    }

    #[track_caller]
    fn check(heartbeats: &str, expected: &[&str]) {
        assert_eq!(read(heartbeats).1, expected, "{heartbeats}");
    }

    const UNUSED: &str =
        "f:1:58: warning: no route uses the receiver `b`; name it in `receivers` of a route, or remove it";

    #[test]
    fn are_read_and_their_receivers_are_used() {
        let (all, problems) = read(
            "
- {name: prod, matchers: ['alertname=\"Watchdog\",cluster=~\"eu-.*\"', x!=y], receivers: [a, b]}
- {name: staging, matchers: [alertname=Watchdog], every: 1h, receivers: [a]}",
        );
        assert_eq!(problems, Vec::<String>::new());
        let shown: Vec<_> = all
            .iter()
            .map(|one| (one.name.as_str(), one.selector(), one.every.as_secs(), one.receivers.len()))
            .collect();
        let prod = r#"{alertname="Watchdog", cluster=~"eu-.*", x!="y"}"#.to_owned();
        let staging = r#"{alertname="Watchdog"}"#.to_owned();
        assert_eq!(shown, [("prod", prod, 300, 2), ("staging", staging, 3600, 1)]);
        for every in ["10s", "1d"] {
            let (all, _) = read(&format!(" [{{name: x, matchers: [a=b], every: {every}, receivers: [b]}}]"));
            assert!(Duration::from_secs(10) <= all[0].every);
        }
        assert!(read(" []").0.is_empty());
    }

    #[test]
    fn mistakes_are_found_where_they_are() {
        check(
            " [{}]",
            &[
                UNUSED,
                "f:3:14: error: a heartbeat needs `name`; add `name: …`",
                "f:3:14: error: a heartbeat needs `matchers`; add `matchers: …`",
                "f:3:14: error: a heartbeat needs `receivers`; add `receivers: …`",
            ],
        );
        check(
            "\n- {name: x, matchers: [], receivers: []}\n- {name: x, matchers: ['{}'], receivers: [bb], every: 5}",
            &[
                UNUSED,
                "f:4:23: error: `matchers` of a heartbeat must not be empty; name the alert that always fires: `[alertname=\"Watchdog\"]`",
                "f:4:38: error: `receivers` of a heartbeat must not be empty; say who is told when it stops",
                "f:5:10: error: two heartbeats have the name `x`; the first one is in line 4; give each its own name",
                "f:5:23: error: `matchers` of a heartbeat must not be empty; name the alert that always fires: `[alertname=\"Watchdog\"]`",
                "f:5:43: error: there is no receiver `bb`; did you mean `b`?",
                "f:5:55: error: `every`: the number needs a unit; durations are written as `30s`, `4h` or `1d12h`",
            ],
        );
        let heartbeat = |keys: &str| format!(" [{{name: x, matchers: [a=b], receivers: [b], {keys}}}]");
        for every in ["9s", "25h", "0"] {
            check(&heartbeat(&format!("every: {every}")), &["f:3:64: error: `every` must be between 10s and 1d"]);
        }
        check(&heartbeat("evry: 1m"), &["f:3:57: error: unknown key `evry`; did you mean `every`?"]);
        check(
            &heartbeat("repeat_interval: 1m"),
            &[
                "f:3:57: error: unknown key `repeat_interval`; while nothing is heard it is told again after the root's `repeat_interval`",
            ],
        );
        check(
            " [{name: 'x ', matchers: ['a=~\"(\"'], receivers: b}]",
            &[
                UNUSED,
                "f:3:21: error: `name` must be printable, at most 200 bytes long, and neither begin nor end with a blank",
                "f:3:42: error: bad matcher: bad regular expression: unclosed group; regular expressions are RE2's, as in Alertmanager",
                "f:3:60: error: `receivers` of a heartbeat must be a list, and this is a single value; write `[NAME]`",
            ],
        );
        check(
            " {name: x}",
            &[UNUSED, "f:3:13: error: `heartbeats` must be a list, and this is a map; write `- name: …`"],
        );
    }
}
