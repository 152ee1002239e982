//! The pod of deploy/kubernetes: the binary started as the manifest says, and what the manifest says of it.

use std::collections::BTreeMap;
use std::path::Path;

use alertrouter::standin::{grafana, pagerduty};
use serde_json::{Value, json};

use super::commands::secret_made_by_the_commands;
use super::kubernetes::{OVERLAYS, Rendered};
use super::{list, read, text};
use crate::harness::http;
use crate::harness::process::{Router, alertrouter, run};
use crate::harness::{Folder, alerts};
use crate::routes_file::root;

/// What somebody pastes, as the service that it is for would have made it.
fn pasted(name: &str) -> String {
    match name {
        "pagerduty" => pagerduty::ROUTING_KEY.to_owned(),
        "slack" => "https://hooks.slack.com/services/T00000000/B00000000/none".to_owned(),
        other => panic!("what is pasted as {other}?"),
    }
}

/// The arguments of the manifest, with the paths of the container in `folder` and on a free port of loopback.
fn arguments(rendered: &Rendered, folder: &Path) -> Vec<String> {
    let here = |argument: &str| match argument.split_once('=') {
        Some((flag, path)) if path.starts_with('/') => format!("{flag}={}{path}", folder.display()),
        Some(("--listen", address)) => {
            assert_eq!(address, format!("0.0.0.0:{}", rendered.container()["ports"][0]["containerPort"]));
            "--listen=127.0.0.1:0".to_owned()
        }
        _ => argument.to_owned(),
    };
    list(rendered.container(), "/args").iter().map(|argument| here(argument.as_str().unwrap())).collect()
}

/// What the pod finds: its volume, which is there and empty, routes.yaml, and the secrets.
fn files(rendered: &Rendered, folder: &Path, secrets: &BTreeMap<String, String>) {
    let mounted = |name: &str| {
        let inside = text(rendered.mount(name), "/mountPath");
        let path = folder.join(inside.trim_start_matches('/'));
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    mounted("data");
    let (inside, path) = (text(rendered.mount("secrets"), "/mountPath"), mounted("secrets"));
    for (name, value) in secrets {
        std::fs::write(path.join(name), value).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o440);
        std::fs::set_permissions(path.join(name), mode).unwrap();
    }
    let routes = rendered.routes().replace(inside, &path.display().to_string());
    std::fs::write(mounted("routes").join("routes.yaml"), routes).unwrap();
}

async fn status(address: &str, method: &str, path: &str, token: Option<&String>, body: &str) -> String {
    let header = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}content-length: {length}\r\n\r\n{body}"
    );
    let answer = http::read_to_end(http::connect(address, request.as_bytes()).await).await;
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn it_starts_with_the_arguments_and_is_well_by_every_probe() {
    for overlay in OVERLAYS {
        let (rendered, folder) = (Rendered::new(overlay).await, Folder::new());
        let mut secrets = secret_made_by_the_commands(&folder.0, pasted).await;
        // The one that example/routes.yaml says is to be added.
        secrets.insert("grafana".to_owned(), grafana::TOKEN.to_owned());
        files(&rendered, &folder.0, &secrets);
        let mut command = alertrouter();
        command.args(arguments(&rendered, &folder.0));
        let mut router = Router::from_command(command).await;
        let address = router.address.clone();
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let probe = &rendered.container()[probe]["httpGet"];
            assert_eq!(probe["port"], rendered.container()["ports"][0]["name"], "{overlay}");
            assert_eq!(status(&address, "GET", text(probe, "/path"), None, "").await, "200", "{overlay}: {probe}");
        }
        // Of its data directory and its secrets nothing is visible to others, in volumes that are.
        assert!(!router.process.log().contains("WARN"), "{overlay}: {}", router.process.log());
        // One that is told to nobody, so that nothing leaves this machine. The example tells Grafana: a body without alerts.
        let (body, let_in) = match overlay {
            "example" => (alerts::group("none", &[]).to_string(), "400"),
            _ => (alerts::one("Quiet", "info").to_string(), "200"),
        };
        assert_eq!(status(&address, "POST", "/webhook", None, &body).await, "401", "{overlay}");
        assert_eq!(status(&address, "POST", "/webhook", secrets.get("ingest-token"), &body).await, let_in, "{overlay}");
        assert_eq!(status(&address, "POST", "/-/reload", secrets.get("admin-token"), "").await, "200", "{overlay}");
        let (path, key) = match rendered.find("ServiceMonitor") {
            Some(monitor) => {
                let endpoint = &monitor["spec"]["endpoints"][0];
                (text(endpoint, "/path"), text(endpoint, "/authorization/credentials/key"))
            }
            None => ("/metrics", "metrics-token"),
        };
        assert_eq!(status(&address, "GET", path, secrets.get(key), "").await, "200", "{overlay}");
        assert_eq!(router.process.terminate().await, Some(0), "{overlay}");
    }
}

/// And they know every alert of the PrometheusRule.
#[tokio::test]
async fn its_routes_have_no_problem() {
    for overlay in OVERLAYS {
        let (rendered, folder) = (Rendered::new(overlay).await, Folder::new());
        let path = folder.0.join("routes.yaml");
        std::fs::write(&path, rendered.routes()).unwrap();
        let mut command = alertrouter();
        command
            .args(["check", "--no-secrets", "--strict", "--rules", &root("deploy/kubernetes/monitoring")])
            .arg(&path);
        let said = run(command).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{overlay}: {}", said.out);
    }
}

/// What the standard "restricted" of Pod Security asks for, and what a data directory of mode 0700 needs.
#[tokio::test]
async fn it_is_no_one_and_may_nothing() {
    let user: u32 = {
        let dockerfile = read("deploy/docker/Dockerfile");
        let line = dockerfile.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
        line.split_once(':').unwrap().0.parse().unwrap()
    };
    for overlay in OVERLAYS {
        let rendered = Rendered::new(overlay).await;
        let (pod, container) = (rendered.pod(), rendered.container());
        assert_eq!(
            pod["securityContext"],
            json!({
                "runAsNonRoot": true, "runAsUser": user, "runAsGroup": user, "fsGroup": user,
                "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": { "type": "RuntimeDefault" },
            }),
            "{overlay}"
        );
        assert_eq!(
            container["securityContext"],
            json!({
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
            }),
            "{overlay}"
        );
        // Service links would be variables named ALERTROUTER_….
        for switch in ["automountServiceAccountToken", "enableServiceLinks"] {
            assert_eq!(pod[switch], false, "{overlay}: {switch}");
        }
        for volume in ["routes", "secrets"] {
            let mount = rendered.mount(volume);
            assert_eq!((&mount["readOnly"], mount.get("subPath")), (&json!(true), None), "{overlay}: {volume}");
        }
        // For the group that `fsGroup` gives them to, and nobody else.
        assert_eq!(rendered.volume("secrets")["secret"]["defaultMode"], 0o440, "{overlay}");
        let argument = |flag: &str| {
            let found = list(container, "/args").iter().find_map(|one| one.as_str().unwrap().strip_prefix(flag));
            found.unwrap_or_else(|| panic!("{overlay}: no {flag}"))
        };
        let below = |path: &str, volume: &str| {
            let mount = text(rendered.mount(volume), "/mountPath").to_owned() + "/";
            path.strip_prefix(&mount).unwrap_or_else(|| panic!("{overlay}: {path} is not in {mount}")).to_owned()
        };
        assert_eq!(below(argument("--data-dir="), "data"), "data", "{overlay}: the volume's root is its group's");
        assert_eq!(below(argument("--config="), "routes"), "routes.yaml", "{overlay}");
        for memory in ["/requests/memory", "/limits/memory"] {
            assert!(!text(&container["resources"], memory).is_empty(), "{overlay}");
        }
        assert_eq!(container["resources"]["limits"].get("cpu"), None, "{overlay}: whoever is throttled answers late");
    }
}

/// systemd, Docker and Kubernetes wait equally long for what is under way.
#[tokio::test]
async fn everybody_gives_it_the_same_time_to_stop() {
    let unit = read("deploy/systemd/alertrouter.service");
    let seconds: u64 =
        unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")?.strip_suffix('s')).unwrap().parse().unwrap();
    assert!(seconds > 45, "attempts under way have 45 s");
    for overlay in OVERLAYS {
        let grace = Rendered::new(overlay).await.pod()["terminationGracePeriodSeconds"].clone();
        assert_eq!(grace, Value::from(seconds), "{overlay}");
    }
    assert!(read("deploy/docker/Dockerfile").contains(&format!("give it {seconds} s")));
}
