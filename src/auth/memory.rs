//! What has been worked out: credentials by their tags, never by what they are.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::access::Tag;

/// Passwords that fit. There are hardly more than users.
const RIGHT: usize = 256;
/// Those that do not: whoever asks with the same again costs nothing, and the others are not pushed out by it.
const WRONG: usize = 1024;

/// Whose password it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This user's.
    Fits(usize),
    /// Nobody's.
    Wrong,
}

#[derive(Default)]
pub(super) struct Memory(Mutex<Known>);

#[derive(Default)]
struct Known {
    right: Bounded,
    wrong: Bounded,
}

/// Forgets the oldest.
#[derive(Default)]
struct Bounded {
    verdicts: HashMap<Tag, Verdict>,
    order: VecDeque<Tag>,
}

impl Memory {
    /// What is known of a tag.
    pub(super) fn recall(&self, tag: &Tag) -> Option<Verdict> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.right.verdicts.get(tag).or_else(|| known.wrong.verdicts.get(tag)).copied()
    }

    pub(super) fn keep(&self, tag: Tag, verdict: Verdict) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match verdict {
            Verdict::Fits(_) => known.right.keep(tag, verdict, RIGHT),
            Verdict::Wrong => known.wrong.keep(tag, verdict, WRONG),
        }
    }
}

impl Bounded {
    fn keep(&mut self, tag: Tag, verdict: Verdict, limit: usize) {
        if self.verdicts.insert(tag, verdict).is_some() {
            return;
        }
        self.order.push_back(tag);
        if self.order.len() > limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.verdicts.remove(&oldest);
        }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memory")
    }
}
