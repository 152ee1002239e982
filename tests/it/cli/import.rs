//! `import` as people and scripts meet it.

use super::{folder, said};
use crate::harness::Folder;
use crate::harness::process::{Said, run};

const ORIGINAL: &str = "global:
  slack_api_url: https://hooks.slack.com/services/planted-marker
route:
  receiver: team
  routes:
    - matchers: [severity=\"critical\"]
      receiver: oncall
receivers:
  - name: team
    slack_configs:
      - send_resolved: true
  - name: oncall
    email_configs:
      - to: oncall@example.org
";

fn read(folder: &Folder, name: &str) -> String {
    std::fs::read_to_string(folder.0.join(name)).unwrap()
}

fn with_original() -> Folder {
    folder(&[("alertmanager.yml", ORIGINAL)])
}

#[tokio::test]
async fn the_file_goes_to_stdout_and_the_rest_to_stderr() {
    let folder = with_original();
    let Said { code, out, err } = said(&folder, &["import", "alertmanager.yml"]).await;
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("import_warnings", err);
    assert!(!out.contains("planted-marker") && !err.contains("planted-marker"), "{out}{err}");
    std::fs::write(folder.0.join("routes.yaml"), &out).unwrap();

    // It can be looked at, and is refused until somebody has looked at it.
    let check = said(&folder, &["check", "--no-secrets"]).await;
    assert_eq!((check.code, check.out.as_str()), (Some(0), "routes.yaml: 2 receivers, 2 routes, no problems\n"));
    let check = said(&folder, &["check"]).await;
    assert_eq!(check.code, Some(1));
    for variable in ["SLACK_WEBHOOK_URL", "TODO_ONCALL"] {
        assert!(check.err.contains(&format!("the environment variable {variable} is not set")), "{}", check.err);
    }
    assert_eq!(said(&folder, &["route", "severity=critical"]).await.out, "oncall\n");

    let shell = format!("{} import - < alertmanager.yml", env!("CARGO_BIN_EXE_alertrouter"));
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", &shell]).current_dir(&folder.0);
    let piped = run(command).await;
    assert_eq!((piped.code, piped.out), (Some(0), out.replace("from alertmanager.yml", "from standard input")));
    assert!(piped.err.contains(" --> standard input:14:9\n"), "{}", piped.err);
}

#[tokio::test]
async fn a_file_is_not_overwritten_by_accident() {
    let folder = with_original();
    let arguments = ["import", "alertmanager.yml", "--output", "routes.yaml"];
    assert_eq!(said(&folder, &arguments).await.code, Some(0));
    let first = read(&folder, "routes.yaml");
    std::fs::write(folder.0.join("routes.yaml"), "mine").unwrap();
    let refused = said(&folder, &arguments).await;
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    assert!(refused.err.ends_with("error: routes.yaml exists\nhint: --force overwrites it\n"), "{}", refused.err);
    assert_eq!(read(&folder, "routes.yaml"), "mine");
    let forced = said(&folder, &[&arguments[..], &["--force"]].concat()).await;
    assert_eq!((forced.code, forced.out.as_str()), (Some(0), ""));
    assert_eq!(read(&folder, "routes.yaml"), first);
    let lost = said(&folder, &["import", "alertmanager.yml", "--output", "nowhere/routes.yaml"]).await;
    assert!(lost.err.ends_with("error: cannot write nowhere/routes.yaml: No such file or directory (os error 2)\n"));
}

#[tokio::test]
async fn secrets_that_are_copied_are_for_nobody_else() {
    use std::os::unix::fs::PermissionsExt;
    let folder = with_original();
    let arguments = ["import", "alertmanager.yml", "--keep-secrets", "--output", "routes.yaml"];
    let kept = said(&folder, &arguments).await;
    assert!(kept.code == Some(0) && !kept.err.contains("planted-marker"), "{}", kept.err);
    assert!(read(&folder, "routes.yaml").contains("webhook_url: 'https://hooks.slack.com/services/planted-marker'\n"));
    let mode = std::fs::metadata(folder.0.join("routes.yaml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // What was no secret is said at once, and not at the next `check`.
    let bad = ORIGINAL.replace("https://hooks.slack.com/services/", "ftp://");
    std::fs::write(folder.0.join("alertmanager.yml"), bad).unwrap();
    let bad = said(&folder, &["import", "alertmanager.yml", "--keep-secrets"]).await;
    assert_eq!(bad.code, Some(1));
    assert!(bad.err.contains("error: `webhook_url` must be an http or https address"), "{}", bad.err);
    assert!(!bad.err.contains("planted-marker"), "{}", bad.err);
}

#[tokio::test]
async fn errors_leave_nothing_behind() {
    let broken = ORIGINAL.replace("receiver: oncall", "receiver: onkall");
    let folder = folder(&[("alertmanager.yml", &broken)]);
    let refused = said(&folder, &["import", "alertmanager.yml", "--output", "routes.yaml"]).await;
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    assert!(refused.err.contains("error: there is no receiver `onkall`"), "{}", refused.err);
    assert!(refused.err.ends_with("alertmanager.yml: 1 error, 1 warning\n"), "{}", refused.err);
    assert!(!folder.0.join("routes.yaml").exists());
    let missing = said(&folder, &["import", "nowhere.yml"]).await;
    let error = "error: cannot read nowhere.yml: No such file or directory (os error 2)\n";
    assert_eq!((missing.code, missing.err.as_str()), (Some(1), error));
    assert_eq!(said(&folder, &["import"]).await.code, Some(2));
    assert_eq!(said(&folder, &["import", "alertmanager.yml", "--force"]).await.code, Some(2));
}
