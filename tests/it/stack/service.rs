//! The example service exports what the rules read, and misbehaves on command.

use std::collections::{BTreeMap, BTreeSet};

use super::LOOK;
use super::shipped::address;
use crate::harness::http::{self, post_text};
use crate::harness::process::{Process, Said, debian, run};
use crate::harness::wait::{PATIENCE, until_within};
use crate::metrics::families;
use crate::routes_file::root;

fn command(arguments: &[&str]) -> tokio::process::Command {
    let mut command = debian("python3", "python3");
    command.arg("-B").arg(root("deploy/stack/llm_service.py")).args(arguments);
    command
}

async fn start(arguments: &[&str]) -> (Process, String) {
    let mut service = Process::start(command(&[&["--listen", "127.0.0.1:0"], arguments].concat()));
    let address = address(&mut service).await;
    (service, address)
}

/// The value of a metric over all users, of a model and with another label.
async fn count(address: &str, metric: &str, parts: &[&str]) -> f64 {
    let (_, text) = http::get(address, "/metrics").await;
    let lines = text.lines().filter(|line| line.starts_with(&format!("{metric}{{")));
    let lines = lines.filter(|line| parts.iter().all(|part| line.contains(part)));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

#[tokio::test]
async fn it_exports_what_the_header_of_the_rules_says() {
    let (mut service, address) = start(&[]).await;
    let (status, text) = http::get(&address, "/metrics").await;
    assert_eq!(status, 200);
    let rules = std::fs::read_to_string(root("rules/llm/llm.rules.yaml")).unwrap();
    let header = rules.lines().map_while(|line| line.strip_prefix("# metric: llm_"));
    let declared: BTreeMap<String, BTreeSet<&str>> = header
        .map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            (format!("llm_{} {}", words[0], words[1]), words[2].split(',').collect())
        })
        .collect();
    assert_eq!(declared.len(), 6, "{declared:?}");
    let exported = families(&text);
    assert_eq!(exported.keys().collect::<Vec<_>>(), declared.keys().collect::<Vec<_>>());
    for (metric, series) in exported {
        let labels =
            series.iter().flat_map(|series| series.split(' ').skip(1)).filter(|label| !["", "le"].contains(label));
        assert_eq!(labels.collect::<BTreeSet<_>>(), declared[&metric], "{metric}");
    }
    let bounds: BTreeSet<_> = text.split("le=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let expected = ["0.5", "1.0", "2.0", "5.0", "10.0", "20.0", "30.0", "60.0", "+Inf"];
    assert_eq!(bounds, expected.into());
    // Every series is there from the beginning: what appears with its first error is no increase.
    assert!(text.contains(r#"llm_requests_total{model="large",status="error",user="batch"}"#), "{text}");
    assert_eq!(service.terminate().await, Some(0), "{}", service.log());
}

#[tokio::test]
async fn it_misbehaves_when_told_to_and_behaves_again() {
    let (mut service, address) = start(&["--misbehave", "errors"]).await;
    let failed = async || count(&address, "llm_requests_total", &[r#"model="large""#, r#"status="error""#]).await;
    until_within(PATIENCE, LOOK, "requests that fail", || service.log(), async || failed().await >= 5.0).await;
    let reasons = count(&address, "llm_errors_total", &[r#"model="large""#]).await;
    assert!(reasons >= 5.0, "{reasons} errors have a type");
    for (how, told) in [("latency", 200), ("cost", 200), ("off", 200), ("nonsense", 404), ("", 404)] {
        let (status, said) = post_text(&address, &format!("/misbehave/{how}"), Vec::new()).await;
        assert_eq!(status, told, "{how}: {said}");
        assert!(said.lines().count() == 1 && (told == 200 || said.contains("errors, latency, cost")), "{said}");
    }
    service.wait_for("misbehaves: off").await;
    assert_eq!(http::get(&address, "/-/healthy").await, (200, "healthy\n".to_owned()));
    assert_eq!(http::get(&address, "/other").await.0, 404);
    let taken = run(command(&["--listen", &address])).await;
    let expected = format!("error: cannot listen on {address} (--listen): Address already in use\n");
    assert_eq!(taken, Said { code: Some(1), out: String::new(), err: expected });
    assert_eq!(service.terminate().await, Some(0), "{}", service.log());

    for (arguments, told) in [
        (["--listen", "nowhere"], "'nowhere' is no HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "'127.0.0.1:99999' is no HOST:PORT"),
        (["--misbehave", "nonsense"], "invalid choice: 'nonsense'"),
    ] {
        let said = run(command(&arguments)).await;
        assert!(said.code == Some(2) && said.err.lines().last().unwrap().contains(told), "{said:?}");
    }
}
