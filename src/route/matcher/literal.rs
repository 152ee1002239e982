//! What of a regular expression can be decided by comparing text.
//!
//! Most of those in routes are lists, `critical|warning`, or begin or end with a name, `checkout-.*`. Comparing decides
//! the former and refuses most labels for the latter, in a fraction of the time that the automaton takes and without
//! its working memory; that of a thousand of them would not fit into a processor's cache.

use regex::Regex;
use regex_syntax::hir::literal::{ExtractKind, Extractor, Literal, Seq};

/// A regular expression that is anchored at both ends.
#[derive(Debug, Clone)]
pub(super) enum Pattern {
    /// It matches these texts, which are sorted, and no others.
    OneOf(Box<[Box<str>]>),
    /// Any other one. All that it matches begins with `prefix` and ends with `suffix`.
    Regex { prefix: Box<[u8]>, suffix: Box<[u8]>, regex: Regex },
}

impl Pattern {
    /// `anchored` is `text` with an anchor at each end.
    pub(super) fn new(text: &str, anchored: Regex) -> Self {
        let Ok(hir) = regex_syntax::parse(text) else {
            return Self::Regex { prefix: Box::default(), suffix: Box::default(), regex: anchored };
        };
        let prefixes = Extractor::new().extract(&hir);
        // An anchor or `\b` counts as nothing in the literals, so they say all only where there is none.
        if hir.properties().look_set().is_empty()
            && let Some(texts) = texts(&prefixes)
        {
            return Self::OneOf(texts);
        }
        let suffixes = Extractor::new().kind(ExtractKind::Suffix).extract(&hir);
        Self::Regex {
            prefix: prefixes.longest_common_prefix().unwrap_or_default().into(),
            suffix: suffixes.longest_common_suffix().unwrap_or_default().into(),
            regex: anchored,
        }
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::OneOf(texts) => texts.binary_search_by(|one| (**one).cmp(text)).is_ok(),
            Self::Regex { prefix, suffix, regex } => {
                let bytes = text.as_bytes();
                // Asking first whether there is anything to compare is no frill: an empty box points to no memory, and
                // where memcmp uses AVX-512 comparing zero bytes there takes longer than most expressions.
                (prefix.is_empty() || bytes.starts_with(prefix))
                    && (suffix.is_empty() || bytes.ends_with(suffix))
                    && regex.is_match(text)
            }
        }
    }
}

/// The whole texts that the literals are, if none of them is only the beginning of one.
fn texts(literals: &Seq) -> Option<Box<[Box<str>]>> {
    let literals = literals.literals().filter(|all| all.iter().all(Literal::is_exact))?;
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(Box::from);
    let mut texts = literals.iter().map(|literal| text(literal.as_bytes())).collect::<Option<Vec<Box<str>>>>()?;
    texts.sort_unstable();
    Some(texts.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Option<(Pattern, Regex)> {
        let regex = Regex::new(&format!("^(?:{text})$")).ok().filter(|_| Regex::new(text).is_ok())?;
        Some((Pattern::new(text, regex.clone()), regex))
    }

    #[test]
    fn lists_need_no_automaton() {
        let check = |text: &str, expected: Option<&[&str]>| {
            let texts = match pattern(text).unwrap().0 {
                Pattern::OneOf(texts) => Some(texts),
                Pattern::Regex { .. } => None,
            };
            let texts = texts.as_ref().map(|texts| texts.iter().map(|text| &**text).collect::<Vec<_>>());
            assert_eq!(texts.as_deref(), expected, "{text}");
        };
        check("warning|critical", Some(&["critical", "warning"]));
        check(
            "checkout-(1|2)(-canary)?",
            Some(&["checkout-1", "checkout-1-canary", "checkout-2", "checkout-2-canary"]),
        );
        check("", Some(&[""]));
        check("[ab]é{2}", Some(&["aéé", "béé"]));
        check("(?i)no", Some(&["NO", "No", "nO", "no"]));
        check("a.*", None);
        check("^a$", None);
        check(r"a\b", None);
        check("a|b+", None);
        check("[a-z]", None);
    }

    #[test]
    fn the_ends_are_known() {
        let check = |text: &str, ends: (&str, &str)| {
            let Pattern::Regex { prefix, suffix, .. } = pattern(text).unwrap().0 else { panic!("{text}") };
            assert_eq!((&*prefix, &*suffix), (ends.0.as_bytes(), ends.1.as_bytes()), "{text}");
        };
        check("checkout-.*", ("checkout-", ""));
        check(".*-canary", ("", "-canary"));
        check("^(api|app)-[0-9]+$", ("ap", ""));
        check(".*api.*", ("", ""));
    }

    proptest! {
        #[test]
        fn decides_as_the_automaton_does(
            text in r"([abé.]|[*+?|]|\(|\)|\[ab\]|\^|\$|\\b|\{2\}|\(\?i\)){0,8}",
            values in proptest::collection::vec("[abAé\n]{0,5}", 8),
        ) {
            if let Some((pattern, regex)) = pattern(&text) {
                let mut values = values;
                if let Pattern::OneOf(texts) = &pattern {
                    values.extend(texts.iter().map(ToString::to_string));
                }
                for value in values {
                    prop_assert_eq!(pattern.is_match(&value), regex.is_match(&value), "{:?}", value);
                }
            }
        }
    }
}
