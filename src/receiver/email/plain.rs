//! The text part: read in a terminal, and by phones for what they show of a mail.

use super::super::describe::Link;
use super::page::{Card, Page};

/// The text, with a line break at its end.
pub(super) fn render(page: &Page) -> String {
    let mut parts =
        vec![[std::slice::from_ref(&page.title), std::slice::from_ref(&page.state), &page.marks].concat().join("\n")];
    parts.push(page.text.clone());
    parts.push(page.kinds.join("\n"));
    parts.push(table(&page.labels, ""));
    parts.push(links(&page.links, ""));
    parts.extend(page.cards.iter().map(card));
    parts.push(page.notes.join("\n"));
    // What clients know as the beginning of a signature.
    parts.push(format!("-- \n{}", page.footer));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n") + "\n"
}

fn card(card: &Card) -> String {
    let description = card.description.lines().map(|line| format!("  {line}").trim_end().to_owned());
    let mut lines = vec![card.state.clone()];
    lines.extend((!card.summary.is_empty()).then(|| format!("  {}", card.summary)));
    lines.extend(description);
    lines.extend([table(&card.labels, "  "), links(&card.links, "  ")]);
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

fn table(labels: &[(String, String)], indent: &str) -> String {
    let width = labels.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let line = |(name, value): &(String, String)| {
        let gap = " ".repeat(width - name.chars().count());
        format!("{indent}{name}{gap}  {value}").trim_end().to_owned()
    };
    labels.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn links(links: &[Link], indent: &str) -> String {
    links.iter().map(|link| format!("{indent}{}: {}", link.label, link.url)).collect::<Vec<_>>().join("\n")
}
