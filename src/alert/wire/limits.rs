//! How much of a body is kept. So far out that only an attacker meets them; README has them in a table.
//!
//! What explains an alert is cut, because a cut text pages all the same. What identifies it cannot be: an alert whose
//! labels are over the limit is refused.

/// Alerts of a body that are read. A store takes as many in a second or so, and everybody else waits for that.
pub const ALERTS: usize = 10_000;
/// Bytes of the labels of all of them; alerts that come after those are left out.
pub const ALL_LABELS_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of the annotations and links of all of them; of the alerts that come after those [`LEAST_BYTES`] each are kept.
pub const ALL_ANNOTATIONS_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of annotations that are kept of every alert.
pub const LEAST_BYTES: usize = 256;
/// Labels of an alert, and of a group.
pub const LABELS: usize = 1_000;
/// Bytes of their names and values together.
pub const LABELS_BYTES: usize = 256 * 1024;
/// Annotations of an alert that are kept.
pub const ANNOTATIONS: usize = 1_000;
/// Bytes that are kept of an annotation's value.
pub const ANNOTATION_BYTES: usize = 64 * 1024;
/// Bytes that are kept of the names and values of all annotations of an alert.
pub const ANNOTATIONS_BYTES: usize = 256 * 1024;
/// Bytes of a link (`generatorURL`, `externalURL`). Half of one leads nowhere: a longer one is left out.
pub const LINK_BYTES: usize = 16 * 1024;
/// Bytes that are kept of a `groupKey`.
pub const GROUP_KEY_BYTES: usize = 16 * 1024;
/// Bytes of an annotation's name, of the group's `receiver`, and of `version`.
pub const NAME_BYTES: usize = 1024;
/// Alerts of a body that cannot be read and are kept for people to look at; further ones are only counted.
pub const REFUSED: usize = 100;
/// Bytes that are kept of each.
pub const REFUSED_BYTES: usize = 64 * 1024;
/// Bytes of the reason why something cannot be read, which quotes it.
pub(super) const REASON_BYTES: usize = 300;

/// What of a body was over a limit and did not get through whole. A closed set, because it is a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Truncated {
    /// Alerts that were left out, each counted.
    Alerts,
    /// Alerts with an annotation that was cut or left out.
    Annotations,
    /// Links that were left out.
    Links,
    /// Something that the group is called or labelled was cut or left out.
    Group,
}

impl Truncated {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Alerts, Self::Annotations, Self::Links, Self::Group];

    /// The metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Annotations => "annotations",
            Self::Links => "links",
            Self::Group => "group",
        }
    }
}

/// How often each limit was met in a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cuts([u64; Truncated::ALL.len()]);

impl Cuts {
    /// How often this one was.
    #[must_use]
    pub fn count(&self, what: Truncated) -> u64 {
        self.0[what as usize]
    }

    pub(super) fn add(&mut self, what: Truncated, count: u64) {
        self.0[what as usize] += count;
    }
}
