//! The binary with `--web-config`.

use super::{WEB, server};
use crate::harness::certificates::{ask, client};
use crate::harness::process::{Router, alertrouter, run, serve};
use crate::harness::{ROUTES, Services, http};

#[tokio::test]
async fn it_says_who_does_not_come_in_and_why_and_a_hangup_takes_the_new_file() {
    let services = Services::start().await;
    let folder = server(WEB).await;
    std::fs::write(folder.0.join("routes.yaml"), services.fill_in(ROUTES)).unwrap();
    let mut command = serve(&folder.0, "127.0.0.1:0", &[]);
    command.env("ALERTROUTER_WEB_CONFIG", folder.0.join("web.yml"));
    let mut router = Router::from_command(command).await;
    assert!(
        router.process.log().contains("the web configuration is in force tls=true users=0"),
        "{}",
        router.process.log()
    );
    let config = client(&folder.0, "ca", None);
    let answer = ask(&router.address, &config, "GET", "/-/ready").await.unwrap();
    assert!(answer.ends_with("ready\n"), "{answer}");

    for _ in 0..3 {
        assert!(http::raw(&router.address, "GET", "/metrics").await.starts_with("HTTP/1.1 503 "));
    }
    let line = router.process.wait_for("no TLS connection came about").await;
    assert!(line.contains(" WARN ") && line.contains("peer=127.0.0.1:"), "{line}");
    assert!(line.contains("it does not speak TLS; does its URL begin with https://?"), "{line}");
    // Once in a minute.
    assert_eq!(router.process.log().matches("no TLS connection came about").count(), 1);

    std::fs::write(
        folder.0.join("web.yml"),
        format!("{WEB}http_server_config: {{headers: {{X-Frame-Options: deny}}}}\n"),
    )
    .unwrap();
    router.process.signal("HUP").await;
    router.process.wait_for("routes.yaml reloaded").await;
    assert!(ask(&router.address, &config, "GET", "/-/ready").await.unwrap().contains("x-frame-options: deny"));
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
}

#[tokio::test]
async fn a_file_that_cannot_be_used_starts_nothing_and_check_says_the_same_before() {
    let folder =
        server(&format!("{WEB}  client_auth_type: RequireAndVerify\nbasic_auth_users: {{am: planted-marker}}\n")).await;
    std::fs::write(folder.0.join("routes.yaml"), "receivers: []\n").unwrap();
    let errors = [
        "web.yml:4:21: error: there is no `client_auth_type` `RequireAndVerify`; to let in only those with a certificate of `client_ca_file`: `RequireAndVerifyClientCert`",
        "web.yml:5:24: error: the password of a user must be a bcrypt hash",
    ];
    let mut command = serve(&folder.0, "127.0.0.1:0", &["--web-config", "web.yml"]);
    command.current_dir(&folder.0);
    let said = run(command).await;
    assert_eq!(said.code, Some(1), "{}", said.err);
    // Of both files.
    assert!(errors.iter().all(|error| said.err.contains(error)) && said.err.contains("needs `route`"), "{}", said.err);
    assert!(!folder.0.join("data").exists() && !said.err.contains("planted-marker"), "{}", said.err);

    std::fs::write(
        folder.0.join("routes.yaml"),
        "receivers: [{name: a, webhook: {url: http://x/}}]\nroute: {receivers: [a]}\n",
    )
    .unwrap();
    let check = async |more: &[&str]| {
        let mut command = alertrouter();
        command.current_dir(&folder.0).args(["check", "--web-config", "web.yml"]).args(more);
        run(command).await
    };
    let said = check(&[]).await;
    assert_eq!((said.code, said.out.as_str()), (Some(1), "routes.yaml: 1 receiver, 1 route, no problems\n"));
    assert!(said.err.contains(" --> web.yml:4:21\n") && said.err.ends_with("\nweb.yml: 2 errors\n"), "{}", said.err);
    assert!(!said.err.contains("planted-marker"), "{}", said.err);
    let said = check(&["--format", "json"]).await;
    assert!(said.out.contains(r#""file": "web.yml""#) && said.out.contains(r#""errors": 2"#), "{}", said.out);

    std::fs::write(
        folder.0.join("web.yml"),
        format!("{WEB}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"),
    )
    .unwrap();
    let said = check(&["--strict"]).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert!(said.out.ends_with("\nweb.yml: TLS, client certificates required, 0 users, no problems\n"), "{}", said.out);
    let mut nowhere = alertrouter();
    nowhere.current_dir(&folder.0).args(["check", "--web-config", "nowhere.yml"]);
    let said = run(nowhere).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("cannot read nowhere.yml: No such file"), "{}", said.err);
}
