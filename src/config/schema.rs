//! The shape of routes.yaml for editors: a JSON Schema, made from these types. Their documentation is what an editor
//! shows.
//!
//! The walk that reads the file ([`super`]) knows more (whether names exist, whether matchers can be read) and takes a
//! little more: a schema says "text" where the walk also reads `5` or `true` as text. A test holds the two together: both
//! know the same keys.
#![expect(dead_code, reason = "the types are a description: nothing is ever read into them")]

mod services;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::json;

use services::{Email, Grafana, PagerDuty, Slack, Webhook};

/// The schema of routes.yaml, draft 2020-12, with a line break at its end.
#[must_use]
pub fn schema() -> String {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(without_null));
    let generator = settings.into_generator();
    format!("{:#}\n", generator.into_root_schema_for::<Routes>().as_value())
}

/// A key may be left out; it may not be there without a value.
fn without_null(schema: &mut Schema) {
    let null = json!("null");
    if let Some(types) = schema.get_mut("type").and_then(serde_json::Value::as_array_mut) {
        types.retain(|kind| *kind != null);
        if let [only] = &types[..] {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    let Some(any) = schema.get_mut("anyOf").and_then(serde_json::Value::as_array_mut) else { return };
    any.retain(|one| one.get("type") != Some(&null));
    if let [only] = &any[..]
        && let Some(only) = only.as_object().cloned()
    {
        schema.remove("anyOf");
        schema.ensure_object().extend(only);
    }
}

/// Who hears of which alert.
#[derive(JsonSchema)]
#[schemars(title = "routes.yaml of alertrouter", deny_unknown_fields)]
struct Routes {
    /// Where notifications can go.
    #[schemars(length(min = 1))]
    receivers: Vec<Receiver>,
    /// The root of the routing tree. It takes every alert that no route below it takes.
    route: Root,
    /// What counts as the same alert.
    #[schemars(default)]
    dedup: Option<Dedup>,
    /// Dead man's switches: alerts that must keep arriving, such as Prometheus' always firing `Watchdog`.
    heartbeats: Option<Vec<Heartbeat>>,
    /// How long deliveries are kept that have ended, dead letters among them; 1d to 1y. Default 30d.
    retention: Option<Duration>,
    /// Who may post alerts, reload and read metrics. Default: whoever reaches the address, which then has to be loopback.
    auth: Option<Auth>,
}

/// Who may post alerts, reload and read metrics.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1))]
struct Auth {
    /// `Authorization: Bearer TOKEN`. Several, so that one can be replaced without a gap.
    #[schemars(length(min = 1))]
    bearer_tokens: Option<Vec<BearerToken>>,
    /// `Authorization: Basic …`.
    #[schemars(length(min = 1))]
    basic_users: Option<Vec<BasicUser>>,
    /// Certificates that `client_ca_file` of `--web-config` vouches for, by a name in them.
    #[schemars(length(min = 1))]
    client_certificates: Option<Vec<ClientCertificate>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct BearerToken {
    /// 16 to 4096 characters; make one with `openssl rand -hex 32`.
    token: Secret,
    /// What it is good for. Default `[ingest]`.
    #[schemars(length(min = 1))]
    roles: Option<Vec<Role>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct BasicUser {
    /// Without `:`.
    #[schemars(length(min = 1, max = 255), regex(pattern = "^[^:]*$"))]
    username: String,
    /// The bcrypt hash of the password, `$2y$10$…`: `htpasswd -nBC 10 "" | tr -d ':\n'`.
    password_hash: Secret,
    /// What the user may do. Default `[ingest]`.
    #[schemars(length(min = 1))]
    roles: Option<Vec<Role>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ClientCertificate {
    /// One of its subject alternative names, exactly: a DNS name or a URI.
    #[schemars(length(min = 1))]
    san: String,
    /// What its holder may do. Default `[ingest]`.
    #[schemars(length(min = 1))]
    roles: Option<Vec<Role>>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Role {
    /// Post alerts.
    Ingest,
    /// Reload.
    Admin,
    /// Read metrics.
    Metrics,
}

/// A receiver: a name, exactly one service, and how it is delivered to.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("oneOf" = one_service()))]
struct Receiver {
    /// Its name in routes; also the label of its metrics.
    #[schemars(length(min = 1, max = 200))]
    name: String,
    /// Slack: an incoming webhook, or the token of an app, which keeps one message per group up to date.
    slack: Option<Slack>,
    /// PagerDuty's Events API v2. One incident per alert, or per group.
    pagerduty: Option<PagerDuty>,
    /// An annotation when an alert fires, made a region when it resolves.
    grafana: Option<Grafana>,
    /// A POST of JSON in the shape of Alertmanager's webhook, with only the alerts that are new, or of what a template makes.
    webhook: Option<Webhook>,
    /// Mail over SMTP, as text and HTML. The mails of a group and day are one thread.
    email: Option<Email>,
    /// Whether resolved alerts are sent. Default true.
    send_resolved: Option<bool>,
    /// The pace that the service takes; what exceeds it waits.
    rate_limit: Option<RateLimit>,
    /// How long what fails is tried again.
    retry: Option<Retry>,
    /// Of one request, 100ms to 5m. Default 10s.
    timeout: Option<Duration>,
    /// The receiver that is also told of what this one does not get: dead letters, and what waits for too long.
    fallback: Option<String>,
    /// How long a notification may fail before the fallback is told; 10s to 24h. Default 5m.
    fallback_after: Option<Duration>,
}

fn one_service() -> serde_json::Value {
    json!(["slack", "pagerduty", "grafana", "webhook", "email"].map(|service| json!({ "required": [service] })))
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RateLimit {
    /// `1/s`, `30/m` or `100/h`, from 1 to 10000. Defaults: Slack 1/s (with a token 50/m), PagerDuty 2/s, email 20/m, others
    /// 10/s.
    #[schemars(regex(pattern = r"^[0-9]{1,5} */ *[smh]$"))]
    rate: Option<String>,
    /// How many may go at once. Defaults: Slack 5, email 10, others 20.
    #[schemars(range(min = 1, max = 10_000))]
    burst: Option<u32>,
    /// What happens to notifications over the limit; none is dropped.
    overflow: Option<Overflow>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Overflow {
    /// They wait, each for its turn. Default for all but Slack and email.
    Wait,
    /// Those that wait together go as one message; critical ones never do, and go first. Default for Slack and email; not
    /// for PagerDuty and Grafana.
    Digest,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Retry {
    /// Older than this, a notification becomes a dead letter instead of being tried again; 1s to 30d. Default 24h.
    max_age: Option<Duration>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Dedup {
    /// Labels left out of the fingerprint, to merge copies from several Prometheis: `[prometheus_replica]`.
    ignore_labels: Option<Vec<String>>,
    /// How long a firing copy of an ended episode waits for its resolve; at most 24h. Default 5m.
    settle: Option<Duration>,
}

/// An alert that must keep arriving. If it does not, `HeartbeatMissing` fires until it is back.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Heartbeat {
    /// What it stands for, such as a cluster; the label `heartbeat` of the alert and of its metrics.
    #[schemars(length(min = 1, max = 200))]
    name: String,
    /// Which firing alerts count: `[alertname="Watchdog"]`. All have to fit.
    #[schemars(length(min = 1))]
    matchers: Vec<String>,
    /// For how long there may be none; 10s to 24h. Longer than Alertmanager's `repeat_interval` plus twice its
    /// `group_interval`. Default 5m.
    every: Option<Duration>,
    /// Who is told.
    #[schemars(length(min = 1))]
    receivers: Vec<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Root {
    /// Who is told of what no route below takes; routes below inherit it.
    #[schemars(length(min = 1))]
    receivers: Vec<String>,
    /// Tell again while the alert still fires; `0s` never. Inherited. Default 4h.
    repeat_interval: Option<Duration>,
    /// From top to bottom, the first route whose matchers all fit takes the alert.
    routes: Option<Vec<Route>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Route {
    /// All have to fit: `severity="critical"`, `job=~"api|web"`, `!=`, `!~`. A missing label is "".
    matchers: Option<Vec<String>>,
    /// Who is told. `[]` drops on purpose. Default: the parent's.
    receivers: Option<Vec<String>>,
    /// Whether the routes after this one are tried, too. Default false.
    #[schemars(rename = "continue")]
    continues: Option<bool>,
    /// Tell again while the alert still fires; `0s` never. Default: the parent's.
    repeat_interval: Option<Duration>,
    /// Of these the first one that fits takes the alert; if none does, this route.
    routes: Option<Vec<Route>>,
}

/// A secret: `{env: NAME}`, `{file: PATH}` (relative to routes.yaml) or the value itself.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Secret {
    Value(#[schemars(length(min = 1))] String),
    From(SecretFrom),
}

/// A secret, or several.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Secrets {
    One(Secret),
    Several(#[schemars(length(min = 1))] Vec<Secret>),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1, "maxProperties" = 1))]
struct SecretFrom {
    /// The name of an environment variable.
    #[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    env: Option<String>,
    /// A file whose content it is; a line break at its end does not count.
    file: Option<String>,
}

/// An http or https address without user name and password.
#[derive(JsonSchema)]
struct Address(
    #[schemars(regex(pattern = r"^https?://\S+$"))]
    String,
);

/// As Prometheus writes it: `30s`, `4h`, `1d12h`.
struct Duration;

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "As Prometheus writes durations: `30s`, `4h`, `1d12h`",
            "anyOf": [
                { "type": "string", "pattern": PROMETHEUS_DURATION },
                { "const": 0 },
            ],
        })
    }
}

/// Units from large to small, each at most once (`model.ParseDuration`).
const PROMETHEUS_DURATION: &str = "^(0|(?=.)([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::config::{self, Options, secret};

    fn keys(object: &Value) -> BTreeSet<String> {
        object["properties"].as_object().unwrap().keys().cloned().collect()
    }

    /// What the walk says it knows where it meets a key that is like none of them.
    fn known(file: &str) -> BTreeSet<String> {
        let (_, problems) = config::parse(file.as_bytes(), &Options::without_secrets(), &secret::System);
        let of = problems.iter().find(|problem| problem.message.contains("unknown key `qqqqqqqqqqq`"));
        let hint = of.and_then(|problem| problem.hint.clone()).unwrap_or_else(|| panic!("{file}: {problems:?}"));
        hint.trim_start_matches("it knows ").split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
    }

    #[test]
    fn knows_the_keys_that_the_walk_knows() {
        let schema: Value = serde_json::from_str(&schema()).unwrap();
        let receiver = |rest: &str| format!("receivers: [{{name: a, {rest}}}]\nroute: {{receivers: [a]}}");
        let hook = "webhook: {url: http://x/}";
        let places = [
            ("", "qqqqqqqqqqq: 1\nreceivers: []\nroute: {}".to_owned()),
            ("Receiver", receiver(&format!("{hook}, qqqqqqqqqqq: 1"))),
            ("Slack", receiver("slack: {qqqqqqqqqqq: 1}")),
            ("PagerDuty", receiver("pagerduty: {qqqqqqqqqqq: 1}")),
            ("Grafana", receiver("grafana: {qqqqqqqqqqq: 1}")),
            ("Webhook", receiver("webhook: {qqqqqqqqqqq: 1}")),
            ("Email", receiver("email: {qqqqqqqqqqq: 1}")),
            ("EmailAuth", receiver("email: {auth: {qqqqqqqqqqq: 1}}")),
            ("SecretFrom", receiver("webhook: {url: {qqqqqqqqqqq: 1, env: X}}")),
            ("RateLimit", receiver(&format!("{hook}, rate_limit: {{qqqqqqqqqqq: 1}}"))),
            ("Retry", receiver(&format!("{hook}, retry: {{qqqqqqqqqqq: 1}}"))),
            ("Dedup", receiver(hook) + "\ndedup: {qqqqqqqqqqq: 1}"),
            ("Heartbeat", receiver(hook) + "\nheartbeats: [{qqqqqqqqqqq: 1}]"),
            ("Auth", receiver(hook) + "\nauth: {qqqqqqqqqqq: 1}"),
            ("BearerToken", receiver(hook) + "\nauth: {bearer_tokens: [{qqqqqqqqqqq: 1}]}"),
            ("BasicUser", receiver(hook) + "\nauth: {basic_users: [{qqqqqqqqqqq: 1}]}"),
            ("ClientCertificate", receiver(hook) + "\nauth: {client_certificates: [{qqqqqqqqqqq: 1}]}"),
            ("Route", receiver(hook).replace("[a]}", "[a], routes: [{qqqqqqqqqqq: 1}]}")),
        ];
        for (name, file) in &places {
            let object = if name.is_empty() { &schema } else { &schema["$defs"][name] };
            assert_eq!(keys(object), known(file), "{name}");
        }
        // The root knows some keys only to refuse them.
        let root = keys(&schema["$defs"]["Root"]);
        let refused = ["matchers", "continue"].map(str::to_owned).into();
        let walked = known(&receiver(hook).replace("[a]}", "[a], qqqqqqqqqqq: 1}"));
        assert_eq!(root, walked.difference(&refused).cloned().collect());
        // No object was forgotten.
        let described = schema["$defs"].as_object().unwrap().iter().filter(|(_, def)| def.get("properties").is_some());
        let described: BTreeSet<&str> = described.map(|(name, _)| name.as_str()).collect();
        let tested: BTreeSet<&str> = places.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
        assert_eq!(described, tested.union(&["Root"].into()).copied().collect());
    }

    #[test]
    fn lists_the_services_once() {
        let schema: Value = serde_json::from_str(&schema()).unwrap();
        let receiver = &schema["$defs"]["Receiver"];
        for service in receiver["oneOf"].as_array().unwrap() {
            let name = service["required"][0].as_str().unwrap();
            assert!(receiver["properties"].get(name).is_some(), "{name}");
        }
    }
}
