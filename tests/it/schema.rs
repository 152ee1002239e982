//! The JSON Schema of routes.yaml, with Debian's validator as the judge.

use alertrouter::config::schema::schema;
use alertrouter::config::{self, Options, secret};
use alertrouter::import;

use crate::harness::Folder;
use crate::harness::process::{Said, alertrouter, debian, run};
use crate::routes_file::{root, routes_of_the_readme};

async fn validate(file: &str) -> Said {
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name).display().to_string();
    let options = serde_yaml::options! { strict_booleans: true };
    let instance: serde_json::Value = serde_yaml::from_str_with_options(file, options).unwrap();
    std::fs::write(path("schema.json"), schema()).unwrap();
    std::fs::write(path("routes.json"), instance.to_string()).unwrap();
    let mut validator = debian("jsonschema", "python3-jsonschema");
    validator.args(["-i", &path("routes.json"), &path("schema.json")]).env("PYTHONWARNINGS", "ignore");
    run(validator).await
}

fn is_read(file: &str) -> bool {
    config::parse(file.as_bytes(), &Options::without_secrets(), &secret::System).0.is_some()
}

#[tokio::test]
async fn takes_every_file_that_people_copy() {
    let shipped = std::fs::read_to_string(root("routes.yaml")).unwrap();
    for file in routes_of_the_readme().into_iter().chain([shipped]) {
        let said = validate(&file).await;
        assert_eq!(said.code, Some(0), "{}{}\n{file}", said.out, said.err);
    }
}

#[tokio::test]
async fn takes_what_import_writes() {
    let original = std::fs::read(root("src/import/example.yml")).unwrap();
    let options = import::Options { file: "alertmanager.yml".to_owned(), keep_secrets: false };
    let text = import::import(&original, &options).0.unwrap().text;
    let said = validate(&text).await;
    assert_eq!(said.code, Some(0), "{}{}\n{text}", said.out, said.err);
}

/// One receiver with this service and these keys, and one route with these keys.
fn file(receiver: &str, route: &str) -> String {
    format!("receivers: [{{name: a, {receiver}}}]\nroute: {{receivers: [a], routes: [{{{route}}}]}}\n")
}

#[tokio::test]
async fn takes_what_is_read() {
    let hook = "webhook: {url: {file: hook}}";
    for file in [
        file("slack: {webhook_url: {env: X}}, rate_limit: {rate: 30/m, burst: 1, overflow: digest}", "continue: true"),
        file("slack: {token: {env: X}, channel: '#a', api_url: http://x/api}, rate_limit: {rate: 50/m}", ""),
        file("slack: {token: {env: X}, channel: C0123456789}", ""),
        file("pagerduty: {routing_key: {env: X}, url: http://localhost:1/x}, send_resolved: false", "receivers: []"),
        file(
            "grafana: {url: http://x, token: {file: y}, tags: [z], dashboard_uid: d, panel_id: 3, namespace: org-2}",
            "routes: []",
        ),
        file(&format!("{hook}, timeout: 1m30s, retry: {{max_age: 1d12h}}"), "repeat_interval: 0s"),
        file("email: {smarthost: 'mx:465', from: a@x.org, to: b@x.org, hello: r.x.org, ca_file: ca.pem}", ""),
        file(
            "email: {smarthost: 'mx:25', from: a@x.org, to: [b@x.org], auth: {username: u, password: {env: X}}, tls: starttls}",
            "",
        ),
        file("email: {smarthost: 'localhost:25', from: a@x.org, to: [b@x.org, c@x.org], tls: none}", ""),
        file(hook, "repeat_interval: 0, matchers: ['a=b']")
            + "dedup: {ignore_labels: [r], settle: 0s}\nretention: 30d\n",
        file(hook, "") + "heartbeats: [{name: x, matchers: [a=b], every: 10s, receivers: [a]}]\n",
        file("pagerduty: {routing_key: {env: X}, incident_per: group, severity_map: {page: critical}}", ""),
        file(hook, "") + "auth: {bearer_tokens: [{token: {env: X}, roles: [admin, metrics]}]}\n",
        file(hook, "") + "auth: {basic_users: [{username: a, password_hash: {file: x}}]}\n",
        file(hook, "") + "auth: {client_certificates: [{san: spiffe://x/y, roles: [ingest]}]}\n",
    ] {
        let said = validate(&file).await;
        assert!(is_read(&file) && said.code == Some(0), "{}\n{file}", said.err);
    }
}

#[tokio::test]
async fn refuses_what_is_refused() {
    let hook = "webhook: {url: http://x/}";
    for file in [
        "receivers: []\nroute: {receivers: [a]}\n".to_owned(),
        file(hook, "") + "recievers: []\n",
        file(&format!("{hook}, slack: {{webhook_url: x}}"), ""),
        file("slack: {token: {env: X}}", ""),
        file("slack: {channel: x}", ""),
        file("slack: {webhook_url: {env: X}, token: {env: X}, channel: x}", ""),
        file("slack: {webhook_url: {env: X}, channel: x}", ""),
        file("slack: {webhook_url: {env: X}, api_url: http://x/api}", ""),
        file("slack: {token: {env: X}, channel: x, api_url: ftp://x}", ""),
        file("send_resolved: true", ""),
        file("webhook: {url: {env: X, file: y}}", ""),
        file("webhook: {url: {}}", ""),
        file("webhook:", ""),
        file("webhook: {url: ''}", ""),
        file("pagerduty: {routing_key: {env: 1X}}", ""),
        file("pagerduty: {routing_key: {env: X}, url: ftp://x}", ""),
        file("pagerduty: {routing_key: {env: X}, incident_per: service}", ""),
        file("pagerduty: {routing_key: {env: X}, severity_map: {page: high}}", ""),
        file("grafana: {url: http://x, token: {env: X}, namespace: Default}", ""),
        file("grafana: {url: http://x, token: {env: X}, panel_id: 0, dashboard_uid: d}", ""),
        file("email: {smarthost: mx, from: a@x.org, to: b@x.org}", ""),
        file("email: {smarthost: 'mx:25', from: a@x.org, to: []}", ""),
        file("email: {smarthost: 'mx:25', from: a@x.org, to: b@x.org, tls: maybe}", ""),
        file("email: {smarthost: 'mx:25', from: a@x.org, to: b@x.org, auth: {username: u}}", ""),
        file(&format!("{hook}, send_resolved: yes"), ""),
        file(&format!("{hook}, timeout: 10"), ""),
        file(&format!("{hook}, timeout: 1m1h"), ""),
        file(&format!("{hook}, rate_limit: {{rate: 1/d}}"), ""),
        file(&format!("{hook}, rate_limit: {{burst: 0}}"), ""),
        file(&format!("{hook}, rate_limit: {{overflow: drop}}"), ""),
        file(hook, "") + "heartbeats: [{name: x, matchers: [], receivers: [a]}]\n",
        file(hook, "") + "heartbeats: [{name: x, matchers: [a=b], receivers: []}]\n",
        file(hook, "") + "heartbeats: [{name: x, matchers: [a=b], receivers: [a], every: 5}]\n",
        file(hook, "") + "heartbeats: [{name: x, receivers: [a]}]\n",
        file(hook, "") + "auth: {}\n",
        file(hook, "") + "auth: {bearer_tokens: []}\n",
        file(hook, "") + "auth: {bearer_tokens: [{token: {env: X}, roles: []}]}\n",
        file(hook, "") + "auth: {bearer_tokens: [{token: {env: X}, roles: [root]}]}\n",
        file(hook, "") + "auth: {basic_users: [{username: 'a:b', password_hash: {file: x}}]}\n",
        file(hook, "") + "auth: {basic_users: [{username: a, password: {file: x}}]}\n",
        file(hook, "matchers: a=b"),
        file(hook, "matchers: [{a: b}]"),
        file(hook, "receivers: a"),
        file(hook, "receiver: a"),
        file(hook, "continue: maybe"),
        file(hook, "group_by: [a]"),
        file(hook, "").replace("{receivers: [a], ", "{"),
        file(hook, "").replace("{receivers: [a], ", "{receivers: [], "),
        file(hook, "").replace("{receivers: [a], ", "{receivers: [a], matchers: ['a=b'], "),
    ] {
        let said = validate(&file).await;
        assert!(!is_read(&file) && said.code == Some(1), "{:?}\n{file}", said.code);
    }
}

#[tokio::test]
async fn the_file_for_editors_is_what_the_command_prints() {
    let mut command = alertrouter();
    command.arg("schema");
    let said = run(command).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let shipped = std::fs::read_to_string(root("deploy/routes.schema.json")).unwrap_or_default();
    assert_eq!(said.out, shipped, "run: cargo run -- schema > deploy/routes.schema.json");
    // The comment that editors look for names that file.
    let routes = std::fs::read_to_string(root("routes.yaml")).unwrap();
    assert_eq!(routes.lines().next(), Some("# yaml-language-server: $schema=deploy/routes.schema.json"));
}
