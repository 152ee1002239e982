//! One message that a service never takes holds up neither the others nor their order.

use std::time::Duration;

use alertrouter::clock::between;

use super::{SOON, To, arrived_once, counted, is_up, routes};
use crate::harness::{Harness, alerts};

/// Between two attempts of one delivery at a receiver that is up.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Between two probes of a receiver that seems to be down.
const PROBE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn one_bad_lane() {
    for to in To::ALL {
        let harness = Harness::with_routes(&routes("timeout: 30s")).await;
        to.service(&harness.services).refuse("Poison", 500);
        harness.accept(&alerts::one("Poison", to.severity())).await;
        harness.accept(&alerts::one_resolved("Poison", to.severity())).await;
        // Together with others: they keep the receiver up.
        for number in 0..20 {
            harness.accept(&alerts::one(&format!("Early-{number:02}"), to.severity())).await;
            harness.accept(&alerts::one_resolved(&format!("Early-{number:02}"), to.severity())).await;
        }
        harness.pass_until(SOON, async || harness.pending().await == 2).await;
        // Alone it looks like a receiver that is down; whoever comes next is the next probe.
        harness.pass(Duration::from_secs(600)).await;
        assert!(!is_up(&harness, to).await);
        for number in 0..3 {
            let (name, before) = (format!("Late-{number}"), harness.now());
            harness.accept(&alerts::one(&name, to.severity())).await;
            harness.accept(&alerts::one_resolved(&name, to.severity())).await;
            harness.pass_until(SOON * 2, async || harness.pending().await == 2).await;
            let waited = between(before, harness.now());
            assert!(waited <= PROBE * 2, "{name} waited for {waited:?}");
            harness.pass(Duration::from_secs(200)).await;
        }
        let names =
            (0..20).map(|number| format!("Early-{number:02}")).chain((0..3).map(|number| format!("Late-{number}")));
        names.for_each(|name| arrived_once(&harness, to, &name));
        assert_eq!((counted(&harness, to, "delivered").await, harness.dead().await), (46.0, 0));
        // It takes it after all: first the alert, then its end.
        to.service(&harness.services).refuse_nothing();
        harness.deliver(LONGEST_WAIT + SOON).await;
        arrived_once(&harness, to, "Poison");
        assert!(is_up(&harness, to).await);
        harness.finish().await;
    }
}
