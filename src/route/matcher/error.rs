//! What can be wrong with a matcher.

/// A string that is not a list of matchers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct MatcherError {
    /// What is wrong.
    pub problem: MatcherProblem,
    /// Where: an offset into the string, in bytes, on a character boundary; the string's length for its end.
    pub offset: usize,
}

/// What is wrong with a matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatcherProblem {
    /// Something else stands where a name should.
    #[error("expected a label name")]
    ExpectedName,
    /// Something else stands where an operator should.
    #[error("expected one of = != =~ !~ after the label name")]
    ExpectedOp,
    /// Something else stands where a value should.
    #[error("expected a value; write \"\" for an empty one")]
    ExpectedValue,
    /// Something follows a value.
    #[error("expected a comma or the end after the value")]
    ExpectedComma,
    /// `{` without `}`.
    #[error("missing the closing brace }}")]
    UnclosedBrace,
    /// `}` without `{`, or braces where a single matcher is wanted.
    #[error("unexpected brace")]
    UnexpectedBrace,
    /// Something after `}`.
    #[error("nothing may follow the closing brace }}")]
    AfterBrace,
    /// `"` without its partner.
    #[error("missing the closing double quote")]
    UnclosedQuote,
    /// `"` inside a value.
    #[error("a double quote inside a value must be written \\\"")]
    UnescapedQuote,
    /// An escape that Go's strings do not have.
    #[error("unknown escape; a backslash is written \\\\")]
    BadEscape,
    /// A line break inside double quotes.
    #[error("a line break inside double quotes must be written \\n")]
    LineBreak,
    /// The escapes make bytes that are not UTF-8.
    #[error("the escapes do not make valid UTF-8")]
    NotUtf8,
    /// The classic syntax: not `name op value`.
    #[error("expected name=\"value\"")]
    NotAMatcher,
    /// A regular expression that cannot be read.
    #[error("bad regular expression: {0}")]
    BadRegex(String),
    /// A regular expression that needs too much memory.
    #[error("the regular expression is too large")]
    RegexTooLarge,
}

impl MatcherProblem {
    pub(super) fn at(self, offset: usize) -> MatcherError {
        MatcherError { problem: self, offset }
    }

    pub(super) fn is_regex(&self) -> bool {
        matches!(self, Self::BadRegex(_) | Self::RegexTooLarge)
    }
}
