//! What is remembered of heartbeats.

use super::Answer;
use crate::heartbeat::Record;

/// What the dead man's switch needs of a store.
pub trait Heartbeats: Send + Sync {
    /// All that is remembered, by name.
    fn heartbeats(&self) -> Answer<'_, Vec<(String, Record)>>;

    /// Replaces what is remembered of one.
    fn keep_heartbeat(&self, name: String, record: Record) -> Answer<'_, ()>;

    /// Forgets one.
    fn forget_heartbeat(&self, name: String) -> Answer<'_, ()>;
}
