//! What a newcomer sees first.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::harness::process::{alertrouter, debian, run_within};
use crate::routes_file::root;

/// The recording plays for some 15 s and may take a minute to be delivered.
const LONGEST: Duration = Duration::from_secs(90);

#[tokio::test]
async fn the_demo_loses_nothing_and_drops_copies() {
    let mut command = alertrouter();
    command.args(["demo", "--once"]);
    let said = run_within(LONGEST, command).await;
    let table = said.out.split("\n\n").last().unwrap();
    let row = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name:?} in\n{}", said.out));
        let rest = line[name.len()..].trim_start();
        let number = rest.split(' ').next().unwrap().parse::<u64>().unwrap_or_else(|_| panic!("{line}"));
        (number, rest.to_owned())
    };
    assert_eq!(row("lost").0, 0, "{}", said.out);
    assert!(row("duplicates dropped, over all receivers").0 > 0, "{table}");
    assert!(row("delivered to PagerDuty, messages").1.contains("attempts failed"), "{table}");
    assert!(row("delivered to Slack, messages").0 > 0 && row("delivered to Grafana, messages").0 > 0, "{table}");
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);

    // README's recording shows this, and is made of it as its script makes it.
    let recording = std::fs::read_to_string(root(".readme/demo.svg")).unwrap();
    let (now, shown) = (kinds(&record(&said.out).await), kinds(&recording));
    let missing: Vec<_> = now.symmetric_difference(&shown).collect();
    assert!(missing.is_empty(), "README's recording is out of date (make recording):\n{missing:#?}");
}

/// The recording of what the demo has printed.
async fn record(printed: &str) -> String {
    let mut python = debian("python3", "python3");
    python.arg(root(".readme/record")).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = python.spawn().unwrap();
    child.stdin.take().unwrap().write_all(printed.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The kinds of lines in a recording: numbers and keys differ from run to run, and so does what comes together as "N more".
fn kinds(recording: &str) -> BTreeSet<String> {
    let document = roxmltree::Document::parse(recording).unwrap();
    let group = document.descendants().find(|node| node.attribute("class") == Some("screen")).expect("a screen");
    // The end of a line that was too long for the screen depends on the numbers in it.
    let is_rest = |node: &roxmltree::Node| node.attribute("class").is_some_and(|class| class.ends_with(" rest"));
    let lines = group.children().filter(|node| !is_rest(node)).filter_map(|node| node.text());
    let kinds = lines.map(|line| {
        let line = line.split("   (and ").next().unwrap_or_default().split("   (").next().unwrap_or_default();
        let line = line.split("key ").next().unwrap_or_default();
        let words = line.split_whitespace().map(|word| word.replace(|c: char| c.is_ascii_digit(), ""));
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    });
    kinds.filter(|kind| !kind.is_empty()).collect()
}
