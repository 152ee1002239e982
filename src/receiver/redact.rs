//! Blacks out secrets in what others say: an error page quotes the request, and whoever reads the log must not find the token.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

/// So many characters in a row of a secret are hidden, also where the rest of it is missing. Shorter pieces would be common
/// words.
const WINDOW: usize = 8;

/// `said` with every secret blacked out, also in another case, in part (8 characters or more), percent-encoded,
/// and in base64, as basic authentication and SMTP have it. Of a URL the path, the query and the password count: the path of
/// a webhook is its token.
#[must_use]
pub fn redacted(said: &str, secrets: &[&SecretString]) -> String {
    let mut needles = Needles::default();
    for secret in secrets {
        needles.add_secret(secret.expose_secret());
    }
    show(said, &needles.hidden(said.to_ascii_lowercase().as_bytes()))
}

/// What is looked for, in lower case.
#[derive(Default)]
struct Needles {
    /// As a whole.
    whole: Vec<Vec<u8>>,
    /// Pieces of [`WINDOW`] bytes.
    windows: HashSet<Vec<u8>>,
}

impl Needles {
    fn add_secret(&mut self, secret: &str) {
        self.add_whole(secret);
        match secret.split_once("://") {
            Some((_, rest)) => self.add_url(rest),
            None => self.add_encoded(secret),
        }
        // A header of basic authentication holds a password.
        let basic = secret.get(..6).filter(|scheme| scheme.eq_ignore_ascii_case("basic ")).map(|_| &secret[6..]);
        if let Some(decoded) = basic.and_then(|encoded| STANDARD.decode(encoded.trim()).ok()) {
            let decoded = String::from_utf8_lossy(&decoded);
            self.add_whole(&decoded);
            for part in decoded.splitn(2, ':').filter(|part| part.len() >= WINDOW) {
                self.add_pieces(part);
            }
        }
    }

    /// What follows `https://`.
    fn add_url(&mut self, rest: &str) {
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if let Some((user, host)) = authority.rsplit_once('@') {
            // So it is sent, in base64.
            self.add_encoded(&decoded(user));
            for part in user.split(':').filter(|part| part.len() >= WINDOW) {
                self.add_encoded(part);
                self.add_encoded(&decoded(part));
            }
            self.add_part(host);
        } else {
            self.add_part(authority);
        }
        for part in path.split(['/', '?', '&', '=']) {
            self.add_part(part);
            self.add_part(&decoded(part));
        }
    }

    /// A part of a URL. A plain word counts as a whole only: `workflows` stands in many an honest sentence.
    fn add_part(&mut self, part: &str) {
        if part.len() < WINDOW {
            return;
        }
        self.add_whole(part);
        let is_words = part.bytes().all(|byte| byte.is_ascii_lowercase() || b".-_".contains(&byte));
        if !is_words {
            self.add_encoded(part);
        }
    }

    /// A secret as it is, percent-encoded, and in base64 wherever it stands in what was encoded.
    fn add_encoded(&mut self, secret: &str) {
        self.add_pieces(secret);
        self.add_pieces(&form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>());
        if secret.len() < WINDOW {
            return;
        }
        // Three bytes are four characters: it may begin at the first, second or third of them, and the characters that it
        // shares with its neighbours are not its own.
        for (before, shared) in [(0, 0), (1, 2), (2, 3)] {
            let bytes = [&[0; 2][..before], secret.as_bytes()].concat();
            let own = bytes.len() * 8 / 6;
            for encoded in [STANDARD.encode(&bytes), URL_SAFE.encode(&bytes)] {
                self.add_pieces(encoded.get(shared..own).unwrap_or_default());
            }
        }
    }

    fn add_whole(&mut self, text: &str) {
        if !text.is_empty() {
            self.whole.push(text.to_ascii_lowercase().into_bytes());
        }
    }

    fn add_pieces(&mut self, text: &str) {
        self.windows.extend(text.to_ascii_lowercase().as_bytes().windows(WINDOW).map(<[u8]>::to_vec));
    }

    /// Which bytes of `text`, which is in lower case, belong to a secret.
    fn hidden(&self, text: &[u8]) -> Vec<bool> {
        let mut hidden = vec![false; text.len()];
        for whole in &self.whole {
            for (at, _) in text.windows(whole.len()).enumerate().filter(|(_, piece)| piece == whole) {
                hidden[at..at + whole.len()].fill(true);
            }
        }
        for (at, _) in text.windows(WINDOW).enumerate().filter(|(_, piece)| self.windows.contains(*piece)) {
            hidden[at..at + WINDOW].fill(true);
        }
        hidden
    }
}

fn decoded(part: &str) -> String {
    form_urlencoded::parse(part.as_bytes()).map(|(name, _)| name).collect()
}

/// `said` with `***` for each stretch that is hidden.
fn show(said: &str, hidden: &[bool]) -> String {
    let mut out = String::with_capacity(said.len());
    let mut before = false;
    for (at, c) in said.char_indices() {
        let is_hidden = hidden[at..at + c.len_utf8()].contains(&true);
        match (before, is_hidden) {
            (false, true) => out.push_str("***"),
            (_, false) => out.push(c),
            (true, true) => {}
        }
        before = is_hidden;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(secret: &str, said: &str, expected: &str) {
        assert_eq!(redacted(said, &[&secret.into()]), expected, "{secret}");
    }

    #[test]
    fn a_token_is_hidden_in_all_its_forms() {
        let token = "xoxb-1234/Ab+cD~ë";
        check(token, "bad xoxb-1234/Ab+cD~ë!", "bad ***!");
        check(token, "bad XOXB-1234/AB+CD~ë!", "bad ***!");
        check(token, "it begins with xoxb-1234…", "it begins with ***…");
        check(token, "it ends with 4/Ab+cD~ë", "it ends with ***");
        check(token, "token=xoxb-1234%2FAb%2BcD%7E%C3%AB&x=1", "token=***&x=1");
        check(token, "seven of it: xoxb-12", "seven of it: xoxb-12");
        for before in ["", "a", "ab", "abc"] {
            let said = STANDARD.encode(format!("{before}{token}"));
            let shown = redacted(&format!("got {said}."), &[&token.into()]);
            // What is left are the neighbours, and the characters that it shares with them.
            assert!(shown.starts_with("got ") && shown.contains("***") && shown.len() < 18, "{shown}");
        }
        check("short", "too short, too", "too ***, too");
        check("", "nothing", "nothing");
    }

    #[test]
    fn of_an_address_path_query_and_password_are_hidden() {
        let url = "https://some:p%40ssword-9@hooks.example/workflows/T0/B0Marker0?sig=Q1w2E3r4T5";
        check(url, "could not execute workflow B0Marker0", "could not execute workflow ***");
        check(url, "POST /workflows/T0/B0Marker0?sig=Q1w2E3r4T5 at hooks.example", "POST /***/T0/***?sig=*** at ***");
        check(url, "the sig Q1w2E3r4… is wrong", "the sig ***… is wrong");
        check(url, "p@ssword-9 is not it", "*** is not it");
        check(url, "Authorization: Basic c29tZTpwQHNzd29yZC05", "Authorization: Basic ***");
        check(url, "https://elsewhere.example/", "https://elsewhere.example/");
    }

    #[test]
    fn a_password_is_hidden_that_was_sent_in_base64() {
        // AUTH PLAIN sends a zero, the name, a zero, the password.
        let plain = STANDARD.encode("\0somebody\0hunter2hunter2");
        assert_eq!(redacted(&format!("535 {plain}"), &[&"hunter2hunter2".into()]), format!("535 {}***", &plain[..14]));
        let header = format!("Basic {}", STANDARD.encode("somebody:hunter2hunter2"));
        check(&header, "no user somebody with hunter2hunter2", "no user *** with ***");
    }
}
