//! `promql_parser`, kept from what it cannot stand.

use std::borrow::Cow;

use promql_parser::parser::{self, Expr};

/// How deep an expression may nest: every level costs stack, in the parser and wherever the tree is walked.
pub(super) const MAX_DEPTH: usize = 500;

/// Parses an expression.
///
/// # Errors
/// If it cannot be read: why, in a few words.
pub(super) fn parse(text: &str) -> Result<Expr, String> {
    screen(text)?;
    // Between backquotes PromQL has no escapes. The parser looks for them there too, and refuses `\.`.
    let text: String =
        Pieces(text).map(|piece| if piece.starts_with('`') { requote(piece) } else { piece.into() }).collect();
    parser::parse(&text)
}

/// Refuses what exhausts the parser's stack, and a number in place of a duration that does not fit into one
/// (`offset 1e30`), at which it panics.
fn screen(text: &str) -> Result<(), &'static str> {
    let (mut depth, mut in_range, mut duration, mut previous) = (0, false, false, "");
    let ignored = |piece: &&str| piece.starts_with(|c: char| c.is_whitespace() || "#\"'`".contains(c));
    for piece in Pieces(text).filter(|piece| !ignored(piece)) {
        if duration && piece.starts_with(is_word) && !is_duration(piece) {
            return Err("a duration is expected");
        }
        if piece == "[" || piece == "]" {
            in_range = piece == "[";
        }
        let sign = duration && matches!(piece, "+" | "-");
        duration = sign || (in_range && matches!(piece, "[" | ":")) || piece.eq_ignore_ascii_case("offset");
        let compares = piece == "=" && matches!(previous, "=" | "!");
        let combines = ["and", "or", "unless", "atan2"].iter().any(|word| piece.eq_ignore_ascii_case(word));
        depth += usize::from(compares || combines || "([+-*/%^<>".contains(piece));
        previous = piece;
    }
    if depth > MAX_DEPTH { Err("it nests too deep") } else { Ok(()) }
}

/// `5m`, `1h30m`, `300`: no exponent, and not too many digits.
fn is_duration(word: &str) -> bool {
    word.len() <= 18 && word.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !word.contains(['e', 'E'])
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.')
}

/// The same text between double quotes.
fn requote(raw: &str) -> Cow<'_, str> {
    let Some(inner) = raw[1..].strip_suffix('`') else { return raw.into() };
    let escaped = inner.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"").into()
}

/// An expression in pieces: strings, comments, words, single other characters.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let first = self.0.chars().next()?;
        let until = |end: Option<usize>| end.unwrap_or(self.0.len());
        let length = match first {
            '#' => until(self.0.find('\n')),
            '`' => until(self.0[1..].find('`').map(|at| at + 2)),
            '"' | '\'' => string(self.0, first),
            _ if is_word(first) => until(self.0.find(|c| !is_word(c))),
            _ => first.len_utf8(),
        };
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(piece)
    }
}

/// How long the string is with which `text` begins.
fn string(text: &str, quote: char) -> usize {
    // The first character is the quote that opens.
    let mut escaped = true;
    for (at, c) in text.char_indices() {
        if c == quote && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_an_expression_into_pieces() {
        let pieces = |text| Pieces(text).filter(|piece| !piece.trim().is_empty()).collect::<Vec<_>>();
        assert_eq!(
            pieces("rate(a:b[5m])>=1 # c)\n/x"),
            ["rate", "(", "a", ":", "b", "[", "5m", "]", ")", ">", "=", "1", "# c)", "/", "x"]
        );
        assert_eq!(
            pieces(r#"{a="(\"" , b='\'"' c=`\`}"#),
            ["{", "a", "=", r#""(\"""#, ",", "b", "=", r#"'\'"'"#, "c", "=", r"`\`", "}"]
        );
        assert_eq!(pieces("'é"), ["'é"]);
        assert_eq!(pieces("é`é"), ["é", "`é"]);
    }

    #[test]
    fn refuses_what_the_parser_cannot_stand() {
        let why = |text: &str| parse(text).unwrap_err();
        assert_eq!(why("sum("), "unclosed left parenthesis");
        // Numbers in place of durations are new in Prometheus 3.
        let odd = [
            "x offset 1e30",
            "x offset - inf",
            "x[1E999]",
            "x[5m:NaN]",
            "x[9999999999999999999]",
            "x offset # c\n 1e99",
        ];
        for odd in odd {
            assert_eq!(why(odd), "a duration is expected", "{odd}");
        }
        for fine in
            ["x offset 300 > 1e30", "rate(job:x:rate[1h30m]) > +Inf", r#"x{le="[1e30]", b='\'[1e30]'} offset -5m"#]
        {
            assert!(parse(fine).is_ok(), "{fine}");
        }
        for deep in ["(", "-", "sum(", "a + ", "a or ", "a ^ ", "a == ", "a != ", "a UNLESS\n", "max_over_time("] {
            assert_eq!(why(&deep.repeat(MAX_DEPTH + 1)), "it nests too deep", "{deep}");
        }
        // What is just not too deep does not exhaust the stack of a test's thread.
        let sums = "sum(".repeat(MAX_DEPTH) + "x" + &")".repeat(MAX_DEPTH);
        for deep in [sums, "a or ".repeat(MAX_DEPTH) + "b", "-".repeat(MAX_DEPTH) + "b"] {
            assert!(parse(&deep).is_ok());
        }
    }

    #[test]
    fn strings_between_backquotes_are_raw() {
        let same = |raw: &str, quoted: &str| assert_eq!(parse(raw), parse(quoted), "{raw}");
        same(r#"x{a=~`a\.b "c"`}"#, r#"x{a=~"a\\.b \"c\""}"#);
        same(r"x{a=`\`, b=`'`}", r#"x{a="\\", b="'"}"#);
        same("x{a=`\n`}", r#"x{a="\n"}"#);
        assert!(parse("x{a=`}").is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..14)) {
            let _ = parse(&words.concat());
        }

        #[test]
        fn never_panics_on_anything(text in r#"[a-z0-9{}()\[\]"'`\\.:,=~!+*/@éxuU$#% -]{0,30}"#) {
            let _ = parse(&text);
        }

        #[test]
        fn pieces_are_the_whole(text in r#"[a-z {}"'`\\#\né]{0,20}"#) {
            proptest::prop_assert_eq!(Pieces(&text).collect::<String>(), text);
        }
    }

    const WORDS: &[&str] = &[
        "up",
        "x",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "5m",
        "99999999999y",
        "1e999",
        ":",
        ",",
        "=",
        "\"a\"",
        "'\\xff'",
        "`",
        "job",
        "=~",
        "\"(\"",
        " + ",
        " or ",
        " and ",
        " on ",
        " ignoring ",
        " group_left ",
        " bool ",
        "sum",
        " by ",
        " without ",
        "rate",
        "absent",
        "label_replace",
        "count_values",
        "topk",
        " offset ",
        "-",
        " @ ",
        "start()",
        "0x",
        "1",
        "# c\n",
        "histogram_quantile",
        "==",
        ">",
        " fill ",
        "\"\\u12\"",
        "\"\\777\"",
        "inf",
        "nan",
        "hour()",
        "sort_by_label",
        "info",
    ];
}
