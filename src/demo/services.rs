//! The stand-ins of the demo.

use anyhow::Context;

use crate::standin::{Kind, StandIn, grafana, pagerduty};

/// Slack, PagerDuty and Grafana.
#[derive(Debug)]
pub(super) struct Services {
    pub(super) slack: StandIn,
    pub(super) pagerduty: StandIn,
    pub(super) grafana: StandIn,
}

impl Services {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let start = async |kind| StandIn::start(kind).await.context("a stand-in cannot listen on loopback");
        Ok(Self {
            slack: start(Kind::Slack).await?,
            pagerduty: start(Kind::PagerDuty).await?,
            grafana: start(Kind::Grafana).await?,
        })
    }

    pub(super) fn all(&self) -> [(&'static str, &StandIn); 3] {
        [("PagerDuty", &self.pagerduty), ("Slack", &self.slack), ("Grafana", &self.grafana)]
    }

    /// The demo's routes.yaml, pointing here.
    pub(super) fn routes(&self) -> String {
        include_str!("routes.yaml")
            .replace("PAGERDUTY_URL", &self.pagerduty.url())
            .replace("PAGERDUTY_ROUTING_KEY", pagerduty::ROUTING_KEY)
            .replace("SLACK_WEBHOOK_URL", &self.slack.url())
            .replace("GRAFANA_URL", &self.grafana.url())
            .replace("GRAFANA_TOKEN", grafana::TOKEN)
    }
}
