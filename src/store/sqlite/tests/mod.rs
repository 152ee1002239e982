//! The conformance suite on SQLite, and what is SQLite's own.

mod digests;
mod discarding;
mod durability;
mod falling;
mod full;
mod listing;
mod model;
mod opening;
mod outbox;
mod outbox_model;
mod retention;
mod together;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Options, SqliteStore};
use crate::clock::Timestamp;
use crate::dedup::Cache;
use crate::store::conformance::{self, conformance_tests};

/// A folder that goes when the test does.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("alertrouter-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// The data directory in it.
    pub(super) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// What a crash leaves behind: the files as they are, while the store is still open.
    pub(super) fn crashed(&self) -> Self {
        let copy = Self::new();
        std::fs::create_dir(copy.data()).unwrap();
        for file in std::fs::read_dir(self.data()).unwrap().map(|entry| entry.unwrap().path()) {
            std::fs::copy(&file, copy.data().join(file.file_name().unwrap())).unwrap();
        }
        copy
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn cache() -> Cache {
    Cache::new(10_000, Duration::from_hours(1))
}

pub(super) fn open(dir: &Path, cache: &Cache) -> SqliteStore {
    open_with_room(dir, cache, conformance::LIMIT)
}

pub(super) fn open_with_room(dir: &Path, cache: &Cache, max_outbox: u64) -> SqliteStore {
    SqliteStore::open(dir, Options { max_outbox, cache: cache.clone() }, Timestamp::UNIX_EPOCH).unwrap()
}

/// A store in a folder of its own.
pub(super) struct Fixture {
    pub(super) store: SqliteStore,
    pub(super) cache: Cache,
    pub(super) folder: Folder,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::with_room(conformance::LIMIT)
    }

    /// With room for so many deliveries.
    pub(super) fn with_room(max_outbox: u64) -> Self {
        let (folder, cache) = (Folder::new(), cache());
        Self { store: open_with_room(&folder.data(), &cache, max_outbox), cache, folder }
    }

    /// Another connection, to look at or break things behind the store's back.
    pub(super) fn backdoor(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.data().join(super::open::DATABASE)).unwrap()
    }
}

conformance_tests!(Fixture::new());
