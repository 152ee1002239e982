//! Cutting text that is markup already: a link or an entity is kept whole or left out.

const ELLIPSIS: &str = "…";
/// The longest entity, and more.
const MAX_ENTITY: usize = 10;

/// Markup in at most `max` bytes, with an ellipsis where something is missing.
#[must_use]
pub fn cut(markup: &str, max: usize) -> String {
    if markup.len() <= max {
        return markup.to_owned();
    }
    match max.checked_sub(ELLIPSIS.len()) {
        Some(room) => format!("{}{ELLIPSIS}", markup[..boundary(markup, room)].trim_end()),
        None => String::new(),
    }
}

/// HTML in about `max` bytes: cut as [`cut`] does it, and then what is open there is closed, so that what follows is not part
/// of it.
#[must_use]
pub fn cut_html(html: &str, max: usize) -> String {
    const SINGLE: [&str; 5] = ["br", "hr", "img", "input", "wbr"];
    let mut out = cut(html, max);
    if html.len() <= max {
        return out;
    }
    let mut open: Vec<&str> = Vec::new();
    for tag in out.split('<').skip(1).filter_map(|tail| Some(tail.split_once('>')?.0)) {
        let name = tag.trim_start_matches('/');
        let name = &name[..name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len())];
        if name.is_empty() || tag.ends_with('/') || SINGLE.contains(&name) {
            continue;
        }
        if !tag.starts_with('/') {
            open.push(name);
        } else if let Some(at) = open.iter().rposition(|known| known.eq_ignore_ascii_case(name)) {
            open.truncate(at);
        }
    }
    let mut closed = String::new();
    for name in open.iter().rev() {
        closed.extend(["</", name, ">"]);
    }
    out.push_str(&closed);
    out
}

/// Markup in at most `count` pieces of at most `max` bytes, cut between lines where that is possible. What does not fit is
/// left out, with an ellipsis.
#[must_use]
pub fn pieces(markup: &str, max: usize, count: usize) -> Vec<String> {
    let (mut rest, mut out) = (markup.trim(), Vec::new());
    while !rest.is_empty() && out.len() < count {
        if rest.len() <= max || out.len() + 1 == count {
            out.push(cut(rest, max));
            break;
        }
        let most = boundary(rest, max);
        if most == 0 {
            // A link that fits nowhere, and would be two halves of one.
            out.push(ELLIPSIS.to_owned());
            let closes = if rest.starts_with('<') { '>' } else { ';' };
            rest = rest.split_once(closes).map_or("", |(_, rest)| rest.trim_start());
            continue;
        }
        // There may be lines in what a link is called.
        let mut lines = rest[..most].rmatch_indices('\n').map(|(at, _)| at);
        let end = lines.find(|at| *at > 0 && boundary(rest, *at) == *at).unwrap_or(most);
        out.push(rest[..end].trim_end().to_owned());
        rest = rest[end..].trim_start();
    }
    out
}

/// The last place up to `max` that is neither inside of a character nor of `<…>` nor of `&…;`.
fn boundary(markup: &str, max: usize) -> usize {
    let end = markup.floor_char_boundary(max.min(markup.len()));
    let kept = &markup[..end];
    let open = |from: char, to: char| {
        let at = kept.rfind(from)?;
        // What comes out of `{{ }}` is escaped, so before the end of a tag there is no other: else it is no tag, but `a < b`.
        let inside = &markup[at + 1..];
        let closes = inside.find([from, to]).filter(|length| inside[*length..].starts_with(to))?;
        (at + 1 + closes >= end).then(|| (at, &inside[..closes]))
    };
    let tag = open('<', '>').map_or(end, |(at, _)| at);
    let is_entity =
        |name: &str| name.len() < MAX_ENTITY && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'#');
    let entity = open('&', ';').filter(|(_, name)| is_entity(name)).map_or(end, |(at, _)| at);
    tag.min(entity)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_and_entities_stay_whole() {
        for (markup, max, expected) in [
            ("short", 5, "short"),
            ("a &amp; b", 8, "a…"),
            ("a &amp; bc", 10, "a &amp; bc"),
            ("see <https://x.example|here> now", 20, "see…"),
            ("see <https://x.example|here> now", 31, "see <https://x.example|here>…"),
            ("a < b and so on", 10, "a < b a…"),
            ("ééé", 5, "é…"),
            ("abc", 2, ""),
        ] {
            assert_eq!(cut(markup, max), expected, "{markup} {max}");
        }
    }

    #[test]
    fn what_is_open_where_html_is_cut_is_closed() {
        for (html, max, expected) in [
            ("<b>short", 8, "<b>short"),
            ("<a href=\"x\">Silence</a>", 16, "<a href=\"x\">S…</a>"),
            ("<p>a<br/><br>b <b>c</b> <i>d</i></p> and so on", 34, "<p>a<br/><br>b <b>c</b> <i>d…</i></p>"),
            ("a < b > c </b> and so on", 15, "a < b > c…"),
        ] {
            assert_eq!(cut_html(html, max), expected);
        }
    }

    #[test]
    fn pieces_end_with_lines() {
        assert_eq!(pieces("one\ntwo\nthree", 8, 9), ["one\ntwo", "three"]);
        assert_eq!(pieces("one\ntwo\nthree", 8, 1), ["one\nt…"]);
        assert_eq!(pieces("aaaaaaaaaa", 4, 9), ["aaaa", "aaaa", "aa"]);
        assert_eq!(pieces("  ", 4, 9), [""; 0]);
        let long = format!("one\n<https://x.example|{}> two", "x".repeat(9000));
        assert_eq!(pieces(&long, 9, 9), ["one", "…", "two"], "a link that fits nowhere is left out");
        assert_eq!(pieces(&format!("a < b\n{long}"), 9, 9), ["a < b", "one", "…", "two"]);
        assert_eq!(pieces("one\n<x|two\nthree> four", 17, 9), ["one", "<x|two\nthree> fou", "r"]);
        assert_eq!(pieces("<h&><hé ; >", 5, 9), ["<h&>", "…"]);
    }

    proptest! {
        #[test]
        fn never_over_the_limit_and_never_without_end(markup in "[a<>&;é\n ]{0,60}", max in 4usize..40, count in 1usize..5) {
            prop_assert!(cut(&markup, max).len() <= max);
            let pieces = pieces(&markup, max, count);
            prop_assert!(pieces.len() <= count && pieces.iter().all(|piece| piece.len() <= max), "{pieces:?}");
        }

        #[test]
        fn no_piece_holds_half_a_link(parts in prop::collection::vec("<h[a&;é|\n ]{0,30}>|&amp;|[a\n ]{1,9}|a < b ", 0..9), max in 5usize..40) {
            let markup = parts.concat();
            for piece in pieces(&markup, max, 99).into_iter().chain([cut(&markup, max)]) {
                prop_assert_eq!(piece.matches("<h").count(), piece.matches('>').count(), "{} of {}", piece, markup);
            }
        }
    }
}
