//! What is known of a set of labels before it exists.

use std::collections::{BTreeMap, BTreeSet};

/// What is known of the labels that an expression's result, or an alert, will have. It claims less rather than more.
///
/// It knows the rule and nothing else: `external_labels` and `alert_relabel_configs` of Prometheus can add further
/// labels to any alert, so that a label is missing is never certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Labels that are there for certain, with their value, which is never empty. All of them are possible.
    fixed: BTreeMap<String, String>,
    possible: Possible,
}

/// Which labels may be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Possible {
    /// These and no others.
    Closed(BTreeSet<String>),
    /// Any.
    Open,
}

impl Known {
    /// Nothing is known: any label may be there.
    #[must_use]
    pub fn open() -> Self {
        Self { fixed: BTreeMap::new(), possible: Possible::Open }
    }

    /// There is no label.
    #[must_use]
    pub fn empty() -> Self {
        Self { fixed: BTreeMap::new(), possible: Possible::Closed(BTreeSet::new()) }
    }

    /// The labels that are there for certain, sorted by name.
    pub fn fixed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fixed.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Which labels may be there.
    #[must_use]
    pub fn possible(&self) -> &Possible {
        &self.possible
    }

    /// The value of a label that is there for certain.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fixed.get(name).map(String::as_str)
    }

    /// Whether a label may be there.
    #[must_use]
    pub fn may_have(&self, name: &str) -> bool {
        match &self.possible {
            Possible::Closed(names) => names.contains(name),
            Possible::Open => true,
        }
    }

    /// With a label that is there for certain. An empty value is no label.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        if value.is_empty() {
            return self.without(|other| other == name);
        }
        self = self.with_any(name);
        self.fixed.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With a label that may be there, with whatever value.
    pub(super) fn with_any(mut self, name: &str) -> Self {
        self.fixed.remove(name);
        if let Possible::Closed(names) = &mut self.possible {
            names.insert(name.to_owned());
        }
        self
    }

    /// Without the labels that `dropped` names.
    pub(super) fn without(mut self, dropped: impl Fn(&str) -> bool) -> Self {
        self.fixed.retain(|name, _| !dropped(name));
        if let Possible::Closed(names) = &mut self.possible {
            names.retain(|name| !dropped(name));
        }
        self
    }

    /// Only what is among `names`.
    pub(super) fn only(mut self, names: &[String]) -> Self {
        self.fixed.retain(|name, _| names.contains(name));
        let possible = names.iter().filter(|name| self.may_have(name)).cloned().collect();
        self.possible = Possible::Closed(possible);
        self
    }

    /// Of the labels that are equal on both sides, `equal`, what the other side knows.
    pub(super) fn learn(mut self, other: &Self, equal: impl Fn(&str) -> bool) -> Self {
        for (name, value) in &other.fixed {
            if equal(name) && self.may_have(name) {
                self.fixed.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        self
    }

    /// One or the other.
    pub(super) fn or(mut self, other: Self) -> Self {
        self.fixed.retain(|name, value| other.fixed.get(name) == Some(value));
        self.possible = match (self.possible, other.possible) {
            (Possible::Closed(a), Possible::Closed(b)) => Possible::Closed(a.union(&b).cloned().collect()),
            _ => Possible::Open,
        };
        self
    }
}
