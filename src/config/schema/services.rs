//! What a receiver says of its service.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::json;

use super::{Address, Secret, Secrets};

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("oneOf" = webhook_or_token()))]
pub(super) struct Slack {
    /// The address of an incoming webhook, which decides the channel. One message per notification.
    webhook_url: Option<Secret>,
    /// The bot token of an app with the scope `chat:write`. One message per group, edited as alerts join and resolve.
    token: Option<Secret>,
    /// Where the app posts: `'#alerts'` (in quotes, or `#` begins a comment), or the id of a channel or person.
    #[schemars(length(min = 1, max = 81))]
    channel: Option<String>,
    /// The Web API. Default <https://slack.com/api>.
    api_url: Option<Address>,
    /// A template in place of the headline. Values are escaped as mrkdwn.
    title: Option<String>,
    /// A template in place of what stands below the headline.
    text: Option<String>,
}

fn webhook_or_token() -> serde_json::Value {
    json!([
        { "required": ["webhook_url"], "properties": { "token": false, "channel": false, "api_url": false } },
        { "required": ["token", "channel"], "properties": { "webhook_url": false } },
    ])
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct PagerDuty {
    /// The integration key of an "Events API v2" integration: 32 letters and digits.
    routing_key: Secret,
    /// Default <https://events.pagerduty.com/v2/enqueue>; EU accounts: <https://events.eu.pagerduty.com/v2/enqueue>.
    url: Option<Address>,
    /// What becomes an incident. Default `alert`.
    incident_per: Option<IncidentPer>,
    /// Values of the label `severity` and what they are to PagerDuty: `{page: critical, ticket: warning}`.
    severity_map: Option<BTreeMap<String, PagerDutySeverity>>,
    /// A template of what the incident is called, in place of alertname, summary and place. Cut after 1024 bytes.
    summary: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum IncidentPer {
    /// Each alert; it is resolved when the alert is.
    Alert,
    /// Each group; it is resolved with the last alert of it that PagerDuty was told of.
    Group,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum PagerDutySeverity {
    Critical,
    Error,
    Warning,
    Info,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Grafana {
    /// The address of Grafana, without `/api`.
    url: Address,
    /// The token of a service account that may write annotations.
    token: Secret,
    /// Tags of every annotation.
    tags: Option<Vec<String>>,
    /// Only on this dashboard. Default: on all.
    dashboard_uid: Option<String>,
    /// Only on this panel of the dashboard.
    #[schemars(range(min = 1))]
    panel_id: Option<i64>,
    /// A template of what the annotation says, in HTML. Values are escaped.
    text: Option<String>,
    /// The organisation, for Grafanas without the older annotation API: `org-2`, or `stacks-123` on Grafana Cloud. Default
    /// `default`.
    #[schemars(regex(pattern = "^(default|(org|stacks)-[0-9]+)$"))]
    namespace: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Webhook {
    /// Where to POST; a secret, because many services put a token into it.
    url: Secret,
    /// Further headers. `content-type` decides how values are written into `body`; default `application/json`.
    headers: Option<BTreeMap<String, Secret>>,
    /// A template of the body, in place of Alertmanager's JSON. As JSON, `{{ x }}` is a JSON value with its quotes.
    body: Option<String>,
    /// Signs as Standard Webhooks does: `whsec_` and 24 to 64 bytes in base64; several while they are being rotated.
    secret: Option<Secrets>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Email {
    /// The mail server, `HOST:PORT`.
    #[schemars(regex(pattern = "^[^ ]+:[0-9]{1,5}$"))]
    smarthost: String,
    /// The sender: `alerts@example.org` or `Alerts <alerts@example.org>`.
    #[schemars(length(min = 1))]
    from: String,
    /// Who gets it: an address, several with commas between them, or a list.
    to: EmailTo,
    /// Who is asking, with AUTH PLAIN or LOGIN. Never sent without TLS.
    auth: Option<EmailAuth>,
    /// Default: `tls` on port 465, else `starttls`. Both are required of the server, not tried.
    tls: Option<EmailTls>,
    /// The name of this machine, for EHLO. Default `localhost`.
    hello: Option<String>,
    /// The authorities to trust in place of the system's: a file with certificates in PEM, relative to routes.yaml.
    ca_file: Option<String>,
    /// A template in place of the first line, and of what the subject says after the state. Plain text.
    title: Option<String>,
    /// A template in place of what stands below it. Plain text.
    text: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
enum EmailTo {
    One(#[schemars(length(min = 1))] String),
    Several(#[schemars(length(min = 1))] Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct EmailAuth {
    username: String,
    password: Secret,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum EmailTls {
    /// It begins in plain text and goes on with TLS.
    StartTls,
    /// It begins with TLS.
    #[schemars(rename = "tls")]
    Implicit,
    /// Plain text; not with `auth`.
    None,
}
