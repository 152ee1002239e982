//! Grafana's annotations: one for each episode, made a region at its end, whatever Grafana does.

use std::time::Duration;

use alertrouter::standin::Behaviour;
use alertrouter::standin::grafana::Backend;

use crate::harness::{Harness, alerts};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_grafana_without_the_older_api_has_its_regions_all_the_same() {
    for backend in [Backend::Sql, Backend::Postgres] {
        let mut harness = Harness::start().await;
        harness.services.grafana.only_apis(Some(backend));
        harness.accept(&alerts::one("Deploy", "info")).await;
        harness.deliver(SOON).await;
        harness.restart().await;
        // The answer that says that the region is there is lost.
        harness.services.grafana.behave(Behaviour::LoseAnswer);
        harness.accept(&alerts::one_resolved("Deploy", "info")).await;
        harness.deliver(SOON).await;
        let spans: Vec<_> =
            harness.services.grafana.annotations().iter().map(|found| found.time_end - found.time).collect();
        assert_eq!(spans, [60_000], "{backend:?}: a region of a minute, and no point beside it");
        harness.finish().await;
    }
}

#[tokio::test]
async fn what_was_open_before_an_upgrade_of_grafana_is_closed_after_it() {
    let harness = Harness::start().await;
    harness.accept(&alerts::one("Deploy", "info")).await;
    harness.deliver(SOON).await;
    harness.services.grafana.only_apis(Some(Backend::Postgres));
    harness.accept(&alerts::one_resolved("Deploy", "info")).await;
    harness.deliver(SOON).await;
    let spans: Vec<_> =
        harness.services.grafana.annotations().iter().map(|found| found.time_end - found.time).collect();
    assert_eq!(spans, [60_000]);
    assert_eq!(harness.dead().await, 0);
    harness.finish().await;
}
