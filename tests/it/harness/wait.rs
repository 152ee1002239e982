//! Waiting for what other processes do: for the event itself where there is one, always with a bound.

use std::time::Duration;

use alertrouter::standin::StandIn;
use tokio::time::{interval, timeout};

/// Nothing that is waited for takes longer, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often to look where nothing announces the change.
const LOOK: Duration = Duration::from_millis(20);

/// Waits for something that has to come.
pub async fn patiently<T>(what: &str, coming: impl Future<Output = T>) -> T {
    timeout(PATIENCE, coming).await.unwrap_or_else(|_| panic!("{what} did not come within {PATIENCE:?}"))
}

/// Looks until something is so that nothing announces. `log` explains why it never was.
pub async fn until(what: &str, log: impl Fn() -> String, is_so: impl AsyncFnMut() -> bool) {
    until_within(PATIENCE, LOOK, what, log, is_so).await;
}

/// The same within another bound, looking every so often: each look at another program costs both of us something.
pub async fn until_within(
    bound: Duration,
    every: Duration,
    what: &str,
    log: impl Fn() -> String,
    mut is_so: impl AsyncFnMut() -> bool,
) {
    let mut look = interval(every);
    let waited = timeout(bound, async {
        while !is_so().await {
            look.tick().await;
        }
    });
    assert!(waited.await.is_ok(), "{what} did not come within {bound:?}:\n{}", log());
}

/// Waits until what a service has taken is as it should be, looking again at each further request.
pub async fn until_taken(service: &StandIn, what: &str, log: impl Fn() -> String, is_so: impl Fn(&StandIn) -> bool) {
    let waited = timeout(PATIENCE, async {
        loop {
            let taken = service.accepted().len();
            if is_so(service) {
                return;
            }
            service.wait_for_accepted(taken + 1).await;
        }
    });
    if waited.await.is_err() {
        let taken: Vec<_> = service.accepted().iter().map(|request| request.json.to_string()).collect();
        panic!("{what} did not come within {PATIENCE:?}:\n{}\n{}", taken.join("\n"), log());
    }
}
