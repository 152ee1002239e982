//! Alertmanager's identity of an alert.

use std::fmt;
use std::str::FromStr;

use super::Labels;

/// FNV-1a 64 over the label pairs sorted by name, each `name 0xFF value 0xFF`: what Alertmanager sends as
/// `fingerprint` (prometheus/common, `model.LabelSet.Fingerprint`). It covers labels only, so every episode of an
/// alert has the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;

    /// The fingerprint of `labels` without those that `ignored` names.
    #[must_use]
    pub fn of(labels: &Labels, ignored: &[String]) -> Self {
        let mut hash = Self::OFFSET;
        let mut feed = |text: &str| {
            for byte in text.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(Self::PRIME);
            }
        };
        for (name, value) in labels.iter().filter(|(name, _)| !ignored.iter().any(|ignored| ignored == name)) {
            feed(name);
            feed(value);
        }
        Self(hash)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_labels_do_not_count() {
        let one: Labels = [("alertname", "Down"), ("prometheus_replica", "a")].into_iter().collect();
        let two: Labels = [("alertname", "Down"), ("prometheus_replica", "b")].into_iter().collect();
        let ignored = ["prometheus_replica".to_owned()];
        assert_ne!(Fingerprint::of(&one, &[]), Fingerprint::of(&two, &[]));
        assert_eq!(Fingerprint::of(&one, &ignored), Fingerprint::of(&two, &ignored));
    }
}
