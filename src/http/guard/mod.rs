//! Lets in who may come in, before anything of the body is used.
//!
//! Whoever is refused waits for the answer the longer the more often his address was refused lately ([`failures`]); whoever
//! presents a good credential never does, whatever others do beside him. Passwords that are not known yet are checked a few
//! at a time, and whose turn it is is fair ([`turns`]); what has no turn in time is a 503, which Alertmanager tries again,
//! and never a 401, which is final to it.

mod failures;
mod turns;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::middleware::Next;
use http_body_util::BodyExt;

use self::failures::Failures;
use self::turns::Turns;
use super::State;
use super::connection::Connection;
use super::error::{HttpError, text};
use super::log::Log;
use crate::auth::{Access, Attempt, Decision, Presented, Refusal, Role};
use crate::metrics::Refused;

/// What is refused is still read and thrown away for so long, so that whoever sends it gets to see the answer instead of a
/// broken connection; and no more of it than `--max-body`.
const READ_ON_FOR: Duration = Duration::from_secs(3);
/// So many answers are held at once; further ones go at once. Half of the connections there may be.
const MOST_HELD: usize = 256;

/// What all guards share.
#[derive(Debug, Default)]
pub(super) struct Doorman {
    turns: Arc<Turns>,
    failures: Failures,
    log: Log<Refused>,
    held: AtomicUsize,
}

/// The guard of one address of ours.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) state: State,
    pub(super) doorman: Arc<Doorman>,
    /// What one needs to be let in.
    pub(super) role: Role,
}

/// Lets a request through whose sender has the guard's role.
pub(super) async fn guard(Extract(guard): Extract<Arc<Guard>>, request: Request, next: Next) -> Response<Body> {
    let connection = request.extensions().get::<Connection>().cloned();
    let access = guard.state.live.current().access.clone();
    // What it presents is read here: a body cannot be shared over a wait.
    let looked = guard.look(&access, &request, connection.as_ref());
    match guard.decide(looked, neighbourhood(connection.as_ref())).await {
        Ok(()) => {
            if let Some(connection) = connection.filter(|_| !access.is_open()) {
                connection.trust();
            }
            next.run(request).await
        }
        Err(reason) => guard.refuse(reason, &access, request, connection.as_ref()).await,
    }
}

impl Guard {
    /// What can be said at once.
    fn look(
        &self,
        access: &Arc<Access>,
        request: &Request,
        connection: Option<&Connection>,
    ) -> Result<Decision, Refused> {
        let headers = request.headers();
        if is_of_a_web_page(headers) {
            return Err(Refused::Browser);
        }
        let presented = Presented::read(headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes));
        let certificate = connection.and_then(|connection| connection.certificate.as_deref());
        Ok(access.check(presented, certificate, self.role))
    }

    async fn decide(&self, looked: Result<Decision, Refused>, from: IpAddr) -> Result<(), Refused> {
        let decision = match looked? {
            Decision::Unsure(attempt) => self.work_out(attempt, from).await?,
            decision => decision,
        };
        match decision {
            Decision::Granted => Ok(()),
            Decision::Refused(Refusal::Missing) => Err(Refused::Missing),
            Decision::Refused(Refusal::Wrong) => Err(Refused::Wrong),
            Decision::Refused(Refusal::Role) => Err(Refused::Role),
            // An attempt never leads to another one.
            Decision::Unsure(_) => Err(Refused::Busy),
        }
    }

    /// Checks a password where that may take its time.
    async fn work_out(&self, attempt: Attempt, from: IpAddr) -> Result<Decision, Refused> {
        let turn = self.doorman.turns.wait(from, &*self.state.clock).await.ok_or(Refused::Busy)?;
        let worked_out = tokio::task::spawn_blocking(move || {
            // Held until the work is done, also if whoever asked has gone away meanwhile.
            let _turn = turn;
            attempt.decide()
        });
        worked_out.await.map_err(|_| Refused::Busy)
    }

    async fn refuse(
        &self,
        reason: Refused,
        access: &Access,
        request: Request,
        connection: Option<&Connection>,
    ) -> Response<Body> {
        let clock = &*self.state.clock;
        self.state.metrics.refused(reason, self.role);
        if let Some(left_out) = self.doorman.log.has_room(reason, clock.monotonic()) {
            let peer = connection.map(|connection| tracing::field::display(plain(connection.peer)));
            let (path, left_out) = (request.uri().path(), (left_out > 0).then_some(left_out));
            tracing::warn!(peer, path, reason = reason.as_str(), left_out, "request refused");
        }
        // Who has not even presented something that is good.
        let is_stranger = matches!(reason, Refused::Missing | Refused::Wrong);
        if let Some(connection) = connection {
            match reason {
                Refused::Missing | Refused::Wrong | Refused::Busy => connection.distrust(),
                Refused::Role => connection.trust(),
                Refused::Browser => {}
            }
        }
        let hold = async {
            if is_stranger {
                let time = self.doorman.failures.note(neighbourhood(connection), clock.monotonic());
                self.hold(time).await;
            }
        };
        tokio::join!(hold, self.read_on(request));
        let certified = connection.is_none_or(|connection| connection.certificate.is_some());
        answer(reason, access, self.role, certified)
    }

    async fn hold(&self, time: Duration) {
        let held = &self.doorman.held;
        if time.is_zero() || held.fetch_add(1, Ordering::Relaxed) >= MOST_HELD {
            if !time.is_zero() {
                held.fetch_sub(1, Ordering::Relaxed);
            }
            return;
        }
        let _held = Held(held);
        self.state.clock.sleep(time).await;
    }

    /// Reads what is left of the request and throws it away.
    async fn read_on(&self, request: Request) {
        // It has not begun to send, and will not.
        if request.headers().contains_key(header::EXPECT) {
            return;
        }
        let mut body = request.into_body();
        let read = async {
            let mut total = 0_usize;
            while let Some(Ok(frame)) = body.frame().await {
                total = total.saturating_add(frame.data_ref().map_or(0, bytes::Bytes::len));
                if total > self.state.max_body {
                    return;
                }
            }
        };
        tokio::select! {
            () = read => (),
            () = self.state.clock.sleep(READ_ON_FOR) => (),
        }
    }
}

/// An answer that is held; also when nobody waits for it any more, it is one less in the end.
struct Held<'a>(&'a AtomicUsize);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The same whatever was wrong with the credential.
fn answer(reason: Refused, access: &Access, role: Role, certified: bool) -> Response<Body> {
    let mut response = match reason {
        // Of a connection that is older than that: a new one shows a certificate, and 401 and 403 are final to Alertmanager.
        Refused::Missing if access.requires_certificate() && !certified => {
            HttpError::Unavailable("a client certificate is required since this connection was opened".to_owned())
                .response()
        }
        Refused::Missing | Refused::Wrong if access.takes_bearer() || access.takes_basic() => {
            let mut response =
                text(StatusCode::UNAUTHORIZED, "not authenticated: the credential is missing or wrong\n");
            let mut challenge = |is_taken: bool, scheme: &'static str| {
                if is_taken {
                    response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
                }
            };
            challenge(access.takes_bearer(), "Bearer realm=\"alertrouter\"");
            challenge(access.takes_basic(), "Basic realm=\"alertrouter\", charset=\"UTF-8\"");
            response
        }
        // A 401 has to name something that goes into a header (RFC 9110, 15.5.2).
        Refused::Missing | Refused::Wrong => {
            text(StatusCode::FORBIDDEN, "not authenticated: a client certificate is needed\n")
        }
        Refused::Role => {
            let needed = role.as_str();
            text(StatusCode::FORBIDDEN, format!("authenticated, but not for this: the role `{needed}` is needed\n"))
        }
        Refused::Browser => text(StatusCode::FORBIDDEN, "requests of web pages are not taken\n"),
        Refused::Busy => HttpError::Unavailable("too many passwords have to be checked".to_owned()).response(),
    };
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Whether a page in somebody's browser asks: there is none of ours, and a foreign one could post to a laptop's loopback.
/// Alertmanager, Prometheus, vmalert, Grafana and curl send neither header (Fetch, 3.2; Fetch Metadata, 2.4).
fn is_of_a_web_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    headers.contains_key(header::ORIGIN) || site.is_some_and(|site| site != b"none" && site != b"same-origin")
}

/// Who counts as one: what counts as one where places are given up.
fn neighbourhood(connection: Option<&Connection>) -> IpAddr {
    connection.map_or(Ipv4Addr::UNSPECIFIED.into(), |connection| connection.place.network)
}

fn plain(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Credentials;

    #[test]
    fn a_connection_from_before_certificates_were_required_has_to_come_again() {
        let access = Access::new(Credentials { certificate_required: true, ..Credentials::default() });
        let status = |certified| answer(Refused::Missing, &access, Role::Ingest, certified).status();
        assert_eq!(status(false), StatusCode::SERVICE_UNAVAILABLE, "Alertmanager tries that again, and nothing else");
        assert_eq!(status(true), StatusCode::FORBIDDEN);
    }
}
