//! `man`: pages that a reader of manual pages finds nothing wrong with.

use alertrouter::version;

use super::{folder, said};
use crate::harness::process::{debian, run};

#[tokio::test]
async fn the_pages_read_well() {
    let folder = folder(&[]);
    let written = said(&folder, &["man", "--output", "share/man1"]).await;
    assert_eq!(written, crate::harness::process::Said { code: Some(0), out: String::new(), err: String::new() });
    let mut pages: Vec<_> =
        std::fs::read_dir(folder.0.join("share/man1")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    assert!(pages.len() >= 18, "{pages:?}");
    for page in &pages {
        let mut mandoc = debian("mandoc", "mandoc");
        mandoc.args(["-T", "lint", "-W", "warning"]).arg(page);
        let lint = run(mandoc).await.out;
        // A debug build does not know when it was committed.
        let undated = |line: &&str| version::DATE.is_empty() && line.contains("missing date, using \"\": TH");
        let found: Vec<_> = lint.lines().filter(|line| !undated(line)).collect();
        assert!(found.is_empty(), "{found:#?}");
    }
    let alone = said(&folder, &["man"]).await;
    assert_eq!((alone.code, alone.err.as_str()), (Some(0), ""));
    assert_eq!(alone.out, std::fs::read_to_string(folder.0.join("share/man1/alertrouter.1")).unwrap());
}

#[tokio::test]
async fn as_it_is_read() {
    let folder = folder(&[]);
    said(&folder, &["man", "--output", "."]).await;
    let mut mandoc = debian("mandoc", "mandoc");
    mandoc.args(["-T", "ascii", "-O", "width=100"]).arg(folder.0.join("alertrouter-outbox-list.1"));
    let shown = run(mandoc).await;
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
    // Bold is a letter over itself, underlined one over a line.
    let plain = regex::Regex::new(".\u{8}").unwrap().replace_all(&shown.out, "");
    // Version and date are at its foot.
    let body: Vec<_> = plain.lines().filter(|line| !line.contains(version::VERSION)).collect();
    insta::assert_snapshot!(body.join("\n"));
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_one_line() {
    let folder = folder(&[("file", "")]);
    let refused = said(&folder, &["man", "--output", "file"]).await;
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    assert_eq!(refused.err, "error: cannot make file (--output): File exists (os error 17)\n");
    std::fs::create_dir(folder.0.join("alertrouter.1")).unwrap();
    let refused = said(&folder, &["man", "--output", "."]).await;
    assert_eq!((refused.code, refused.err.lines().count()), (Some(1), 1));
    assert!(refused.err.starts_with("error: cannot write ./alertrouter.1: Is a directory"), "{}", refused.err);
}
