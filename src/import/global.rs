//! `global:`: what integrations inherit.

use super::values::{text, words};
use crate::yaml::{Context, Fields, Node, Span};

/// What only Alertmanager needs.
const STAYS: [&str; 1] = ["resolve_timeout"];

/// What belongs to services that are placeholders in any case.
const OF_OTHERS: [&str; 25] = [
    "jira_api_url",
    "mattermost_webhook_url",
    "mattermost_webhook_url_file",
    "opsgenie_api_key",
    "opsgenie_api_key_file",
    "opsgenie_api_url",
    "rocketchat_api_url",
    "rocketchat_token",
    "rocketchat_token_file",
    "rocketchat_token_id",
    "rocketchat_token_id_file",
    "smtp_auth_identity",
    "telegram_api_url",
    "telegram_bot_token",
    "telegram_bot_token_file",
    "victorops_api_key",
    "victorops_api_key_file",
    "victorops_api_url",
    "webex_api_url",
    "wechat_api_corp_id",
    "wechat_api_secret",
    "wechat_api_secret_file",
    "wechat_api_url",
    // Gone from Alertmanager since 0.16.
    "hipchat_api_url",
    "hipchat_auth_token",
];

/// What mails take from `global`.
#[derive(Default, Clone, Copy)]
pub(super) struct Smtp<'n> {
    pub(super) smarthost: Option<&'n Node>,
    pub(super) from: Option<&'n Node>,
    pub(super) hello: Option<&'n Node>,
    pub(super) auth_username: Option<&'n Node>,
    pub(super) auth_password: Option<&'n Node>,
    pub(super) auth_password_file: Option<&'n Node>,
    /// Whether there is one for CRAM-MD5.
    pub(super) has_secret: bool,
    pub(super) require_tls: Option<&'n Node>,
    pub(super) force_implicit_tls: Option<&'n Node>,
    pub(super) tls_config: Option<(Span, &'n Node)>,
}

/// What integrations take from `global` where they say nothing themselves.
#[derive(Default)]
pub(super) struct Global<'n> {
    pub(super) slack_api_url: Option<&'n Node>,
    pub(super) slack_api_url_file: Option<&'n Node>,
    pub(super) slack_app_token: Option<&'n Node>,
    pub(super) slack_app_token_file: Option<&'n Node>,
    pub(super) slack_app_url: Option<&'n Node>,
    pub(super) pagerduty_url: Option<&'n Node>,
    pub(super) email: Smtp<'n>,
    /// For the placeholders of e-mail: key and value.
    pub(super) smtp: Vec<(&'static str, &'n str)>,
    /// Whether `http_config` holds credentials.
    pub(super) has_credentials: bool,
    /// Said at the top of the imported file.
    pub(super) comments: Vec<String>,
}

impl Global<'_> {
    /// Whether there is the token of a Slack app.
    pub(super) fn has_slack_app(&self) -> bool {
        self.slack_app_token.is_some() || self.slack_app_token_file.is_some()
    }
}

/// Reads it.
pub(super) fn read<'n>(cx: &mut Context<'_>, node: &'n Node, at: Span) -> Global<'n> {
    let Some(mut fields) = Fields::open(cx, node, at, "`global`") else { return Global::default() };
    let mut value = |cx: &mut Context<'_>, key| fields.value(cx, key);
    let mut global = Global {
        slack_api_url: value(cx, "slack_api_url").map(|(_, node)| node),
        slack_api_url_file: value(cx, "slack_api_url_file").map(|(_, node)| node),
        slack_app_token: value(cx, "slack_app_token").map(|(_, node)| node),
        slack_app_token_file: value(cx, "slack_app_token_file").map(|(_, node)| node),
        slack_app_url: value(cx, "slack_app_url").map(|(_, node)| node),
        pagerduty_url: value(cx, "pagerduty_url").map(|(_, node)| node),
        ..Global::default()
    };
    global.email = smtp(cx, &mut fields);
    let mut value = |cx: &mut Context<'_>, key| fields.value(cx, key);
    for (key, ours) in [("smtp_smarthost", "smarthost"), ("smtp_from", "from"), ("smtp_auth_username", "auth_username")]
    {
        if let Some((_, node)) = value(cx, key)
            && let Some(text) = text(cx, node, key)
        {
            global.smtp.push((ours, text));
        }
    }
    if let Some((span, node)) = value(cx, "http_config") {
        http_config(cx, node, span, &mut global);
    }
    let stays: Vec<_> = STAYS.into_iter().filter(|key| value(cx, key).is_some()).collect();
    if !stays.is_empty() {
        global.comments.push(format!("`global`: {} stays in Alertmanager.", words(&stays)));
    }
    for key in OF_OTHERS {
        value(cx, key);
    }
    super::unknown_keys(cx, fields, "`global`");
    global
}

fn smtp<'n>(cx: &mut Context<'_>, fields: &mut Fields<'n>) -> Smtp<'n> {
    let mut value = |key| fields.value(cx, key);
    let has_secret = [value("smtp_auth_secret"), value("smtp_auth_secret_file")].iter().any(Option::is_some);
    let tls_config = value("smtp_tls_config");
    let mut node = |key| value(key).map(|(_, node)| node);
    Smtp {
        smarthost: node("smtp_smarthost"),
        from: node("smtp_from"),
        hello: node("smtp_hello"),
        auth_username: node("smtp_auth_username"),
        auth_password: node("smtp_auth_password"),
        auth_password_file: node("smtp_auth_password_file"),
        has_secret,
        require_tls: node("smtp_require_tls"),
        force_implicit_tls: node("smtp_force_implicit_tls"),
        tls_config,
    }
}

fn http_config(cx: &mut Context<'_>, node: &Node, span: Span, global: &mut Global<'_>) {
    let Some(mut fields) = Fields::open(cx, node, span, "`http_config`") else { return };
    global.has_credentials = has_credentials(cx, &mut fields);
    let hint = "HTTPS_PROXY and NO_PROXY are honoured, certificates are verified always, redirects are not followed";
    cx.warn_with(span, "the `http_config` of all receivers has no counterpart", hint);
    global.comments.push(format!("Left out: `http_config` of `global`; {hint}."));
}

/// Whether an `http_config` says who is asking.
pub(super) fn has_credentials(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> bool {
    let keys = ["authorization", "basic_auth", "bearer_token", "bearer_token_file", "oauth2", "http_headers"];
    keys.into_iter().any(|key| fields.value(cx, key).is_some())
}
