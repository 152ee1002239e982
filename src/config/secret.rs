//! Secrets: given as they are, in an environment variable, or in a file. What goes wrong is said by the name of the
//! variable or file, never by the value.

use std::io::{self, Read};
use std::path::Path;

use crate::yaml::{Context, Fields, Node, Span, Value, may_be_secret};
use secrecy::SecretString;

/// No credential is longer, in bytes; a path that points at something else is noticed early.
const MAX_FILE: u64 = 64 * 1024;

/// Where secrets come from: the machine, or a test's idea of one.
pub trait SecretSource {
    /// The value of an environment variable. `None` if it is not set or not UTF-8.
    fn env(&self, name: &str) -> Option<String>;

    /// The content of a file.
    ///
    /// # Errors
    /// If it cannot be read, is not UTF-8, or is larger than 65536 bytes.
    fn file(&self, path: &Path) -> io::Result<SecretFile>;
}

/// A file that holds a secret.
pub struct SecretFile {
    /// All of it.
    pub content: String,
    /// Whether users other than its owner and group can read it.
    pub others_can_read: bool,
}

/// The process's environment and the file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl SecretSource for System {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that secrets come through")]
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<SecretFile> {
        // Before it is opened: a pipe would be waited for, a device may do anything.
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, kind(&metadata)));
        }
        let file = std::fs::File::open(path)?;
        let others_can_read = others_can_read(&file.metadata()?);
        let mut content = String::new();
        file.take(MAX_FILE + 1).read_to_string(&mut content)?;
        if u64::try_from(content.len()).is_ok_and(|length| length > MAX_FILE) {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "file too large"));
        }
        Ok(SecretFile { content, others_can_read })
    }
}

#[cfg(unix)]
fn kind(metadata: &std::fs::Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if metadata.file_type().is_fifo() { "is a named pipe" } else { "is not a file" }
}

#[cfg(not(unix))]
fn kind(_: &std::fs::Metadata) -> &'static str {
    "is not a file"
}

#[cfg(unix)]
pub(super) fn others_can_read(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
pub(super) fn others_can_read(_: &std::fs::Metadata) -> bool {
    false
}

/// What a secret must look like; the error completes a sentence and repeats nothing of the value.
pub(super) type Check = fn(&str) -> Result<(), &'static str>;

/// How secrets are read.
pub(super) struct Secrets<'a> {
    pub(super) source: &'a dyn SecretSource,
    /// Without it `{env}` and `{file}` give an empty secret.
    pub(super) resolve: bool,
    /// What a relative `{file: PATH}` is relative to.
    pub(super) base: &'a Path,
}

impl Secrets<'_> {
    /// Reads a secret.
    pub(super) fn read(
        &self,
        cx: &mut Context<'_>,
        node: &Node,
        key: &'static str,
        check: Check,
    ) -> Option<SecretString> {
        let Value::Map(_) = &node.value else {
            let Value::Scalar(text) = &node.value else {
                let hint = "write `{env: NAME}`, `{file: PATH}` or the value itself";
                cx.error_with(node.span, format!("`{key}` must be a secret, and this is {}", node.kind()), hint);
                return None;
            };
            return checked(cx, text, node.span, &format!("`{key}`"), check);
        };
        let mut fields = Fields::open(cx, node, node.span, "a secret")?;
        let both = fields.has("env") && fields.has("file");
        let (env, file) = (fields.take(cx, "env"), fields.take(cx, "file"));
        if both || !(fields.has("env") || fields.has("file")) {
            cx.error_with(fields.at, "a secret has either `env` or `file`", "write `{env: NAME}` or `{file: PATH}`");
            fields.close(cx, &[]);
            return None;
        }
        fields.close(cx, &[]);
        match (env, file) {
            (Some(node), _) => self.env_secret(cx, node, key, check),
            (None, Some(node)) => self.file_secret(cx, node, key, check),
            (None, None) => None,
        }
    }

    fn env_secret(&self, cx: &mut Context<'_>, node: &Node, key: &str, check: Check) -> Option<SecretString> {
        let name = env_name(cx, node)?;
        if !self.resolve {
            return Some(SecretString::default());
        }
        let shown =
            if is_open_name(name) { format!("the environment variable {name}") } else { "that variable".into() };
        let Some(value) = self.source.env(name) else {
            cx.error_with(node.span, format!("{shown} is not set"), format!("set it for `{key}`"));
            return None;
        };
        checked(cx, &value, node.span, &format!("{shown} (`{key}`)"), check)
    }

    fn file_secret(&self, cx: &mut Context<'_>, node: &Node, key: &str, check: Check) -> Option<SecretString> {
        let path = cx.text(node, "`file`")?;
        if !self.resolve {
            return Some(SecretString::default());
        }
        // The secret itself may stand in its place.
        let (name, shown) = if may_be_secret(path) {
            ("that file", "that file".to_owned())
        } else {
            (path, format!("the file {path}"))
        };
        let file = match self.source.file(&self.base.join(path)) {
            Ok(file) => file,
            Err(error) => {
                let special = error.to_string();
                let what = match error.kind() {
                    io::ErrorKind::InvalidInput if error.get_ref().is_some() => special.as_str(),
                    io::ErrorKind::NotFound => "does not exist",
                    io::ErrorKind::PermissionDenied => "must not be read by this user",
                    io::ErrorKind::InvalidData => "is not UTF-8",
                    io::ErrorKind::FileTooLarge => "is larger than 64 KiB",
                    io::ErrorKind::IsADirectory => "is a directory",
                    _ => "cannot be read",
                };
                cx.error_with(node.span, format!("{shown} {what}"), format!("it must hold `{key}`"));
                return None;
            }
        };
        if file.others_can_read {
            cx.warn_with(node.span, format!("other users can read {name}"), format!("chmod o-r {name}"));
        }
        // Editors and `echo` end the last line.
        let value = file.content.strip_suffix('\n').unwrap_or(&file.content);
        checked(cx, value.strip_suffix('\r').unwrap_or(value), node.span, &format!("{shown} (`{key}`)"), check)
    }
}

fn env_name<'n>(cx: &mut Context<'_>, node: &'n Node) -> Option<&'n str> {
    if let Value::Scalar(name) = &node.value
        && name.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
    {
        if is_open_name(name) {
            cx.source.show(node.span);
        }
        return Some(name);
    }
    cx.error(node.span, "`env` must be the name of an environment variable");
    None
}

fn checked(cx: &mut Context<'_>, value: &str, span: Span, what: &str, check: Check) -> Option<SecretString> {
    let checked = if value.is_empty() { Err("is empty") } else { check(value) };
    if let Err(error) = checked {
        cx.error(span, format!("{what} {error}"));
        return None;
    }
    Some(value.into())
}

/// Whether the name of a variable may be shown: somebody may have written the secret itself in its place. Keys and
/// tokens are long, have no underscore or are not in capitals.
fn is_open_name(name: &str) -> bool {
    let capital = |c: char| c == '_' || c.is_ascii_uppercase() || c.is_ascii_digit();
    name.chars().all(capital) && (name.contains('_') || name.len() < 20)
}
