//! Cutting and escaping text for services.
//!
//! All limits count UTF-8 bytes. No service says whether it counts bytes, code points or UTF-16 units, and a text never
//! has more of the latter two than of the first.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::time::Duration;

use url::Url;

/// Marks where text was cut.
const ELLIPSIS: char = '…';

/// The longest address that becomes a link: what browsers and services agree to take. A cut address would be a broken
/// one, so a longer one is left out.
pub const MAX_URL: usize = 2000;

/// `text` in at most `max` bytes, with an ellipsis where something is missing.
#[must_use]
pub fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    bounded(text.chars(), max, |around, out| out.push(around.this))
}

/// `text` without what is no text: control characters and those that turn the direction of writing around, with which
/// a label could make a message read as something else. Line breaks stay.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    out.extend(cleaned(text));
    out
}

/// [`clean`] text in at most `max` bytes, as [`cut`] does it. What is not shown is not read.
#[must_use]
pub fn clean_cut(text: &str, max: usize) -> String {
    // Most of what labels say, and all of it can stay.
    if text.len() <= max && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    bounded(cleaned(text), max, |around, out| out.push(around.this))
}

fn cleaned(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter_map(|this| match this {
        '\n' | '\u{2028}' | '\u{2029}' => Some('\n'),
        '\t' => Some(' '),
        // What directs, and what annotates between lines, which hides what it annotates.
        '\u{61c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{fff9}'..='\u{fffb}' => None,
        _ => Some(this).filter(|this| !this.is_control()),
    })
}

/// [`clean`] text as one line: every run of white space becomes one space.
#[must_use]
pub fn one_line(text: &str) -> String {
    line(text, usize::MAX)
}

/// [`one_line`] in at most `max` bytes, as [`cut`] does it. What is not shown is not read, and not even written: a sender
/// chooses how long a label is, and many of them are looked at several times for one message.
#[must_use]
pub fn line(text: impl fmt::Display, max: usize) -> String {
    let mut beginning = Beginning { out: String::new(), max };
    // It fails as soon as there is enough.
    let _ = write!(beginning, "{text}");
    let mut line = beginning.out;
    line.truncate(line.trim_end().len());
    if line.len() > max { cut(&line, max) } else { line }
}

/// The beginning of a line: at most a character more than is needed to know that it has to be cut.
struct Beginning {
    /// A run of white space is one space, at the end as well.
    out: String,
    max: usize,
}

impl Write for Beginning {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for this in cleaned(text) {
            if !this.is_whitespace() {
                self.out.push(this);
            } else if !self.out.is_empty() && !self.out.ends_with(' ') {
                self.out.push(' ');
            }
            // One more for a space at the end, which does not count.
            if self.out.len() > self.max.saturating_add(1) {
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

/// Text for Slack's mrkdwn that shows as it is: nothing in it becomes a mention, a link or formatting.
///
/// Slack escapes exactly `&`, `<` and `>` (docs.slack.dev/messaging/formatting-message-text). It has no escape for its
/// formatting characters, so where they could format they become characters that look the same.
#[must_use]
pub fn mrkdwn(text: &str, max: usize) -> String {
    bounded(cleaned(text), max, |around, out| match around.this {
        '`' => out.push('\''),
        '*' if around.may_format() => out.push('∗'),
        '_' if around.may_format() => out.push('ˍ'),
        '~' if around.may_format() => out.push('∼'),
        // At the start of a line it is a quotation, escaped or not.
        '>' if matches!(around.before, None | Some('\n')) => out.push('›'),
        this => push_escaped(this, out),
    })
}

/// [`mrkdwn`] in one line.
#[must_use]
pub fn mrkdwn_line(text: impl fmt::Display, max: usize) -> String {
    // A little more than fits: how the last character that is shown has to be written depends on the next one.
    mrkdwn(&line(text, max.saturating_add(8)), max)
}

/// Text as code in Slack's mrkdwn, in one line, its backticks included in `max`.
#[must_use]
pub fn mrkdwn_code(text: impl fmt::Display, max: usize) -> String {
    let max = max.saturating_sub(2);
    let inner = bounded(line(text, max).chars(), max, |around, out| match around.this {
        '`' => out.push('\''),
        this => push_escaped(this, out),
    });
    if inner.is_empty() { inner } else { format!("`{inner}`") }
}

/// A link in Slack's mrkdwn. `url` comes from [`http_url`], so that nothing in it can end the link; `label` is ours.
#[must_use]
pub fn mrkdwn_link(url: &str, label: &str) -> String {
    format!("<{}|{label}>", url.replace('&', "&amp;"))
}

/// Text that shows as it is in HTML, between tags.
#[must_use]
pub fn html(text: &str, max: usize) -> String {
    bounded(cleaned(text), max, |around, out| push_escaped(around.this, out))
}

/// A link in HTML. `url` comes from [`http_url`], so there is no quotation mark in it; `label` is ours.
#[must_use]
pub fn html_link(url: &str, label: &str) -> String {
    format!("<a href=\"{}\">{label}</a>", url.replace('&', "&amp;"))
}

fn push_escaped(this: char, out: &mut String) {
    match this {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        _ => out.push(this),
    }
}

/// A character and its neighbours.
struct Around {
    before: Option<char>,
    this: char,
    after: Option<char>,
}

impl Around {
    /// Whether a formatting character can format here: not inside a word (`snake_case`) and not on its own (`2 * 3`).
    fn may_format(&self) -> bool {
        let word = |near: Option<char>| near.is_some_and(char::is_alphanumeric);
        let gap = |near: Option<char>| near.is_none_or(char::is_whitespace);
        !(word(self.before) && word(self.after) || gap(self.before) && gap(self.after))
    }
}

/// Builds text character by character and cuts it at `max` bytes, never inside of what one character became.
fn bounded(text: impl Iterator<Item = char>, max: usize, mut write: impl FnMut(&Around, &mut String)) -> String {
    let (mut out, mut fits, mut before) = (String::new(), 0, None);
    let mut chars = text.peekable();
    while let Some(this) = chars.next() {
        write(&Around { before, this, after: chars.peek().copied() }, &mut out);
        if out.len() > max {
            out.truncate(fits);
            if ELLIPSIS.len_utf8() <= max {
                out.push(ELLIPSIS);
            }
            return out;
        }
        if out.len() + ELLIPSIS.len_utf8() <= max {
            fits = out.len();
        }
        before = Some(this);
    }
    out
}

/// The address that `text` is, ready to become a link; `None` unless it is http or https.
///
/// Percent-encoded so that it holds none of `|`, `<`, `>`, quotation marks, spaces and controls. Credentials in it are
/// left out: they would be shown to everybody who reads the message.
#[must_use]
pub fn http_url(text: &str) -> Option<String> {
    let mut url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    let mut out = String::with_capacity(url.as_str().len());
    for this in url.as_str().chars() {
        match this {
            '|' | '<' | '>' | '"' | '\'' | '`' | ' ' => out.push_str(&percent_encode(this.encode_utf8(&mut [0; 4]))),
            _ => out.push(this),
        }
    }
    Some(out).filter(|url| url.len() <= MAX_URL)
}

/// Percent-encodes all but RFC 3986's unreserved characters.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
    out
}

/// A duration as people say it, in its two largest units: `45s`, `4m`, `2h 5m`, `3d 4h`. Below a minute it is exact.
#[must_use]
pub fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let parts = match (days, hours, minutes) {
        (0, 0, 0) => return format!("{seconds}s"),
        (0, 0, _) => [(minutes, "m"), (0, "")],
        (0, _, _) => [(hours, "h"), (minutes, "m")],
        _ => [(days, "d"), (hours, "h")],
    };
    let said: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    said.join(" ")
}

/// `n` of something: `1 alert`, `2 alerts`.
#[must_use]
pub fn count(n: u64, one: &str) -> Cow<'static, str> {
    if n == 1 { format!("1 {one}").into() } else { format!("{n} {one}s").into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cuts_on_character_boundaries_with_an_ellipsis() {
        for (text, max, expected) in [
            ("short", 5, "short"),
            ("longer", 5, "lo…"),
            ("é🙂é", 8, "é🙂é"),
            ("é🙂é", 7, "é…"),
            ("abc", 2, ""),
            ("", 0, ""),
        ] {
            assert_eq!(cut(text, max), expected, "{text} {max}");
        }
    }

    #[test]
    fn no_more_of_a_text_is_read_than_is_shown() {
        struct Endless<'a>(&'a std::cell::Cell<usize>);
        impl fmt::Display for Endless<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    self.0.set(self.0.get() + 1);
                    f.write_str("word ")?;
                }
            }
        }
        let read = std::cell::Cell::new(0);
        assert_eq!(line(Endless(&read), 12), "word word…");
        assert!(read.get() <= 4, "{} words", read.get());
    }

    #[test]
    fn mrkdwn_shows_text_as_it_is() {
        for (text, expected) in [
            ("<!channel> a & b", "&lt;!channel&gt; a &amp; b"),
            ("*bold* _it_ ~no~ `code`", "∗bold∗ ˍitˍ ∼no∼ 'code'"),
            ("http_requests_total * 2", "http_requests_total * 2"),
            ("> quote\n>more", "› quote\n›more"),
            ("a\u{7}b\u{202e}c\r\nd\te", "abc\nd e"),
        ] {
            assert_eq!(mrkdwn(text, 1000), expected, "{text}");
        }
        assert_eq!(mrkdwn("a<b", 6), "a&lt;b");
        assert_eq!(mrkdwn("a<bc", 6), "a…", "an entity is never split");
        assert_eq!(mrkdwn_code("a`b\nc", 20), "`a'b c`");
    }

    #[test]
    fn only_http_becomes_a_link() {
        for (text, expected) in [
            ("https://runbooks.example/x", Some("https://runbooks.example/x")),
            (
                "http://prom.example/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
                Some("http://prom.example/graph?g0.expr=up+%3D%3D+0&g0.tab=1"),
            ),
            ("http://a.example/b|c> <!channel>", Some("http://a.example/b%7Cc%3E%20%3C!channel%3E")),
            ("http://a.example/?q=it's|\"x\"", Some("http://a.example/?q=it%27s%7C%22x%22")),
            ("http://user:secret@a.example/", Some("http://a.example/")),
            ("javascript:alert(1)", None),
            ("JavaScript://a.example/%0aalert(1)", None),
            ("data:text/html,x", None),
            ("file:///etc/passwd", None),
            ("runbook", None),
            ("", None),
        ] {
            assert_eq!(http_url(text).as_deref(), expected, "{text}");
        }
        assert_eq!(http_url(&format!("http://a.example/{}", "x".repeat(MAX_URL))), None);
    }

    #[test]
    fn durations_in_two_units() {
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (240, "4m"),
            (3600, "1h"),
            (7500, "2h 5m"),
            (86_400, "1d"),
            (86_460, "1d"),
            (273_600, "3d 4h"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), expected);
        }
    }

    proptest! {
        #[test]
        fn never_over_the_limit(text in "\\PC{0,60}|[<>&*_~` \n\u{1f642}a]{0,60}", max in 0usize..200) {
            for out in [cut(&text, max), mrkdwn(&text, max), mrkdwn_code(&text, max), html(&text, max)] {
                prop_assert!(out.len() <= max, "{out:?}");
            }
        }

        #[test]
        fn the_beginning_is_what_cutting_the_whole_gives(
            text in "\\PC{0,40}|[<>*_` \n\u{202e}\u{7}\u{1f642}a]{0,40}", max in 0usize..60
        ) {
            let cleaned = clean(&text);
            let whole = cleaned.split_whitespace().collect::<Vec<_>>().join(" ");
            prop_assert_eq!(one_line(&text), &*whole);
            prop_assert_eq!(line(&text, max), cut(&whole, max));
            prop_assert_eq!(clean_cut(&text, max), cut(&cleaned, max));
            prop_assert_eq!(mrkdwn_line(&text, max), mrkdwn(&whole, max));
            prop_assert_eq!(mrkdwn_code(&text, max), mrkdwn_code(&whole, max));
        }

        #[test]
        fn escaping_leaves_no_control_sequence(text in "[<>&!@#^|*_~` \na-c\u{1f642}]{0,80}", max in 0usize..200) {
            for out in [mrkdwn(&text, max), mrkdwn_code(&text, max), html(&text, max)] {
                prop_assert!(!out.contains(['<', '>']), "{out:?}");
                for (at, _) in out.match_indices('&') {
                    let rest = &out[at..];
                    prop_assert!(["&amp;", "&lt;", "&gt;"].iter().any(|entity| rest.starts_with(entity)), "{out:?}");
                }
            }
        }

        #[test]
        fn links_hold_nothing_that_ends_them(rest in "\\PC{0,80}") {
            if let Some(url) = http_url(&format!("https://a.example/{rest}")) {
                prop_assert!(!url.contains(['<', '>', '|', '"', '\'', ' ', '\n']), "{url:?}");
                prop_assert!(url.is_ascii() && url.len() <= MAX_URL);
            }
        }
    }
}
