//! The decision.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use ring::hmac;
use secrecy::{ExposeSecret, SecretSlice};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::hash::{self, PasswordHash};
use super::memory::{Memory, Verdict};
use super::{ClientCertificate, Credentials, Presented, Role};

/// A credential under the key of its [`Access`].
pub(super) type Tag = [u8; 32];

/// What is done where nobody has that name.
const NOBODY: [u8; 16] = [0; 16];

/// Whether a request may do what it asks for.
#[derive(Debug)]
pub enum Decision {
    /// It may.
    Granted,
    /// It may not.
    Refused(Refusal),
    /// A password has to be checked first.
    Unsure(Attempt),
}

/// Why a request may not do what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It presents nothing.
    Missing,
    /// Nobody has what it presents.
    Wrong,
    /// What it presents is good, and not for this.
    Role,
}

/// The credentials in force, compiled.
#[derive(Debug)]
pub struct Access {
    key: hmac::Key,
    open: bool,
    takes_bearer: bool,
    tokens: Vec<Token>,
    users: Vec<User>,
    /// The names of certificates and their roles.
    certificates: Vec<(String, Roles)>,
    certificate_required: bool,
    /// The work of one wrong password, whoever's it is.
    cost: u32,
    memory: Memory,
}

#[derive(Debug)]
struct Token {
    tag: Tag,
    roles: Roles,
}

#[derive(Debug)]
struct User {
    name: Tag,
    hash: Option<PasswordHash>,
    roles: Roles,
}

/// A set of roles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Roles(u8);

impl Roles {
    fn of(roles: &[Role]) -> Self {
        Self(roles.iter().fold(0, |set, role| set | Self::bit(*role)))
    }

    fn bit(role: Role) -> u8 {
        1 << role as u8
    }

    fn decide(self, role: Role) -> Decision {
        if self.0 & Self::bit(role) == 0 { Decision::Refused(Refusal::Role) } else { Decision::Granted }
    }
}

impl Default for Access {
    /// Open.
    fn default() -> Self {
        Self::new(Credentials::default())
    }
}

impl Access {
    /// Compiles `credentials`. What has been worked out before is forgotten.
    #[must_use]
    pub fn new(credentials: Credentials) -> Self {
        let key = random_key();
        let (open, takes_bearer) = (credentials.are_none(), !credentials.bearer_tokens.is_empty());
        let Credentials { bearer_tokens, basic_users, client_certificates, certificate_required } = credentials;
        // One that was not looked up is nobody's.
        let tokens = bearer_tokens.into_iter().filter(|token| !token.token.expose_secret().is_empty()).map(|token| {
            let tag = tag(&key, &[b"token", token.token.expose_secret().as_bytes()]);
            Token { tag, roles: Roles::of(&token.roles) }
        });
        let tokens = tokens.collect();
        let users = basic_users.into_iter().map(|user| User {
            name: tag(&key, &[b"name", user.username.as_bytes()]),
            hash: PasswordHash::parse(user.password_hash.expose_secret()).ok(),
            roles: Roles::of(&user.roles),
        });
        let users: Vec<User> = users.collect();
        let cost = users.iter().filter_map(|user| user.hash.as_ref()).map(PasswordHash::cost).max().unwrap_or_default();
        let certificates =
            client_certificates.into_iter().map(|rule| (rule.san, Roles::of(&rule.roles))).collect::<Vec<_>>();
        Self {
            key,
            open,
            takes_bearer,
            tokens,
            users,
            certificates,
            certificate_required,
            cost,
            memory: Memory::default(),
        }
    }

    /// Whether nobody has to authenticate.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether `Authorization: Bearer` may be good for something.
    #[must_use]
    pub fn takes_bearer(&self) -> bool {
        self.takes_bearer
    }

    /// Whether `Authorization: Basic` may be good for something.
    #[must_use]
    pub fn takes_basic(&self) -> bool {
        !self.users.is_empty()
    }

    /// Whether the listener requires a certificate: only a connection from before that has none.
    #[must_use]
    pub fn requires_certificate(&self) -> bool {
        self.certificate_required
    }

    /// Whether somebody who presents this may do what `role` is for. `certificate` is one that the listener has verified.
    #[must_use]
    pub fn check(
        self: &Arc<Self>,
        presented: Presented<'_>,
        certificate: Option<&ClientCertificate>,
        role: Role,
    ) -> Decision {
        if self.open {
            return Decision::Granted;
        }
        if self.certificate_required && certificate.is_none() {
            return Decision::Refused(Refusal::Missing);
        }
        let by_name = certificate.and_then(|certificate| self.roles_of(certificate));
        if let Some(roles) = by_name
            && let Decision::Granted = roles.decide(role)
        {
            return Decision::Granted;
        }
        if self.takes_bearer() || self.takes_basic() {
            return self.check_header(presented, by_name.is_some(), role);
        }
        match (certificate, by_name) {
            (None, _) => Decision::Refused(Refusal::Missing),
            // Required and nothing else said: as with Prometheus.
            (Some(_), None) if self.certificates.is_empty() => Decision::Granted,
            (Some(_), _) => Decision::Refused(Refusal::Role),
        }
    }

    fn roles_of(&self, certificate: &ClientCertificate) -> Option<Roles> {
        let is_named = |(name, _): &&(String, Roles)| certificate.sans.iter().any(|san| is_same_name(name, san));
        let mut roles = self.certificates.iter().filter(is_named).map(|(_, roles)| *roles).peekable();
        roles.peek()?;
        Some(roles.fold(Roles::default(), |all, one| Roles(all.0 | one.0)))
    }

    fn check_header(self: &Arc<Self>, presented: Presented<'_>, is_known: bool, role: Role) -> Decision {
        match presented {
            // Its certificate is good, and not for this.
            Presented::Nothing if is_known => Decision::Refused(Refusal::Role),
            Presented::Nothing => Decision::Refused(Refusal::Missing),
            Presented::Bearer(token) => self.check_token(token, role),
            Presented::Basic { username, password } if self.takes_basic() => {
                let tag = tag(&self.key, &[b"basic", &username, password.expose_secret()]);
                if let Some(verdict) = self.memory.recall(&tag) {
                    return self.decision(verdict, role);
                }
                let name = self::tag(&self.key, &[b"name", &username]);
                let mut user = usize::MAX;
                for (at, one) in self.users.iter().enumerate() {
                    user = select(user, at, one.name.ct_eq(&name));
                }
                Decision::Unsure(Attempt { access: self.clone(), user, password, tag, role })
            }
            Presented::Garbage | Presented::Basic { .. } => Decision::Refused(Refusal::Wrong),
        }
    }

    fn check_token(&self, token: &[u8], role: Role) -> Decision {
        let tag = tag(&self.key, &[b"token", token]);
        let (mut known, mut roles) = (Choice::from(0), 0);
        for one in &self.tokens {
            let is_it = one.tag.ct_eq(&tag);
            known |= is_it;
            roles |= u8::conditional_select(&0, &one.roles.0, is_it);
        }
        if bool::from(known) { Roles(roles).decide(role) } else { Decision::Refused(Refusal::Wrong) }
    }

    fn decision(&self, verdict: Verdict, role: Role) -> Decision {
        let user = match verdict {
            Verdict::Fits(user) => self.users.get(user),
            Verdict::Wrong => None,
        };
        user.map_or(Decision::Refused(Refusal::Wrong), |user| user.roles.decide(role))
    }
}

/// A password that has to be checked. `Debug` shows nothing of it.
#[derive(Debug)]
pub struct Attempt {
    access: Arc<Access>,
    /// The index of the user; beyond all of them if nobody has that name.
    user: usize,
    password: SecretSlice<u8>,
    tag: Tag,
    role: Role,
}

impl Attempt {
    /// The decision, if the same credentials have been checked meanwhile.
    #[must_use]
    pub fn known(&self) -> Option<Decision> {
        let verdict = self.access.memory.recall(&self.tag)?;
        Some(self.access.decision(verdict, self.role))
    }

    /// The decision. Blocks for as long as bcrypt takes: from milliseconds to seconds, by the cost of the hashes. A wrong
    /// password takes the same time whoever's it is, also if nobody has that name.
    #[must_use]
    pub fn decide(self) -> Decision {
        if let Some(decision) = self.known() {
            return decision;
        }
        let (access, password) = (&self.access, self.password.expose_secret());
        let user = access.users.get(self.user).and_then(|user| user.hash.as_ref());
        let fits = user.is_some_and(|hash| hash.fits(password));
        if !fits {
            // 2^c + (2^c + 2^(c+1) + … + 2^(m-1)) = 2^m
            match user {
                Some(hash) => {
                    for cost in hash.cost()..access.cost {
                        std::hint::black_box(hash::work(cost, NOBODY, password));
                    }
                }
                None if access.cost > 0 => drop(std::hint::black_box(hash::work(access.cost, NOBODY, password))),
                None => {}
            }
        }
        let verdict = if fits { Verdict::Fits(self.user) } else { Verdict::Wrong };
        access.memory.keep(self.tag, verdict);
        access.decision(verdict, self.role)
    }
}

fn select(one: usize, other: usize, choice: Choice) -> usize {
    let [one, other] = [one, other].map(|index| u64::try_from(index).unwrap_or(u64::MAX));
    usize::try_from(u64::conditional_select(&one, &other, choice)).unwrap_or(usize::MAX)
}

/// DNS names do not differ by their case, URIs do.
fn is_same_name(rule: &str, san: &str) -> bool {
    rule == san || (!rule.contains(':') && rule.eq_ignore_ascii_case(san))
}

/// Each part with its length, so that none of them can reach into the next.
fn tag(key: &hmac::Key, parts: &[&[u8]]) -> Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let mut tag = [0; 32];
    tag.copy_from_slice(context.sign().as_ref());
    tag
}

fn random_key() -> hmac::Key {
    let random = ring::rand::SystemRandom::new();
    hmac::Key::generate(hmac::HMAC_SHA256, &random).unwrap_or_else(|_| {
        // The machine has no randomness for anybody: then the standard library's, which it took at the start.
        let bytes: Vec<u8> = (0..4_u64).flat_map(|part| RandomState::new().hash_one(part).to_le_bytes()).collect();
        hmac::Key::new(hmac::HMAC_SHA256, &bytes)
    })
}
