//! The markers: one in every place where routes.yaml can hold a secret, and how to find one in what leaves the process.

use std::collections::HashSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// So many characters of a marker in a row are one too many.
const PIECE: usize = 8;

/// How routes.yaml is given a secret.
pub enum Given {
    Inline,
    Env,
    File,
}

/// A secret: its word in [`ROUTES`], what it looks like around its marker, and how it is given. Another one is a line here and
/// its word below.
pub const SECRETS: &[(&str, &str, Given)] = &[
    ("SLACK_HOOK", "http://<SLACK>/services/T0/B0/<MARKER>", Given::Inline),
    ("SLACK_TOKEN", "xoxb-<MARKER>", Given::Env),
    ("ROUTING_KEY", "<MARKER>", Given::File),
    ("GRAFANA_TOKEN", "glsa_<MARKER>", Given::Env),
    ("HOOK_URL", "http://<PLAIN>/<MARKER>?key=1", Given::File),
    ("HOOK_BEARER", "Bearer <MARKER>", Given::Inline),
    ("HOOK_KEY", "<MARKER>", Given::Env),
    ("SIGN_NEW", "whsec_<MARKER>", Given::Inline),
    ("SIGN_OLD", "whsec_<MARKER>", Given::File),
    ("USER_URL", "http://somebody:<MARKER>@<PLAIN>/x", Given::Env),
    ("QUERY_URL", "https://<TLS>/invoke?sv=1.0&sig=<MARKER>", Given::File),
    ("BASIC", "Basic <MARKER>", Given::Env),
    ("PASSWORD", "<MARKER>", Given::File),
    ("WRONG_NAME", "https://<NAMED>/services/T0/B0/<MARKER>", Given::Inline),
    ("NO_NAME", "http://<NOBODY>.invalid/services/T0/B0/<MARKER>", Given::Env),
    ("REFUSED", "http://<CLOSED>/hook/<MARKER>", Given::Inline),
];

/// Every kind of receiver.
pub const ROUTES: &str = "
receivers:
  - name: slack-hook
    slack: { webhook_url: <SLACK_HOOK> }
    <LIMITS>
  - name: slack-app
    slack: { token: <SLACK_TOKEN>, channel: C0123456789, api_url: 'http://<APP>/api' }
    <LIMITS>
  - name: pagerduty
    pagerduty: { routing_key: <ROUTING_KEY>, url: 'http://<PAGERDUTY>/v2/enqueue' }
    <LIMITS>
  - name: grafana
    grafana: { url: 'http://<GRAFANA>', token: <GRAFANA_TOKEN> }
    <LIMITS>
  - name: webhook
    webhook:
      url: <HOOK_URL>
      headers: { authorization: <HOOK_BEARER>, x-key: <HOOK_KEY> }
      secret: [<SIGN_NEW>, <SIGN_OLD>]
    <LIMITS>
  - name: user
    webhook: { url: <USER_URL> }
    <LIMITS>
  - name: http2
    webhook: { url: <QUERY_URL>, headers: { authorization: <BASIC> } }
    <LIMITS>
  - name: mail
    email:
      smarthost: '<SMTP>'
      from: a@example.org
      to: [b@example.org, c@example.org]
      tls: tls
      auth: { username: somebody, password: <PASSWORD> }
      ca_file: authority.pem
    timeout: 30s
    rate_limit: { rate: 100/s, burst: 100, overflow: wait }
  - name: wrong-name
    slack: { webhook_url: <WRONG_NAME> }
    <LIMITS>
  - name: no-name
    webhook: { url: <NO_NAME> }
    <LIMITS>
  - name: refused
    webhook: { url: <REFUSED> }
    <LIMITS>
route:
  receivers: [slack-hook, slack-app, pagerduty, grafana, webhook, user, http2, mail, wrong-name, no-name, refused]
";

/// What hangs costs the test a second each time. The mail server, a process that does not, may take as long as it needs.
const LIMITS: &str = "timeout: 1s\n    rate_limit: { rate: 100/s, burst: 100, overflow: wait }";

/// 32 letters and digits, the same in every run. What a key of PagerDuty and a signature's secret must look like, too.
pub fn marker(word: &str) -> String {
    let seed = word
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut random = fastrand::Rng::with_seed(seed);
    (0..32).map(|_| random.alphanumeric()).collect()
}

/// The value of a secret, with the peers' addresses in it.
pub fn value(word: &str, peers: &[(&str, String)]) -> String {
    let (_, shape, _) = SECRETS.iter().find(|(known, ..)| *known == word).unwrap();
    // A user name before it, as there always is.
    let marker = if word == "BASIC" { STANDARD.encode(format!("bob:{}", marker(word))) } else { marker(word) };
    peers
        .iter()
        .fold(shape.to_string(), |text, (name, address)| text.replace(&format!("<{name}>"), address))
        .replace("<MARKER>", &marker)
}

/// Writes routes.yaml and the files that it names into `folder`; the text of routes.yaml, and the environment that it needs.
pub fn plant(folder: &Path, peers: &[(&str, String)]) -> (String, Vec<(String, String)>) {
    let (mut routes, mut env) = (ROUTES.replace("<LIMITS>", LIMITS), Vec::new());
    for (word, _, given) in SECRETS {
        let value = value(word, peers);
        let written = match given {
            Given::Inline => format!("'{value}'"),
            Given::Env => {
                env.push((format!("IT_{word}"), value));
                format!("{{ env: IT_{word} }}")
            }
            Given::File => {
                let file = format!("{}.secret", word.to_lowercase());
                std::fs::write(folder.join(&file), value + "\n").unwrap();
                format!("{{ file: {file} }}")
            }
        };
        routes = routes.replace(&format!("<{word}>"), &written);
    }
    for (name, address) in peers {
        routes = routes.replace(&format!("<{name}>"), address);
    }
    std::fs::write(folder.join("routes.yaml"), &routes).unwrap();
    (routes, env)
}

/// Finds markers: whole, in pieces, and in base64 wherever they stand in what was encoded.
pub struct Finder {
    pieces: HashSet<Vec<u8>>,
    /// What their first two bytes may be; most bytes need no further look.
    begins: Vec<bool>,
    of: Vec<(String, String)>,
}

impl Finder {
    /// For the markers of these words.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut finder = Self { pieces: HashSet::new(), begins: vec![false; 1 << 16], of: Vec::new() };
        for word in words {
            let marker = marker(word);
            finder.add(word, &marker);
            for (before, shared) in [("", 0), ("a", 2), ("ab", 3)] {
                let text = format!("{before}{marker}");
                for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
                    finder.add(word, &encoded[shared..text.len() * 8 / 6]);
                }
            }
        }
        finder
    }

    fn add(&mut self, word: &str, text: &str) {
        for piece in text.as_bytes().windows(PIECE) {
            self.begins[begin(piece)] = true;
            self.pieces.insert(piece.to_vec());
        }
        self.of.push((word.to_owned(), text.to_owned()));
    }

    /// The words whose markers are in `bytes`, each with what stands around it.
    pub fn find(&self, bytes: &[u8]) -> Vec<String> {
        let is_piece = |piece: &[u8]| self.begins[begin(piece)] && self.pieces.contains(piece);
        let mut found = Vec::new();
        for (at, piece) in bytes.windows(PIECE).enumerate().filter(|(_, piece)| is_piece(piece)) {
            let piece = String::from_utf8_lossy(piece);
            let (word, _) = self.of.iter().find(|(_, text)| text.contains(&*piece)).unwrap();
            let around = &bytes[at.saturating_sub(300)..bytes.len().min(at + 60)];
            if !found.iter().any(|line: &String| line.starts_with(&format!("{word}:"))) {
                found.push(format!("{word}: …{}…", String::from_utf8_lossy(around)));
            }
        }
        found
    }

    /// Fails if there is one.
    #[track_caller]
    pub fn none_in(&self, what: &str, bytes: impl AsRef<[u8]>) {
        let found = self.find(bytes.as_ref());
        assert!(found.is_empty(), "{what} shows secrets:\n{}", found.join("\n"));
    }
}

fn begin(piece: &[u8]) -> usize {
    usize::from(piece[0]) << 8 | usize::from(piece[1])
}

#[test]
fn every_secret_is_planted_and_would_be_found() {
    let finder = Finder::new(SECRETS.iter().map(|(word, ..)| *word));
    for (word, ..) in SECRETS {
        assert!(ROUTES.contains(&format!("<{word}>")), "{word} is nowhere in the file");
        let marker = marker(word);
        for shown in [marker.clone(), format!("begins {}…", &marker[..8]), format!("…{} ends", &marker[24..])] {
            assert!(finder.find(shown.as_bytes())[0].starts_with(word), "{shown}");
        }
        let basic = STANDARD.encode(format!("somebody:{marker}"));
        assert!(finder.find(format!("Authorization: Basic {basic}").as_bytes())[0].starts_with(word), "{basic}");
    }
    assert!(finder.find(ROUTES.as_bytes()).is_empty());
}
