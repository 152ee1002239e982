//! The services behind an address: one of them, or every one, told apart by path.

use super::exchange::{Received, Reply};
use super::{grafana, pagerduty, slack};

/// The services that there are stand-ins for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Slack's incoming webhook and its Web API.
    Slack,
    /// PagerDuty's Events API v2.
    PagerDuty,
    /// Grafana's annotations.
    Grafana,
    /// All three on one address.
    Every,
}

impl Kind {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "Slack",
            Self::PagerDuty => "PagerDuty",
            Self::Grafana => "Grafana",
            Self::Every => "all of them",
        }
    }

    /// Whose a path is. Slack's Web API and Grafana's annotations both begin with `/api/`; no path is both.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let is_under =
            |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_under(grafana::PATH) || is_under("/apis") {
            Some(Self::Grafana)
        } else if is_under("/services") || is_under(slack::API) {
            Some(Self::Slack)
        } else if is_under("/v2") {
            Some(Self::PagerDuty)
        } else {
            None
        }
    }
}

/// What a service remembers, without the wire.
pub(crate) enum Service {
    Slack(slack::State),
    PagerDuty(pagerduty::State),
    Grafana(grafana::State),
    Every(Box<Every>),
}

/// What all of them remember.
#[derive(Debug, Default)]
pub(crate) struct Every {
    slack: slack::State,
    pagerduty: pagerduty::State,
    grafana: grafana::State,
}

impl Service {
    pub(crate) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Slack => Self::Slack(slack::State::default()),
            Kind::PagerDuty => Self::PagerDuty(pagerduty::State::default()),
            Kind::Grafana => Self::Grafana(grafana::State::default()),
            Kind::Every => Self::Every(Box::default()),
        }
    }

    pub(crate) fn answer(&mut self, received: &Received) -> Reply {
        match self {
            Self::Slack(state) => state.answer(received),
            Self::PagerDuty(state) => state.answer(received),
            Self::Grafana(state) => state.answer(received),
            Self::Every(all) => match Kind::of_path(&received.path) {
                Some(Kind::Slack) => all.slack.answer(received),
                Some(Kind::PagerDuty) => all.pagerduty.answer(received),
                Some(Kind::Grafana) => all.grafana.answer(received),
                Some(Kind::Every) | None => Reply::text(404, "none of the services has this path"),
            },
        }
    }

    /// Whether it is a container's question about the stand-ins themselves, which no service ever gets.
    pub(super) fn is_about_health(&self, received: &Received) -> bool {
        matches!(self, Self::Every(_)) && received.path == "/-/healthy"
    }

    pub(super) fn slack(&self) -> Option<&slack::State> {
        match self {
            Self::Slack(state) => Some(state),
            Self::Every(all) => Some(&all.slack),
            _ => None,
        }
    }

    pub(super) fn slack_mut(&mut self) -> Option<&mut slack::State> {
        match self {
            Self::Slack(state) => Some(state),
            Self::Every(all) => Some(&mut all.slack),
            _ => None,
        }
    }

    pub(super) fn pagerduty(&self) -> Option<&pagerduty::State> {
        match self {
            Self::PagerDuty(state) => Some(state),
            Self::Every(all) => Some(&all.pagerduty),
            _ => None,
        }
    }

    pub(super) fn grafana(&self) -> Option<&grafana::State> {
        match self {
            Self::Grafana(state) => Some(state),
            Self::Every(all) => Some(&all.grafana),
            _ => None,
        }
    }

    pub(super) fn grafana_mut(&mut self) -> Option<&mut grafana::State> {
        match self {
            Self::Grafana(state) => Some(state),
            Self::Every(all) => Some(&mut all.grafana),
            _ => None,
        }
    }

    /// The annotations of a Grafana, which from now on has the API of `backend` only, or only the older one.
    #[cfg(test)]
    pub(crate) fn annotations_of(&mut self, backend: Option<grafana::Backend>) -> Vec<grafana::Annotation> {
        let Some(state) = self.grafana_mut() else { return Vec::new() };
        state.only_apis(backend);
        state.annotations().to_vec()
    }

    /// What a person sees of a request in the service that it was for.
    pub(super) fn render(&self, kind: Option<Kind>, received: &Received) -> String {
        let shown = match kind {
            Some(Kind::Slack) => self.slack().map(|_| slack::render(received)),
            Some(Kind::PagerDuty) => self.pagerduty().map(|state| state.render(received)),
            Some(Kind::Grafana) => self.grafana().map(|state| state.render(received)),
            Some(Kind::Every) | None => None,
        };
        // The rest of a path may be a secret: a hook of some other service.
        let root = received.path.split(['/', '?']).nth(1).unwrap_or_default();
        shown.unwrap_or_else(|| format!("{} /{root}…", received.method))
    }
}
