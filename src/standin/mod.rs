//! Stand-ins for Slack, PagerDuty and Grafana: for `alertrouter demo`, `alertrouter stand-in` and the tests.
//!
//! They refuse what the real services refuse, in the words of the real services, so that a message that passes here
//! passes there. They keep everything they receive, and they misbehave on command: a [`Behaviour`] per request, or down
//! until told otherwise. [`Kind::Every`] is all of them on one address, for `alertrouter stand-in`: what it keeps has a bound.

mod behaviour;
mod exchange;
pub mod grafana;
pub mod pagerduty;
mod server;
mod service;
pub mod slack;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use behaviour::{Behaviour, Gate, Then};
pub use exchange::Received;
pub use service::Kind;
pub(crate) use service::Service;

use crate::clock::SharedClock;
use behaviour::Limit;

/// So many incidents, annotations and messages are remembered; older ones are as if they had been deleted.
const MOST_REMEMBERED: usize = 10_000;
/// So many requests wait for whoever [takes](StandIn::take) them, where somebody does; further ones are turned away.
const MOST_WAITING: usize = 1_000;

/// Nothing that a test waits for takes longer, by the machine's clock.
const PATIENCE: Duration = Duration::from_secs(60);

struct Inner {
    service: Service,
    received: Vec<Received>,
    script: VecDeque<Behaviour>,
    down: bool,
    turned_away: usize,
    /// So many of `received` may be there at once.
    room: usize,
    limit: Option<Limit>,
    /// Parts of bodies that are refused, and with which status.
    refusals: Vec<(String, u16)>,
    /// Of each answer that did not end as it should and has ended: how many bytes of it were handed out.
    poured: Vec<u64>,
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
        Self::start_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?, kind)
    }

    /// Starts one at an address that it had before, for one.
    ///
    /// # Errors
    /// If the socket has no address.
    pub fn start_on(listener: TcpListener, kind: Kind) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let service = Service::new(kind);
        let inner = Inner {
            service,
            received: Vec::new(),
            script: VecDeque::new(),
            down: false,
            turned_away: 0,
            room: if kind == Kind::Every { MOST_WAITING } else { usize::MAX },
            limit: None,
            refusals: Vec::new(),
            poured: Vec::new(),
        };
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

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What routes.yaml needs: Slack's webhook with its token, PagerDuty's endpoint, Grafana's base address.
    /// [`pagerduty::ROUTING_KEY`] and [`grafana::TOKEN`] go with the latter two.
    #[must_use]
    pub fn url(&self) -> String {
        let path = match self.kind {
            Kind::Slack => slack::PATH,
            Kind::PagerDuty => pagerduty::PATH,
            Kind::Grafana | Kind::Every => "",
        };
        format!("http://{}{path}", self.address)
    }

    /// `api_url` for Slack's Web API. [`slack::TOKEN`] and [`slack::CHANNEL`] go with it.
    #[must_use]
    pub fn slack_api_url(&self) -> String {
        format!("http://{}{}", self.address, slack::API)
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

    /// Waits until something has been received, returns it and forgets it: for those that run for long. Not for a stand-in
    /// that is told to [behave](StandIn::behave).
    pub async fn take(&self) -> Vec<Received> {
        let mut changes = self.shared.changes.subscribe();
        loop {
            changes.mark_unchanged();
            let received = std::mem::take(&mut self.shared.lock().received);
            if !received.is_empty() {
                return received;
            }
            // The sender lives as long as `self`.
            let _ = changes.changed().await;
        }
    }

    async fn wait_until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let mut changes = self.shared.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(found) = look() {
                return found;
            }
            // The sender lives as long as `self`.
            let came = tokio::time::timeout(PATIENCE, changes.changed()).await;
            // Only tests wait for something, and one that waits for ever says nothing.
            assert!(came.is_ok(), "nothing has come for {} s", PATIENCE.as_secs());
        }
    }

    /// Misbehaves at the next request for which nothing else is planned yet. Plans are used up in order.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().script.push_back(behaviour);
    }

    /// From now on answers this status to every request whose body contains `part`, which has no effect then.
    pub fn refuse(&self, part: &str, status: u16) {
        self.shared.lock().refusals.push((part.to_owned(), status));
    }

    /// Takes everything again.
    pub fn refuse_nothing(&self) {
        self.shared.lock().refusals.clear();
    }

    /// Waits until `n` answers that did not end as they should have ended, and returns how many bytes of each were handed
    /// out. Some of them may have been on their way when the other side had enough.
    pub async fn wait_for_poured(&self, n: usize) -> Vec<u64> {
        self.wait_until(|| Some(self.shared.lock().poured.clone()).filter(|poured| poured.len() >= n)).await
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
        self.shared.lock().service.slack().map_or_else(Vec::new, |state| state.injections().to_vec())
    }

    /// The messages of Slack's Web API as they are now, in the order in which they were posted; empty for the others.
    #[must_use]
    pub fn slack_messages(&self) -> Vec<slack::Message> {
        self.shared.lock().service.slack().map_or_else(Vec::new, |state| state.messages().to_vec())
    }

    /// Deletes a message, as somebody may do in Slack.
    pub fn delete_slack_message(&self, ts: &str) {
        if let Some(state) = self.shared.lock().service.slack_mut() {
            state.delete(ts);
        }
    }

    /// What was posted so far cannot be edited any more, as a workspace may have it.
    pub fn close_slack_edit_window(&self) {
        if let Some(state) = self.shared.lock().service.slack_mut() {
            state.close_edit_window();
        }
    }

    /// From now on Slack keeps its limits: one message a second with a burst of 5, 50 edits a minute.
    pub fn keep_slack_limits(&self, clock: &SharedClock) {
        if let Some(state) = self.shared.lock().service.slack_mut() {
            state.keep_limits(clock);
        }
    }

    /// PagerDuty's incidents, in the order in which they were opened; empty for the others.
    #[must_use]
    pub fn incidents(&self) -> Vec<pagerduty::Incident> {
        self.shared.lock().service.pagerduty().map_or_else(Vec::new, |state| state.incidents().to_vec())
    }

    /// Grafana's annotations, by id; empty for the others.
    #[must_use]
    pub fn annotations(&self) -> Vec<grafana::Annotation> {
        self.shared.lock().service.grafana().map_or_else(Vec::new, |state| state.annotations().to_vec())
    }

    /// From now on a Grafana without `/api/annotations`; `None`: with nothing else, as it begins.
    pub fn only_apis(&self, backend: Option<grafana::Backend>) {
        if let Some(state) = self.shared.lock().service.grafana_mut() {
            state.only_apis(backend);
        }
    }

    /// Deletes an annotation, as somebody may do in Grafana.
    pub fn delete_annotation(&self, id: i64) {
        if let Some(state) = self.shared.lock().service.grafana_mut() {
            state.delete(id);
        }
    }

    /// Which of the services a request was for; `None` if none of them has its path.
    #[must_use]
    pub fn addressee(&self, received: &Received) -> Option<Kind> {
        if self.kind == Kind::Every { Kind::of_path(&received.path) } else { Some(self.kind) }
    }

    /// A few lines for a terminal: what a person sees of this request in the service.
    #[must_use]
    pub fn render(&self, received: &Received) -> String {
        let shown = self.shared.lock().service.render(self.addressee(received), received);
        let shown = match received.status {
            Some(_) if received.is_accepted() => shown,
            Some(status) => format!("answered {status} {}\n{shown}", received.answer),
            None => format!("not answered\n{shown}"),
        };
        crate::receiver::text::clean(&shown)
    }
}

/// Forgets the oldest where there are too many; how many it was.
fn forget<T>(kept: &mut Vec<T>) -> usize {
    let too_many = kept.len().saturating_sub(MOST_REMEMBERED);
    kept.drain(..too_many);
    too_many
}
