//! A few lines for a flood: whoever can reach the listener can make the log say something.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// So many lines of each kind are written in a [`WINDOW`].
const LINES: u64 = 5;
const WINDOW: Duration = Duration::from_mins(1);

/// When what was said. There are few kinds `K`: it grows with them.
#[derive(Debug)]
pub struct Log<K>(Mutex<HashMap<K, Window>>);

impl<K> Default for Log<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[derive(Debug, Default)]
struct Window {
    began: Duration,
    lines: u64,
    left_out: u64,
}

impl<K: Eq + Hash> Log<K> {
    /// Whether there is room for a line at the monotonic time `now`: then how many were left out before it.
    pub(super) fn has_room(&self, kind: K, now: Duration) -> Option<u64> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(kind).or_default();
        if now.saturating_sub(window.began) >= WINDOW {
            (window.began, window.lines) = (now, 0);
        }
        if window.lines == LINES {
            window.left_out += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_a_minute_and_says_how_many_it_left_out() {
        let (log, mut lines) = (Log::default(), Vec::new());
        for tick in 0..1800 {
            let now = Duration::from_millis(tick * 100);
            lines.extend(log.has_room("wrong", now));
        }
        assert_eq!(lines, [0, 0, 0, 0, 0, 595, 0, 0, 0, 0, 595, 0, 0, 0, 0]);
        assert_eq!(log.has_room("browser", Duration::ZERO), Some(0), "another kind has lines of its own");
    }
}
