//! A set of names and values, sorted by name.

use std::fmt;

/// Labels or annotations: pairs sorted by name, each name once.
///
/// All text stands in one string, one pair after the other: sets are small, built once, and read in order (fingerprint,
/// display). A pair costs 8 bytes beside its text, so that a body of many tiny ones does not become many times as large.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Labels {
    text: Box<str>,
    pairs: Box<[Pair]>,
}

/// Where a pair stands in the text; its value goes on to the next one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Pair {
    name: u32,
    value: u32,
}

impl Labels {
    /// The value of `name`, or "" if it is absent: to a matcher the two are the same.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        let (text, wanted) = (self.text.as_bytes(), name.as_bytes());
        // Bytes are in the order of their text, and nobody has to look where its characters end.
        let order = |pair: &Pair| text[pair.name as usize..pair.value as usize].cmp(wanted);
        self.pairs.binary_search_by(order).map_or("", |at| self.value(at))
    }

    /// All pairs, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().enumerate().map(|(at, pair)| (self.name(*pair), self.value(at)))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    fn name(&self, pair: Pair) -> &str {
        &self.text[pair.name as usize..pair.value as usize]
    }

    fn value(&self, at: usize) -> &str {
        let end = self.pairs.get(at + 1).map_or(self.text.len(), |next| next.name as usize);
        &self.text[self.pairs[at].value as usize..end]
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    /// Sorts; of two pairs with the same name the later one stays, as in any JSON parser.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut all: Vec<(N, V)> = pairs.into_iter().collect();
        all.reverse();
        all.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
        all.dedup_by(|later, kept| later.0.as_ref() == kept.0.as_ref());
        let size = all.iter().map(|(name, value)| name.as_ref().len() + value.as_ref().len()).sum();
        let (mut text, mut places) = (String::with_capacity(size), Vec::with_capacity(all.len()));
        for (name, value) in &all {
            let (name, value) = (name.as_ref(), value.as_ref());
            let end = text.len() + name.len() + value.len();
            // No body is that large; what would not fit is left out.
            let (Ok(start), Ok(middle), Ok(_)) =
                (u32::try_from(text.len()), u32::try_from(text.len() + name.len()), u32::try_from(end))
            else {
                break;
            };
            places.push(Pair { name: start, value: middle });
            text.push_str(name);
            text.push_str(value);
        }
        Self { text: text.into(), pairs: places.into() }
    }
}

impl fmt::Display for Labels {
    /// As Prometheus writes them: `{alertname="Down", job="api"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_sorted_and_the_last_of_two_wins() {
        let labels: Labels = [("b", "1"), ("a", "2"), ("b", "3")].into_iter().collect();
        assert_eq!(labels.to_string(), r#"{a="2", b="3"}"#);
        assert_eq!((labels.get("b"), labels.get("c")), ("3", ""));
    }

    #[test]
    fn names_and_values_keep_apart() {
        let pairs = [("", "v"), ("a", "bc"), ("ab", "c"), ("é", ""), ("🙂", "🙂")];
        let labels: Labels = pairs.into_iter().rev().collect();
        assert_eq!(labels.iter().collect::<Vec<_>>(), pairs);
        assert_eq!(pairs.map(|(name, _)| labels.get(name)), pairs.map(|(_, value)| value));
        let other: Labels = [("ab", "c")].into_iter().collect();
        assert_ne!(other, [("a", "bc")].into_iter().collect());
        assert_eq!((Labels::default().len(), Labels::default().get("")), (0, ""));
    }
}
