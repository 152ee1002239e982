use proptest::prelude::*;

use super::*;

fn check(input: &str, expected: &str) {
    match parse(input) {
        Ok(Parsed { matchers, warning, .. }) => {
            let all: Vec<String> = matchers.iter().map(ToString::to_string).collect();
            let warning = warning.map(|warning| format!(" ({warning:?})")).unwrap_or_default();
            assert_eq!(all.join(" & ") + &warning, expected, "{input}");
        }
        Err(error) => assert_eq!(format!("{}: {error}", error.offset), expected, "{input}"),
    }
}

#[test]
fn both_parsers_agree() {
    check(r#"severity="critical""#, r#"severity="critical""#);
    check("foo = bar", r#"foo="bar""#);
    check(r#"{foo="bar", dings!="bums"}"#, r#"foo="bar" & dings!="bums""#);
    check(r#"severity =~ "warning|critical","#, r#"severity=~"warning|critical""#);
    check("a!~b,c=\"d,e\"", r#"a!~"b" & c="d,e""#);
    check("", "");
    check("{}", "");
    check(r#"{quote=~"She said: \"Hi, all!( How're you…)?\""}"#, r#"quote=~"She said: \"Hi, all!( How're you…)?\"""#);
}

#[test]
fn only_the_utf8_parser_reads_it() {
    check(r#""größe"="a b""#, r#"größe="a b""#);
    check(r#""a b"="c\td""#, r#""a b"="c\td""#);
    check("größe=1", r#"größe="1""#);
}

#[test]
fn only_the_classic_parser_reads_it() {
    check("foo=", r#"foo="" (ClassicOnly)"#);
    check("foo=bar baz", r#"foo="bar baz" (ClassicOnly)"#);
    check(r#"{foo=~"\d+""#, r#"foo=~"\\d+" (ClassicOnly)"#);
    check(r#"foo=~"\d+"}"#, r#"foo=~"\\d+" (ClassicOnly)"#);
    // Unicode's white space is cut from the last one only.
    check("a=\u{b},b=\u{a0}c\u{b}", "a=\"\u{b}\" & b=\"\u{a0}c\" (ClassicOnly)");
    check("foo==bar", r#"foo="=bar" (ClassicOnly)"#);
}

#[test]
fn where_they_disagree_the_classic_one_wins() {
    check(r#"a="\x41\101\u00e9""#, r#"a="\\x41\\101\\u00e9" (Disagreement)"#);
}

#[test]
fn errors_say_where() {
    check("{,}", "1: expected a label name");
    check("severity", "8: expected one of = != =~ !~ after the label name");
    check(r#"a="b" c="d""#, "6: expected a comma or the end after the value");
    check(r#"a="b"#, "2: missing the closing double quote");
    check(r#"a="b"c""#, "5: expected a comma or the end after the value");
    check("a=b,größe=~'x'", "13: expected a value; write \"\" for an empty one");
    check(r#""a"="\xff""#, "4: the escapes do not make valid UTF-8");
    check(r#""a"="\q""#, "5: unknown escape; a backslash is written \\\\");
    check("\"a\"=\"x\ny\"", "6: a line break inside double quotes must be written \\n");
    check(r#"{"a"="b""#, "8: missing the closing brace }");
    check(r#""a"="b"}"#, "7: unexpected brace");
    check(r#"{"a"="b"} x"#, "10: nothing may follow the closing brace }");
    check(r#"a=b,c=~"[d""#, "7: bad regular expression: unclosed character class");
}

#[test]
fn one_matcher_has_no_braces_and_no_commas() {
    assert!(parse_one("{a=b}").is_err());
    assert!(parse_one("a").is_err());
    assert_eq!(parse_one("a=b,c").unwrap().value(), "b,c");
    assert_eq!(parse_one(r#"a="b c""#).unwrap().value(), "b c");
    assert_eq!(parse_one("a=").unwrap().value(), "");
}

#[test]
fn a_missing_label_is_empty() {
    let labels = [("job", "api")].into_iter().collect();
    for (matcher, expected) in [
        ("job=api", true),
        ("job!=api", false),
        ("job=~a.*", true),
        ("job=~ap", false),
        ("job!~ap", true),
        (r#"foo="""#, true),
        ("foo!=x", true),
        ("foo=~.*", true),
        ("foo!~x", true),
        ("foo=~.+", false),
    ] {
        assert_eq!(parse_one(matcher).unwrap().matches(&labels), expected, "{matcher}");
    }
}

proptest! {
    #[test]
    fn parse_after_display_is_identity(name in any::<String>(), value in any::<String>(), op in 0..2) {
        let op = [Op::Equal, Op::NotEqual][usize::try_from(op).unwrap()];
        let matcher = Matcher::new(name, op, value).unwrap();
        let parsed = parse(&matcher.to_string()).unwrap();
        prop_assert_eq!(parsed.matchers, vec![matcher]);
    }

    #[test]
    fn display_keeps_regexes(name in "[a-z é\"]{1,4}", value in r"[a-c\\d.|\n\t]{0,8}") {
        if let Ok(matcher) = Matcher::new(name, Op::Match, value) {
            prop_assert_eq!(parse(&matcher.to_string()).unwrap().matchers, vec![matcher]);
        }
    }

    #[test]
    fn parsing_never_panics(input in r#"[a-c=~!{},"\\ xuU0-9é\n]{0,20}"#) {
        let _ = parse(&input);
        let _ = parse_one(&input);
    }
}
