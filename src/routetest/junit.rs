//! What CI systems read: JUnit's XML, in the shape of `promtool test rules --junit`.

use std::fmt::Write as _;

use super::report::{FileReport, details};

/// The whole document. A file that could not be run is a suite with one `error`.
#[must_use]
pub fn render(files: &[FileReport]) -> String {
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n".to_owned();
    for file in files {
        suite(&mut xml, file);
    }
    xml + "</testsuites>\n"
}

fn suite(xml: &mut String, file: &FileReport) {
    let name = attribute(&file.name);
    let (tests, failures, errors) = match &file.tests {
        Ok(tests) => (tests.len(), tests.iter().filter(|test| !test.failures.is_empty()).count(), 0),
        Err(_) => (1, 0, 1),
    };
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\"");
    let _ = writeln!(xml, "  <testsuite name=\"{name}\" {counts}>");
    match &file.tests {
        Err(problems) => {
            let _ = writeln!(xml, "    <testcase classname=\"{name}\" name=\"{name}\">");
            let text = text(problems.join("\n").trim_end());
            let _ = writeln!(xml, "      <error message=\"the file could not be run\">{text}</error>");
            xml.push_str("    </testcase>\n");
        }
        Ok(tests) => {
            for test in tests {
                let _ = write!(xml, "    <testcase classname=\"{name}\" name=\"{}\"", attribute(&test.name));
                if test.failures.is_empty() {
                    xml.push_str("/>\n");
                    continue;
                }
                xml.push_str(">\n");
                for failure in &test.failures {
                    let message = attribute(&failure.to_string());
                    let place = format!("{}:{}:{}", file.name, test.at.0, test.at.1);
                    let text = text(&[&[place][..], &details(failure)].concat().join("\n"));
                    let _ = writeln!(xml, "      <failure message=\"{message}\">{text}</failure>");
                }
                xml.push_str("    </testcase>\n");
            }
        }
    }
    xml.push_str("  </testsuite>\n");
}

/// For an attribute in double quotes, where line ends and tabs would become blanks.
fn attribute(value: &str) -> String {
    text(value).replace('\n', "&#10;").replace('\t', "&#9;")
}

/// For the text of an element. What XML 1.0 cannot hold at all, not even escaped, is written as Rust does: `\u{1b}`.
fn text(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\r' => escaped.push_str("&#13;"),
            c if c < ' ' && !matches!(c, '\n' | '\t') || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(escaped, "{}", c.escape_unicode());
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use roxmltree::{Document, Node};

    use super::super::judge::Failure;
    use super::super::report::Tested;
    use super::*;

    fn failure(at: Option<u64>, got: &str) -> Failure {
        let (expected, because) = ("[a]".to_owned(), "r {a=\"<b>\"} takes it".to_owned());
        Failure { at: at.map(Duration::from_secs), what: "receivers", expected, got: got.to_owned(), because }
    }

    fn test(name: &str, failures: Vec<Failure>) -> Tested {
        Tested { name: name.to_owned(), at: (3, 5), failures }
    }

    fn elements<'a>(of: Node<'a, 'a>) -> Vec<Node<'a, 'a>> {
        of.children().filter(Node::is_element).collect()
    }

    #[test]
    fn is_what_ci_systems_read() {
        let failed = test("second", vec![failure(None, "[]"), failure(Some(15), "[b]")]);
        let files = [
            FileReport { name: "a.yaml".to_owned(), tests: Ok(vec![test("first", vec![]), failed]) },
            FileReport { name: "b.yaml".to_owned(), tests: Err(vec!["cannot".to_owned(), "be read".to_owned()]) },
            FileReport { name: "c.yaml".to_owned(), tests: Ok(vec![]) },
        ];
        let xml = render(&files);
        let document = Document::parse(&xml).unwrap();
        assert!(document.root_element().has_tag_name("testsuites"));
        let suites = elements(document.root_element());
        let attributes: Vec<_> = suites
            .iter()
            .map(|suite| {
                assert!(suite.has_tag_name("testsuite"));
                ["name", "tests", "failures", "errors", "skipped"].map(|name| suite.attribute(name).unwrap())
            })
            .collect();
        assert_eq!(
            attributes,
            [["a.yaml", "2", "1", "0", "0"], ["b.yaml", "1", "0", "1", "0"], ["c.yaml", "0", "0", "0", "0"],]
        );
        let cases = elements(suites[0]);
        let names: Vec<_> = cases.iter().map(|case| case.attribute("name").unwrap()).collect();
        assert_eq!((names, elements(cases[0]).len()), (vec!["first", "second"], 0));
        let texts: Vec<_> = elements(cases[1])
            .into_iter()
            .map(|failure| (failure.tag_name().name(), failure.attribute("message").unwrap(), failure.text().unwrap()))
            .collect();
        let text = |got: &str| format!("a.yaml:3:5\nexp: [a]\ngot: {got}\nbecause r {{a=\"<b>\"}} takes it");
        assert_eq!(
            texts,
            [("failure", "receivers", text("[]").as_str()), ("failure", "at 15s: receivers", text("[b]").as_str()),]
        );
        let error = elements(elements(suites[1])[0])[0];
        assert_eq!((error.tag_name().name(), error.text()), ("error", Some("cannot\nbe read")));
    }

    #[test]
    fn what_xml_cannot_hold_is_written_out() {
        assert_eq!(text("a\u{1b}[31m\u{0}\u{ffff}é\u{85}"), "a\\u{1b}[31m\\u{0}\\u{ffff}é\u{85}");
    }

    proptest! {
        #[test]
        fn any_text_comes_back(name in any::<String>(), line in any::<String>(), got in any::<String>()) {
            let tests = Ok(vec![test(&name, vec![failure(None, &got)])]);
            let files = [FileReport { name: line.clone(), tests }, FileReport { name: name.clone(), tests: Err(vec![line.clone()]) }];
            let xml = render(&files);
            let document = Document::parse(&xml).unwrap();
            let possible = |text: &str| !text.chars().any(|c| (c < ' ' && !"\t\r\n".contains(c)) || "\u{fffe}\u{ffff}".contains(c));
            let (suite, unusable) = (elements(document.root_element())[0], elements(document.root_element())[1]);
            if possible(&name) && possible(&line) {
                prop_assert_eq!(suite.attribute("name").unwrap(), &line);
                prop_assert_eq!(elements(suite)[0].attribute("name").unwrap(), &name);
                prop_assert_eq!(elements(elements(unusable)[0])[0].text().unwrap_or_default(), line.trim_end());
            }
            if possible(&got) {
                let text = elements(elements(suite)[0])[0].text().unwrap().to_owned();
                let got = format!("got: {got}\n");
                prop_assert!(text.contains(&got), "{} in {}", got, text);
            }
        }
    }
}
