//! Opening: the directory, its lock, the database and its migrations.

use std::fmt::Display;
use std::fs::{DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::tx::{Counts, unsigned};
use crate::store::StoreError;

/// The database in the data directory.
pub(super) const DATABASE: &str = "alertrouter.db";
const LOCK: &str = "alertrouter.lock";

/// How long to wait for another process, say a backup, that has locked the database. A webhook must be answered
/// within 8 s.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a command waits for a service that writes.
const EDITOR_TIMEOUT: Duration = Duration::from_secs(10);

/// "alrt": tells our databases from others'.
const APPLICATION_ID: i32 = 0x616c_7274;
/// The first version without the bug that a checkpoint beside a commit can lose pages (fixed 2026, "WAL-reset").
const SQLITE_VERSION: i32 = 3_051_003;
/// Version n of the database is what the first n scripts make. Scripts are only ever added.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001-outbox-and-dedup.sql"),
    include_str!("migrations/0002-fallback.sql"),
    include_str!("migrations/0003-digests.sql"),
    include_str!("migrations/0004-outbox-history.sql"),
    include_str!("migrations/0005-heartbeats.sql"),
    include_str!("migrations/0006-retention.sql"),
    include_str!("migrations/0007-traces.sql"),
];

/// SQLite's number for `auto_vacuum = INCREMENTAL`: pages are given back when we say so.
const INCREMENTAL: i64 = 2;

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
    let lock = private().create(true).truncate(false).open(dir.join(LOCK)).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                "make it writable for the user of the service"
            }
            _ => "check the disk, or choose another --data-dir",
        };
        StoreError::Open(format!("the data directory {shown} cannot be written: {LOCK}: {error}; {hint}"))
    })?;
    match lock.try_lock() {
        Ok(()) => {
            warn_of_wide_modes(dir);
            Ok(lock)
        }
        Err(TryLockError::WouldBlock) => Err(StoreError::Open(format!(
            "the data directory {shown} is in use by another alertrouter; stop that one, or choose another --data-dir"
        ))),
        Err(TryLockError::Error(error)) => Err(StoreError::Open(format!(
            "the data directory {shown} cannot be locked: {error}; it must be on a file system with locks"
        ))),
    }
}

/// How files are opened for writing that nobody else may read if they are made now, whatever the umask is.
fn private() -> std::fs::OpenOptions {
    let mut options = File::options();
    options.write(true).mode(0o600);
    options
}

/// Says so if others can look into a directory that was not made here. What somebody has set is left as it is.
fn warn_of_wide_modes(dir: &Path) {
    let Ok(metadata) = dir.metadata() else { return };
    if metadata.permissions().mode() & 0o077 != 0 {
        let path = dir.display();
        tracing::warn!(%path, "other users can look into the data directory, and alerts are in it: chmod 700 {path}");
    }
}

/// Locks a directory that a service has used; `None` if one is running in it. Makes nothing: what root makes, the service
/// could not open.
pub(super) fn lock_if_free(dir: &Path) -> Result<Option<File>, StoreError> {
    let failed = |error: std::io::Error| {
        let path = dir.join(LOCK);
        let hint = match error.kind() {
            ErrorKind::NotFound => "no service has run here; start it once",
            _ => "run this as the user of the service",
        };
        StoreError::Open(format!("{} cannot be locked: {error}; {hint}", path.display()))
    };
    let lock = File::open(dir.join(LOCK)).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Opens the database to write into it beside a service, or in its absence; it must be of this version.
pub(super) fn open_editor(dir: &Path) -> Result<Connection, StoreError> {
    let path = dir.join(DATABASE);
    let connect = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&path, flags)?;
        conn.busy_timeout(EDITOR_TIMEOUT)?;
        configure(&conn)?;
        Ok(conn)
    };
    connect().map_err(|error| broken(&path, &error))
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
    // Empty, it is a new database; SQLite gives its log the same mode. What goes wrong SQLite says better. One that is there
    // is not opened here: to close it would end the locks that this process may have on it.
    let _ = private().create_new(true).open(&path);
    let connect = || {
        let conn = Connection::open(&path)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        conn.set_prepared_statement_cache_capacity(128);
        // Only before there is anything in it; see `convert`.
        conn.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
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
    if let Err(error) = convert(&conn) {
        let path = path.display();
        tracing::warn!(%path, %error, "the database could not be rewritten: it works, and never becomes smaller");
    }
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
    // In KiB, and negative for that: pages are kept in memory up to 32 MiB.
    conn.pragma_update(None, "cache_size", -32_768)?;
    // In pages, 32 MiB: fingerprints are random, so that the longer the log the more writes to a page become one.
    conn.pragma_update(None, "wal_autocheckpoint", 8000)?;
    // After a flood the log shrinks again.
    conn.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(journal)
}

/// Whether free pages can be given back one by one.
pub(super) fn vacuums_in_steps(conn: &Connection) -> rusqlite::Result<bool> {
    Ok(conn.pragma_query_value(None, "auto_vacuum", |row| row.get::<_, i64>(0))? == INCREMENTAL)
}

/// A database of before the retention cannot give back pages: it is rewritten once, which must not be in a transaction. If
/// that breaks off, the database is what it was, and the next start tries again.
pub(super) fn convert(conn: &Connection) -> rusqlite::Result<()> {
    if vacuums_in_steps(conn)? {
        return Ok(());
    }
    let pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0))?;
    tracing::info!(pages, "the database is rewritten once, so that it can become smaller from now on");
    conn.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    conn.execute_batch("VACUUM")
}

fn migrate(conn: &mut Connection, version: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(version).unwrap_or_default();
    if done >= MIGRATIONS.len() {
        return Ok(());
    }
    if done > 0 {
        // A step that reads a large outbox once takes a while, in which nothing else is heard of a start.
        let to = current_version();
        tracing::info!(from = version, to, "bringing the database up to date; a million deliveries take half a minute");
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
pub(super) fn recover(conn: &Connection) -> rusqlite::Result<Counts> {
    conn.execute(
        "UPDATE delivery INDEXED BY delivery_leased SET lease_until = NULL, token = token + 1
         WHERE lease_until IS NOT NULL",
        [],
    )?;
    count(conn)
}

/// Counts what waits, each part in its index.
pub(super) fn count(conn: &Connection) -> rusqlite::Result<Counts> {
    let count = |sql| conn.query_row(sql, [], |row| row.get(0)).map(unsigned);
    let held = count("SELECT count(*) FROM delivery INDEXED BY delivery_held WHERE state = 'held'")?;
    let queued = count("SELECT count(*) FROM delivery INDEXED BY delivery_queued WHERE state = 'queued'")?;
    let ready = count("SELECT count(*) FROM delivery INDEXED BY delivery_one_ready WHERE state = 'ready'")?;
    let digests = count(
        "SELECT count(*) FROM delivery INDEXED BY delivery_digests WHERE carries IS NOT NULL AND ended_at IS NULL",
    )?;
    Ok(Counts { waiting: held + queued + ready.saturating_sub(digests), held })
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
