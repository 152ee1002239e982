//! Matchers of routes.yaml and of the command line.

use alertrouter::alert::Labels;
use alertrouter::route::matcher as parser;

/// A string of matchers: parsing ends, what is parsed can be written and read again, an error points into the string.
pub fn matcher(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parser::parse(text) {
        Ok(parsed) => {
            let labels: Labels = [("severity", "critical"), ("a", "b"), ("é", text)].into_iter().collect();
            for matcher in &parsed.matchers {
                let again = parser::parse(&matcher.to_string()).expect("what is written can be read");
                assert_eq!(again.matchers, std::slice::from_ref(matcher));
                assert_eq!(again.matchers[0].matches(&labels), matcher.matches(&labels));
            }
        }
        Err(error) => assert!(text.is_char_boundary(error.offset), "{error} at {}", error.offset),
    }
}
