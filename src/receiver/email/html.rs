//! The HTML part. Styles stand in the tags, because many clients take no others; nothing is loaded. No text has a colour of
//! its own, so that it is read on a dark ground as well.

use super::super::describe::{Level, Link};
use super::super::text::{html, html_link};
use super::page::{Card, Page};

const BODY: &str = "margin:0;padding:12px;font-family:sans-serif;font-size:15px;line-height:1.4";
const CELL: &str = "padding:0 12px 0 0";
const CARD: &str = "margin:16px 0 0;padding:8px 0 0;border-top:1px solid #999";

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<meta name=\"color-scheme\" content=\"light dark\">
<meta name=\"supported-color-schemes\" content=\"light dark\">
";

/// The page.
pub(super) fn render(page: &Page) -> String {
    let mut parts = vec![
        HEAD.to_owned(),
        format!("<title>{}</title>\n</head>\n<body style=\"{BODY}\">\n", all(page.subject())),
        format!("<div style=\"border-left:6px solid {};padding-left:12px\">\n", color(page.level)),
        paragraph("margin:0;font-size:18px;font-weight:bold", &page.title),
        paragraph("margin:4px 0 0", &page.state),
    ];
    parts.extend(page.marks.iter().map(|mark| paragraph("margin:4px 0 0;font-weight:bold", mark)));
    parts.push("</div>\n".to_owned());
    if !page.text.is_empty() {
        parts.push(paragraph("margin:12px 0 0;white-space:pre-wrap", &page.text));
    }
    parts.extend(page.kinds.iter().map(|kind| paragraph("margin:4px 0 0", kind)));
    parts.extend([table(&page.labels), links(&page.links)]);
    parts.extend(page.cards.iter().map(card));
    parts.extend(page.notes.iter().map(|note| paragraph("margin:12px 0 0;font-style:italic", note)));
    parts.push(paragraph("margin:20px 0 0;font-size:12px", &page.footer));
    parts.push("</body>\n</html>\n".to_owned());
    parts.concat()
}

/// One alert.
pub(super) fn card(card: &Card) -> String {
    let parts = [
        format!("<div style=\"{CARD}\">\n"),
        paragraph("margin:0;font-weight:bold", &card.state),
        paragraph("margin:4px 0 0", &card.summary),
        paragraph("margin:4px 0 0;white-space:pre-wrap", &card.description),
        table(&card.labels),
        links(&card.links),
        "</div>\n".to_owned(),
    ];
    parts.concat()
}

/// Nothing where there is nothing to say.
fn paragraph(style: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<p style=\"{style}\">{}</p>\n", all(text)) }
}

/// It has been cut where it was read.
fn all(text: &str) -> String {
    html(text, usize::MAX)
}

fn table(labels: &[(String, String)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let row = |(name, value): &(String, String)| {
        let (name, value) = (all(name), all(value));
        format!("<tr valign=\"top\"><td style=\"{CELL}\">{name}</td><td><b>{value}</b></td></tr>\n")
    };
    let rows: String = labels.iter().map(row).collect();
    format!("<table style=\"margin:8px 0 0;border-collapse:collapse;font-size:14px\">\n{rows}</table>\n")
}

fn links(links: &[Link]) -> String {
    if links.is_empty() {
        return String::new();
    }
    let links: Vec<_> = links.iter().map(|link| html_link(&link.url, link.label)).collect();
    format!("<p style=\"margin:8px 0 0\">{}</p>\n", links.join(" · "))
}

/// Red to blue by the worst severity that fires, green if none does.
fn color(level: Option<Level>) -> &'static str {
    match level {
        Some(Level::Critical) => "#D00000",
        Some(Level::Error) => "#E8590C",
        Some(Level::Warning) => "#F2C744",
        Some(Level::Info) => "#439FE0",
        None => "#2EB67D",
    }
}
