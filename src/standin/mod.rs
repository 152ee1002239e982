//! Stand-ins for Slack, PagerDuty and Grafana on loopback: for `alertrouter demo` and for the tests.
//!
//! They refuse what the real services refuse, in the words of the real services, so that a message that passes here
//! passes there. They keep everything they receive, and they misbehave on command: a [`Behaviour`] per request, or down
//! until told otherwise.

mod behaviour;
mod exchange;
pub mod grafana;
pub mod pagerduty;
mod server;
pub mod slack;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use behaviour::{Behaviour, Gate};
pub use exchange::Received;

use crate::clock::SharedClock;
use behaviour::Limit;
use exchange::Reply;

/// The services that there are stand-ins for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Slack's incoming webhook.
    Slack,
    /// PagerDuty's Events API v2.
    PagerDuty,
    /// Grafana's annotations.
    Grafana,
}

/// What a service remembers, without the wire.
pub(crate) enum Service {
    Slack(slack::State),
    PagerDuty(pagerduty::State),
    Grafana(grafana::State),
}

impl Service {
    pub(crate) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Slack => Self::Slack(slack::State::default()),
            Kind::PagerDuty => Self::PagerDuty(pagerduty::State::default()),
            Kind::Grafana => Self::Grafana(grafana::State::default()),
        }
    }

    pub(crate) fn answer(&mut self, received: &Received) -> Reply {
        match self {
            Self::Slack(state) => state.answer(received),
            Self::PagerDuty(state) => state.answer(received),
            Self::Grafana(state) => state.answer(received),
        }
    }
}

struct Inner {
    service: Service,
    received: Vec<Received>,
    script: VecDeque<Behaviour>,
    down: bool,
    turned_away: usize,
    limit: Option<Limit>,
}

/// What the handle and the connections share.
struct Shared {
    inner: Mutex<Inner>,
    /// Counts changes, for those who wait.
    changes: watch::Sender<u64>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }
}

/// A stand-in that listens on a free port of loopback until it is dropped.
pub struct StandIn {
    kind: Kind,
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Aborts the server and its connections when it is dropped.
    _server: JoinSet<()>,
}

impl std::fmt::Debug for StandIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StandIn({:?}, {})", self.kind, self.address)
    }
}

impl StandIn {
    /// Starts one.
    ///
    /// # Errors
    /// If there is no free port on loopback.
    pub async fn start(kind: Kind) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let service = Service::new(kind);
        let inner =
            Inner { service, received: Vec::new(), script: VecDeque::new(), down: false, turned_away: 0, limit: None };
        let shared = Arc::new(Shared { inner: Mutex::new(inner), changes: watch::Sender::new(0) });
        let mut server = JoinSet::new();
        server.spawn(server::serve(listener, Arc::clone(&shared)));
        Ok(Self { kind, address, shared, _server: server })
    }

    /// Which service it plays.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What routes.yaml needs: Slack's webhook with its token, PagerDuty's endpoint, Grafana's base address.
    /// [`pagerduty::ROUTING_KEY`] and [`grafana::TOKEN`] go with the latter two.
    #[must_use]
    pub fn url(&self) -> String {
        let path = match self.kind {
            Kind::Slack => slack::PATH,
            Kind::PagerDuty => pagerduty::PATH,
            Kind::Grafana => "",
        };
        format!("http://{}{path}", self.address)
    }

    /// Everything it received, in order, whatever became of it.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.lock().received.clone()
    }

    /// What it received and took.
    #[must_use]
    pub fn accepted(&self) -> Vec<Received> {
        self.shared.lock().received.iter().filter(|received| received.is_accepted()).cloned().collect()
    }

    /// Waits until it has received `n` requests, and returns them.
    pub async fn wait_for(&self, n: usize) -> Vec<Received> {
        self.wait_until(|| Some(self.received()).filter(|received| received.len() >= n)).await
    }

    /// Waits until it has taken `n` requests, and returns them.
    pub async fn wait_for_accepted(&self, n: usize) -> Vec<Received> {
        self.wait_until(|| Some(self.accepted()).filter(|received| received.len() >= n)).await
    }

    /// Waits until it has turned away `n` requests while it was down.
    pub async fn wait_for_turned_away(&self, n: usize) {
        self.wait_until(|| (self.turned_away() >= n).then_some(())).await;
    }

    async fn wait_until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let mut changes = self.shared.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(found) = look() {
                return found;
            }
            // Cannot fail: the sender lives as long as `self`.
            let _ = changes.changed().await;
        }
    }

    /// Misbehaves at the next request for which nothing else is planned yet. Plans are used up in order.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().script.push_back(behaviour);
    }

    /// Down: until told otherwise every connection is closed without an answer and nothing counts as received.
    pub fn set_down(&self, down: bool) {
        self.shared.lock().down = down;
    }

    /// How many requests came while it was down.
    #[must_use]
    pub fn turned_away(&self) -> usize {
        self.shared.lock().turned_away
    }

    /// From now on takes one request per `period`, and `burst` at once after a pause; answers the others with 429 and
    /// `Retry-After`. Slack's own limit is one message per second.
    pub fn limit_rate(&self, clock: SharedClock, period: Duration, burst: u32) {
        self.shared.lock().limit = Some(Limit::new(clock, period, burst));
    }

    /// What of Slack's texts would have become a mention or a link that is no web address; empty for the others.
    #[must_use]
    pub fn injections(&self) -> Vec<String> {
        match &self.shared.lock().service {
            Service::Slack(state) => state.injections().to_vec(),
            _ => Vec::new(),
        }
    }

    /// PagerDuty's incidents, in the order in which they were opened; empty for the others.
    #[must_use]
    pub fn incidents(&self) -> Vec<pagerduty::Incident> {
        match &self.shared.lock().service {
            Service::PagerDuty(state) => state.incidents().to_vec(),
            _ => Vec::new(),
        }
    }

    /// Grafana's annotations, by id; empty for the others.
    #[must_use]
    pub fn annotations(&self) -> Vec<grafana::Annotation> {
        match &self.shared.lock().service {
            Service::Grafana(state) => state.annotations().to_vec(),
            _ => Vec::new(),
        }
    }

    /// Deletes an annotation, as somebody may do in Grafana.
    pub fn delete_annotation(&self, id: i64) {
        if let Service::Grafana(state) = &mut self.shared.lock().service {
            state.delete(id);
        }
    }

    /// A few lines for a terminal: what a person sees of this request in the service.
    #[must_use]
    pub fn render(&self, received: &Received) -> String {
        let shown = match &self.shared.lock().service {
            Service::Slack(_) => slack::plain_text(&received.json),
            Service::PagerDuty(state) => state.render(received),
            Service::Grafana(state) => state.render(received),
        };
        let shown = crate::receiver::text::clean(&shown);
        match received.status {
            Some(_) if received.is_accepted() => shown,
            Some(status) => format!("answered {status} {}\n{shown}", received.answer),
            None => format!("not answered\n{shown}"),
        }
    }
}
