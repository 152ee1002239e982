//! The UTF-8 syntax: Alertmanager's `matcher/parse`.

use std::fmt;

use super::{MatcherError, MatcherProblem, Op, Raw};

/// Whether a character can only stand inside quotes (`parse.IsReserved`).
pub(super) fn is_reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

/// Matchers separated by commas; both braces or none; one trailing comma.
pub(super) fn parse(input: &str) -> Result<Vec<Raw>, MatcherError> {
    let mut cursor = Cursor { input, at: 0 };
    let braced = cursor.eat('{');
    let mut raw = Vec::new();
    while !matches!(cursor.peek(), None | Some('}')) {
        raw.push(cursor.matcher()?);
        if !cursor.eat(',') {
            break;
        }
    }
    match (cursor.peek(), braced) {
        (None, false) => Ok(raw),
        (None, true) => Err(MatcherProblem::UnclosedBrace.at(cursor.at)),
        (Some('}'), false) => Err(MatcherProblem::UnexpectedBrace.at(cursor.at)),
        (Some('}'), true) => {
            cursor.eat('}');
            let after = cursor.peek().is_some();
            if after { Err(MatcherProblem::AfterBrace.at(cursor.at)) } else { Ok(raw) }
        }
        (Some(_), _) => Err(MatcherProblem::ExpectedComma.at(cursor.at)),
    }
}

/// Exactly one matcher, without braces.
pub(super) fn parse_one(input: &str) -> Result<Raw, MatcherError> {
    if input.starts_with('{') {
        return Err(MatcherProblem::UnexpectedBrace.at(0));
    }
    let mut cursor = Cursor { input, at: 0 };
    let raw = cursor.matcher()?;
    match cursor.peek() {
        None => Ok(raw),
        Some('}') => Err(MatcherProblem::UnexpectedBrace.at(cursor.at)),
        Some(_) => Err(MatcherProblem::ExpectedComma.at(cursor.at)),
    }
}

/// Writes `text` as Go's `strconv.Quote` does, but leaves everything printable as it is.
pub(super) fn quote(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '\\' => f.write_str("\\\\")?,
            '"' => f.write_str("\\\"")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

struct Cursor<'a> {
    input: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.input[self.at..]
    }

    /// The next character that is not white space.
    fn peek(&mut self) -> Option<char> {
        self.at = self.input.len() - self.rest().trim_start().len();
        self.rest().chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += if there { wanted.len_utf8() } else { 0 };
        there
    }

    fn matcher(&mut self) -> Result<Raw, MatcherError> {
        let name = self.token(MatcherProblem::ExpectedName)?;
        self.peek();
        let ops = [("=~", Op::Match), ("=", Op::Equal), ("!=", Op::NotEqual), ("!~", Op::NotMatch)];
        let Some((sign, op)) = ops.into_iter().find(|(sign, _)| self.rest().starts_with(sign)) else {
            return Err(MatcherProblem::ExpectedOp.at(self.at));
        };
        self.at += sign.len();
        self.peek();
        let value_at = self.at;
        let value = self.token(MatcherProblem::ExpectedValue)?;
        Ok(Raw { name, op, value, value_at })
    }

    fn token(&mut self, expected: MatcherProblem) -> Result<String, MatcherError> {
        match self.peek() {
            Some('"') => self.quoted(),
            Some(c) if !is_reserved(c) => {
                let rest = self.rest();
                let end = rest.find(is_reserved).unwrap_or(rest.len());
                self.at += end;
                Ok(rest[..end].to_owned())
            }
            _ => Err(expected.at(self.at)),
        }
    }

    /// A Go string in double quotes; `at` is on the first of them.
    fn quoted(&mut self) -> Result<String, MatcherError> {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let at = self.at;
            let Some(c) = self.rest().chars().next() else {
                return Err(MatcherProblem::UnclosedQuote.at(start));
            };
            self.at += c.len_utf8();
            match c {
                '"' => break,
                '\n' => return Err(MatcherProblem::LineBreak.at(at)),
                '\\' => self.escape(&mut bytes).ok_or_else(|| MatcherProblem::BadEscape.at(at))?,
                c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        String::from_utf8(bytes).map_err(|_| MatcherProblem::NotUtf8.at(start))
    }

    /// What follows a backslash. `\x` and octal escapes are bytes, `\u` and `\U` are characters.
    fn escape(&mut self, bytes: &mut Vec<u8>) -> Option<()> {
        let c = self.rest().chars().next()?;
        let (digits, radix) = match c {
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => (3, 8),
            _ => (0, 0),
        };
        if digits == 0 {
            let (_, byte) = ESCAPES.into_iter().find(|(name, _)| *name == c)?;
            self.at += 1;
            bytes.push(byte);
            return Some(());
        }
        // An octal escape has no letter of its own.
        self.at += usize::from(radix == 16);
        let text = self.rest().get(..digits)?;
        if !text.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        let code = u32::from_str_radix(text, radix).ok()?;
        self.at += digits;
        match c {
            'u' | 'U' => bytes.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => bytes.push(u8::try_from(code).ok()?),
        }
        Some(())
    }
}

const ESCAPES: [(char, u8); 9] =
    [('a', 7), ('b', 8), ('f', 12), ('n', b'\n'), ('r', b'\r'), ('t', b'\t'), ('v', 11), ('\\', b'\\'), ('"', b'"')];
