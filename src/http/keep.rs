//! How much of what is refused is kept for people to look at: the store keeps the newest, and a flood must neither wear out
//! the disk nor push out what an honest sender has sent.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// So many are kept at once.
const BURST: usize = 100;
/// And one more each time this has passed: a flood needs hours to push out what was there.
const EACH: Duration = Duration::from_secs(10);

/// How many may be kept now.
#[derive(Debug, Default)]
pub struct Keep(Mutex<Used>);

#[derive(Debug, Default)]
struct Used {
    count: usize,
    /// Up to when it has been given back.
    until: Duration,
}

impl Keep {
    /// Of `wanted`, how many may be kept. `now` never goes back.
    pub(super) fn take(&self, wanted: usize, now: Duration) -> usize {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_sub(used.until).as_nanos() / EACH.as_nanos();
        let back = u32::try_from(passed).unwrap_or(u32::MAX);
        used.count = used.count.saturating_sub(back as usize);
        used.until = if used.count == 0 { now } else { used.until + EACH * back };
        let taken = wanted.min(BURST - used.count);
        used.count += taken;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_kept_and_then_one_at_a_time() {
        let (keep, second) = (Keep::default(), Duration::from_secs);
        assert_eq!((keep.take(40, second(5)), keep.take(70, second(6)), keep.take(1, second(14))), (40, 60, 0));
        assert_eq!((keep.take(5, second(15)), keep.take(5, second(24)), keep.take(5, second(45))), (1, 0, 3));
        assert_eq!((keep.take(1000, second(100_000)), keep.take(0, second(100_000))), (100, 0));
        assert_eq!((keep.take(1, second(100_009)), keep.take(2, second(100_010))), (0, 1));
    }
}
