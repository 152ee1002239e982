//! How often each address was refused lately, and how long it waits for its next answer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// So many addresses are remembered at most.
const MOST: usize = 4096;
/// The second answer waits for this, and each one after it for twice as long as the one before.
const FIRST: Duration = Duration::from_millis(250);
/// Alertmanager and curl are still there after it.
const LONGEST: Duration = Duration::from_secs(4);
/// Who has not failed for so long has never failed.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<IpAddr, Failed>>);

#[derive(Debug, Clone, Copy)]
struct Failed {
    times: u32,
    last: Duration,
}

impl Failures {
    /// One more failure of `address` at the monotonic time `now`; how long its answer waits. The first does not: somebody has
    /// mistyped something.
    pub(super) fn note(&self, address: IpAddr, now: Duration) -> Duration {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.get(&address).filter(|failed| now.saturating_sub(failed.last) < FORGOTTEN_AFTER);
        let times = before.map_or(0, |failed| failed.times);
        if all.len() >= MOST && !all.contains_key(&address) {
            make_room(&mut all, now);
        }
        all.insert(address, Failed { times: times.saturating_add(1), last: now });
        if times == 0 {
            return Duration::ZERO;
        }
        FIRST.saturating_mul(1 << (times - 1).min(16)).min(LONGEST)
    }
}

/// Forgets whoever is forgiven, and if that is not enough a quarter of them at once: those who failed longest ago.
fn make_room(all: &mut HashMap<IpAddr, Failed>, now: Duration) {
    all.retain(|_, failed| now.saturating_sub(failed.last) < FORGOTTEN_AFTER);
    if all.len() < MOST {
        return;
    }
    let mut times: Vec<Duration> = all.values().map(|failed| failed.last).collect();
    let (_, newest_to_go, _) = times.select_nth_unstable(MOST / 4);
    let newest_to_go = *newest_to_go;
    all.retain(|_, failed| failed.last > newest_to_go);
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const OTHER: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    #[test]
    fn each_failure_of_an_address_waits_longer_up_to_a_few_seconds() {
        let failures = Failures::default();
        let waits: Vec<u128> = (0..8).map(|at| failures.note(ONE, Duration::from_secs(at)).as_millis()).collect();
        assert_eq!(waits, [0, 250, 500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(failures.note(OTHER, Duration::from_secs(8)), Duration::ZERO, "another address pays for nothing");
    }

    #[test]
    fn a_minute_without_failures_is_forgiven() {
        let failures = Failures::default();
        for _ in 0..100 {
            failures.note(ONE, Duration::from_secs(1));
        }
        assert_eq!(failures.note(ONE, Duration::from_secs(60)), LONGEST);
        assert_eq!(failures.note(ONE, Duration::from_secs(120)), Duration::ZERO);
    }

    #[test]
    fn a_flood_of_addresses_is_not_remembered_for_ever_and_does_not_wash_out_who_goes_on() {
        let failures = Failures::default();
        for number in 0..20_000_u32 {
            let now = Duration::from_millis(number.into());
            failures.note(IpAddr::V4(Ipv4Addr::from_bits(number + 1)), now);
            if number % 1000 == 0 {
                failures.note(OTHER, now);
            }
        }
        let known = failures.0.lock().unwrap().len();
        assert!((MOST / 2..=MOST).contains(&known), "{known}");
        assert_eq!(failures.note(OTHER, Duration::from_secs(20)), LONGEST);
    }
}
