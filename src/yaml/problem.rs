//! What is wrong with a file, as people and logs read it.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::plain::{plain, plain_with_tabs};

/// Whether a problem stops the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, and probably does not say what was meant. `check --strict` fails on it.
    Warning,
}

impl Severity {
    /// In lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Something wrong in the file. It holds no secret: [`Excerpt`] shows only what is known to be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops the service.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where; `None` for the file as a whole.
    pub place: Option<Place>,
    /// What to do about it, in one line.
    pub hint: Option<String>,
}

/// Where a problem is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The column after the last character of the part that is meant, in its first line; `None` where that would tell
    /// how long something is that is blacked out.
    pub end_column: Option<usize>,
    /// The line as it may be shown.
    pub excerpt: Excerpt,
}

/// A line of the file in which everything that may be a secret is blacked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line, without its end.
    pub text: String,
    /// The first byte of `text` to point at.
    pub start: usize,
    /// The byte after the last one to point at.
    pub end: usize,
}

/// What is wrong with one file of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFile {
    /// The file's name, as it was given or found.
    pub file: String,
    /// In the order of the file.
    pub problems: Vec<Problem>,
}

impl Problem {
    /// In one line, for logs and API answers: `routes.yaml:12:5: error: unknown key; did you mean …?`.
    #[must_use]
    pub fn one_line(&self, file: &str) -> String {
        let mut line = file.to_owned();
        if let Some(place) = &self.place {
            let _ = write!(line, ":{}:{}", place.line, place.column);
        }
        let _ = write!(line, ": {}: {}", self.severity.as_str(), self.message);
        if let Some(hint) = &self.hint {
            let _ = write!(line, "; {hint}");
        }
        plain(&line)
    }

    /// As rustc draws it: message, place, the line with a mark under it, hint.
    #[must_use]
    pub fn render(&self, file: &str) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let (file, message, hint) = (plain(file), plain(&self.message), self.hint.as_deref().map(plain));
        let excerpt = self.place.as_ref().map(|place| place.excerpt.plain());
        let mut group = level.primary_title(&*message).elements(std::iter::empty::<Origin<'_>>());
        group = match self.place.as_ref().zip(excerpt.as_ref()) {
            None => group.element(Origin::path(&*file)),
            Some((Place { line, column, .. }, excerpt)) => {
                // The place is given apart from the excerpt, which may be longer or shorter than the line.
                let mark = AnnotationKind::Primary.span(excerpt.start..excerpt.end);
                let snippet = Snippet::source(&*excerpt.text).line_start(*line).annotation(mark);
                group.element(Origin::path(&*file).line(*line).char_column(*column)).element(snippet)
            }
        };
        if let Some(hint) = &hint {
            group = group.element(Level::HELP.message(&**hint));
        }
        let text = Renderer::plain().render(&[group]);
        // The line that would hold the name of the excerpt's file, which stands above already.
        text.lines().filter(|line| line.trim() != ":::").collect::<Vec<_>>().join("\n")
    }
}

impl Excerpt {
    /// Without anything that a terminal would obey; the mark stays where it was.
    fn plain(&self) -> Self {
        // The mark may point behind the text: at the end of the line.
        let inside = self.end.min(self.text.len());
        let [before, marked, after] =
            [&self.text[..self.start], &self.text[self.start..inside], &self.text[inside..]].map(plain_with_tabs);
        let start = before.len();
        let end = start + marked.len() + (self.end - inside);
        Self { text: before + &marked + &after, start, end }
    }
}

/// Whether none of them is an error.
#[must_use]
pub fn is_sound(problems: &[Problem]) -> bool {
    problems.iter().all(|problem| problem.severity != Severity::Error)
}

/// How many of them are errors, and how many are warnings.
pub fn tally<'p>(problems: impl IntoIterator<Item = &'p Problem>) -> (usize, usize) {
    problems.into_iter().fold((0, 0), |(errors, warnings), problem| match problem.severity {
        Severity::Error => (errors + 1, warnings),
        Severity::Warning => (errors, warnings + 1),
    })
}

/// How many errors and warnings, in words: `1 error, 2 warnings`; `no problems`.
#[must_use]
pub fn summary<'p>(problems: impl IntoIterator<Item = &'p Problem>) -> String {
    let (errors, warnings) = tally(problems);
    let counts = [(errors, "error"), (warnings, "warning")];
    let words: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| count(*n, word)).collect();
    if words.is_empty() { "no problems".to_owned() } else { words.join(", ") }
}

/// `1 route`, `2 routes`.
#[must_use]
pub fn count(number: usize, word: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {word}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_of_it() {
        let text = "a\u{1b}[2J\u{202e}: b\u{9b}2J\u{2028}".to_owned();
        let start = text.find('b').unwrap();
        let place = Place { line: 1, column: 9, end_column: None, excerpt: Excerpt { end: start + 1, start, text } };
        let [message, hint] = ["bad\u{9b}2J", "no\u{1b}c"].map(str::to_owned);
        let problem = Problem { severity: Severity::Error, message, place: Some(place), hint: Some(hint) };
        for shown in [problem.one_line("f\u{1b}[31m"), problem.render("f\u{1b}[31m")] {
            assert!(!shown.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{2028}']), "{shown:?}");
        }
        insta::assert_snapshot!(problem.render("f\u{1b}[31m"), @r"
        error: bad\u{9b}2J
         --> f\u{1b}[31m:1:9
          |
        1 | a\u{1b}[2J\u{202e}: b\u{9b}2J\u{2028}
          |                     ^
          |
          = help: no\u{1b}c
        ");
    }
}
