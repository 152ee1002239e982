//! bcrypt hashes as `htpasswd -B` writes them: `$2y$10$`, 22 characters of salt, 31 of hash.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use subtle::ConstantTimeEq as _;

/// bcrypt's own base64; of the last character of salt and hash only some bits count.
const BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, NO_PAD.with_decode_allow_trailing_bits(true));
/// What bcrypt allows.
const COSTS: std::ops::RangeInclusive<u32> = 4..=31;
/// bcrypt looks at so many bytes of a password.
const LONGEST: usize = 72;

/// A bcrypt hash. `Debug` shows its cost alone.
#[derive(Clone)]
pub struct PasswordHash {
    cost: u32,
    salt: [u8; 16],
    hash: [u8; 23],
}

/// What a text is instead of a bcrypt hash. It repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoHash {
    /// Another hash, of a kind that cannot be checked: MD5, SHA, argon2, …
    OtherHash,
    /// It begins as a bcrypt hash does and then is none; a shell may have replaced its `$`.
    Damaged,
    /// The cost is not between 4 and 31.
    Cost,
    /// A whole line of htpasswd: a name, a colon, a hash.
    WithName,
    /// Something else: a password in plain text, most likely.
    Plain,
}

impl PasswordHash {
    /// The cost up to which a check takes well below a second on a machine of today.
    pub const EASY: u32 = 12;
    /// From here on a check takes so long (4 s and more) that whoever presents a password has given up before.
    pub const ABSURD: u32 = 16;

    /// Reads a hash: `$2a$`, `$2b$` or `$2y$`, which are the same.
    ///
    /// # Errors
    /// What it is instead.
    pub fn parse(text: &str) -> Result<Self, NoHash> {
        let kind = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix));
        let Some(rest) = kind else {
            return Err(match () {
                () if text.starts_with('$') || text.starts_with("{SHA}") => NoHash::OtherHash,
                () if text.contains(":$2") => NoHash::WithName,
                () => NoHash::Plain,
            });
        };
        let (Some((cost, rest)), 56) = (rest.split_once('$'), rest.len()) else { return Err(NoHash::Damaged) };
        if cost.len() != 2 || !cost.bytes().all(|byte| byte.is_ascii_digit()) || !rest.is_ascii() || rest.len() != 53 {
            return Err(NoHash::Damaged);
        }
        let cost = cost.parse().map_err(|_| NoHash::Damaged)?;
        if !COSTS.contains(&cost) {
            return Err(NoHash::Cost);
        }
        let (mut salt, mut hash) = ([0; 16], [0; 23]);
        BASE64.decode_slice(&rest[..22], &mut salt).map_err(|_| NoHash::Damaged)?;
        BASE64.decode_slice(&rest[22..], &mut hash).map_err(|_| NoHash::Damaged)?;
        Ok(Self { cost, salt, hash })
    }

    /// The work of one check is 2 to the power of it.
    #[must_use]
    pub fn cost(&self) -> u32 {
        self.cost
    }

    /// Whether it is the hash of `password`. Takes from milliseconds to seconds, by the cost.
    pub(super) fn fits(&self, password: &[u8]) -> bool {
        let hash = work(self.cost, self.salt, password);
        // bcrypt's hash of a text with a NUL is that of another text, too.
        let is_text = !password.contains(&0);
        bool::from(hash[..23].ct_eq(&self.hash)) && is_text
    }
}

/// One bcrypt.
pub(super) fn work(cost: u32, salt: [u8; 16], password: &[u8]) -> [u8; 24] {
    let mut bytes = [0; LONGEST];
    let length = password.len().min(LONGEST);
    bytes[..length].copy_from_slice(&password[..length]);
    // Its end is a part of it, if there is room.
    bcrypt::bcrypt(cost, salt, &bytes[..(length + 1).min(LONGEST)])
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("cost", &self.cost).finish_non_exhaustive()
    }
}
