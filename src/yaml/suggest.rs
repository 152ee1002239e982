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

/// How many letters must be added, removed, replaced or swapped with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let at = |row: &[usize], at: usize| row.get(at).copied().unwrap_or_default();
    let (mut before, mut row): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = at(&row, j) + usize::from(x != y);
            let mut least = replaced.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            if i > 0 && j > 0 && b.get(j - 1) == Some(x) && a.get(i - 1) == Some(y) {
                least = least.min(at(&before, j - 1) + 1);
            }
            next.push(least);
        }
        (before, row) = (row, next);
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
        check("recieve", None);
        check("ruote", Some("route"));
        check("x", None);
        check("webhook", None);
        assert_eq!((distance("kitten", "sitting"), distance("", "ab"), distance("ab", "")), (3, 2, 2));
        assert_eq!((distance("team", "tema"), distance("abc", "cab"), distance("ab", "ba")), (1, 2, 1));
    }
}
