//! The accept loop. Our own, because `axum::serve` waits for ever for a head that never comes, and its graceful shutdown
//! waits with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::connection::{Connection, HEAD_TIMEOUT};
use super::patience::{Patient, Watched};
use super::places::{Places, Seat};
use super::tls::Tls;
use super::{State, router};

/// Open connections at once. Half of the 1024 file descriptors that a process commonly may have: deliveries and the store
/// need theirs.
const MAX_CONNECTIONS: usize = 512;
/// Bytes of a request line and its headers; more is answered with 431, as more than 100 headers are, which is hyper's own
/// limit. Tokens and proxies' additions are a few KiB.
const MAX_HEAD: usize = 32 * 1024;
/// Bytes that are read or written at once, so that all connections together have a bound, too.
const MAX_BUFFER: usize = 64 * 1024;
/// How long connections may take to end at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until `stop`; then ends idle connections at once and the others after their answer.
pub async fn serve(listener: TcpListener, tls: Option<Arc<Tls>>, state: State, stop: CancellationToken) {
    let places = Arc::new(Places::new(MAX_CONNECTIONS, state.metrics.clone()));
    let router = router(state);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        let (stream, seat, peer) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        // Those that have ended; it must not interrupt an accept that waits for a place.
        while connections.try_join_next().is_some() {}
        let service = (router.clone(), tls.clone());
        connections.spawn(serve_connection(stream, peer, seat, service, graceful.watcher(), stop.clone()));
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not end in time and are cut");
    }
    connections.shutdown().await;
}

async fn accept(listener: &TcpListener, places: &Arc<Places>) -> (TcpStream, Seat, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, places.enter(peer).await, peer),
            Err(error) => {
                places.note_failure(&error);
                // Leaves time for some to be closed.
                let _ = tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>()).await;
            }
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    seat: Seat,
    (router, tls): (Router, Option<Arc<Tls>>),
    watcher: Watcher,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let place = seat.place.clone();
    let conversation = async {
        let connection = Connection { peer, secure: tls.is_some(), certificate: None, place: place.clone() };
        let Some(tls) = tls else {
            return serve_requests(stream, connection, router, watcher).await;
        };
        let handshake = tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream));
        let shaken = tokio::select! {
            () = stop.cancelled() => return,
            shaken = handshake => shaken,
        };
        match shaken {
            Ok(Ok((stream, certificate))) => {
                serve_requests(stream, Connection { certificate, ..connection }, router, watcher).await;
            }
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS connection came about"),
            Err(_) => tracing::debug!(%peer, "no TLS connection came about in time"),
        }
    };
    tokio::select! {
        biased;
        () = place.evicted.cancelled() => tracing::debug!(%peer, "connection evicted"),
        () = conversation => (),
    }
    // Only now somebody else may have it.
    drop(seat);
}

async fn serve_requests<S>(stream: S, connection: Connection, router: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (peer, place) = (connection.peer, connection.place.clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (router, connection) = (router.clone(), connection.clone());
        async move {
            let place = connection.place.clone();
            if !place.asked() {
                std::future::pending::<()>().await;
            }
            let mut request = request.map(|body| Body::new(Watched { body, place: place.clone() }));
            request.extensions_mut().insert(connection);
            let response = router.oneshot(request).await;
            place.answered();
            response
        }
    });
    let mut builder = http1::Builder::new();
    builder.max_header_size(MAX_HEAD).max_buf_size(MAX_BUFFER).header_read_timeout(None);
    let served = builder.serve_connection(TokioIo::new(Patient::new(stream, place)), service);
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%peer, %error, "connection ended");
    }
}
