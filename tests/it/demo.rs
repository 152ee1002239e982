//! What a newcomer sees first.

use std::time::Duration;

use crate::harness::process::{alertrouter, run_within};

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
}
