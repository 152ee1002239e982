//! The classic syntax: Alertmanager's `pkg/labels/parse.go`.

use super::{MatcherError, MatcherProblem, Op, Raw};

/// Go's `\s`.
fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' ')
}

/// Matchers separated by commas. One brace at each end is dropped, each on its own account.
pub(super) fn parse(input: &str) -> Result<Vec<Raw>, MatcherError> {
    let inner = input.strip_prefix('{').unwrap_or(input);
    let offset = input.len() - inner.len();
    let inner = inner.strip_suffix('}').unwrap_or(inner);

    let (mut quoted, mut escaped, mut start) = (false, false, 0);
    let mut raw = Vec::new();
    for (at, c) in inner.char_indices() {
        match c {
            ',' if !quoted => {
                raw.push(matcher(&inner[start..at], offset + start)?);
                start = at + 1;
            }
            '"' if escaped => escaped = false,
            '"' => quoted = !quoted,
            '\\' => escaped = !escaped,
            ',' => {}
            _ => escaped = false,
        }
    }
    // Whatever follows the last comma counts only if there is something. Of this one, and of no other, more is cut
    // than Go's `\s`: `strings.TrimSpace` knows all of Unicode's white space.
    let last = inner[start..].trim_start();
    if !last.is_empty() {
        raw.push(matcher(last.trim_end(), offset + inner.len() - last.len())?);
    }
    Ok(raw)
}

/// One matcher, without looking for commas and braces.
pub(super) fn parse_one(input: &str) -> Result<Raw, MatcherError> {
    matcher(input, 0)
}

/// `name op value`, where the value may be quoted, unquoted with blanks, or nothing. `offset` is where `text` begins.
fn matcher(text: &str, offset: usize) -> Result<Raw, MatcherError> {
    let bad = |rest: &str| MatcherProblem::NotAMatcher.at(offset + text.len() - rest.len());
    let rest = text.trim_start_matches(is_space);
    let is_name = |c: char| c == '_' || c == ':' || c.is_ascii_alphanumeric();
    let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad(rest));
    }
    let rest = rest.trim_start_matches(is_space);
    let ops = [("=~", Op::Match), ("=", Op::Equal), ("!=", Op::NotEqual), ("!~", Op::NotMatch)];
    let Some((op, rest)) = ops.into_iter().find_map(|(sign, op)| Some((op, rest.strip_prefix(sign)?))) else {
        return Err(bad(rest));
    };
    let rest = rest.trim_start_matches(is_space);
    let value_at = offset + text.len() - rest.len();
    let value = unescape(rest.trim_end_matches(is_space), value_at)?;
    Ok(Raw { name: name.to_owned(), op, value, value_at })
}

/// Drops the quotes and resolves `\"`, `\n` and `\\`; a backslash before anything else stands for itself.
fn unescape(raw: &str, offset: usize) -> Result<String, MatcherError> {
    let inner = raw.strip_prefix('"').unwrap_or(raw);
    let mut open = inner.len() < raw.len();
    let offset_inner = offset + raw.len() - inner.len();

    let mut value = String::with_capacity(inner.len());
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                Some((_, c)) => value.extend(['\\', c]),
                None => value.push('\\'),
            },
            '"' if open && at + 1 == inner.len() => open = false,
            '"' => return Err(MatcherProblem::UnescapedQuote.at(offset_inner + at)),
            c => value.push(c),
        }
    }
    if open {
        return Err(MatcherProblem::UnclosedQuote.at(offset));
    }
    Ok(value)
}
