//! Somebody sets the machine's clock, or it wakes up in another hour.

use std::time::Duration;

use alertrouter::standin::{Behaviour, Gate};

use super::{Log, SOON, To, arrived_once, counted, routes};
use crate::harness::{Harness, alerts};

const HOUR: Duration = Duration::from_secs(3600);

/// A delivery under way, another behind it in its lane, and one in another lane.
async fn under_way(harness: &Harness, to: To) -> Gate {
    let gate = Gate::closed();
    to.service(&harness.services).behave(Behaviour::Wait(gate.clone()));
    harness.accept(&alerts::one("First", to.severity())).await;
    to.service(&harness.services).wait_for(1).await;
    harness.accept(&alerts::one_resolved("First", to.severity())).await;
    gate
}

#[tokio::test]
async fn set_forward_by_an_hour() {
    for to in To::ALL {
        let harness = Harness::with_routes(&routes("timeout: 30s")).await;
        let gate = under_way(&harness, to).await;
        harness.clock.set_forward(HOUR);
        // Every lease has run out by the clock, and somebody looks for work.
        harness.accept(&alerts::one("Second", to.severity())).await;
        harness.accept(&alerts::one_resolved("Second", to.severity())).await;
        harness.pass(SOON).await;
        arrived_once(&harness, to, "Second");
        assert_eq!(to.service(&harness.services).received().len(), 3, "what is under way is not sent again: {to:?}");
        gate.open();
        harness.deliver(SOON).await;
        arrived_once(&harness, to, "First");
        assert_eq!((counted(&harness, to, "delivered").await, harness.dead().await), (4.0, 0));
        harness.finish().await;
    }
}

#[tokio::test]
async fn set_back_by_an_hour() {
    let log = Log::capture();
    for to in To::ALL {
        let harness = Harness::with_routes(&routes("timeout: 30s")).await;
        let gate = under_way(&harness, to).await;
        harness.clock.set_back(HOUR);
        harness.accept(&alerts::one("Second", to.severity())).await;
        harness.accept(&alerts::one_resolved("Second", to.severity())).await;
        harness.pass(SOON * 2).await;
        arrived_once(&harness, to, "Second");
        gate.open();
        harness.deliver(SOON).await;
        arrived_once(&harness, to, "First");
        assert_eq!((counted(&harness, to, "delivered").await, harness.dead().await), (4.0, 0));
        harness.finish().await;
    }
    assert_eq!(
        log.lines("the clock was set back; what is due is moved with it seconds=3600").len(),
        3,
        "{}",
        log.text()
    );
}

#[tokio::test]
async fn set_back_during_an_outage() {
    for to in To::ALL {
        let harness = Harness::with_routes(&routes("timeout: 30s")).await;
        let service = to.service(&harness.services);
        service.set_down(true);
        harness.accept(&alerts::one("DiskFull", to.severity())).await;
        harness.accept(&alerts::one_resolved("DiskFull", to.severity())).await;
        harness.pass(Duration::from_secs(600)).await;
        harness.clock.set_back(HOUR);
        let before = service.turned_away();
        harness.pass(Duration::from_secs(180)).await;
        assert!(service.turned_away() > before + 1, "it is probed on");
        service.set_down(false);
        harness.deliver(SOON).await;
        arrived_once(&harness, to, "DiskFull");
        harness.finish().await;
    }
}
