//! README's examples of TLS, with Debian's Alertmanager and promtool.

use std::path::Path;

use crate::alertmanager::{Alertmanager, alert};
use crate::harness::certificates::{authority, certificate};
use crate::harness::process::{Router, debian, run, serve};
use crate::harness::wait::until_taken;
use crate::harness::{Folder, ROUTES, Services};
use crate::routes_file::example;

/// The files that the examples name, for a router at 127.0.0.1 that is called `router.example`.
async fn files(folder: &Path) {
    for name in ["ca", "clients-ca"] {
        authority(folder, name).await;
    }
    certificate(folder, "router", "ca", "DNS:router.example").await;
    for name in ["alertmanager", "prometheus"] {
        certificate(folder, name, "clients-ca", &format!("DNS:{name}.example")).await;
    }
    for name in ["ca", "clients-ca", "router", "alertmanager", "prometheus"] {
        // The authorities keep the other name, too: it is what signs further ones.
        std::fs::copy(folder.join(format!("{name}.pem")), folder.join(format!("{name}.crt"))).unwrap();
    }
    std::fs::write(folder.join("web.yml"), example("# web.yml")).unwrap();
}

#[tokio::test]
async fn alertmanager_posts_with_its_certificate_and_goes_on_when_the_routers_is_renewed() {
    let (services, folder) = (Services::start().await, Folder::new());
    files(&folder.0).await;
    std::fs::write(folder.0.join("routes.yaml"), services.fill_in(ROUTES)).unwrap();
    let web = folder.0.join("web.yml").display().to_string();
    let mut router = Router::from_command(serve(&folder.0, "127.0.0.1:0", &["--web-config", &web])).await;

    let config = example("# alertmanager.yml, with a certificate")
        .replace("router.example:9096", &router.address)
        .replace("  receiver: alertrouter", "  receiver: alertrouter\n  group_by: [instance]\n  group_wait: 100ms");
    assert!(config.contains("group_wait") && config.contains(&router.address), "{config}");
    // Where it finds the files that it names.
    let own = folder.0.join("am");
    std::fs::create_dir(&own).unwrap();
    for file in ["ca.crt", "alertmanager.crt", "alertmanager.key"] {
        std::fs::copy(folder.0.join(file), own.join(file)).unwrap();
    }
    let alertmanager = Alertmanager::with_config(&folder.0, "am", &config, &[]).await;
    let log = |router: &Router| format!("{}{}", router.process.log(), alertmanager.process.log());
    alertmanager.report(&[alert("one", "warning")]).await;
    until_taken(&services.slack, "a message", || log(&router), |slack| slack.accepted().len() == 1).await;

    certificate(&folder.0, "router", "ca", "DNS:router.example").await;
    std::fs::rename(folder.0.join("router.pem"), folder.0.join("router.crt")).unwrap();
    router.process.signal("HUP").await;
    router.process.wait_for("routes.yaml reloaded").await;
    alertmanager.report(&[alert("two", "warning")]).await;
    until_taken(&services.slack, "a second message", || log(&router), |slack| slack.accepted().len() == 2).await;
    assert!(!alertmanager.process.log().contains("Notify attempt failed"), "{}", alertmanager.process.log());
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
}

#[tokio::test]
async fn promtool_takes_the_scrape_configuration() {
    let folder = Folder::new();
    files(&folder.0).await;
    std::fs::write(folder.0.join("prometheus.yml"), example("# prometheus.yml, with a certificate")).unwrap();
    let mut promtool = debian("promtool", "prometheus");
    promtool.args(["check", "config"]).arg(folder.0.join("prometheus.yml"));
    let said = run(promtool).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    // It knows the format of the other file as well.
    let mut promtool = debian("promtool", "prometheus");
    promtool.args(["check", "web-config"]).arg(folder.0.join("web.yml"));
    let said = run(promtool).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
}
