//! What holds for any bytes. The fuzzer calls these functions, and so do the integration tests with the corpora.

mod answers;
mod authorization;
mod body;
mod bytes;
mod certificate;
mod checks;
mod config;
mod context;
mod matcher;
mod notifications;
mod receivers;
mod template;
mod web_config;

use alertrouter::config::secret::{SecretFile, SecretSource};

pub use answers::answers;
pub use authorization::authorization;
pub use body::body;
pub use certificate::certificate;
pub use config::config;
pub use context::context;
pub use matcher::matcher;
pub use template::template;
pub use web_config::web_config;

/// The machine has no variables and no files.
struct NoSecrets;

impl SecretSource for NoSecrets {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &std::path::Path) -> std::io::Result<SecretFile> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}
