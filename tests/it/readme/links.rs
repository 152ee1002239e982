//! What README and its neighbours point at is there.

use std::collections::BTreeSet;
use std::path::Path;

use super::outside_and_inside;
use crate::routes_file::root;

const PAGES: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "rules/README.md"];
/// So that the page is there before the reader is gone.
const LARGEST_PICTURE: u64 = 200_000;

/// The anchor that forges give a headline.
fn anchor(headline: &str) -> String {
    let kept = headline.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root(name)).unwrap()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headlines = outside_and_inside(text).filter(|(line, code)| !code && line.starts_with('#'));
    let mut found = BTreeSet::new();
    for (line, _) in headlines {
        let name = anchor(line.trim_start_matches('#').trim());
        assert!(found.insert(name.clone()), "two headlines have the anchor #{name}");
    }
    found
}

/// The targets of links, without those to other places.
fn targets(text: &str) -> Vec<String> {
    let outside: String =
        outside_and_inside(text).filter(|(_, code)| !code).map(|(line, _)| line.to_owned() + "\n").collect();
    let links = outside.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links.filter(|link| !link.starts_with("https://")).map(str::to_owned).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for name in PAGES {
        let text = page(name);
        let links = targets(&text);
        assert!(name == "ARCHITECTURE.md" || !links.is_empty(), "{name}");
        for link in links {
            let (file, part) = link.split_once('#').unwrap_or((&link, ""));
            let folder = Path::new(name).parent().unwrap();
            let file = if file.is_empty() { Path::new(name).to_owned() } else { folder.join(file) };
            let path = Path::new(&root("")).join(&file);
            let is_there = path.exists() && (part.is_empty() || anchors(&page(file.to_str().unwrap())).contains(part));
            if !is_there {
                wrong.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_section_of_the_readme_is_in_its_table() {
    let text = page("README.md");
    let (table, _) = text.split_once("\n## ").unwrap();
    let linked: BTreeSet<_> =
        targets(table).into_iter().filter_map(|link| link.strip_prefix('#').map(str::to_owned)).collect();
    for (line, _) in outside_and_inside(&text).filter(|(line, code)| !code && line.starts_with("## ")) {
        assert!(linked.contains(&anchor(&line[3..])), "the table at the top lacks {line}");
    }
}

#[test]
fn pictures_are_small_and_need_nothing_from_elsewhere() {
    let pictures: Vec<_> =
        targets(&page("README.md")).into_iter().filter(|link| link.starts_with(".readme/")).collect();
    assert_eq!(pictures, [".readme/path.svg", ".readme/demo.svg"]);
    for name in pictures {
        let path = root(&name);
        assert!(std::fs::metadata(&path).unwrap().len() < LARGEST_PICTURE, "{name}");
        let text = std::fs::read_to_string(&path).unwrap();
        let document = roxmltree::Document::parse(&text).unwrap();
        assert_eq!(document.root_element().tag_name().name(), "svg");
        assert!(
            document.descendants().any(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title"))),
            "{name}"
        );
        for word in ["href", "<script", "@import", "url(http"] {
            assert!(!text.contains(word), "{name} has {word}");
        }
    }
}
