//! Secrets of the file: what becomes of each, and which environment variables there are to set.

use super::write::scalar;
use crate::yaml::{Span, quote};

/// What Alertmanager prints in a secret's place, also in files made from its output.
const HIDDEN: &str = "<secret>";

/// An environment variable that the imported file asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it has to hold, in words.
    pub holds: String,
    /// Whether it stands in the place of something that could not be imported.
    pub is_placeholder: bool,
}

/// The variables so far. A secret that several receivers share has one.
pub(super) struct Variables {
    all: Vec<Variable>,
    /// The secret and its variable, for those that were copied from nowhere else.
    known: Vec<(Secret, String)>,
    keep: bool,
}

/// Two secrets are the same if they have the same value, or the same place where the value is not there.
#[derive(PartialEq, Eq)]
enum Secret {
    Value(String),
    At(Span),
}

impl Variables {
    /// With `keep`, secrets that stand in the file are copied instead.
    pub(super) fn new(keep: bool) -> Self {
        Self { all: Vec::new(), known: Vec::new(), keep }
    }

    pub(super) fn finish(self) -> Vec<Variable> {
        self.all
    }

    /// The YAML for a secret that stands in the file at `at`. The variable is called `name`, or nearly so; it `holds`
    /// what these words say.
    pub(super) fn literal(&mut self, value: &str, at: Span, name: &str, holds: &str) -> String {
        if let Some(name) = reference(value) {
            // A script fills it in before Alertmanager starts: it has a variable already.
            if !self.all.iter().any(|known| known.name == name) {
                self.all.push(Variable { name: name.to_owned(), holds: holds.to_owned(), is_placeholder: false });
            }
            return env(name);
        }
        if self.keep && value != HIDDEN {
            return scalar(value);
        }
        let secret = if value == HIDDEN { Secret::At(at) } else { Secret::Value(value.to_owned()) };
        if let Some((_, name)) = self.known.iter().find(|(known, _)| *known == secret) {
            return env(name);
        }
        let name = self.add(name, holds, false);
        self.known.push((secret, name.clone()));
        env(&name)
    }

    /// The YAML for an address of Slack that has to be made for a channel. Integrations that share address and channel
    /// share the variable.
    pub(super) fn for_channel(&mut self, address: &str, channel: &str, name: &str) -> (String, String) {
        let secret = Secret::Value(format!("{address}\0{channel}"));
        let known = self.known.iter().find(|(known, _)| *known == secret).map(|(_, name)| name.clone());
        let name = known.unwrap_or_else(|| {
            let name = self.add(name, &format!("an incoming webhook for the channel {}", quote(channel)), false);
            self.known.push((secret, name.clone()));
            name
        });
        (env(&name), name)
    }

    /// The YAML for something that is missing; until the variable is set, `check` fails.
    pub(super) fn placeholder(&mut self, name: &str, holds: &str) -> String {
        env(&self.add(&variable_name(&["TODO", name]), holds, true))
    }

    fn add(&mut self, wanted: &str, holds: &str, is_placeholder: bool) -> String {
        let taken = |name: &str| self.all.iter().any(|known| known.name == name);
        let numbered = (2..).map(|number| format!("{wanted}_{number}"));
        let free = std::iter::once(wanted.to_owned()).chain(numbered).find(|name| !taken(name));
        let name = free.unwrap_or_default();
        self.all.push(Variable { name: name.clone(), holds: holds.to_owned(), is_placeholder });
        name
    }
}

fn env(name: &str) -> String {
    format!("{{ env: {name} }}")
}

/// The YAML for a secret that stands in a file of its own.
pub(super) fn file(path: &str) -> String {
    format!("{{ file: {} }}", scalar(path))
}

/// `$NAME` or `${NAME}`: what `envsubst` would fill in.
fn reference(value: &str) -> Option<&str> {
    let name = value.strip_prefix('$')?;
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let is_name = name.starts_with(|c: char| c == '_' || c.is_ascii_uppercase())
        && name.chars().all(|c| c == '_' || c.is_ascii_uppercase() || c.is_ascii_digit());
    is_name.then_some(name)
}

/// The name of an environment variable made of words: `["team-x", "webhook url"]` gives `TEAM_X_WEBHOOK_URL`. Words that
/// the first part has already are not said again.
pub(super) fn variable_name(parts: &[&str]) -> String {
    let mut words: Vec<String> = Vec::new();
    for part in parts {
        let upper = part.to_ascii_uppercase();
        let more: Vec<_> = upper.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let begins = more.first().is_some_and(|first| words.iter().any(|word| word == first)) && more.len() > 1;
        words.extend(more.into_iter().skip(usize::from(begins)).map(str::to_owned));
    }
    // Long names come from long names of receivers; their beginning tells them apart.
    let name: String = words.join("_").chars().take(100).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Span = Span { start: 3, end: 9 };

    #[test]
    fn names_are_made_of_words() {
        let check = |parts: &[&str], expected: &str| assert_eq!(variable_name(parts), expected);
        check(&["team-x", "slack webhook url"], "TEAM_X_SLACK_WEBHOOK_URL");
        check(&["team-x-slack-2", "slack webhook url"], "TEAM_X_SLACK_2_WEBHOOK_URL");
        check(&["slack", "slack webhook url"], "SLACK_WEBHOOK_URL");
        check(&["24x7 (eu)", "url"], "_24X7_EU_URL");
        check(&["команда", "slack webhook url"], "SLACK_WEBHOOK_URL");
        check(&["TODO", "todo"], "TODO_TODO");
    }

    #[test]
    fn one_secret_has_one_variable() {
        let mut variables = Variables::new(false);
        assert_eq!(variables.literal("s3cret", AT, "A", "x"), "{ env: A }");
        assert_eq!(variables.literal("s3cret", Span { start: 50, end: 56 }, "B", "y"), "{ env: A }");
        assert_eq!(variables.literal("other", AT, "A", "z"), "{ env: A_2 }");
        // Nobody knows whether these two are the same.
        assert_eq!(variables.literal("<secret>", AT, "C", "x"), "{ env: C }");
        assert_eq!(variables.literal("<secret>", Span { start: 70, end: 78 }, "C", "x"), "{ env: C_2 }");
        assert_eq!(variables.literal("<secret>", AT, "D", "x"), "{ env: C }");
        assert_eq!(variables.placeholder("a b", "x"), "{ env: TODO_A_B }");
        let names: Vec<_> = variables.finish().into_iter().map(|variable| variable.name).collect();
        assert_eq!(names, ["A", "A_2", "C", "C_2", "TODO_A_B"]);
    }

    #[test]
    fn a_variable_of_the_file_keeps_its_name() {
        let mut variables = Variables::new(true);
        assert_eq!(variables.literal("${SLACK_URL}", AT, "A", "x"), "{ env: SLACK_URL }");
        assert_eq!(variables.literal("$SLACK_URL", AT, "A", "x"), "{ env: SLACK_URL }");
        assert_eq!(variables.literal("https://x/${ID}", AT, "A", "x"), "'https://x/${ID}'");
        assert_eq!(variables.literal("<secret>", AT, "A", "x"), "{ env: A }");
        assert_eq!(variables.finish().len(), 2);
    }
}
