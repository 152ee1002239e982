//! What holds for any bytes. The fuzzer calls these functions, and so do the integration tests with the corpora.

use alertrouter::alert::Labels;
use alertrouter::config::secret::{SecretFile, SecretSource};
use alertrouter::config::{self, Options};
use alertrouter::route::matcher;
use alertrouter::yaml::problem;

/// A string of matchers: parsing ends, what is parsed can be written and read again, an error points into the string.
pub fn matcher(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match matcher::parse(text) {
        Ok(parsed) => {
            let labels: Labels = [("severity", "critical"), ("a", "b"), ("é", text)].into_iter().collect();
            for matcher in &parsed.matchers {
                let again = matcher::parse(&matcher.to_string()).expect("what is written can be read");
                assert_eq!(again.matchers, std::slice::from_ref(matcher));
                assert_eq!(again.matchers[0].matches(&labels), matcher.matches(&labels));
            }
        }
        Err(error) => assert!(text.is_char_boundary(error.offset), "{error} at {}", error.offset),
    }
}

/// A routes.yaml: reading ends, there is a configuration exactly if no problem is an error, every problem can be shown.
pub fn config(bytes: &[u8]) {
    let (config, problems) = config::parse(bytes, &Options::default(), &NoSecrets);
    assert_eq!(config.is_some(), problem::is_sound(&problems));
    for problem in &problems {
        assert!(!problem.one_line("routes.yaml").contains('\n'), "{problem:?}");
        assert!(problem.render("routes.yaml").contains("routes.yaml"));
    }
    if let Some(config) = config {
        let labels: Labels = [("severity", "critical"), ("alertname", "A")].into_iter().collect();
        assert!(!config.tree.matching(&labels).is_empty());
    }
}

/// The machine has no variables and no files.
struct NoSecrets;

impl SecretSource for NoSecrets {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &std::path::Path) -> std::io::Result<SecretFile> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}
