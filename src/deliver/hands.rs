//! What a worker has in hand. Leases run out by the wall clock: if that is set forward, or if the store does not take an
//! outcome for long, the worker would else be given what it is sending already, and what comes after it in the lane would
//! overtake it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::Lease;

/// So many bytes a worker has in hand before it takes more: a few notifications of thousands of alerts, each of which takes
/// its memory some times over while it is sent, and any number of ordinary ones.
const FULL: usize = 4 * 1024 * 1024;

/// The leases of the attempts under way, and how large each is; clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Hands(Arc<Mutex<Vec<(Lease, usize)>>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Hand {
    hands: Hands,
    lease: Lease,
}

impl Hands {
    /// An attempt begins.
    pub(super) fn take(&self, lease: Lease, size: usize) -> Hand {
        self.lock().push((lease, size));
        Hand { hands: self.clone(), lease }
    }

    /// All of them.
    pub(super) fn leases(&self) -> Vec<Lease> {
        self.lock().iter().map(|(lease, _)| *lease).collect()
    }

    /// Whether what they hold is so large that nothing more should be taken.
    pub(super) fn are_full(&self) -> bool {
        self.lock().iter().map(|(_, size)| size).sum::<usize>() >= FULL
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Lease, usize)>> {
        // A list, whole in any case.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.hands.lock().retain(|(lease, _)| *lease != self.lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::DeliveryId;

    #[test]
    fn a_large_delivery_fills_them_until_it_has_ended() {
        let (hands, lease) = (Hands::default(), |id| Lease { delivery: DeliveryId(id), token: 1 });
        let small: Vec<_> = (0..8).map(|id| hands.take(lease(id), 10_000)).collect();
        assert!(!hands.are_full());
        let large = hands.take(lease(9), FULL);
        assert!(hands.are_full());
        drop(large);
        assert_eq!((hands.are_full(), hands.leases().len()), (false, small.len()));
    }
}
