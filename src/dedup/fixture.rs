//! Alerts for the tests of the tables.

use crate::alert::{Alert, Fingerprint, Labels, Status};
use crate::clock::Timestamp;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// One that began then, and has ended if there is an end.
pub(super) fn alert(starts: i64, ends: Option<i64>) -> Alert {
    Alert {
        status: if ends.is_some() { Status::Resolved } else { Status::Firing },
        labels: Labels::default(),
        annotations: Labels::default(),
        starts_at: Some(at(starts)),
        ends_at: ends.map(at),
        generator_url: String::new(),
        fingerprint: Fingerprint(1),
    }
}
