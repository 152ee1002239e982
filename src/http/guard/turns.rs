//! Whose password is checked next. A check costs a core for a tenth of a second, so only a few go on at once.
//!
//! Addresses take turns. Of one address, which may be that of a proxy with a hundred strangers and one Alertmanager behind it,
//! the newest and the oldest go in turn: whoever comes when many wait is soon there, and whoever has waited long comes to an
//! end. When too many wait, the oldest of the longest line has to come again: it has waited, so it does not come back
//! quickly.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock::Clock;

/// Nobody waits longer. With the check itself that is below the 10 s that Alertmanager gives a group.
pub(super) const LONGEST: Duration = Duration::from_secs(5);
/// So many wait.
const MOST: usize = 256;

#[derive(Debug)]
pub(super) struct Turns(Mutex<Lines>);

#[derive(Debug)]
struct Lines {
    free: usize,
    waiting: usize,
    /// The next one first.
    all: VecDeque<Line>,
}

#[derive(Debug)]
struct Line {
    address: IpAddr,
    /// The oldest first.
    waiting: VecDeque<oneshot::Sender<Turn>>,
    newest_next: bool,
}

/// The right to check one password; it goes to the next one when it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<Arc<Turns>>);

impl Default for Turns {
    /// Half of the cores, so that alerts have the others.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new((cores / 2).clamp(1, 4))
    }
}

impl Turns {
    fn new(free: usize) -> Self {
        Self(Mutex::new(Lines { free, waiting: 0, all: VecDeque::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn; `None` if there was none in time.
    pub(super) async fn wait(self: &Arc<Self>, address: IpAddr, clock: &dyn Clock) -> Option<Turn> {
        let coming = {
            let mut lines = self.lock();
            if lines.free > 0 {
                lines.free -= 1;
                return Some(Turn(Some(self.clone())));
            }
            lines.join(address)
        };
        tokio::select! {
            turn = coming => turn.ok(),
            () = clock.sleep(LONGEST) => None,
        }
    }
}

impl Lines {
    fn join(&mut self, address: IpAddr) -> oneshot::Receiver<Turn> {
        if self.waiting >= MOST {
            self.make_room();
        }
        let (sender, receiver) = oneshot::channel();
        match self.all.iter_mut().find(|line| line.address == address) {
            Some(line) => line.waiting.push_back(sender),
            None => self.all.push_back(Line { address, waiting: [sender].into(), newest_next: true }),
        }
        self.waiting += 1;
        receiver
    }

    /// Forgets who has gone away; if nobody has, sends the oldest of the longest line away.
    fn make_room(&mut self) {
        for line in &mut self.all {
            line.waiting.retain(|waiting| !waiting.is_closed());
        }
        self.all.retain(|line| !line.waiting.is_empty());
        self.waiting = self.all.iter().map(|line| line.waiting.len()).sum();
        if self.waiting >= MOST
            && let Some(line) = self.all.iter_mut().max_by_key(|line| line.waiting.len())
        {
            line.waiting.pop_front();
            self.waiting -= 1;
            self.all.retain(|line| !line.waiting.is_empty());
        }
    }

    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        while let Some(mut line) = self.all.pop_front() {
            let next = if line.newest_next { line.waiting.pop_back() } else { line.waiting.pop_front() };
            self.waiting = self.waiting.saturating_sub(usize::from(next.is_some()));
            // Who has gone away takes nobody's turn.
            let is_there = next.as_ref().is_some_and(|next| !next.is_closed());
            if is_there {
                line.newest_next = !line.newest_next;
            }
            match (line.waiting.is_empty(), is_there) {
                (true, _) => {}
                (false, true) => self.all.push_back(line),
                (false, false) => self.all.push_front(line),
            }
            if is_there {
                return next;
            }
        }
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        loop {
            let next = {
                let mut lines = turns.lock();
                let next = lines.next();
                if next.is_none() {
                    lines.free += 1;
                }
                next
            };
            match next.map(|next| next.send(Turn(Some(turns.clone())))) {
                // It has gone away at this very moment.
                Some(Err(mut turn)) => turn.0 = None,
                Some(Ok(())) | None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
