//! When `serve` does not start: exit code 1, one line and what to do, nothing left behind.

use rusqlite::Connection;
use tokio::net::TcpListener;

use super::{command, folder, folder_for, refused, said, shipped_routes};
use crate::harness::Services;
use crate::harness::process::{Router, run};

/// As many mistakes as fit.
pub(super) const BROKEN: &str = "receivers:
  - name: a
    slak: { webhook_url: x }
  - name: b
    pagerduty: { routing_key: { env: PAGERDUTY_ROUTING_KEY } }
  - name: b
    webhook: { url: ftp://planted-marker@example.com, tiemout: 3s }
route:
  recievers: [b]
  routes:
    - matchers: [a==b, 'x=~(']
      receivers: [c]
";

#[tokio::test]
async fn a_broken_file_starts_nothing_and_names_every_problem() {
    let folder = folder(&[("routes.yaml", BROKEN)]);
    let error = refused(&folder, &[]).await;
    insta::assert_snapshot!(error);
    assert!(!error.contains("planted-marker"), "{error}");
    let left: Vec<_> = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["routes.yaml"]);
}

#[tokio::test]
async fn a_missing_file_is_one_line() {
    let error = refused(&folder(&[]), &[]).await;
    assert_eq!(error, "error: cannot read routes.yaml: No such file or directory (os error 2)\n");
}

#[tokio::test]
async fn bombs_and_huge_files_are_refused_with_a_line() {
    let bomb = include_str!("../../../fuzz/corpus/config/bomb");
    let folder = folder(&[("bomb.yaml", bomb), ("huge.yaml", &"a: b\n".repeat(2 << 20))]);
    for (file, expected) in [
        ("bomb.yaml", "error: cannot be read as YAML: YAML document too large or too complex: total_replayed_events"),
        ("huge.yaml", "error: the file is larger than 1 MiB\n"),
    ] {
        let checked = said(&folder, &["check", file]).await;
        assert_eq!((checked.code, checked.out.as_str()), (Some(1), ""));
        assert!(checked.err.starts_with(expected), "{}", checked.err);
        let started = refused(&folder, &["--config", file]).await;
        assert!(started.contains(file) && started.lines().count() <= 3, "{started}");
    }
}

#[tokio::test]
async fn a_missing_secret_is_named_and_a_bad_one_not_shown() {
    let folder = folder(&[("routes.yaml", &shipped_routes())]);
    insta::assert_snapshot!(refused(&folder, &[]).await);
    let mut serve = command(&folder.0, &["serve", "--listen", "127.0.0.1:0"]);
    serve.envs([("PAGERDUTY_ROUTING_KEY", "planted-marker"), ("SLACK_WEBHOOK_URL", "planted-marker")]);
    serve.env("GRAFANA_TOKEN", "planted\nmarker");
    let said = run(serve).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("routes.yaml:10:") && said.err.contains("routes.yaml:17:"), "{}", said.err);
    assert!(!said.err.contains("planted"), "{}", said.err);
}

#[tokio::test]
async fn a_port_in_use_leaves_the_data_alone() {
    let folder = folder_for(&Services::start().await);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = said(&folder, &["serve", "--listen", &address]).await;
    let error = format!("error: cannot listen on {address} (--listen): Address already in use (os error 98)\n");
    assert_eq!((said.code, said.err), (Some(1), error));
    assert!(!folder.0.join("data").exists());
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_used() {
    let folder = folder_for(&Services::start().await);
    std::fs::write(folder.0.join("file"), "").unwrap();
    let error = refused(&folder, &["--data-dir", "file"]).await;
    assert_eq!(error, "error: the data directory file is a file; move it away or choose another --data-dir\n");
    // Nobody can make a file there, not even root.
    let error = refused(&folder, &["--data-dir", "/proc"]).await;
    assert!(error.starts_with("error: the data directory /proc cannot be written: "), "{error}");
    let error = refused(&folder, &["--data-dir", "/proc/nowhere"]).await;
    assert!(error.starts_with("error: the data directory /proc/nowhere cannot be created: "), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[tokio::test]
async fn a_data_directory_in_use() {
    let folder = folder_for(&Services::start().await);
    let mut first = Router::start(&folder.0).await;
    let error = refused(&folder, &[]).await;
    let hint = "stop that one, or choose another --data-dir";
    assert_eq!(error, format!("error: the data directory data is in use by another alertrouter; {hint}\n"));
    assert_eq!(first.process.terminate().await, Some(0));
}

#[tokio::test]
async fn a_database_of_a_newer_version_or_of_nobody() {
    let folder = folder_for(&Services::start().await);
    let mut router = Router::start(&folder.0).await;
    assert_eq!(router.process.terminate().await, Some(0));
    let path = folder.0.join("data/alertrouter.db");
    let database = Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let error = refused(&folder, &[]).await;
    assert!(error.contains("was written by a newer alertrouter (version 99"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    let rejected = said(&folder, &["rejected"]).await;
    assert_eq!(rejected.code, Some(1));
    assert!(rejected.err.contains("newer alertrouter"), "{}", rejected.err);

    std::fs::write(&path, "no database at all, but long enough to look like one ".repeat(100)).unwrap();
    let error = refused(&folder, &[]).await;
    assert!(error.contains("alertrouter.db cannot be opened: ") && error.contains("backup"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[tokio::test]
async fn an_address_that_strangers_reach() {
    let routes = "receivers: [{name: a, webhook: {url: http://127.0.0.1:9/}}]\nroute: {receivers: [a]}\n";
    let folder = folder(&[("routes.yaml", routes)]);
    insta::assert_snapshot!(refused_with(&folder, "0.0.0.0:0").await);
    assert!(refused_with(&folder, "[::]:0").await.contains("hint: "));
    let certificates = format!("{routes}auth: {{client_certificates: [{{san: a}}]}}\n");
    std::fs::write(folder.0.join("routes.yaml"), certificates).unwrap();
    assert!(
        refused_with(&folder, "127.0.0.1:0").await.contains("hint: give --web-config a file with `client_ca_file`")
    );
    assert!(!folder.0.join("data").exists());
}

async fn refused_with(folder: &crate::harness::Folder, listen: &str) -> String {
    let said = said(folder, &["serve", "--listen", listen]).await;
    assert_eq!(said.code, Some(1), "{}", said.err);
    said.err
}

#[tokio::test]
async fn usage_errors_exit_2() {
    let folder = folder(&[]);
    for arguments in [
        &["serve", "--bogus"][..],
        &["serve", "--listen", "nonsense"],
        &["serve", "--max-body", "1"],
        &["serve", "--max-outbox", "0"],
        &["serve", "--log-format", "xml"],
        &["rejected", "--limit", "many"],
        &["bogus"],
        &[],
    ] {
        let said = said(&folder, arguments).await;
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{arguments:?}: {}", said.err);
    }
    assert_eq!(said(&folder, &["serve", "--log-level", "louder=than=bombs"]).await.code, Some(1));
}
