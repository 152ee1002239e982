//! Where a webhook stands in a trace, as it is kept with what came of it.

use rusqlite::types::ValueRef;

use crate::notification::TraceParent;

/// What a column holds. What a flipped bit has made of it does no harm: the delivery is what counts.
pub(super) fn read(value: ValueRef<'_>) -> Option<TraceParent> {
    match value {
        ValueRef::Text(text) => Some(TraceParent(String::from_utf8_lossy(text).into_owned())),
        ValueRef::Null | ValueRef::Blob(_) | ValueRef::Integer(_) | ValueRef::Real(_) => None,
    }
}
