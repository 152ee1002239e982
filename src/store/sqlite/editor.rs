//! Changes the outbox from outside the service, also beside one that is running.
//!
//! If the directory is free it is locked, so that no service begins meanwhile. Otherwise one is running: what is done is
//! done in short transactions of our own, and its writer notices.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use super::discard::discard;
use super::open;
use super::outbox::{self, Ask};
use super::reader::SqliteReader;
use super::tx::{Counts, Tx};
use crate::clock::{Timestamp, to_micros};
use crate::notification::DeliveryId;
use crate::store::StoreError;
use crate::store::outbox::{Discarded, Retried};

/// How a wish is meant.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Also send what has been told, or has ended, since.
    pub force: bool,
    /// The present.
    pub now: Timestamp,
}

/// Changes the outbox in a data directory.
#[derive(Debug)]
pub struct Editor {
    conn: Connection,
    path: PathBuf,
    lock: Option<File>,
}

impl Editor {
    /// How many deliveries one call should be asked for at most: alerts that come in wait for as long as it takes.
    pub const AT_ONCE: usize = 100;

    /// Opens the store in `dir`, which must be there and of this version.
    ///
    /// # Errors
    /// [`StoreError::Open`], in one line that says what to do.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        // It says best what is wrong with a directory, and changes nothing.
        drop(SqliteReader::open(dir)?);
        let lock = open::lock_if_free(dir)?;
        let (conn, path) = (open::open_editor(dir)?, dir.join(open::DATABASE));
        if lock.is_some() {
            // Whoever held a lease was killed.
            open::recover(&conn).map_err(|error| unavailable(&path, &error))?;
        }
        Ok(Self { conn, path, lock })
    }

    /// Whether a service is running in the directory.
    #[must_use]
    pub fn is_beside_service(&self) -> bool {
        self.lock.is_none()
    }

    /// Sends dead letters again, and makes due what waits for its time. `together` are all that are sent again, in this
    /// call and in others. All or nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database cannot be written.
    pub fn retry(
        &mut self,
        ids: &[DeliveryId],
        together: &HashSet<DeliveryId>,
        wish: Wish,
    ) -> Result<Vec<Retried>, StoreError> {
        let ask = Ask { force: wish.force, together, now: to_micros(wish.now) };
        self.change(wish.dry_run, |tx| outbox::retry(tx, ids, &ask))
    }

    /// Gives deliveries up on purpose. All or nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database cannot be written.
    pub fn discard(&mut self, ids: &[DeliveryId], wish: Wish) -> Result<Vec<Discarded>, StoreError> {
        let now = to_micros(wish.now);
        self.change(wish.dry_run, |tx| ids.iter().map(|id| discard(tx, *id, now)).collect())
    }

    fn change<T>(
        &mut self,
        dry_run: bool,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let path = &self.path;
        let failed = |error: rusqlite::Error| unavailable(path, &error);
        let transaction = Transaction::new(&mut self.conn, TransactionBehavior::Immediate).map_err(failed)?;
        // Counting is the service's business; `held` says that held copies must be looked for.
        let counts = Counts { waiting: 0, held: u64::MAX };
        let mut tx = Tx { conn: &transaction, counts, max_outbox: u64::MAX, facts: Vec::new() };
        let done = work(&mut tx)?;
        if dry_run { transaction.rollback() } else { transaction.commit() }.map_err(failed)?;
        Ok(done)
    }
}

fn unavailable(path: &Path, error: &rusqlite::Error) -> StoreError {
    let hint = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "another program has locked it; try again",
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => "run this as the user of the service",
        Some(ErrorCode::DiskFull) => "make room on the disk",
        _ => "check the disk",
    };
    StoreError::Open(format!("{} cannot be changed: {error}; {hint}", path.display()))
}
