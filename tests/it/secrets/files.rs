//! Files: secrets are read again at a reload, and who else could read what is said.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use alertrouter::standin::{Kind, StandIn};
use tokio::process::Command;

use crate::harness::process::{Router, alertrouter, run};
use crate::harness::wait::patiently;
use crate::harness::{Folder, alerts, files_under, http};

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

/// A folder with a routes.yaml that reads the address of Slack from a file.
fn folder_with(address: &str) -> Folder {
    let folder = Folder::new();
    let routes =
        "receivers: [{ name: team-slack, slack: { webhook_url: { file: hook } } }]\nroute: { receivers: [team-slack] }";
    std::fs::write(folder.0.join("routes.yaml"), routes).unwrap();
    std::fs::write(folder.0.join("hook"), address).unwrap();
    folder
}

#[tokio::test]
async fn secret_files_are_read_again_at_a_reload_and_those_that_others_can_read_are_named() {
    const WARNING: &str = "warning: other users can read hook; chmod o-r hook";
    let (before, after) = (StandIn::start(Kind::Slack).await.unwrap(), StandIn::start(Kind::Slack).await.unwrap());
    let folder = folder_with(&before.url());
    let hook = folder.0.join("hook");
    chmod(&hook, 0o644);
    let check = async || {
        let mut command = alertrouter();
        command.current_dir(&folder.0).args(["check", "--strict"]);
        run(command).await
    };
    let wide = check().await;
    assert!(wide.code == Some(1) && wide.err.contains("other users can read hook"), "{wide:?}");
    let mut router = Router::start(&folder.0).await;
    let warnings = |router: &Router| router.process.log().matches(WARNING).count();
    assert_eq!(warnings(&router), 1, "{}", router.process.log());
    let post = async |name: &str| {
        let body = alerts::one(name, "warning").to_string();
        assert_eq!(http::post(&router.address, "/webhook", body.into()).await.0, 200);
    };
    post("One").await;
    patiently("the first message", before.wait_for_accepted(1)).await;

    std::fs::write(&hook, after.url()).unwrap();
    assert_eq!(http::post_text(&router.address, "/-/reload", Vec::new()).await.0, 200);
    assert_eq!(warnings(&router), 2, "each reload looks at the file again");
    post("Two").await;
    patiently("the second message", after.wait_for_accepted(1)).await;
    assert_eq!(before.received().len(), 1);

    chmod(&hook, 0o600);
    assert_eq!(check().await.code, Some(0));
    router.process.signal("HUP").await;
    router.process.wait_for("routes.yaml reloaded").await;
    assert_eq!(warnings(&router), 2);
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
}

/// `serve` in `folder` with a umask that forbids nothing.
fn careless(folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_alertrouter")]).current_dir(folder);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir", "new/data"]);
    command
}

#[tokio::test]
async fn what_it_stores_is_for_nobody_else_whatever_the_umask() {
    let slack = StandIn::start(Kind::Slack).await.unwrap();
    let folder = folder_with(&slack.url());
    let mut router = Router::from_command(careless(&folder.0)).await;
    assert_eq!(http::post(&router.address, "/webhook", b"{".to_vec()).await.0, 400);
    let data = folder.0.join("new/data");
    let modes = || -> Vec<_> {
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        files_under(&data).iter().map(|path| format!("{:o} {}", mode(path), name(path))).collect()
    };
    let expected = ["600 alertrouter.db", "600 alertrouter.db-shm", "600 alertrouter.db-wal", "600 alertrouter.lock"];
    assert_eq!(modes(), expected);
    assert_eq!((mode(&data), mode(&folder.0.join("new"))), (0o700, 0o700));
    assert!(!router.process.log().contains("data directory"), "{}", router.process.log());
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());

    // Somebody has opened it: that is said, and left as it is.
    chmod(&data, 0o750);
    let mut router = Router::from_command(careless(&folder.0)).await;
    let log = router.process.log();
    let warning = "other users can look into the data directory, and alerts are in it: chmod 700 new/data";
    assert!(log.lines().any(|line| line.contains("WARN") && line.contains(warning)), "{log}");
    assert_eq!((mode(&data), modes()), (0o750, expected.map(str::to_owned).to_vec()));
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
}
