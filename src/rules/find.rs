//! Which files there are.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{error, in_file};
use crate::yaml::problem::InFile;

/// A file that may hold rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    /// Whether it was named, and not found in a folder.
    pub(super) named: bool,
}

/// Files and folders that were found already, by what they really are: symbolic links may lead to them again, or in
/// circles.
#[derive(Debug, Default)]
pub(super) struct Seen(HashSet<PathBuf>);

impl Seen {
    fn is_new(&mut self, path: &Path) -> io::Result<bool> {
        Ok(self.0.insert(path.canonicalize()?))
    }
}

/// What is at a path.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Sorted by path.
    pub(super) files: Vec<Candidate>,
    /// What cannot be read.
    pub(super) problems: Vec<InFile>,
    /// Whether something there belongs to an earlier path.
    pub(super) known_before: bool,
}

/// Finds the files at `path`: itself, or those in the folder that are named like rule files.
pub(super) fn files(path: &Path, seen: &mut Seen) -> Found {
    let mut found = Found::default();
    let named = fs::metadata(path).and_then(|metadata| Ok((metadata.is_dir(), seen.is_new(path)?)));
    match named {
        Err(why) => found.refuse(path, &why),
        Ok((_, false)) => found.known_before = true,
        Ok((false, true)) => found.files.push(Candidate { path: path.to_owned(), named: true }),
        Ok((true, true)) => {
            let mut folders = vec![path.to_owned()];
            while let Some(folder) = folders.pop() {
                if let Err(why) = look_into(&folder, seen, &mut folders, &mut found) {
                    found.refuse(&folder, &why);
                }
            }
        }
    }
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn look_into(folder: &Path, seen: &mut Seen, folders: &mut Vec<PathBuf>, found: &mut Found) -> io::Result<()> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    // Of two names for one file the first one counts, whatever the file system's order is.
    paths.sort();
    for path in paths.into_iter().filter(|path| !is_hidden(path)) {
        // A link that leads nowhere is a mistake only if a rule file should be there.
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(why) if is_named_like_rules(&path) => {
                found.refuse(&path, &why);
                continue;
            }
            Err(_) => continue,
        };
        // A pipe in the folder would be waited for.
        let is_wanted = metadata.is_dir() || (metadata.is_file() && is_named_like_rules(&path));
        if !is_wanted {
            continue;
        }
        match seen.is_new(&path) {
            Err(why) => found.refuse(&path, &why),
            Ok(false) => found.known_before = true,
            Ok(true) if metadata.is_dir() => folders.push(path),
            Ok(true) => found.files.push(Candidate { path, named: false }),
        }
    }
    Ok(())
}

impl Found {
    fn refuse(&mut self, path: &Path, why: &io::Error) {
        self.problems.extend(in_file(&path.display().to_string(), vec![error(format!("cannot be read: {why}"), None)]));
    }
}

/// Kubernetes keeps the versions of a mounted `ConfigMap` in such folders, git its own.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_named_like_rules(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "rules")
}
