//! Regular expressions as Alertmanager reads them: Go's RE2 dialect, anchored at both ends.
//!
//! The `regex` crate descends from RE2, but its dialect differs where it matters: `\d \w \s \b` are Unicode, `[` nests
//! inside a class, `&&`, `--` and `~~` are set operations, `{` must begin a repetition, `\<` is a word boundary, and
//! `\Q…\E` and `\p{^…}` are missing. [`translate`] rewrites exactly these, reading the pattern once from left to right.
//!
//! What Go refuses is refused (`a**`, more than 1000 repetitions, `\Q` without `\E`), so that a tree that is fine here is
//! fine there. Exceptions: nested repetitions may multiply to more than 1000; `(?<name>…)` is accepted although
//! Alertmanager does so only since it is built with Go 1.22, and `\p{greek}` and `\p{Letter}`, which it takes since Go
//! 1.25; `a)(b`, which there is balanced by the group that anchors it, is refused.

use regex::RegexBuilder;

use super::MatcherProblem;
use super::literal::Pattern;

/// The most memory that a compiled expression may take, in bytes; the library's own default is ten times that.
const SIZE_LIMIT: usize = 1 << 20;
/// How deep groups may nest.
const NEST_LIMIT: u32 = 100;

const DIGIT: &str = "0-9";
const SPACE: &str = r"\t\n\x0C\r ";
const WORD: &str = "0-9A-Za-z_";
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Compiles `pattern` as `^(?:pattern)$`.
pub(super) fn compile(pattern: &str) -> Result<Pattern, MatcherProblem> {
    let translated = translate(pattern)?;
    // First on its own: `a)(b` would be balanced only by the anchors' group.
    for text in [&translated, &format!("^(?:{translated})$")] {
        let built = RegexBuilder::new(text).size_limit(SIZE_LIMIT).nest_limit(NEST_LIMIT).build();
        match built {
            Ok(regex) if text != &translated => return Ok(Pattern::new(&translated, regex)),
            Ok(_) => {}
            Err(regex::Error::CompiledTooBig(_)) => return Err(MatcherProblem::RegexTooLarge),
            Err(error) => return Err(MatcherProblem::BadRegex(last_line(&error.to_string()))),
        }
    }
    Err(MatcherProblem::BadRegex("cannot be anchored".to_owned()))
}

/// The library draws the pattern over several lines; only the last one says what is wrong.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or(message);
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// From Go's dialect to the one of the `regex` crate.
fn translate(pattern: &str) -> Result<String, MatcherProblem> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    // Whether a repetition has just ended: a second one must not follow.
    let mut repeated = false;
    while let Some(c) = rest.chars().next() {
        let repeats = matches!(c, '*' | '+' | '?') || (c == '{' && is_repetition(rest));
        if repeats && repeated {
            return Err(bad("a repetition of a repetition"));
        }
        rest = match c {
            '\\' => escape(rest, false, &mut out)?,
            '[' => class(rest, &mut out)?,
            '(' => group(rest, &mut out)?,
            '{' if repeats => repetition(rest, &mut out)?,
            '{' => push(rest, "\\{", 1, &mut out),
            c => push(rest, c.encode_utf8(&mut [0; 4]), c.len_utf8(), &mut out),
        };
        // `a*?` is lazy, and one repetition.
        if repeats && rest.starts_with('?') {
            rest = push(rest, "?", 1, &mut out);
        }
        repeated = repeats;
    }
    Ok(out)
}

fn bad(what: &str) -> MatcherProblem {
    MatcherProblem::BadRegex(what.to_owned())
}

/// Appends `text` and returns what is left after `taken` bytes.
fn push<'a>(rest: &'a str, text: &str, taken: usize, out: &mut String) -> &'a str {
    out.push_str(text);
    rest.get(taken..).unwrap_or_default()
}

/// `{2}`, `{2,}`, `{2,3}`; in Go any other brace is a plain character.
fn is_repetition(rest: &str) -> bool {
    let Some((inner, _)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else { return false };
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

/// A repetition, of which Go takes at most 1000.
fn repetition<'a>(rest: &'a str, out: &mut String) -> Result<&'a str, MatcherProblem> {
    let end = rest.find('}').map_or(rest.len(), |end| end + 1);
    let too_many = |number: &str| !number.is_empty() && number.parse::<u16>().map_or(true, |number| number > 1000);
    if rest[..end].trim_matches(['{', '}']).split(',').any(too_many) {
        return Err(bad("more than 1000 repetitions"));
    }
    Ok(push(rest, &rest[..end], end, out))
}

/// `(?flags)` and `(?flags:…)` with a flag that only the `regex` crate has would be read there and refused by Go.
fn group<'a>(rest: &'a str, out: &mut String) -> Result<&'a str, MatcherProblem> {
    if let Some(flags) = rest.strip_prefix("(?")
        && !flags.starts_with(['P', '<'])
        && let Some(end) = flags.find([':', ')'])
        && let Some(flag) = flags[..end].chars().find(|flag| !"imsU-".contains(*flag))
    {
        return Err(MatcherProblem::BadRegex(format!("unknown flag {flag:?} after (?")));
    }
    Ok(push(rest, "(", 1, out))
}

/// An escape; `rest` begins with the backslash.
fn escape<'a>(rest: &'a str, in_class: bool, out: &mut String) -> Result<&'a str, MatcherProblem> {
    let Some(c) = rest[1..].chars().next() else { return Err(bad("a backslash at the end")) };
    let set = match c.to_ascii_lowercase() {
        'd' => Some(DIGIT),
        's' => Some(SPACE),
        'w' => Some(WORD),
        _ => None,
    };
    if let Some(set) = set {
        let not = if c.is_ascii_uppercase() { "^" } else { "" };
        return Ok(push(rest, &format!("[{not}{set}]"), 2, out));
    }
    let digits = rest[1..].bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    Ok(match c {
        'Q' if !in_class => {
            let Some((quoted, after)) = rest[2..].split_once("\\E") else { return Err(bad("\\Q without \\E")) };
            out.push_str(&regex::escape(quoted));
            after
        }
        // A look-around, so that nothing is consumed; wrapped, so that `\b{start}` is not one token.
        'b' | 'B' if !in_class => push(rest, &format!("(?:(?-u:\\{c}))"), 2, out),
        '<' | '>' => push(rest, c.encode_utf8(&mut [0; 4]), 2, out),
        // Octal; a single digit other than zero would be a back-reference, which neither side has.
        '0'..='7' if c == '0' || digits > 1 => {
            let code = u32::from_str_radix(&rest[1..=digits], 8).unwrap_or_default();
            push(rest, &format!("\\x{{{code:x}}}"), 1 + digits, out)
        }
        'p' | 'P' if rest[2..].starts_with("{^") => {
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            let opposite = if c == 'p' { 'P' } else { 'p' };
            push(rest, &format!("\\{opposite}{{{}", &rest[4..end]), end, out)
        }
        // The braces of `\p{Greek}` and `\x{10FFFF}` are not a repetition.
        'p' | 'P' | 'x' if rest[2..].starts_with('{') => {
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            push(rest, &rest[..end], end, out)
        }
        c => push(rest, &rest[..=c.len_utf8()], 1 + c.len_utf8(), out),
    })
}

/// A character class; `rest` begins with its bracket. A bracket without partner is left for the library to refuse.
fn class<'a>(rest: &'a str, out: &mut String) -> Result<&'a str, MatcherProblem> {
    let mut rest = push(rest, "[", 1, out);
    if rest.starts_with('^') {
        rest = push(rest, "^", 1, out);
    }
    // Right after the beginning `]` is a plain character.
    let mut first = true;
    while let Some(c) = rest.chars().next() {
        if c == ']' && !first {
            return Ok(push(rest, "]", 1, out));
        }
        first = false;
        if let Some((name, _)) = rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) {
            let end = name.len() + 4;
            if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
                return Err(bad("unknown character class"));
            }
            rest = push(rest, &rest[..end], end, out);
            continue;
        }
        let (after, is_set) = class_char(rest, out)?;
        rest = after;
        // `a-z`: the hyphen is a range only between two characters.
        if !is_set && rest.starts_with('-') && !rest[1..].starts_with(']') && rest.len() > 1 {
            rest = push(rest, "-", 1, out);
            rest = class_char(rest, out)?.0;
        }
    }
    Ok(rest)
}

/// One character of a class, and whether it is a whole set of them.
fn class_char<'a>(rest: &'a str, out: &mut String) -> Result<(&'a str, bool), MatcherProblem> {
    Ok(match rest.chars().next() {
        Some('\\') => {
            let is_set = rest[1..].starts_with(['d', 'D', 's', 'S', 'w', 'W', 'p', 'P']);
            (escape(rest, true, out)?, is_set)
        }
        Some(c @ ('[' | ']' | '&' | '-' | '~' | '^')) => (push(rest, &format!("\\{c}"), 1, out), false),
        Some(c) => (push(rest, c.encode_utf8(&mut [0; 4]), c.len_utf8(), out), false),
        None => (rest, false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_what_re2_means() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            for text in yes {
                assert!(regex.is_match(text), "{pattern} should match {text}");
            }
            for text in no {
                assert!(!regex.is_match(text), "{pattern} should not match {text}");
            }
        };
        check("a|b", &["a", "b"], &["ab", "xa", "bx", ""]);
        check(".", &["a", "é", "日"], &["\n", "", "ab"]);
        check(r"\d+", &["42"], &["٤٢"]);
        check(r"\D", &["x", "٤"], &["4"]);
        check(r"\w+", &["a_1"], &["é"]);
        check(r"\W", &["é"], &["e"]);
        check(r"(?i)\w", &["K", "\u{212a}"], &["é"]);
        check(r"\101\0", &["A\0"], &["A"]);
        check("a{2}?b+?", &["aab"], &["ab"]);
        check(r"\S+", &["a\u{a0}b"], &["a b"]);
        check(r"[\d.]+é?", &["1.2é"], &["٤"]);
        check(r"[^\d]", &["é"], &["1"]);
        check(r"a\b.*", &["aé", "a-"], &["ab"]);
        check(r"\Qa.b(\E+", &["a.b(", "a.b(("], &["axb("]);
        check(r"[[]", &["["], &["]"]);
        check(r"[]a]", &["]", "a"], &["b"]);
        check(r"[a&&b]", &["a", "b", "&"], &["c"]);
        check(r"[+--]", &["+", ",", "-"], &["."]);
        check(r"[a~~b]", &["~"], &["c"]);
        check(r"[[:alpha:]]+", &["ab"], &["a1"]);
        check(r"[a-]", &["a", "-"], &["b"]);
        check("a{", &["a{"], &["a"]);
        check("a{,2}", &["a{,2}"], &["a"]);
        check("a{2}", &["aa"], &["a"]);
        check(r"\<a\>", &["<a>"], &["a"]);
        check(r"\x{e9}\p{Greek}", &["éα"], &["ea"]);
        check(r"\p{^Greek}[\p{^Lu}]\P{^Greek}", &["eeα"], &["αeα", "eEα", "eee"]);
        check("", &[""], &["a"]);
        check("(?s).", &["\n"], &[""]);
        check(r"prod-(?P<zone>\w+)", &["prod-eu"], &["prod-"]);
    }

    #[test]
    fn refuses_what_go_refuses() {
        let refused = [
            "(", ")", "a)(b", "[a", "*a", r"\1", r"\Z", "(?x)a", "(?=a)", "a{2,1}", "\\", "[b-a]", "a**", "a+?*",
            "a{1001}", r"\Qa", "[[:x:]]",
        ];
        for pattern in refused {
            assert!(matches!(compile(pattern), Err(MatcherProblem::BadRegex(_))), "{pattern}");
        }
        assert_eq!(compile(r"(\pL{900}){900}").unwrap_err(), MatcherProblem::RegexTooLarge);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(pattern in r"[\\\[\]{}()^$.|*+?a-cé0-9:&~<>QEdwsbpx-]{0,24}") {
            let _ = compile(&pattern);
        }
    }
}
