//! The files that the web configuration names, and whether they have changed since they were read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::config::secret::others_can_read;

/// The bundle of all public authorities has a quarter of it.
const MAX_FILE: u64 = 1 << 20;

/// Where certificates and keys come from: the machine, or a test's idea of one.
pub trait Files {
    /// What a file holds.
    ///
    /// # Errors
    /// If it cannot be read, is none, or is larger than 1 MiB.
    fn read(&self, path: &Path) -> io::Result<Held>;
}

/// What a file holds.
pub struct Held {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Whether users other than its owner and group can read it.
    pub others_can_read: bool,
}

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Files for System {
    fn read(&self, path: &Path) -> io::Result<Held> {
        // Before it is opened: a pipe would be waited for, a device may do anything.
        let metadata = std::fs::metadata(path)?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a file"));
        }
        let file = std::fs::File::open(path)?;
        let others_can_read = others_can_read(&file.metadata()?);
        let mut bytes = Vec::new();
        file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Held { bytes, others_can_read })
    }
}

/// The file system, which remembers what was asked of it.
#[derive(Debug, Default)]
pub(super) struct Watched(RefCell<Seen>);

impl Watched {
    pub(super) fn seen(self) -> Seen {
        self.0.into_inner()
    }
}

impl Files for Watched {
    fn read(&self, path: &Path) -> io::Result<Held> {
        let held = System.read(path);
        self.0.borrow_mut().note(path, &held);
        held
    }
}

/// Which files were read, and a hash of what each held. What is compared is the content: behind the links of a Kubernetes
/// volume neither the time nor the size of a file has to change.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// `None` for what could not be read.
    files: BTreeMap<PathBuf, Option<u64>>,
    hasher: RandomState,
}

impl Seen {
    fn note(&mut self, path: &Path, held: &io::Result<Held>) {
        let hash = held.as_ref().ok().map(|held| self.hasher.hash_one(&held.bytes));
        self.files.insert(path.to_owned(), hash);
    }

    /// Reads the files again; whether any of them has changed. May block.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        let now = |path: &Path| System.read(path).ok().map(|held| self.hasher.hash_one(&held.bytes));
        self.files.iter().any(|(path, then)| now(path) != *then)
    }
}
