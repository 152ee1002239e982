//! The web configuration file.

use std::path::Path;

use alertrouter::config::web::{self, Files, Held, Reading};
use alertrouter::yaml::problem;

use super::NoSecrets;

/// A web configuration file: as for a routes.yaml, with PEM in the file itself; and no problem shows a password's hash or a line
/// of a key.
pub fn web_config(bytes: &[u8]) {
    let now = "2030-01-01T00:00:00Z".parse().expect("a time");
    let reading = Reading { base: Path::new(""), files: &NoSecrets, now, others_can_read: true };
    let (config, problems) = web::parse(bytes, &reading);
    assert_eq!(config.is_some(), problem::is_sound(&problems));
    let hidden = hidden(bytes);
    for problem in &problems {
        let (line, page) = (problem.one_line("web.yml"), problem.render("web.yml"));
        assert!(!line.contains('\n'), "{problem:?}");
        assert!(page.contains("web.yml"));
        assert!(!hidden.iter().any(|secret| line.contains(secret) || page.contains(secret)), "{page}");
    }
}

/// What no message may quote.
fn hidden(bytes: &[u8]) -> Vec<&str> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Vec::new() };
    let hashes = text.split_whitespace().filter(|word| word.starts_with("$2y$10$") && word.len() == 60);
    let (_, key) = text.split_once("-----BEGIN PRIVATE KEY-----").unwrap_or_default();
    let is_base64 = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    hashes.chain(key.split_whitespace().take_while(|word| !word.starts_with("-----")).filter(is_base64)).collect()
}

/// The machine has no files.
impl Files for NoSecrets {
    fn read(&self, _: &Path) -> std::io::Result<Held> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}
