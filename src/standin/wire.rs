//! What the wire does to an answer: bodies that do not end as they should, and bytes that come one by one.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Shared;
use super::behaviour::Then;
use super::server::NoAnswer;
use crate::clock::{Clock, SystemClock};

/// How much of a body is handed out at once.
const CHUNK: u64 = 16 * 1024;
/// What trickles ends after so many bytes, should nobody hang up.
const LONGEST_TRICKLE: u64 = 10_000;
/// What follows the beginning of a body: nothing to a reader of JSON.
const FILLER: &[u8] = &[b' '; 16 * 1024];

type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The machine's time, which the client's time-outs go by as well.
fn pause(time: Duration) -> Pause {
    Box::pin(async move { SystemClock::new().sleep(time).await })
}

/// A body that has a beginning, and then what [`Then`] says.
pub(super) struct Pour {
    begin: Option<Bytes>,
    then: Then,
    handed_out: u64,
    pause: Option<Pause>,
    shared: Arc<Shared>,
}

impl Pour {
    pub(super) fn new(begin: String, then: Then, shared: Arc<Shared>) -> Self {
        Self { begin: Some(begin.into()), then, handed_out: 0, pause: None, shared }
    }

    /// The length that the headers tell, if they do.
    pub(super) fn announced(begin: &str, then: Then) -> Option<u64> {
        let begin = begin.len() as u64;
        match then {
            Then::BreaksOff => Some(begin + 100),
            Then::Pours(bytes) => Some(begin + bytes),
            Then::Trickles(_) => None,
        }
    }

    /// How many bytes may still follow, and how many at once.
    fn left(&self) -> (u64, u64) {
        match self.then {
            Then::BreaksOff => (0, 0),
            Then::Pours(bytes) => (bytes.saturating_sub(self.handed_out), CHUNK),
            Then::Trickles(_) => (LONGEST_TRICKLE.saturating_sub(self.handed_out), 1),
        }
    }
}

impl Body for Pour {
    type Data = Bytes;
    type Error = NoAnswer;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, NoAnswer>>> {
        if let Some(waits) = &mut self.pause {
            ready!(waits.as_mut().poll(cx));
            self.pause = None;
        }
        if let Some(begin) = self.begin.take() {
            self.pause = match self.then {
                // So that what there is goes out before the connection breaks.
                Then::BreaksOff => Some(pause(Duration::from_millis(1))),
                Then::Pours(_) => None,
                Then::Trickles(every) => Some(pause(every)),
            };
            return Poll::Ready(Some(Ok(Frame::data(begin))));
        }
        let (left, at_once) = self.left();
        if left == 0 {
            return Poll::Ready((self.then == Then::BreaksOff).then_some(Err(NoAnswer)));
        }
        if let Then::Trickles(every) = self.then {
            self.pause = Some(pause(every));
        }
        let length = left.min(at_once);
        self.handed_out += length;
        let filler = &FILLER[..usize::try_from(length).unwrap_or(FILLER.len()).min(FILLER.len())];
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(filler)))))
    }
}

impl Drop for Pour {
    fn drop(&mut self) {
        self.shared.lock().poured.push(self.handed_out);
        self.shared.changed();
    }
}

/// How long lies between two bytes of a connection; clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Slowness(Arc<Mutex<Option<Duration>>>);

impl Slowness {
    /// From now on.
    pub(super) fn set(&self, pause: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(pause);
    }

    fn get(&self) -> Option<Duration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that can be made slow.
pub(super) struct Wire {
    stream: TcpStream,
    slowness: Slowness,
    pause: Option<Pause>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, slowness: Slowness) -> Self {
        Self { stream, slowness, pause: None }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(every) = self.slowness.get() else {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        };
        if let Some(waits) = &mut self.pause {
            ready!(waits.as_mut().poll(cx));
            self.pause = None;
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[..bytes.len().min(1)]))?;
        self.pause = Some(pause(every));
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
