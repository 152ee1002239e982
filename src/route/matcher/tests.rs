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

/// What one of the two parsers makes of `input`: `name op "value"`, or where it stops and why.
#[track_caller]
fn check_raw(parsed: Result<Vec<Raw>, MatcherError>, input: &str, expected: &str) {
    let got = match parsed {
        Ok(raw) => {
            let one = |raw: &Raw| format!("{} {} {:?}", raw.name, raw.op.as_str(), raw.value);
            raw.iter().map(one).collect::<Vec<_>>().join(" & ")
        }
        Err(error) => format!("{}: {error}", error.offset),
    };
    assert_eq!(got, expected, "{input}");
}

#[test]
fn the_utf8_grammar() {
    let check = |input: &str, expected: &str| check_raw(utf8::parse(input), input, expected);
    // Zero matchers, braces, commas.
    for nothing in ["", " ", "{}", " { } ", "\n{\t}"] {
        check(nothing, "");
    }
    check("a=b", r#"a = "b""#);
    check("{a=b}", r#"a = "b""#);
    check("a=b,", r#"a = "b""#);
    check("{a!=b,c=~d,}", r#"a != "b" & c =~ "d""#);
    check("a!~b", r#"a !~ "b""#);
    // White space is free outside of tokens, and Unicode's.
    check("\u{a0}{ a\t=~\n\u{b}b ,\r\nc\u{2028}!= \"d\" }\u{3000}", r#"a =~ "b" & c != "d""#);
    // Names and values, quoted or not, in any language.
    check(r#"größe=日本,"a b"="🙂",1a.b:c-d=5..+[a-z]*$"#, r#"größe = "日本" & a b = "🙂" & 1a.b:c-d = "5..+[a-z]*$""#);
    check(r#"""="""#, r#" = """#);
    check(r#"quote=~"She said: \"Hi, all!( How're you…)?\"""#, r#"quote =~ "She said: \"Hi, all!( How're you…)?\"""#);
    check(r#"a="b{}!=~,'`""#, r#"a = "b{}!=~,'`""#);
    check(r#"a="b"c=d"#, "5: expected a comma or the end after the value");
    // What is reserved ends a token without quotes, and none of it begins one.
    for c in "{!=~\\'`".chars() {
        check(&format!("a=b{c}c"), "3: expected a comma or the end after the value");
    }
    for c in "{}!=\\'`,".chars() {
        check(&format!("a={c}"), r#"2: expected a value; write "" for an empty one"#);
    }
    for c in "!=~,\\'`".chars() {
        check(&format!("{c}a=b"), "0: expected a label name");
    }
    check("a=b}c", "3: unexpected brace");
    check(r#"a=b"c"#, "3: expected a comma or the end after the value");
    check(r#""a=b"#, "0: missing the closing double quote");
    check("a=b c=d", "4: expected a comma or the end after the value");
}

#[test]
fn the_utf8_grammar_says_where_it_stops() {
    let check = |input: &str, expected: &str| check_raw(utf8::parse(input), input, expected);
    let value = r#"expected a value; write "" for an empty one"#;
    check("foo=", &format!("4: {value}"));
    check("foo= ,", &format!("5: {value}"));
    check("{foo=~}", &format!("6: {value}"));
    check("foo='bar'", &format!("4: {value}"));
    check("foo=`bar`", &format!("4: {value}"));
    check("foo==bar", &format!("4: {value}"));
    let op = "expected one of = != =~ !~ after the label name";
    check("foo", &format!("3: {op}"));
    check("foo bar", &format!("4: {op}"));
    check("é!bar", &format!("2: {op}"));
    check("foo~bar", &format!("3: {op}"));
    check("{foo}", &format!("4: {op}"));
    let name = "expected a label name";
    check(",", &format!("0: {name}"));
    check("{,}", &format!("1: {name}"));
    check("a=b,,", &format!("4: {name}"));
    check("a=b, =c", &format!("5: {name}"));
    check("{{a=b}}", &format!("1: {name}"));
    check("{", "1: missing the closing brace }");
    check("{a=b", "4: missing the closing brace }");
    check("{a=b, ", "6: missing the closing brace }");
    check("}", "0: unexpected brace");
    check("a=b}", "3: unexpected brace");
    check("a=b,}", "4: unexpected brace");
    check("{a=b}}", "5: nothing may follow the closing brace }");
    check("{a=b},", "5: nothing may follow the closing brace }");
    check("{a=b} {c=d}", "6: nothing may follow the closing brace }");
}

#[test]
fn the_escapes_of_the_utf8_grammar() {
    let value = |escapes: &str| {
        let raw = utf8::parse(&format!("a=\"{escapes}\"")).map(|raw| raw[0].value.clone());
        raw.map_err(|error| format!("{}: {error}", error.offset))
    };
    let same = |escapes: &str, expected: &str| assert_eq!(value(escapes).as_deref(), Ok(expected), "{escapes}");
    same(r"\a\b\f\n\r\t\v", "\u{7}\u{8}\u{c}\n\r\t\u{b}");
    same(r#"\\d+ \""#, r#"\d+ ""#);
    same(r"\x41\x7e\101\000\u00e9\u65e5\U0001F642", "A~A\0é日🙂");
    same(r"\xc3\xa9\303\251\xF0\x9f\x99\x82", "éé🙂");
    let differs = |escapes: &str, at: usize, why: &str| {
        assert_eq!(value(escapes), Err(format!("{at}: {why}")), "{escapes}");
    };
    // The offset is the backslash's.
    let unknown = "unknown escape; a backslash is written \\\\";
    for escape in
        [r"\d", r"\.", r"\'", r"\`", r"\ ", r"\é", r"\8", r"\X41", r"\0", r"\12", r"\18x", r"\400", r"\x4", r"\xg0"]
    {
        differs(&format!("é{escape}"), 5, unknown);
    }
    // Half of a pair of UTF-16, beyond Unicode, too few digits.
    for escape in [r"\ud800", r"\U0000dfff", r"\U00110000", r"\u12", r"\u+123", r"\U1F642"] {
        differs(escape, 3, unknown);
    }
    for bytes in [r"\xff", r"\xc3", r"\xc3\u00e9", r"\200", r"\xed\xa0\x80"] {
        differs(bytes, 2, "the escapes do not make valid UTF-8");
    }
    differs("b\nc", 4, "a line break inside double quotes must be written \\n");
    differs("b\\", 2, "missing the closing double quote");
}

#[test]
fn the_classic_grammar() {
    let check = |input: &str, expected: &str| check_raw(classic::parse(input), input, expected);
    // Each brace is dropped on its own account, one at each end, where nothing stands outside of it.
    for braces in ["a=b", "{a=b", "a=b}", "{a=b}"] {
        check(braces, r#"a = "b""#);
    }
    for nothing in ["", " ", "{}", "{", "}", "{ }"] {
        check(nothing, "");
    }
    check("{foo=,bar=}}", r#"foo = "" & bar = "}""#);
    check("{foo=bar}},}", r#"foo = "bar}}""#);
    check("{foo=}b", r#"foo = "}b""#);
    // Commas outside of quotes; the last one may be followed by nothing.
    check(r#"a="b,c",d="e\",f",g=h, "#, r#"a = "b,c" & d = "e\",f" & g = "h""#);
    check(r"a=\\,b=\,c=d", r#"a = "\\" & b = "\\" & c = "d""#);
    // Names, signs and values; what follows the sign is the value, whatever it is.
    check("_a:B9=b,:=c", r#"_a:B9 = "b" & : = "c""#);
    check("a != b , c =~ d , e !~ f", r#"a != "b" & c =~ "d" & e !~ "f""#);
    check("tricky=~~~,a==b,c!=~d", r#"tricky =~ "~~" & a = "=b" & c != "~d""#);
    check("a=,b= \t,c=\"\"", r#"a = "" & b = "" & c = """#);
    check("a= b  c ,d='e',f=`g`,h=é日", r#"a = "b  c" & d = "'e'" & f = "`g`" & h = "é日""#);
    check("a=b\nc,d=\"e\nf\"", r#"a = "b\nc" & d = "e\nf""#);
    // Three escapes, with quotes or without; any other backslash is one.
    check(r#"a="\"\n\\""#, r#"a = "\"\n\\""#);
    check(r#"a=\"\n\\"#, r#"a = "\"\n\\""#);
    check(r#"a="\d\x41\u00e9\t",b=\d"#, r#"a = "\\d\\x41\\u00e9\\t" & b = "\\d""#);
    check(r"{a=b\}", r#"a = "b\\""#);
    check(r#"trickier==\\=\=\""#, r#"trickier = "=\\=\\=\"""#);
}

#[test]
fn the_classic_grammar_says_where_it_stops() {
    let check = |input: &str, expected: &str| check_raw(classic::parse(input), input, expected);
    let no_matcher = r#"expected name="value""#;
    for (input, at) in [
        (",", 0),
        ("a=b,,", 4),
        ("a=b, ,c=d", 5),
        ("1a=b", 2),
        ("é=b", 0),
        ("a-b=c", 1),
        ("a.b=c", 1),
        ("\"a\"=b", 0),
        ("a", 1),
        (" a b", 3),
        ("a!b", 1),
        ("a~b", 1),
        ("{{a=b", 1),
        ("a=b,{c=d", 4),
        ("\u{a0}a=b,c=d", 0),
    ] {
        check(input, &format!("{at}: {no_matcher}"));
    }
    let quote = r#"a double quote inside a value must be written \""#;
    check(r#"a=b"c"#, &format!("3: {quote}"));
    check(r#"a=b""#, &format!("3: {quote}"));
    check(r#"a="b"c""#, &format!("4: {quote}"));
    check(r#"a="b"c"#, &format!("4: {quote}"));
    check(r#"a=""b"#, &format!("3: {quote}"));
    check(r#"x=y,a=é"b"#, &format!("8: {quote}"));
    let open = "missing the closing double quote";
    check(r#"a=""#, &format!("2: {open}"));
    check(r#"a="b"#, &format!("2: {open}"));
    check(r#"a="b\""#, &format!("2: {open}"));
    check(r#"{x=y, a= "b}"#, &format!("9: {open}"));
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
    check(r#"a="\t""#, r#"a="\\t" (Disagreement)"#);
    check("a=b\u{a0},c=d", "a=\"b\u{a0}\" & c=\"d\" (Disagreement)");
}

#[test]
fn says_who_reads_it() {
    let check = |input: &str, expected: (bool, Option<Warning>)| {
        let Parsed { classic, warning, .. } = parse(input).unwrap();
        assert_eq!((classic, warning), expected, "{input}");
    };
    check("a=b", (true, None));
    check("é=b", (false, None));
    check("a=", (true, Some(Warning::ClassicOnly)));
    check(r#"a="\t""#, (true, Some(Warning::Disagreement)));
    // A bad regular expression is one to both.
    assert!(parse("a=~(").is_err());
    check(r#"a=~"\d""#, (true, Some(Warning::ClassicOnly)));
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

#[test]
fn regular_expressions_are_re2_and_anchored() {
    let check = |regex: &str, value: &str, expected: bool| {
        let labels = [("v", value)].into_iter().collect();
        for (op, expected) in [(Op::Match, expected), (Op::NotMatch, !expected)] {
            assert_eq!(Matcher::new("v", op, regex).unwrap().matches(&labels), expected, "{op:?} {regex:?} {value:?}");
        }
    };
    // All of the value, whichever branch it is.
    check("b|c", "b", true);
    check("b|c", "bc", false);
    check("b|c.*", "xb", false);
    check("^b$", "b", true);
    check("b", "b\n", false);
    check("", "", true);
    check("", "b", false);
    check(".*", "", true);
    check(".+", "", false);
    // `.` is no newline unless it is told to be; negation is.
    check("b.c", "b\nc", false);
    check(".*", "b\nc", false);
    check("(?s)b.c", "b\nc", true);
    check("b[^x]c", "b\nc", true);
    check("(?m)b$.*", "b\nc", false);
    // ASCII's classes, Unicode's case and `.`.
    check(r"\d+", "٤٢", false);
    check(r"\w", "é", false);
    check(r"\W", "é", true);
    check(r"\s", "\u{a0}", false);
    check(r"\s", "\u{b}", false);
    check(r"b\b.+", "bé", true);
    check("[[:alpha:]]", "é", false);
    check(r"\pL", "é", true);
    check("(?i)É", "é", true);
    check(".", "日", true);
}

#[test]
fn a_matcher_asks_for_the_label_of_its_name() {
    let labels = [("a", "1"), ("a b", "2"), ("größe", "3")].into_iter().collect();
    for (matcher, expected) in
        [("a=1", true), ("a=2", false), (r#""a b"="2""#, true), ("größe=3", true), ("gro=3", false), ("A=1", false)]
    {
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
