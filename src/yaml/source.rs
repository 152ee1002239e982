//! The text of the file: where a byte stands, and what of a line may be shown.

use std::collections::HashSet;

use super::node::{Node, Span, Value};
use super::plain::may_be_secret;
use super::problem::{Excerpt, Place};

/// What stands for a value that may be a secret.
const REDACTED: &str = "<redacted>";

/// Words that are shown even where nothing is known of the file, because it is no YAML.
const WORDS: &str = " receivers name slack webhook_url pagerduty routing_key grafana token url webhook tags env file route \
                     routes matchers continue repeat_interval send_resolved rate_limit retry timeout dedup ";

/// How long a line is shown in full, and how much of a longer one on both sides of where the mark begins; in bytes.
const LONGEST_LINE: usize = 400;
const BEFORE: usize = 60;
const AFTER: usize = 140;

/// Every so many bytes it is known how many characters stand before.
const STEP: usize = 1024;

/// How much of a file messages may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It may hold secrets: only what [`Source::show`] has allowed, and no comments.
    WhatIsAllowed,
    /// It holds none.
    Everything,
}

/// The file and what is known of its scalars.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    text: &'a str,
    limit: Shown,
    /// Where each line begins.
    lines: Vec<usize>,
    /// How many characters stand before each [`STEP`]: a file may be one long line with a problem at every word of it.
    characters: Vec<usize>,
    /// All scalars, sorted. None overlaps another.
    scalars: Vec<Span>,
    /// Those that are known to be no secrets. Everything else is not shown: a secret may stand under a misspelled key,
    /// in the wrong place or in a comment.
    shown: HashSet<Span>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str, limit: Shown) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut characters = vec![0];
        for step in text.as_bytes().chunks(STEP) {
            characters.push(characters.last().copied().unwrap_or_default() + count(step));
        }
        Self { text, limit, lines, characters, scalars: Vec::new(), shown: HashSet::new() }
    }

    /// Learns where the scalars are.
    pub(crate) fn learn(&mut self, roots: &[Node]) {
        for root in roots {
            root.scalars(&mut self.scalars);
        }
        self.scalars.sort_unstable();
        self.scalars.dedup();
    }

    /// Allows a scalar to be shown, unless it looks like a secret that stands in the wrong place.
    pub(crate) fn show(&mut self, span: Span) {
        // Double quotes may hide an address: `https:\/\/`.
        let slashes = |text: &str| text.replace("\\x2f", "/").replace("\\x2F", "/").replace("\\/", "/");
        let hides = |text: &str| may_be_secret(text) || (text.contains('\\') && may_be_secret(&slashes(text)));
        if !self.text.get(span.start..span.end).is_some_and(hides) {
            self.shown.insert(span);
        }
    }

    /// Allows a scalar to be shown whatever it looks like: what was read of it says that it stands where it belongs.
    pub(crate) fn show_known(&mut self, span: Span) {
        self.shown.insert(span);
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).max(1)
    }

    /// The line and column of a byte, both from 1; the column counts characters.
    pub(crate) fn position(&self, at: usize) -> (usize, usize) {
        let line = self.line(at);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        (line, self.characters_before(at) - self.characters_before(start) + 1)
    }

    fn characters_before(&self, at: usize) -> usize {
        let at = at.min(self.text.len());
        let step = at / STEP;
        self.characters.get(step).copied().unwrap_or_default() + count(&self.text.as_bytes()[step * STEP..at])
    }

    /// The byte of a line and column, both from 1.
    pub(crate) fn offset(&self, line: u64, column: u64) -> usize {
        let skip = |from: u64| usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(text) = self.text.split_inclusive('\n').nth(skip(line)) else { return self.text.len() };
        let start = text.as_ptr().addr() - self.text.as_ptr().addr();
        start + text.char_indices().nth(skip(column)).map_or(text.trim_end().len(), |(at, _)| at)
    }

    /// Where a stretch begins, and its line as it may be shown. Of several lines the first one counts.
    pub(crate) fn place(&self, span: Span) -> Place {
        let (line, column) = self.position(span.start);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        let end = self.lines.get(line).map_or(self.text.len(), |next| next - 1);
        let end = start + self.text[start..end].trim_end_matches('\r').len();
        let excerpt = self.shown_part(Span { start, end }, span);
        let marked = self.characters_before(span.end.min(end)).saturating_sub(self.characters_before(span.start));
        let end_column = (!self.is_redacted(span)).then_some(column + marked.max(1));
        Place { line, column, end_column, excerpt }
    }

    /// Whether any of it is blacked out.
    fn is_redacted(&self, span: Span) -> bool {
        let hidden = |scalar: &Span| !self.shown.contains(scalar);
        self.limit == Shown::WhatIsAllowed && self.scalars_in(span).any(hidden)
    }

    /// The scalars of which any part is in a stretch.
    fn scalars_in(&self, span: Span) -> impl Iterator<Item = &Span> {
        let first = self.scalars.partition_point(|scalar| scalar.end <= span.start);
        self.scalars[first..].iter().take_while(move |scalar| scalar.start < span.end)
    }

    /// The line; of a very long one only what is near the mark.
    fn shown_part(&self, line: Span, target: Span) -> Excerpt {
        if line.end - line.start <= LONGEST_LINE {
            return self.shown_line(line, target);
        }
        let near = |at: usize| self.text.floor_char_boundary(at.clamp(line.start, line.end));
        let part = Span { start: near(target.start.saturating_sub(BEFORE)), end: near(target.start + AFTER) };
        let Excerpt { mut text, mut start, mut end } = self.shown_line(part, target);
        if part.start > line.start {
            text.insert(0, '…');
            (start, end) = (start + '…'.len_utf8(), end + '…'.len_utf8());
        }
        if part.end < line.end {
            // A mark that points behind the text, where a comment was left out, points at this.
            end = if end > text.len() { text.len() + '…'.len_utf8() } else { end };
            text.push('…');
        }
        Excerpt { text, start, end }
    }

    fn shown_line(&self, line: Span, target: Span) -> Excerpt {
        match self.limit {
            Shown::WhatIsAllowed => self.excerpt(line, target),
            Shown::Everything => self.whole(line, target),
        }
    }

    fn whole(&self, line: Span, target: Span) -> Excerpt {
        let text = self.text[line.start..line.end].trim_end().to_owned();
        let inside = |at: usize| at.saturating_sub(line.start).min(text.len());
        let (start, end) = (inside(target.start), inside(target.end));
        Excerpt { start, end: marked(&text, start, end), text }
    }

    fn excerpt(&self, line: Span, target: Span) -> Excerpt {
        let mut text = String::new();
        // Where `target` is in the excerpt: grows with every piece that covers or precedes it.
        let (mut start, mut end) = (None, 0);
        let mut push = |piece: &str, from: usize, to: usize, exact: bool| {
            let inside = |at: usize| if exact { text.len() + (at - from) } else { text.len() };
            if start.is_none() && (from..to.max(from + 1)).contains(&target.start) {
                start = Some(inside(target.start));
            }
            if from < target.end {
                end = if exact && target.end < to { inside(target.end) } else { text.len() + piece.len() };
            }
            text.push_str(piece);
        };
        let mut at = line.start;
        for scalar in self.scalars_in(line) {
            let (from, to) = (scalar.start.max(at), scalar.end.min(line.end));
            self.gap(at, from, &mut push);
            if from < to {
                let shown = self.shown.contains(scalar);
                push(if shown { &self.text[from..to] } else { REDACTED }, from, to, shown);
            }
            at = at.max(to);
        }
        self.gap(at, line.end, &mut push);
        text.truncate(text.trim_end().len());
        let text_end = text.len();
        let start = start.unwrap_or(text_end).min(text_end);
        let end = end.clamp(start, text_end);
        Excerpt { start, end: marked(&text, start, end), text }
    }

    /// What stands between scalars: punctuation is shown, comments are left out, what is no
    /// known word (names of anchors) becomes an ellipsis.
    fn gap(&self, from: usize, to: usize, push: &mut impl FnMut(&str, usize, usize, bool)) {
        let Some(gap) = self.text.get(from..to) else { return };
        let is_plain = |c: char| c.is_whitespace() || "[]{},:-?|>&*!<".contains(c);
        let mut at = 0;
        while at < gap.len() {
            let rest = &gap[at..];
            let plain = rest.find(|c| !is_plain(c)).unwrap_or(rest.len());
            if plain > 0 {
                push(&rest[..plain], from + at, from + at + plain, true);
                at += plain;
                continue;
            }
            let other = rest.find(is_plain).unwrap_or(rest.len());
            if rest.starts_with('#') {
                return;
            }
            let word = &rest[..other];
            let known = WORDS.contains(&format!(" {word} "));
            push(if known { word } else { "…" }, from + at, from + at + other, known);
            at += other;
        }
    }

    /// The place of the byte `offset` of a scalar's text. The whole scalar where that cannot be said, as in a folded
    /// one.
    pub(crate) fn inside(&self, node: &Node, offset: usize) -> Span {
        let found = || {
            let Value::Scalar(text) = &node.value else { return None };
            let raw = self.text.get(node.span.start..node.span.end)?;
            let (before, after) = (text.get(..offset)?, text.get(offset..)?);
            let indent = self.text[..node.span.start].bytes().rev().take_while(|byte| *byte == b' ').count();
            let (at, length) = aligned(raw, before, after, indent)?;
            let start = node.span.start + at;
            Some(Span { start, end: start + length })
        };
        found().unwrap_or(node.span)
    }
}

/// How many characters begin in there.
fn count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// The end of the mark: something must be marked, if only the end of the line.
fn marked(text: &str, start: usize, end: usize) -> usize {
    let next = text[start..].chars().next().map_or(1, char::len_utf8);
    if end > start { end } else { start + next }
}

/// Where `before` ends in `raw`, and how long the next character is there. `raw` is a plain, quoted or literal scalar
/// of which the text is `before` and `after`; the lines of a literal one are indented by `indent` spaces.
fn aligned(raw: &str, before: &str, after: &str, indent: usize) -> Option<(usize, usize)> {
    let next = after.chars().next();
    let mut at = 0;
    match raw.chars().next()? {
        '\'' => {
            at += 1;
            for c in before.chars() {
                at += single_quoted(&raw[at..], c)?;
            }
            Some((at, next.and_then(|c| single_quoted(&raw[at..], c)).unwrap_or(1)))
        }
        '"' => {
            at += 1;
            for c in before.chars() {
                at += double_quoted(&raw[at..], c)?;
            }
            Some((at, next.and_then(|c| double_quoted(&raw[at..], c)).unwrap_or(1)))
        }
        _ => {
            for c in before.chars() {
                if c == '\n' && raw[at..].starts_with("\r\n") {
                    at += 1;
                }
                at += if raw[at..].starts_with(c) { c.len_utf8() } else { return None };
                // What is indented further belongs to the text.
                if c == '\n' {
                    at += raw[at..].bytes().take(indent).take_while(|byte| *byte == b' ').count();
                }
            }
            Some((at, next.map_or(0, char::len_utf8)))
        }
    }
}

/// How long `c` is at the beginning of `raw`, if it is there.
fn single_quoted(raw: &str, c: char) -> Option<usize> {
    let length = if c == '\'' { 2 } else { c.len_utf8() };
    raw.starts_with(c).then_some(length).filter(|length| raw.is_char_boundary(*length))
}

/// The same in double quotes; an escape stands for whatever character there is.
fn double_quoted(raw: &str, c: char) -> Option<usize> {
    let Some(escape) = raw.strip_prefix('\\') else { return raw.starts_with(c).then(|| c.len_utf8()) };
    let kind = escape.chars().next()?;
    let digits = match kind {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        '\n' | '\r' => return None,
        _ => 0,
    };
    let length = 1 + kind.len_utf8() + digits;
    raw.is_char_boundary(length).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::super::node;
    use super::*;

    #[test]
    fn finds_the_place_inside_of_a_scalar() {
        // The text is looked for in the scalar's value; the place in the source must begin with `at`.
        let check = |source: &str, wanted: &str, at: &str| {
            let node = node::parse(source, 100).unwrap();
            let Value::Scalar(text) = &node.value else { panic!("{source} is no scalar") };
            let span = Source::new(source, Shown::WhatIsAllowed).inside(&node, text.find(wanted).unwrap());
            assert!(source[span.start..].starts_with(at), "{source}: {:?}", &source[span.start..]);
        };
        check("plain text", "text", "text");
        check("'it''s é here'", "here", "here");
        check("'it''s'", "'", "''s");
        check(r#""tab\t \u00e9 \"here""#, "here", "here");
        check(r#""tab\t \u00e9 \"here""#, "\"here", "\\\"here");
        check("|\n  one\n  two three\n", "three", "three");
        check("|\n  one\n\n    two\n  three\n", "two", "two");
        check("|\n  one\n\n    two\n  three\n", "three", "three");
        check("|\r\n  one\r\n    two\r\n", "two", "two");
        // Folded: the whole scalar.
        check(">\n  one\n  two\n", "two", "one");
    }

    #[test]
    fn of_a_long_line_what_is_near_is_shown() {
        let items: Vec<String> = (0..200).map(|number| format!("é{number:04}")).collect();
        let text = format!("[{}]", items.join(", "));
        let root = node::parse(&text, 1000).unwrap();
        let mut spans = Vec::new();
        root.scalars(&mut spans);
        for limit in [Shown::Everything, Shown::WhatIsAllowed] {
            let mut source = Source::new(&text, limit);
            source.learn(std::slice::from_ref(&root));
            for (at, span) in spans.iter().enumerate().filter(|(at, _)| at % 2 == 0) {
                source.show(*span);
                let Place { column, end_column, excerpt, .. } = source.place(*span);
                assert_eq!((column, end_column), (2 + 7 * at, Some(7 + 7 * at)));
                assert_eq!(&excerpt.text[excerpt.start..excerpt.end], items[at], "{excerpt:?}");
                assert!(excerpt.text.chars().count() < 400, "{excerpt:?}");
                assert_eq!(limit == Shown::Everything, !excerpt.text.contains(REDACTED));
            }
            let whole = source.place(spans[100]).excerpt.text;
            assert!(whole.starts_with('…') && whole.ends_with('…'), "{whole}");
        }
    }

    #[test]
    fn shows_only_what_is_allowed() {
        let text = "- {name: x, token: xoxb-1, odd: &a b} # xoxb-2\n";
        let root = node::parse(text, 100).unwrap();
        let mut source = Source::new(text, Shown::WhatIsAllowed);
        source.learn(std::slice::from_ref(&root));
        let mut spans = Vec::new();
        root.scalars(&mut spans);
        for span in spans.iter().filter(|span| !text[span.start..].starts_with("xoxb")) {
            source.show(*span);
        }
        let at = |needle: &str| {
            let start = text.find(needle).unwrap();
            let Place { column, excerpt, .. } = source.place(Span { start, end: start + needle.len() });
            (column, excerpt.text[excerpt.start..excerpt.end].to_owned(), excerpt.text)
        };
        let line = "- {name: x, token: <redacted>, odd: &… b}".to_owned();
        assert_eq!(at("name"), (4, "name".to_owned(), line.clone()));
        assert_eq!(at("xoxb-1"), (20, "<redacted>".to_owned(), line.clone()));
        assert_eq!(at("oxb"), (21, "<redacted>".to_owned(), line.clone()));
        assert_eq!(at("odd"), (28, "odd".to_owned(), line.clone()));
        assert_eq!(at("b}"), (36, "b}".to_owned(), line));
    }
}
