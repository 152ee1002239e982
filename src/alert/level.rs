//! How bad an alert is, by its `severity` label.

/// How bad an alert is, on the scale that the services and the outbox share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nobody has to act.
    Info,
    /// Somebody has to act soon.
    Warning,
    /// Something is broken.
    Error,
    /// Somebody has to act now.
    Critical,
}

impl Level {
    /// The level that a `severity` label names. An unknown or missing one is an error: a word that nobody mapped must
    /// neither wake everybody nor go unseen.
    #[must_use]
    pub fn of(severity: &str) -> Self {
        match severity.to_ascii_lowercase().as_str() {
            "critical" | "crit" | "page" | "fatal" | "emergency" | "disaster" | "p1" => Self::Critical,
            "warning" | "warn" | "medium" | "minor" | "p3" => Self::Warning,
            "info" | "informational" | "information" | "notice" | "none" | "debug" | "low" | "p4" | "p5" => Self::Info,
            // error, err, high, major, p2 and whatever else.
            _ => Self::Error,
        }
    }

    /// PagerDuty's word, which is the field's too.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_people_use_have_a_level() {
        for (severity, expected) in [
            ("critical", Level::Critical),
            ("PAGE", Level::Critical),
            ("error", Level::Error),
            ("high", Level::Error),
            ("Warn", Level::Warning),
            ("warning", Level::Warning),
            ("info", Level::Info),
            ("none", Level::Info),
            ("", Level::Error),
            ("sev-unknown", Level::Error),
        ] {
            assert_eq!(Level::of(severity), expected, "{severity}");
        }
    }
}
