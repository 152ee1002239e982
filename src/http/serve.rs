//! The accept loop. Our own, because `axum::serve` waits for ever for a head that never comes, and its graceful shutdown
//! waits with it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Open connections at once; further ones wait in the kernel's queue. Half of the 1024 file descriptors that a process
/// commonly may have: deliveries and the store need theirs.
const MAX_CONNECTIONS: usize = 512;
/// The first byte, and each head, has to come within this. Idle keep-alive connections end after it too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long connections may take to end at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The address of whoever sent the request, as a request extension.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Serves until `stop`; then ends idle connections at once and the others after their answer.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => (),
            (stream, peer, place) = accept(&listener, &places) => {
                connections.spawn(serve_connection(stream, peer, place, router.clone(), graceful.watcher(), stop.clone()));
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("some connections did not end in time and are cut");
    }
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    loop {
        // The semaphore is never closed, so there always is a permit in the end.
        let place = Arc::clone(places).acquire_owned().await.ok();
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) => {
                // Out of file descriptors, most likely: leave time for some to be closed.
                tracing::error!(%error, "a connection could not be accepted");
                let _ = tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>()).await;
            }
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    place: Option<OwnedSemaphorePermit>,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
    stop: CancellationToken,
) {
    // hyper's time-out for the head does not cover a connection that sends nothing at all.
    let first_byte = tokio::time::timeout(HEAD_TIMEOUT, async { stream.peek(&mut [0]).await });
    let sent_something = tokio::select! {
        () = stop.cancelled() => false,
        peeked = first_byte => matches!(peeked, Ok(Ok(bytes)) if bytes > 0),
    };
    if !sent_something {
        return;
    }
    let _ = stream.set_nodelay(true);
    let service = router.map_request(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        request.map(axum::body::Body::new)
    });
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(%peer, %error, "connection ended");
    }
    drop(place);
}
