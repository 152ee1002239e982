//! Mutants that no test can notice, or need not.

/// The rule, what was done to it, and why it makes no difference that a test should see.
pub(super) const EQUIVALENT: &[(&str, &str, &str)] = &[];
