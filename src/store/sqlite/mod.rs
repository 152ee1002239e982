//! The embedded store: one SQLite database in the data directory, one thread that writes.
//!
//! `writer` commits what is queued together; `accept`, `lease` and `admin` are what it runs, each a function of a
//! transaction (`tx`); `reader` reads beside it. The state machine stands in `migrations/`.

mod accept;
mod admin;
mod body;
mod carried;
mod departed;
mod digest;
mod discard;
mod editor;
mod fallback;
mod fold;
mod heartbeats;
mod history;
mod lease;
mod open;
mod outbox;
mod reader;
#[cfg(test)]
mod tests;
mod traceparent;
mod tx;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use editor::{Editor, Wish};
pub use reader::SqliteReader;

use self::lease::{Ended, LeasedRow};
use self::tx::tally;
use self::writer::{IfAbandoned, State, Writer};
use super::{
    Accepted, Admin, Answer, Departed, FellBack, FoldRequest, Folded, Intake, Lease, LeaseAnswer, LeaseRequest, Leased,
    Listed, Outcome, Overdue, Pruned, Rejected, Settled, Stats, Store, StoreError,
};
use crate::clock::{Timestamp, between, to_micros};
use crate::dedup::Cache;
use crate::notification::ReceiverName;

/// [`Options::max_outbox`] unless told otherwise.
pub const DEFAULT_MAX_OUTBOX: u64 = 1_000_000;

/// How heavy a piece of work counts that may take long, in alerts: only a few of them share a transaction.
const WEIGHT: usize = 1000;

/// How to open a [`SqliteStore`].
#[derive(Debug, Clone)]
pub struct Options {
    /// How many deliveries may wait, held ones among them, before [`StoreError::Full`].
    pub max_outbox: u64,
    /// Learns of every commit, before its caller does.
    pub cache: Cache,
}

impl Options {
    /// The defaults, with a cache.
    #[must_use]
    pub fn new(cache: Cache) -> Self {
        Self { max_outbox: DEFAULT_MAX_OUTBOX, cache }
    }
}

/// The store in a directory, which it locks against other processes.
///
/// Dropping it finishes what is queued and blocks until that is on disk.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    reader: Arc<SqliteReader>,
    /// Locked until everything else has gone: it is the last field.
    _lock: File,
}

impl SqliteStore {
    /// Opens the store in `dir`, which is made if need be, and brings it up to date.
    ///
    /// # Errors
    /// [`StoreError::Open`], in one line that says what to do.
    pub fn open(dir: &Path, options: Options, now: Timestamp) -> Result<Self, StoreError> {
        let lock = open::lock_directory(dir)?;
        let (conn, counts) = open::open_writer(dir)?;
        let reader = Arc::new(SqliteReader::open(dir)?);
        let writer = Writer::start(State { conn, counts, max_outbox: options.max_outbox, cache: options.cache })?;
        let oldest = reader.stats()?.receivers.values().filter_map(|stats| stats.oldest).min();
        let oldest_seconds = oldest.map_or(0, |oldest| between(oldest, now).as_secs());
        tracing::info!(dir = %dir.display(), pending = counts.waiting, oldest_seconds, "the store is open");
        Ok(Self { writer, reader, _lock: lock })
    }

    /// Finishes what is queued and moves the write-ahead log into the database. Blocks until that is done.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the log cannot be moved; nothing that was answered is lost by that.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.writer.stop()
    }

    /// How many transactions have been committed since it was opened.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Gives away what waits for a receiver that is gone, in pieces, so that alerts get in between.
    async fn clear(&self, gone: departed::Gone, now: Timestamp) -> Result<Departed, StoreError> {
        let (receiver, to) = (gone.receiver.as_str().into(), gone.heir.as_ref().map(|heir| heir.to.name.clone()));
        let mut departed = Departed { receiver, to, fell_back: 0, dropped: 0, dead: 0 };
        loop {
            let gone = gone.clone();
            let work = move |tx: &mut tx::Tx<'_>| departed::clear(tx, &gone, now);
            let cleared = match self.writer.run(WEIGHT, IfAbandoned::Run, work).await {
                Ok(Some(cleared)) => cleared,
                Err(error) if departed.is_untouched() => return Err(error),
                // All is done; or what is done has to be counted, and the rest is found the next time.
                Ok(None) | Err(_) => return Ok(departed),
            };
            departed.fell_back += cleared.fell_back;
            departed.dropped += cleared.dropped;
            departed.dead += cleared.dead;
        }
    }

    /// Reads what a digest carries. Returns it, if anything of it can be read, and how many dead letters there are for that.
    async fn open_digest(&self, row: LeasedRow, now: Timestamp) -> Result<(Option<Leased>, u64), StoreError> {
        let id = row.lease.delivery.0;
        let carried = self.read(move |reader| reader.carried(id)).await?;
        let unreadable = carried.unreadable.len() as u64;
        for (delivery, error) in &carried.unreadable {
            tracing::error!(delivery, error, receiver = %row.receiver, "an unreadable delivery is a dead letter now");
        }
        if unreadable > 0 || carried.is_empty() {
            let all = carried.unreadable.clone();
            self.writer.run(1, IfAbandoned::Run, move |tx| digest::take_off(tx, id, &all, now)).await?;
        }
        Ok((carried.into_leased(row), unreadable))
    }

    /// Ends what a digest carried that was told. What cannot be ended now is ended by whoever leases next.
    async fn finish(&self, digest: i64) {
        loop {
            match self.writer.run(WEIGHT, IfAbandoned::Run, move |tx| digest::finish(tx, digest)).await {
                Ok(true) => (),
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(digest, %error, "what a digest has told is not noted yet");
                    return;
                }
            }
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&SqliteReader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let reader = Arc::clone(&self.reader);
        let done = tokio::task::spawn_blocking(move || read(&reader)).await;
        done.unwrap_or_else(|error| Err(StoreError::Unavailable(format!("reading has failed: {error}"))))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if let Err(error) = self.writer.stop() {
            tracing::error!(%error, "the store was not closed cleanly");
        }
    }
}

impl Store for SqliteStore {
    fn accept(&self, intake: Intake) -> Answer<'_, Accepted> {
        Box::pin(async move {
            let body = body::Body::prepare(intake)?;
            self.writer.run(body.weight(), IfAbandoned::Skip, move |tx| accept::accept(tx, &body)).await
        })
    }

    fn lease(&self, mut ask: LeaseRequest) -> Answer<'_, LeaseAnswer> {
        ask.now = to_micros(ask.now);
        Box::pin(async move {
            let (mut released, mut buried) = (0, 0);
            loop {
                let request = ask.clone();
                let found = self.writer.run(1, IfAbandoned::Skip, move |tx| lease::lease(tx, &request)).await?;
                released += found.released;
                let Some(row) = found.row else {
                    return Ok(LeaseAnswer { leased: None, next_due: found.next_due, released, buried });
                };
                let lease = row.lease;
                if row.is_digest {
                    let (leased, unreadable) = self.open_digest(row, ask.now).await?;
                    buried += unreadable;
                    // Without anything that can be read it is gone.
                    let Some(leased) = leased else { continue };
                    return Ok(LeaseAnswer { leased: Some(leased), next_due: None, released, buried });
                }
                match row.decode() {
                    Ok(leased) => return Ok(LeaseAnswer { leased: Some(leased), next_due: None, released, buried }),
                    // It will never be readable, and must not hold up those behind it.
                    Err(error) => {
                        tracing::error!(%error, receiver = %ask.receiver, "an unreadable delivery is a dead letter now");
                        let outcome = Outcome::Dead { error: error.to_string(), fallback: None };
                        self.settle(lease, outcome, ask.now).await?;
                        buried += 1;
                    }
                }
            }
        })
    }

    fn recovered(&self, receiver: ReceiverName, now: Timestamp) -> Answer<'_, ()> {
        Box::pin(self.writer.run(WEIGHT, IfAbandoned::Run, move |tx| lease::recovered(tx, &receiver, now)))
    }

    fn fold(&self, mut ask: FoldRequest) -> Answer<'_, Folded> {
        ask.now = to_micros(ask.now);
        Box::pin(async move {
            let mut sum = fold::Sum::default();
            // In pieces, so that alerts get in between.
            while !sum.is_full() {
                let (ask, before) = (ask.clone(), sum);
                let work = move |tx: &mut tx::Tx<'_>| fold::fold(tx, &ask, before);
                match self.writer.run(WEIGHT, IfAbandoned::Skip, work).await {
                    Ok(folded) if folded.deliveries == 0 => break,
                    Ok(folded) => sum.add(folded),
                    Err(error) if sum.deliveries == 0 => return Err(error),
                    // What is folded can go; the rest is found the next time.
                    Err(_) => break,
                }
            }
            Ok(Folded { deliveries: sum.deliveries, more: sum.is_full() || sum.cut_short })
        })
    }

    fn settle(&self, lease: Lease, outcome: Outcome, now: Timestamp) -> Answer<'_, Settled> {
        let outcome = Arc::new(outcome);
        Box::pin(async move {
            let mut fell_back = 0;
            loop {
                let outcome = Arc::clone(&outcome);
                let work = move |tx: &mut tx::Tx<'_>| lease::settle(tx, lease, &outcome, now);
                match self.writer.run(1, IfAbandoned::Run, work).await? {
                    Ended::Whole(Settled::ManyFellBack(more)) => return Ok(Settled::ManyFellBack(fell_back + more)),
                    Ended::Whole(settled) => return Ok(settled),
                    Ended::Partly(more) => fell_back += more,
                    Ended::Told => {
                        self.finish(lease.delivery.0).await;
                        return Ok(Settled::Done);
                    }
                }
            }
        })
    }

    fn fall_back(&self, mut overdue: Overdue) -> Answer<'_, Vec<FellBack>> {
        overdue.now = to_micros(overdue.now);
        let overdue = Arc::new(overdue);
        Box::pin(async move {
            let mut all = Vec::new();
            // In pieces, so that alerts get in between.
            loop {
                let ask = Arc::clone(&overdue);
                let work = move |tx: &mut tx::Tx<'_>| fallback::overdue(tx, &ask);
                match self.writer.run(WEIGHT, IfAbandoned::Skip, work).await {
                    Ok((0, _)) => return Ok(all),
                    Ok((_, told)) => all.extend(told),
                    Err(error) if all.is_empty() => return Err(error),
                    // What has fallen back has to be counted; the rest is found the next time.
                    Err(_) => return Ok(all),
                }
            }
        })
    }
}

impl Admin for SqliteStore {
    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(self.writer.run(1, IfAbandoned::Skip, |tx| admin::touch(tx)))
    }

    fn clock_set_back(&self, by: Duration, now: Timestamp) -> Answer<'_, ()> {
        Box::pin(self.writer.run(1000, IfAbandoned::Run, move |tx| admin::clock_set_back(tx, by, now)))
    }

    fn stats(&self) -> Answer<'_, Stats> {
        Box::pin(self.read(SqliteReader::stats))
    }

    fn keep_rejected(&self, rejected: Vec<Rejected>) -> Answer<'_, ()> {
        Box::pin(async move {
            self.writer.run(rejected.len(), IfAbandoned::Run, move |tx| tx.keep_rejected(&rejected)).await
        })
    }

    fn rejected(&self, limit: usize) -> Answer<'_, Vec<Rejected>> {
        Box::pin(self.read(move |reader| reader.rejected(limit)))
    }

    fn prune(&self, now: Timestamp, retention: Duration) -> Answer<'_, Pruned> {
        Box::pin(self.writer.run(WEIGHT, IfAbandoned::Run, move |tx| admin::prune(tx, now, retention)))
    }

    fn take_over(&self, roster: Vec<Listed>, now: Timestamp) -> Answer<'_, Vec<Departed>> {
        Box::pin(async move {
            let work = move |tx: &mut tx::Tx<'_>| departed::take_over(tx, &roster, now);
            let gone = self.writer.run(100, IfAbandoned::Run, work).await?;
            let mut all = Vec::new();
            for gone in gone {
                all.push(self.clear(gone, now).await?);
            }
            Ok(all)
        })
    }

    fn bury_orphans(&self, known: Vec<ReceiverName>, now: Timestamp) -> Answer<'_, Vec<(ReceiverName, u64)>> {
        Box::pin(async move {
            let all = self.writer.run(1, IfAbandoned::Skip, |tx| admin::receivers(tx)).await?;
            let mut buried = Vec::new();
            for orphan in all.into_iter().filter(|name| !known.iter().any(|known| known.as_str() == name)) {
                let name = orphan.clone();
                let dissolve = move |tx: &mut tx::Tx<'_>| digest::dissolve(tx, &name);
                while self.writer.run(WEIGHT, IfAbandoned::Run, dissolve.clone()).await? > 0 {}
                // In pieces, so that alerts get in between.
                loop {
                    let name = orphan.clone();
                    let work = move |tx: &mut tx::Tx<'_>| admin::bury(tx, &name, now);
                    match self.writer.run(1000, IfAbandoned::Run, work).await {
                        Ok(0) => break,
                        Ok(count) => tally(&mut buried, &orphan, count),
                        Err(error) if buried.is_empty() => return Err(error),
                        // What was buried has to be counted; the rest is found the next time.
                        Err(_) => return Ok(buried),
                    }
                }
            }
            Ok(buried)
        })
    }
}
