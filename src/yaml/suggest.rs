//! "Did you mean …?"

/// The candidate that `text` most likely is a slip of: at most a third of its letters differ.
pub(crate) fn closest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The cost grows with the product of the lengths.
    if text.len() > 64 {
        return None;
    }
    let text = text.to_lowercase();
    let limit = (text.chars().count() / 3).max(1);
    let near = candidates.into_iter().map(|candidate| (distance(&text, &candidate.to_lowercase()), candidate));
    near.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance).map(|(_, found)| found)
}

/// How many letters must be added, removed or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = *above;
            *above = replaced.min(left + 1).min(diagonal + 1);
            left = *above;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_near() {
        let keys = ["receivers", "route", "matchers", "send_resolved"];
        let check = |text: &str, expected: Option<&str>| assert_eq!(closest(text, keys), expected, "{text}");
        check("recievers", Some("receivers"));
        check("receiver", Some("receivers"));
        check("Routes", Some("route"));
        check("sendResolved", Some("send_resolved"));
        check("x", None);
        check("webhook", None);
        assert_eq!((distance("kitten", "sitting"), distance("", "ab"), distance("ab", "")), (3, 2, 2));
    }
}
