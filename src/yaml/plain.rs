//! What of a text may be shown: nothing that a terminal would obey, nothing that looks like a secret.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How long a run of letters, digits, `-`, `_` and `+` is at least before it can be a key or a token.
const SHORTEST_KEY: usize = 20;
/// What the tokens of services begin with, however long they are.
const PREFIXES: [&str; 8] = ["xoxb-", "xoxp-", "xapp-", "glsa_", "glc_", "eyJ", "ghp_", "hooks.slack.com"];

/// `text` without anything that a terminal would obey or that would change the order of what is read: controls (those
/// of C1, too), line and paragraph separators, and what sets the direction of writing are escaped.
#[must_use]
pub fn plain(text: &str) -> String {
    escaped(text, |_| false)
}

/// The same for several lines.
#[must_use]
pub fn plain_lines(text: &str) -> String {
    escaped(text, |c| c == '\n')
}

/// The same for one line, and tabs stay what they are.
pub(super) fn plain_with_tabs(text: &str) -> String {
    escaped(text, |c| c == '\t')
}

/// JSON that says the same, with the characters that [`plain`] escapes written as JSON escapes them. Line breaks stay: in
/// JSON they stand between values only.
#[must_use]
pub fn plain_json(json: &str) -> Cow<'_, str> {
    let escape = |c: char| c != '\n' && is_obeyed(c);
    if !json.contains(escape) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if escape(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Lines of a log, in which the program's own colours may stand (`keep_escape`).
#[must_use]
pub fn plain_log(text: &str, keep_escape: bool) -> String {
    escaped(text, |c| c == '\n' || keep_escape && c == '\u{1b}')
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) && !keep(c) { out.extend(c.escape_debug()) } else { out.push(c) }
    }
    out
}

fn is_obeyed(c: char) -> bool {
    let directs = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    // What joins letters and emoji (U+200C, U+200D) stays: people write with it.
    let unseen = matches!(
        c,
        '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    );
    c.is_control() || directs || unseen || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a text may be a secret that stands in the wrong place: an address, or something that looks like a key or a
/// token. Names, matchers, durations and paths are made of words and short numbers, and look like none.
pub(crate) fn may_be_secret(text: &str) -> bool {
    let in_run = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+');
    text.contains("://")
        || PREFIXES.iter().any(|prefix| text.contains(prefix))
        || text.split(|c| !in_run(c)).any(|run| run.len() >= SHORTEST_KEY && !is_made_of_words(run))
}

fn is_made_of_words(run: &str) -> bool {
    run.split(['-', '_', '+']).all(|part| {
        let word = part.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_word = word.len() <= 30 && part.len() - word.len() <= 4 && word.bytes().all(|b| b.is_ascii_alphabetic());
        // `k8s`, `2xx`
        is_word || part.len() <= 4
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret() {
        let secret = [
            "https://hooks.slack.com/services/T0/B0/X",
            "hooks.slack.com/services/T0/B0/X",
            "xoxb-1-x",
            "R0123456789abcdef0123456789abcde",
            "0123456789abcdef0123456789abcdef",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "a b AbCd12EfGh34IjKl56Mn",
            "/run/AbCd12EfGh34IjKl56Mn",
            "abcdefghijklmnopqrstuvwxyzabcdefghijkl",
        ];
        for text in secret {
            assert!(may_be_secret(text), "{text}");
        }
        let open = [
            "team-payments-oncall-2024",
            "slack-k8s-eu-west-1-critical",
            "KubePersistentVolumeFillingUp",
            "severity=~\"critical|warning\"",
            "alertname=\"NodeFilesystemAlmostOutOfSpace\"",
            "1y2w3d4h5m6s7ms",
            "30/m",
            "/run/secrets/alertrouter/slack_webhook_url_2",
            "",
        ];
        for text in open {
            assert!(!may_be_secret(text), "{text}");
        }
    }

    #[test]
    fn nothing_is_left_to_obey() {
        let text = "a\u{1b}[2J\u{9b}2J\u{2028}\u{202e}\u{2066}\n\té";
        assert_eq!(plain(text), r"a\u{1b}[2J\u{9b}2J\u{2028}\u{202e}\u{2066}\n\té");
        assert_eq!(plain_with_tabs("a\tb\u{85}"), "a\tb\\u{85}");
        assert_eq!(plain("a\u{200b}\u{feff}\u{ad}\u{e0041}"), r"a\u{200b}\u{feff}\u{ad}\u{e0041}");
        assert_eq!(plain("👩\u{200d}💻 می\u{200c}خواهم"), "👩\u{200d}💻 می\u{200c}خواهم");
        assert_eq!(plain_log("\u{1b}[1mx\u{9b}\n", true), "\u{1b}[1mx\\u{9b}\n");
        assert_eq!(plain_log("\u{1b}[1mx", false), r"\u{1b}[1mx");
    }

    #[test]
    fn json_stays_json() {
        let value = serde_json::json!({ "a\u{202e}": "x\u{1b}\u{7f}\u{9b}\u{e0041}\n\u{2028}é" });
        for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let shown = plain_json(&json);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
            assert!(!shown.contains(|c| c != '\n' && is_obeyed(c)), "{shown}");
        }
        assert!(matches!(plain_json("{\n}"), Cow::Borrowed(_)));
    }
}
