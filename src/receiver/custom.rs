//! Texts that routes.yaml gives in place of the built-in ones.

use std::fmt;
use std::sync::Arc;

use crate::notification::Notification;

/// A text of routes.yaml that is made for each notification. Pure, like a receiver.
pub trait Render: Send + Sync + fmt::Debug {
    /// The text: never blank, escaped as its place in the message wants it, not yet cut to the service's limit.
    ///
    /// # Errors
    /// Why there is none, in one line.
    fn render(&self, notification: &Notification) -> Result<String, String>;
}

/// A text of routes.yaml, if it has one; all clones share it.
pub type Custom = Option<Arc<dyn Render>>;

/// The text of routes.yaml; `None` where the built-in one has to do. Why a text that is there cannot be used goes into
/// `failed`, the first reason only: a message that looks plain is better than none.
pub fn render(custom: &Custom, notification: &Notification, failed: &mut Option<String>) -> Option<String> {
    match custom.as_ref()?.render(notification) {
        Ok(text) => Some(text),
        Err(why) => {
            failed.get_or_insert(why);
            None
        }
    }
}
