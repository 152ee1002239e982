//! A stream whose other end has to keep up: with its heads, and with reading its answers.
//!
//! hyper bounds the time for a head only from its own first look for one, and waits for ever for a peer that does not read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection::Place;

/// An answer has to be read within this from when it first had to wait for that.
pub(super) const ANSWER_READ_WITHIN: Duration = Duration::from_secs(30);

/// A stream that gives up on its other end.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    place: Arc<Place>,
    reading: Alarm,
    writing: Alarm,
    /// Until when what is being written has to be read; there is one from the first write that had to wait until
    /// everything is written.
    write_deadline: Option<Instant>,
    /// The last write has to wait. Until then nothing more is read: requests whose answers nobody reads would pile up.
    is_full: bool,
    /// Somebody wanted to read meanwhile.
    read_held: bool,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, place: Arc<Place>) -> Self {
        let (reading, writing) = (Alarm::default(), Alarm::default());
        Self { stream, place, reading, writing, write_deadline: None, is_full: false, read_held: false }
    }

    /// Notes what became of a write.
    fn wrote<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.is_full = written.is_pending();
        if self.is_full {
            let deadline = *self.write_deadline.get_or_insert_with(|| Instant::now() + ANSWER_READ_WITHIN);
            if self.writing.rings(deadline, cx) {
                return Poll::Ready(Err(late("its answer was not read in time")));
            }
        } else if std::mem::take(&mut self.read_held) {
            cx.waker().wake_by_ref();
        }
        written
    }
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_full {
            self.read_held = true;
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.place.heard();
        }
        if read.is_pending()
            && let Some(deadline) = self.place.deadline()
            && self.reading.rings(deadline, cx)
        {
            return Poll::Ready(Err(late("nothing was asked in time")));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.write_deadline = None;
        }
        self.wrote(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.wrote(shut, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// A timer that is set again without being made again.
#[derive(Debug, Default)]
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether `at` has come; wakes when it does.
    fn rings(&mut self, at: Instant, cx: &mut Context<'_>) -> bool {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(cx).is_ready()
    }
}

/// A body that says whether it is being waited for.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) body: Incoming,
    pub(super) place: Arc<Place>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        // Where it is too late, this is the last that is seen of the request: its connection is being dropped.
        if self.place.awaits_body(frame.is_pending()) { frame } else { Poll::Pending }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
