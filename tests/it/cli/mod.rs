//! The binary as people and scripts meet it: exit codes, one-line errors, what is printed.

mod completions;
mod healthcheck;
mod hostile;
mod import;
mod logs;
mod man;
mod outbox;
mod output;
mod refusals;
mod routetest;
mod rules;
mod send;
mod settings;
mod signals;
mod stand_in;
mod version;

use std::path::Path;

use tokio::process::Command;

use crate::harness::process::{Said, alertrouter, run};
use crate::harness::{Folder, ROUTES, Services};

/// Files that a command finds where it is started; it prints their names without the folder.
fn folder(files: &[(&str, &str)]) -> Folder {
    let folder = Folder::new();
    for (name, text) in files {
        std::fs::write(folder.0.join(name), text).unwrap();
    }
    folder
}

/// A folder with a routes.yaml that leads to the stand-ins.
fn folder_for(services: &Services) -> Folder {
    folder(&[("routes.yaml", &services.fill_in(ROUTES))])
}

/// The command line, started in `folder` without the credentials of the shipped routes.yaml.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = alertrouter();
    command.current_dir(folder).args(arguments);
    for secret in ["PAGERDUTY_ROUTING_KEY", "SLACK_WEBHOOK_URL", "GRAFANA_TOKEN"] {
        command.env_remove(secret);
    }
    command
}

/// Runs `alertrouter` in `folder` to its end.
async fn said(folder: &Folder, arguments: &[&str]) -> Said {
    run(command(&folder.0, arguments)).await
}

/// `serve` on a free port; it has to refuse to start.
async fn refused(folder: &Folder, arguments: &[&str]) -> String {
    let said = said(folder, &[&["serve", "--listen", "127.0.0.1:0"], arguments].concat()).await;
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{}", said.err);
    assert!(said.err.starts_with("error: "), "{}", said.err);
    said.err
}

fn shipped_routes() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/routes.yaml")).unwrap()
}
