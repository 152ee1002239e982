//! Opening: the directory, its lock, the database and its migrations.

use std::fmt::Display;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::tx::{Counts, unsigned};
use crate::store::StoreError;

/// The database in the data directory.
pub(super) const DATABASE: &str = "alertrouter.db";
const LOCK: &str = "alertrouter.lock";

/// How long to wait for another process, say a backup, that has locked the database. A webhook must be answered
/// within 8 s.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(3);

/// "alrt": tells our databases from others'.
const APPLICATION_ID: i32 = 0x616c_7274;
/// The first version without the bug that a checkpoint beside a commit can lose pages (fixed 2026, "WAL-reset").
const SQLITE_VERSION: i32 = 3_051_003;
/// Version n of the database is what the first n scripts make. Scripts are only ever added.
const MIGRATIONS: &[&str] =
    &[include_str!("migrations/0001-outbox-and-dedup.sql"), include_str!("migrations/0002-fallback.sql")];

/// The version that this program writes.
pub(super) fn current_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Makes the directory if need be and locks it for this process.
pub(super) fn lock_directory(dir: &Path) -> Result<File, StoreError> {
    let shown = dir.display();
    if dir.exists() && !dir.is_dir() {
        let hint = "move it away or choose another --data-dir";
        return Err(StoreError::Open(format!("the data directory {shown} is a file; {hint}")));
    }
    // What alerts say is not for every user of the machine.
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
        let hint = "create it for the user of the service, or choose another --data-dir";
        StoreError::Open(format!("the data directory {shown} cannot be created: {error}; {hint}"))
    })?;
    let lock = File::options().create(true).truncate(false).write(true).open(dir.join(LOCK)).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                "make it writable for the user of the service"
            }
            _ => "check the disk, or choose another --data-dir",
        };
        StoreError::Open(format!("the data directory {shown} cannot be written: {LOCK}: {error}; {hint}"))
    })?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::Open(format!(
            "the data directory {shown} is in use by another alertrouter; stop that one, or choose another --data-dir"
        ))),
        Err(TryLockError::Error(error)) => Err(StoreError::Open(format!(
            "the data directory {shown} cannot be locked: {error}; it must be on a file system with locks"
        ))),
    }
}

/// Opens the database for writing and brings it up to date. The directory must be locked.
pub(super) fn open_writer(dir: &Path) -> Result<(Connection, Counts), StoreError> {
    let path = dir.join(DATABASE);
    let version = rusqlite::version_number();
    if version < SQLITE_VERSION {
        let version = rusqlite::version();
        let why = "before 3.51.3 can lose committed data";
        return Err(StoreError::Open(format!("SQLite {version} {why}; build alertrouter with the bundled one")));
    }
    if path.is_dir() {
        let path = path.display();
        return Err(StoreError::Open(format!("{path} is a directory; move it away or choose another --data-dir")));
    }
    let connect = || {
        let conn = Connection::open(&path)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        conn.set_prepared_statement_cache_capacity(128);
        check_identity(&conn).map(|check| check.map(|version| (conn, version)))
    };
    let (mut conn, version) = connect().map_err(|error| broken(&path, &error))?.map_err(|why| foreign(&path, &why))?;
    let journal = configure(&conn).map_err(|error| broken(&path, &error))?;
    if journal != "wal" {
        let path = path.display();
        let hint = "put the data directory on a local file system";
        return Err(StoreError::Open(format!("{path}: SQLite cannot keep a write-ahead log here ({journal}); {hint}")));
    }
    migrate(&mut conn, version).map_err(|error| broken(&path, &error))?;
    let counts = recover(&conn).map_err(|error| broken(&path, &error))?;
    Ok((conn, counts))
}

/// The version of a database, 0 for an empty one; the inner error says why it is not for us.
pub(super) fn check_identity(conn: &Connection) -> rusqlite::Result<Result<i64, String>> {
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (version, application) = (pragma("user_version")?, pragma("application_id")?);
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(if tables == 0 && version == 0 {
        Ok(0)
    } else if application != i64::from(APPLICATION_ID) {
        Err("it is the database of another program; move it away or choose another --data-dir".to_owned())
    } else if version > current_version() {
        let ours = current_version();
        Err(format!("it was written by a newer alertrouter (version {version}, this one knows {ours}); use that one"))
    } else {
        Ok(version)
    })
}

/// Sets what a connection that writes needs; returns the journal mode that SQLite has agreed to.
fn configure(conn: &Connection) -> rusqlite::Result<String> {
    let journal = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    // FULL: each commit is on the disk before it is answered.
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // In KiB, and negative for that: pages are kept in memory up to 64 MiB.
    conn.pragma_update(None, "cache_size", -65_536)?;
    // In pages, 32 MiB: fingerprints are random, so that the longer the log the more writes to a page become one.
    conn.pragma_update(None, "wal_autocheckpoint", 8000)?;
    // After a flood the log shrinks again.
    conn.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(journal)
}

fn migrate(conn: &mut Connection, version: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(version).unwrap_or_default();
    if done >= MIGRATIONS.len() {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for script in MIGRATIONS.iter().skip(done) {
        tx.execute_batch(script)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", current_version())?;
    tx.commit()
}

/// Ends all leases, for the lock says that nobody is left who holds one, and counts.
fn recover(conn: &Connection) -> rusqlite::Result<Counts> {
    conn.execute(
        "UPDATE delivery INDEXED BY delivery_leased SET lease_until = NULL, token = token + 1
         WHERE lease_until IS NOT NULL",
        [],
    )?;
    let count = |sql| conn.query_row(sql, [], |row| row.get(0)).map(unsigned);
    let held = count("SELECT count(*) FROM delivery INDEXED BY delivery_held WHERE state = 'held'")?;
    let queued = count("SELECT count(*) FROM delivery INDEXED BY delivery_queued WHERE state = 'queued'")?;
    let ready = count("SELECT count(*) FROM delivery INDEXED BY delivery_one_ready WHERE state = 'ready'")?;
    Ok(Counts { waiting: held + queued + ready, held })
}

/// The error for a database that SQLite cannot work with.
pub(super) fn broken(path: &Path, error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseCorrupt, DiskFull, NotADatabase, PermissionDenied, ReadOnly,
    };
    let hint = match error.sqlite_error_code() {
        Some(NotADatabase | DatabaseCorrupt) => "restore it from a backup, or move it away and lose what waits in it",
        Some(CannotOpen | PermissionDenied | ReadOnly) => "make it readable and writable for the user of the service",
        Some(DiskFull) => "make room on the disk",
        Some(DatabaseBusy) => "another program has locked it; let that one finish",
        _ => "check the disk",
    };
    StoreError::Open(format!("{} cannot be opened: {error}; {hint}", path.display()))
}

/// The error for a database that is not for us.
pub(super) fn foreign(path: &Path, why: &dyn Display) -> StoreError {
    StoreError::Open(format!("{} cannot be used: {why}", path.display()))
}
