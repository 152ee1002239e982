//! The one thread that writes.
//!
//! It takes what is queued and commits it as one transaction, so that concurrent accepts, leases and settles share one
//! fsync. One that fails does not sink the others: if it had written something by then, the transaction is taken back and
//! run again with each of them in a savepoint of its own. Savepoints from the start would cost a fifth of the throughput:
//! SQLite copies every page that is changed in one. Nobody is answered before the commit, and the cache learns of it in
//! between, in the order of the commits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::open;
use super::tx::{Counts, Fact, Tx};
use crate::dedup::Cache;
use crate::store::StoreError;

/// How many requests may wait before callers do.
const QUEUE: usize = 1024;
/// How many requests one transaction takes at most.
const BATCH: usize = 256;
/// How heavy a transaction may become, in alerts: it bounds how long the last of a batch waits for its answer.
const BATCH_WEIGHT: usize = 4000;

/// Hands work to the thread.
#[derive(Debug)]
pub(super) struct Writer {
    /// `None` once it has been stopped.
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<Result<(), StoreError>>>,
    commits: Arc<AtomicU64>,
}

/// What the thread owns.
pub(super) struct State {
    /// The only connection that writes.
    pub conn: Connection,
    /// What [`Tx`] counts.
    pub counts: Counts,
    /// How many deliveries may wait.
    pub max_outbox: u64,
    /// Learns of every commit.
    pub cache: Cache,
}

/// What becomes of work whose caller has gone before it was its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfAbandoned {
    /// Done all the same: a settle tells what has happened already.
    Run,
    /// Left out: nobody would know of the lease, nobody was promised that the alert is kept.
    Skip,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(state: State) -> Result<Self, StoreError> {
        let (queue, work) = mpsc::channel(QUEUE);
        let commits = Arc::new(AtomicU64::new(0));
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn({
                let commits = Arc::clone(&commits);
                move || Thread { state, commits, seen: None }.work(work)
            })
            .map_err(|error| StoreError::Open(format!("the store's writer thread cannot be started: {error}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), commits })
    }

    /// Runs `work` in a transaction and returns its result once that is committed.
    /// It may be run more than once; only the last run counts.
    pub(super) async fn run<T, F>(&self, weight: usize, abandoned: IfAbandoned, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Request { weight, abandoned, work, done: None, reply });
        let gone = |()| StoreError::Unavailable("its writer has stopped".to_owned());
        let queue = self.queue.as_ref().ok_or(()).map_err(gone)?;
        queue.send(job).await.map_err(|_| gone(()))?;
        answer.await.map_err(|_| gone(()))?
    }

    /// How many transactions have been committed.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Ends the thread after what is queued, and moves the log into the database.
    pub(super) fn stop(&mut self) -> Result<(), StoreError> {
        drop(self.queue.take());
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_panic)) => Err(StoreError::Unavailable("its writer has panicked".to_owned())),
        }
    }
}

/// A piece of work, whatever its result is.
trait Job: Send {
    fn weight(&self) -> usize;
    fn is_abandoned(&self) -> bool;
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;
    /// Answers with what `run` has left, or with the error.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

struct Request<T, F> {
    weight: usize,
    abandoned: IfAbandoned,
    work: F,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Request<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn weight(&self) -> usize {
        self.weight
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned == IfAbandoned::Skip && self.reply.is_closed()
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.done = Some((self.work)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let not_run = || StoreError::Unavailable("the work was not done".to_owned());
        let Self { done, reply, .. } = *self;
        // A caller that has gone needs no answer.
        let _ = reply.send(outcome.and_then(|()| done.ok_or_else(not_run)));
    }
}

struct Thread {
    state: State,
    commits: Arc<AtomicU64>,
    /// SQLite's `data_version` as of the last transaction: another one means that somebody else has written.
    seen: Option<i64>,
}

impl Thread {
    fn work(mut self, mut queue: mpsc::Receiver<Box<dyn Job>>) -> Result<(), StoreError> {
        while let Some(first) = queue.blocking_recv() {
            let mut weight = first.weight();
            let mut batch = vec![first];
            while batch.len() < BATCH
                && weight < BATCH_WEIGHT
                && let Ok(next) = queue.try_recv()
            {
                weight += next.weight();
                batch.push(next);
            }
            self.handle(batch);
        }
        // With the log moved into the database a copy of that one file is a whole backup.
        self.state.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    fn handle(&mut self, mut batch: Vec<Box<dyn Job>>) {
        // A bug in one request must not take the store away from all that come after it.
        let committed = catch_unwind(AssertUnwindSafe(|| self.commit(&mut batch)))
            .unwrap_or_else(|_| Err(StoreError::Unavailable("a request has panicked; nothing was changed".to_owned())));
        match committed {
            Ok(results) => batch.into_iter().zip(results).for_each(|(job, result)| job.answer(result)),
            Err(error) => {
                if !self.state.conn.is_autocommit()
                    && let Err(error) = self.state.conn.execute_batch("ROLLBACK")
                {
                    tracing::error!(%error, "a failed transaction cannot be rolled back");
                }
                let why = match error {
                    StoreError::Unavailable(why) => why,
                    other => other.to_string(),
                };
                tracing::error!(error = why, requests = batch.len(), "a transaction of the store has failed");
                for job in batch {
                    job.answer(Err(StoreError::Unavailable(why.clone())));
                }
            }
        }
    }

    /// Runs and commits a batch; an error means that nothing of it is stored.
    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> Result<Results, StoreError> {
        let State { conn, counts, max_outbox, cache } = &mut self.state;
        let mut begin = || {
            execute(conn, "BEGIN IMMEDIATE")?;
            notice_others(conn, &mut self.seen, counts, cache)?;
            Ok::<_, StoreError>(Tx { conn, counts: *counts, max_outbox: *max_outbox, facts: Vec::new() })
        };
        let mut tx = begin()?;
        let results = if let Some(results) = run_together(&mut tx, batch)? {
            results
        } else {
            execute(conn, "ROLLBACK")?;
            tx = begin()?;
            batch.iter_mut().map(|job| run_apart(&mut tx, &mut **job)).collect::<Result<_, _>>()?
        };
        let Tx { counts: changed, facts, .. } = tx;
        execute(conn, "COMMIT")?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        *counts = changed;
        for fact in facts {
            match fact {
                Fact::Told(fingerprint, all) => cache.insert(fingerprint, all),
                Fact::Forget(fingerprint) => cache.forget(fingerprint),
            }
        }
        Ok(results)
    }
}

/// If somebody else has written since the last transaction (`alertrouter outbox` does), what is known besides the database
/// is taken from it anew.
fn notice_others(
    conn: &Connection,
    seen: &mut Option<i64>,
    counts: &mut Counts,
    cache: &Cache,
) -> rusqlite::Result<()> {
    let version: i64 = conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
    if *seen == Some(version) {
        return Ok(());
    }
    let before = std::mem::replace(counts, open::count(conn)?);
    cache.clear();
    if seen.replace(version).is_some() {
        let (before, waiting) = (before.waiting, counts.waiting);
        tracing::info!(before, waiting, "another process has changed the outbox");
    }
    Ok(())
}

/// What became of each job of a batch; the outer error means that the whole transaction is lost.
type Results = Vec<Result<(), StoreError>>;

/// Runs a batch without savepoints; `None` if a job has written something and then failed.
fn run_together(tx: &mut Tx<'_>, batch: &mut [Box<dyn Job>]) -> Result<Option<Results>, StoreError> {
    let mut results = Vec::with_capacity(batch.len());
    for job in batch {
        if job.is_abandoned() {
            results.push(Err(abandoned()));
            continue;
        }
        let (counts, facts, changes) = (tx.counts, tx.facts.len(), tx.conn.total_changes());
        let result = job.run(tx);
        if let Err(error) = result {
            fails_alone(tx, error).map(|error| results.push(Err(error)))?;
            if tx.conn.total_changes() != changes {
                return Ok(None);
            }
            tx.counts = counts;
            tx.facts.truncate(facts);
        } else {
            results.push(Ok(()));
        }
    }
    Ok(Some(results))
}

/// Runs one job in its savepoint.
fn run_apart(tx: &mut Tx<'_>, job: &mut dyn Job) -> Result<Result<(), StoreError>, StoreError> {
    if job.is_abandoned() {
        return Ok(Err(abandoned()));
    }
    let (counts, facts) = (tx.counts, tx.facts.len());
    execute(tx.conn, "SAVEPOINT job")?;
    let result = job.run(tx);
    if let Err(error) = result {
        let error = fails_alone(tx, error)?;
        tx.counts = counts;
        tx.facts.truncate(facts);
        execute(tx.conn, "ROLLBACK TO job")?;
        execute(tx.conn, "RELEASE job")?;
        return Ok(Err(error));
    }
    execute(tx.conn, "RELEASE job")?;
    Ok(Ok(()))
}

/// The error of a job that has failed, unless that has ended the transaction: a full disk or a broken file does,
/// whatever we think of it.
fn fails_alone(tx: &Tx<'_>, error: StoreError) -> Result<StoreError, StoreError> {
    if tx.conn.is_autocommit() { Err(error) } else { Ok(error) }
}

fn abandoned() -> StoreError {
    StoreError::Unavailable("nobody waits for the answer any more".to_owned())
}

fn execute(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(|_| ())
}
