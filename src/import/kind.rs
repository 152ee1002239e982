//! The services that Alertmanager knows: what they are called, what they do by default.

/// A kind of integration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// `slack_configs`.
    pub(super) key: &'static str,
    /// What people call it.
    pub(super) label: &'static str,
    /// The default of `send_resolved`, from the `Default…Config` in Alertmanager's `config/notifiers.go` and
    /// `notify/*/config.go`, as of 0.34.
    pub(super) sends_resolved: bool,
    /// Keys that never hold a secret and say where a notification goes: they are shown where the kind cannot be imported.
    pub(super) shown: &'static [&'static str],
}

const fn kind(key: &'static str, label: &'static str, sends_resolved: bool, shown: &'static [&'static str]) -> Kind {
    Kind { key, label, sends_resolved, shown }
}

/// All of them.
pub(super) const KINDS: [Kind; 19] = [
    kind("discord_configs", "Discord", true, &[]),
    kind("email_configs", "e-mail", false, &["to", "from", "smarthost", "auth_username", "require_tls"]),
    // Gone from Alertmanager since 0.16.
    kind("hipchat_configs", "HipChat", false, &[]),
    kind("incidentio_configs", "incident.io", true, &[]),
    kind("jira_configs", "Jira", true, &["project", "issue_type"]),
    kind("mattermost_configs", "Mattermost", true, &["channel"]),
    kind("msteams_configs", "Microsoft Teams", true, &[]),
    kind("msteamsv2_configs", "Microsoft Teams", true, &[]),
    kind("opsgenie_configs", "Opsgenie", true, &["priority"]),
    kind("pagerduty_configs", "PagerDuty", true, &[]),
    kind("pushover_configs", "Pushover", true, &["priority"]),
    kind("rocketchat_configs", "Rocket.Chat", false, &["channel"]),
    kind("slack_configs", "Slack", false, &["channel"]),
    kind("sns_configs", "Amazon SNS", true, &["topic_arn", "target_arn", "phone_number"]),
    kind("telegram_configs", "Telegram", true, &["chat_id"]),
    kind("victorops_configs", "VictorOps", true, &[]),
    kind("webex_configs", "Webex", true, &["room_id"]),
    kind("webhook_configs", "webhooks", true, &[]),
    kind("wechat_configs", "WeChat", false, &["to_user", "to_party", "to_tag"]),
];

impl Kind {
    /// `slack` of `slack_configs`.
    pub(super) fn stem(self) -> &'static str {
        self.key.trim_end_matches("_configs")
    }
}
