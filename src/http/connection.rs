//! What is known of the connection that a request came by, and what it is doing.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State as Extract};
use axum::http::{Response, StatusCode};
use axum::middleware::Next;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::State;
use crate::auth::ClientCertificate;

/// A handshake and a head have to come within this: whoever has something to say says it at once. So long a connection of
/// somebody unknown may be idle, too.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection of somebody known may be idle. Longer than Prometheus and Alertmanager keep theirs, 5 minutes
/// (prometheus/common, `config/http_config.go`), so that they close it, and never as a request is on its way.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(6 * 60);

/// As a request extension.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    /// The address of whoever sent the request.
    pub(super) peer: SocketAddr,
    /// Whether it is TLS.
    pub(super) secure: bool,
    /// What its verified client certificate says.
    pub(super) certificate: Option<Arc<ClientCertificate>>,
    /// What it is doing.
    pub(super) place: Arc<Place>,
}

impl Connection {
    /// A request of it was let in: under pressure this connection is kept before others.
    pub(super) fn trust(&self) {
        self.place.lock().standing = Standing::Trusted;
    }

    /// A request of it was refused and waits for its answer: under pressure it is the first to go.
    pub(super) fn distrust(&self) {
        let mut now = self.place.lock();
        now.standing = Standing::Distrusted;
        now.doing = Doing::HeldBack;
    }
}

/// What is known of whoever is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing yet.
    Unknown,
    /// The last request with credentials was let in; without `auth`, one was answered with 200.
    Trusted,
    /// The last request with credentials was refused.
    Distrusted,
}

/// What happens on a connection. All but [`Doing::Working`] wait for the other end, or make it wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Waits for a handshake or a head, or is idle, or its answer is being read.
    Head,
    /// Waits for more of a body.
    Body,
    /// A request is worked on: its credentials, or what it said.
    Working,
    /// The answer to a refused request is held back.
    HeldBack,
}

/// A connection at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) standing: Standing,
    pub(super) doing: Doing,
    /// When it was accepted, or its last head was complete, or its last answer: a byte now and then makes nobody younger.
    pub(super) since: Instant,
    /// When the first byte of the next head came.
    heard: Option<Instant>,
    /// When its first answer was there.
    first_answer: Option<Instant>,
    /// Somebody else is given the place: nothing is begun any more.
    leaving: bool,
}

impl Now {
    /// Since when it has had what every connection is given time for. To go on asking for what anybody may ask for makes no
    /// stranger younger: else 512 of them that never stop would keep everybody else out.
    pub(super) fn counts_since(&self) -> Instant {
        match self.standing {
            Standing::Unknown => self.first_answer.unwrap_or(self.since),
            Standing::Trusted | Standing::Distrusted => self.since,
        }
    }
}

/// What a connection has been given: one of a bounded number.
#[derive(Debug)]
pub(super) struct Place {
    /// Whose it is: an address, or the first 64 bits of one.
    pub(super) network: IpAddr,
    /// Cancelled once somebody else is given the place.
    pub(super) evicted: CancellationToken,
    now: Mutex<Now>,
}

impl Place {
    /// That of a connection that was accepted this moment.
    pub(super) fn new(peer: IpAddr) -> Self {
        let (standing, doing, since) = (Standing::Unknown, Doing::Head, Instant::now());
        let now = Now { standing, doing, since, heard: None, first_answer: None, leaving: false };
        Self { network: network(peer), evicted: CancellationToken::new(), now: Mutex::new(now) }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        // Every change is a plain assignment, so the value is whole in any case.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands.
    pub(super) fn now(&self) -> Now {
        *self.lock()
    }

    /// Gives the place to somebody else, unless a request is being worked on. From then on none is.
    pub(super) fn evict(&self) -> bool {
        let mut now = self.lock();
        now.leaving = now.doing != Doing::Working;
        if now.leaving {
            self.evicted.cancel();
        }
        now.leaving
    }

    /// Bytes came.
    pub(super) fn heard(&self) {
        let mut now = self.lock();
        if now.doing == Doing::Head && now.heard.is_none() {
            now.heard = Some(Instant::now());
        }
    }

    /// A head is complete. False if it is too late to begin anything.
    pub(super) fn asked(&self) -> bool {
        let mut now = self.lock();
        if !now.leaving {
            (now.doing, now.since, now.heard) = (Doing::Working, Instant::now(), None);
        }
        !now.leaving
    }

    /// There is an answer, which the other end only has to read.
    pub(super) fn answered(&self) {
        let mut now = self.lock();
        (now.doing, now.since, now.heard) = (Doing::Head, Instant::now(), None);
        now.first_answer = now.first_answer.or(Some(now.since));
    }

    /// Whether more of the body is being waited for. False if it is too late to go on.
    pub(super) fn awaits_body(&self, waits: bool) -> bool {
        let mut now = self.lock();
        match now.doing {
            Doing::Working if waits => now.doing = Doing::Body,
            Doing::Body if !waits && !now.leaving => now.doing = Doing::Working,
            _ => (),
        }
        !now.leaving
    }

    /// Until when the next head has to have come.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let now = self.lock();
        match (now.doing, now.standing, now.heard) {
            (Doing::Head, Standing::Trusted, Some(heard)) => Some(heard + HEAD_TIMEOUT),
            (Doing::Head, Standing::Trusted, None) => Some(now.since + IDLE_TIMEOUT),
            (Doing::Head, ..) => Some(now.since + HEAD_TIMEOUT),
            _ => None,
        }
    }
}

/// Whoever has one address of version 6 has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Where nobody has to authenticate, whoever posted or read something is known. Probes of health are everybody's.
pub(super) async fn trust_in_the_open(Extract(state): Extract<State>, request: Request, next: Next) -> Response<Body> {
    let tells = matches!(request.uri().path(), "/webhook" | "/metrics");
    let connection = request.extensions().get::<Connection>().filter(|_| tells).cloned();
    let response = next.run(request).await;
    if let Some(connection) = connection
        && response.status() == StatusCode::OK
        && state.live.current().access.is_open()
    {
        connection.trust();
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place::new(IpAddr::from([192, 0, 2, 1]))
    }

    fn connection(place: Place) -> Connection {
        Connection { peer: ([192, 0, 2, 1], 9).into(), secure: false, certificate: None, place: Arc::new(place) }
    }

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_however_it_trickles() {
        let place = place();
        let began = Instant::now();
        pass(Duration::from_secs(4)).await;
        place.heard();
        pass(Duration::from_secs(4)).await;
        place.heard();
        assert_eq!(place.deadline(), Some(began + HEAD_TIMEOUT));
        place.asked();
        assert_eq!(place.deadline(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_known_may_be_idle_for_longer_but_takes_no_longer_over_a_head() {
        let connection = connection(place());
        let place = &connection.place;
        place.asked();
        connection.trust();
        place.answered();
        let idle = Instant::now();
        assert_eq!(place.deadline(), Some(idle + IDLE_TIMEOUT));
        pass(Duration::from_secs(100)).await;
        place.heard();
        assert_eq!(place.deadline(), Some(idle + Duration::from_secs(100) + HEAD_TIMEOUT));
        place.asked();
        connection.distrust();
        assert_eq!((place.now().doing, place.deadline()), (Doing::HeldBack, None));
        place.answered();
        assert_eq!(place.deadline(), Some(Instant::now() + HEAD_TIMEOUT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_waited_for_is_not_work() {
        let place = place();
        place.asked();
        let since = place.now().since;
        pass(Duration::from_secs(1)).await;
        place.awaits_body(true);
        assert_eq!((place.now().doing, place.now().since), (Doing::Body, since));
        place.awaits_body(false);
        assert_eq!((place.now().doing, place.now().since), (Doing::Working, since));
    }

    #[test]
    fn a_network_of_ipv6_is_one_and_an_address_of_ipv4_is_itself() {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(network(parse("2001:db8:1:2:3:4:5:6")), network(parse("2001:db8:1:2::1")));
        assert_ne!(network(parse("2001:db8:1:2::1")), network(parse("2001:db8:1:3::1")));
        assert_eq!(network(parse("::ffff:192.0.2.1")), parse("192.0.2.1"));
    }
}
