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
    let name = escape(&file.name);
    let (tests, failures, errors) = match &file.tests {
        Ok(tests) => (tests.len(), tests.iter().filter(|test| !test.failures.is_empty()).count(), 0),
        Err(_) => (1, 0, 1),
    };
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"0\"");
    let _ = writeln!(xml, "  <testsuite name=\"{name}\" {counts}>");
    match &file.tests {
        Err(lines) => {
            let _ = writeln!(xml, "    <testcase classname=\"{name}\" name=\"{name}\">");
            let text = escape(&lines.join("\n"));
            let _ = writeln!(xml, "      <error message=\"the file could not be run\">{text}</error>");
            xml.push_str("    </testcase>\n");
        }
        Ok(tests) => {
            for test in tests {
                let _ = write!(xml, "    <testcase classname=\"{name}\" name=\"{}\"", escape(&test.name));
                if test.failures.is_empty() {
                    xml.push_str("/>\n");
                    continue;
                }
                xml.push_str(">\n");
                for failure in &test.failures {
                    let message = escape(&failure.to_string());
                    let place = format!("{}:{}:{}", file.name, test.at.0, test.at.1);
                    let text = escape(&[&[place][..], &details(failure)].concat().join("\n"));
                    let _ = writeln!(xml, "      <failure message=\"{message}\">{text}</failure>");
                }
                xml.push_str("    </testcase>\n");
            }
        }
    }
    xml.push_str("  </testsuite>\n");
}

/// For text and for attributes in double quotes. What XML 1.0 cannot hold at all, not even escaped, is written as Rust
/// does: `\u{1b}`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // Attributes lose them otherwise.
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\r' => escaped.push_str("&#13;"),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(escaped, "{}", c.escape_unicode());
            }
            c => escaped.push(c),
        }
    }
    escaped
}
