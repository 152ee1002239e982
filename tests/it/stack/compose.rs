//! What deploy/compose.yaml promises. No container is started here, so it is read: its schema by `.ci/deploy`, the rest by this.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};
use tokio::process::Command;

use super::shipped::{Compose, Places, make_secrets};
use crate::harness::Folder;
use crate::harness::process::{Said, alertrouter, debian, run};
use crate::routes_file::root;

fn is_match(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).unwrap().is_match(text)
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap())
}

/// What the schema of compose files, as check-jsonschema ships it, says of a file.
async fn judged(compose: &Value) -> Said {
    let schema = root("target/tools/compose/check_jsonschema/builtin_schemas/vendor/compose-spec.json");
    assert!(Path::new(&schema).is_file(), "run .ci/tools: it installs the schema");
    let folder = Folder::new();
    let instance = folder.0.join("compose.json");
    std::fs::write(&instance, compose.to_string()).unwrap();
    let mut validator = debian("jsonschema", "python3-jsonschema");
    validator.arg("--instance").arg(&instance).arg(&schema);
    run(validator).await
}

#[tokio::test]
async fn compose_knows_every_key() {
    let mut compose = Compose::read().0;
    let said = judged(&compose).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    compose["services"]["grafana"]["memory_limit"] = "1g".into();
    assert_eq!(judged(&compose).await.code, Some(1), "it takes what it does not know");
}

#[test]
fn every_service_is_pinned_walled_in_and_asked_for_its_health() {
    let compose = Compose::read();
    let names: Vec<_> = compose.services().map(|(name, _)| name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let expected =
        ["alertmanager-1", "alertmanager-2", "alertrouter", "grafana", "llm-service", "prometheus", "stand-in"];
    assert_eq!(sorted, expected);
    for (name, service) in compose.services() {
        let image = service["image"].as_str().unwrap();
        let is_own = image == "alertrouter:stack" && service["build"]["dockerfile"] == "deploy/docker/Dockerfile";
        assert!(is_own || is_match(r"^[a-z/]+:v?\d+\.\d+\.\d+(-[a-z-]+)?$", image), "{name}: {image} is not pinned");
        for (key, expected) in [
            ("read_only", json!(true)),
            ("cap_drop", json!(["ALL"])),
            ("security_opt", json!(["no-new-privileges:true"])),
            ("restart", json!("unless-stopped")),
        ] {
            assert_eq!(service[key], expected, "{name}: {key}");
        }
        assert!(is_match(r"^\d+[mg]$", service["mem_limit"].as_str().unwrap_or_default()), "{name}: mem_limit");
        assert!(service["pids_limit"].is_u64() && service["logging"]["options"]["max-size"].is_string(), "{name}");
        assert_eq!(service["healthcheck"]["test"][0], "CMD", "{name}");
        for key in ["privileged", "network_mode", "pid", "ipc", "cap_add", "devices"] {
            assert_eq!(service[key], Value::Null, "{name}: {key}");
        }
        for port in texts(&service["ports"]) {
            assert!(is_match(r"^127\.0\.0\.1:\d+:\d+$", port), "{name}: {port} is not on loopback");
        }
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            assert!(names.contains(&other.as_str()), "{name}: {other}");
            assert_eq!(how["condition"], "service_healthy", "{name}: {other}");
        }
    }
    assert!(Path::new(&root("deploy/docker/Dockerfile")).is_file());
}

#[test]
fn whatever_is_mounted_is_shipped_and_read_only() {
    let compose = Compose::read();
    let volumes = compose.0["volumes"].as_object().unwrap();
    let mut named = Vec::new();
    for (name, service) in compose.services() {
        for mount in texts(&service["volumes"]) {
            let parts: Vec<_> = mount.split(':').collect();
            if parts[0].starts_with('.') {
                let path = Path::new(&root("deploy")).join(parts[0]);
                assert!(path.exists(), "{name}: {} is not shipped", path.display());
                assert_eq!(parts.get(2), Some(&"ro"), "{name}: {mount} can be written to");
            } else {
                assert!(volumes.contains_key(parts[0]), "{name}: {mount} is not declared");
                assert!(!named.contains(&parts[0]), "{mount} belongs to two services");
                named.push(parts[0]);
            }
        }
        for secret in texts(&service["secrets"]) {
            let file = compose.0["secrets"][secret]["file"].as_str();
            assert_eq!(file, Some(format!("./stack/secrets/{secret}").as_str()), "{name}");
        }
    }
    assert_eq!(named.len(), volumes.len(), "{named:?} of {volumes:?}");
}

#[tokio::test]
async fn secrets_are_made_and_never_have_a_default() {
    let folder = Folder::new();
    let secrets = make_secrets(&folder.0).await;
    let names: Vec<_> = secrets.keys().map(String::as_str).collect();
    assert_eq!(names, ["ALERTROUTER_METRICS_TOKEN", "ALERTROUTER_TOKEN", "GRAFANA_ADMIN_PASSWORD"]);
    assert!(secrets.values().all(|secret| is_match("^[0-9a-f]{64}$", secret)), "{secrets:?}");
    let [one, two, three] = names.as_slice() else { panic!("{names:?}") };
    assert!(secrets[*one] != secrets[*two] && secrets[*two] != secrets[*three], "{secrets:?}");
    let file = |name: &str| folder.0.join("deploy").join(name);
    let mode = |name: &str| file(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(".env"), mode("stack/secrets")), (0o600, 0o700));
    for (name, variable) in
        [("alertrouter-token", "ALERTROUTER_TOKEN"), ("alertrouter-metrics-token", "ALERTROUTER_METRICS_TOKEN")]
    {
        let name = format!("stack/secrets/{name}");
        // Users of containers read them; the folder keeps everybody else out.
        assert_eq!(mode(&name), 0o644, "{name}");
        assert_eq!(std::fs::read_to_string(file(&name)).unwrap(), secrets[variable]);
    }
    assert_eq!(make_secrets(&folder.0).await, secrets, "a second run makes others");
    std::fs::remove_file(file("stack/secrets/alertrouter-token")).unwrap();
    let mut again = Command::new("sh");
    again.arg(file("stack/make-secrets"));
    let said = run(again).await;
    assert!(said.code == Some(1) && said.err.starts_with("error: deploy/.env is there, and the tokens"), "{said:?}");

    let compose = Compose::read();
    let required = Regex::new(r"^\$\{([A-Z_]+):\?[^}]*run deploy/stack/make-secrets\}$").unwrap();
    for (name, service) in compose.services() {
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap();
            if is_match("PASSWORD|TOKEN|SECRET|KEY", variable) {
                let asks_for = required.captures(value).map(|found| found[1].to_owned());
                let asks_for = asks_for.unwrap_or_else(|| panic!("{name}: {variable} has a default: {value}"));
                assert!(secrets.contains_key(&asks_for), "{asks_for} is not made");
            }
        }
    }
    for shipped in ["deploy/stack/prometheus.yml", "deploy/stack/alertmanager.yml", "deploy/compose.yaml"] {
        let text = std::fs::read_to_string(root(shipped)).unwrap();
        assert!(!is_match(r"(?m)^\s*-?\s*(credentials|password|bearer_token|api_key):", &text), "{shipped}");
    }
    let ignored = std::fs::read_to_string(root(".gitignore")).unwrap();
    for name in ["/deploy/.env", "/deploy/stack/secrets"] {
        assert!(ignored.lines().any(|line| line == name), "git would take {name}");
    }
}

#[tokio::test]
async fn what_is_mounted_is_taken_by_its_program() {
    let folder = Folder::new();
    let secrets = make_secrets(&folder.0).await;
    let mut places = Places::default();
    places.add("/run/secrets/", &format!("{}/", folder.0.join("deploy/stack/secrets").display()));
    for (theirs, ours) in [("llm-service:", "a:"), ("alertrouter:", "b:"), ("prometheus:9090", "c:9090")] {
        places.add(theirs, ours);
    }
    for (theirs, ours) in [("alertmanager-1:", "d:"), ("alertmanager-2:", "e:")] {
        places.add(theirs, ours);
    }
    let prometheus = folder.0.join("prometheus.yml");
    std::fs::write(&prometheus, places.file("deploy/stack/prometheus.yml")).unwrap();
    std::os::unix::fs::symlink(root("rules"), folder.0.join("rules")).unwrap();
    std::os::unix::fs::symlink(root("deploy/stack/stack.rules.yaml"), folder.0.join("stack.rules.yaml")).unwrap();
    let mut promtool = debian("promtool", "prometheus");
    promtool.args(["check", "config", "--lint=all", "--lint-fatal"]).arg(&prometheus);
    let said = run(promtool).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
    // Each of them: a pattern that finds nothing is no error to promtool.
    for rules in ["llm.rules.yaml", "slo.rules.yaml", "alertrouter.rules.yaml", "noise.rules.yaml", "stack.rules.yaml"]
    {
        assert!(said.out.contains(rules), "{rules} is not loaded:\n{}", said.out);
    }

    let mut promtool = debian("promtool", "prometheus");
    promtool.args(["test", "rules", &root("deploy/stack/stack.test.yaml")]);
    let said = run(promtool).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);

    let mut amtool = debian("amtool", "prometheus-alertmanager");
    amtool.args(["check-config", &root("deploy/stack/alertmanager.yml")]);
    let said = run(amtool).await;
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);

    let mut check = alertrouter();
    check.args(["check", "--strict", "--rules", &root("rules"), "--rules", &root("deploy/stack/stack.rules.yaml")]);
    check.arg(root("deploy/stack/routes.yaml")).envs(Compose::read().environment("alertrouter", &secrets));
    let said = run(check).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
}
