//! `slack:` of a receiver: an incoming webhook, or the token of an app.

use std::sync::Arc;
use std::time::Duration;

use super::pace;
use super::templates::{self, Place};
use crate::config::address::{check_url, url};
use crate::config::secret::Secrets;
use crate::notification::Granularity;
use crate::receiver::slack::token::App;
use crate::receiver::slack::{Slack, Templates};
use crate::receiver::{Overflow, RateLimit, Receiver};
use crate::template::Escape;
use crate::yaml::{Context, Fields, Note, Span, Value};

/// Slack's Web API.
const API_URL: &str = "https://slack.com/api";
/// Slack takes 50 edits a minute (`chat.update` is of tier 3), and each notification is one.
const EDIT_EVERY: Duration = Duration::from_millis(1200);
/// Names of channels have at most 80 characters.
const MAX_CHANNEL: usize = 81;

/// Keys that others have, and what to say of them.
pub(super) const NOTES: [Note; 4] = [
    Note::Instead("url", "Slack's address is `webhook_url`"),
    Note::Instead("app_token", "the token of an app is `token`"),
    Note::Instead("bot_token", "the token of an app is `token`"),
    Note::Instead("app_url", "the address of the Web API is `api_url`, without the method"),
];

/// The pace where messages are edited.
pub(super) const PACE: RateLimit =
    RateLimit { period: EDIT_EVERY, burst: pace(1, 5).burst, overflow: Overflow::Digest };

/// Whether it is to be an app.
pub(super) fn has_token(fields: &Fields<'_>) -> bool {
    fields.has("token") && !fields.has("webhook_url")
}

pub(super) fn read(cx: &mut Context<'_>, fields: &mut Fields<'_>, secrets: &Secrets<'_>) -> Option<Arc<dyn Receiver>> {
    slack(cx, fields, secrets, false)
}

/// Reads it where resolves are sent, so that a message can be kept up to date.
pub(super) fn read_with_edits(
    cx: &mut Context<'_>,
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
) -> Option<Arc<dyn Receiver>> {
    slack(cx, fields, secrets, true)
}

fn slack(
    cx: &mut Context<'_>,
    fields: &mut Fields<'_>,
    secrets: &Secrets<'_>,
    edits: bool,
) -> Option<Arc<dyn Receiver>> {
    let both = fields.has("webhook_url") && fields.has("token");
    let (webhook_url, token) = (fields.take_with_key(cx, "webhook_url"), fields.take_with_key(cx, "token"));
    let channel = channel(cx, fields);
    let templates = templates(cx, fields);
    let api_url = match fields.take_with_key(cx, "api_url") {
        Some((span, _)) if !fields.has("token") => {
            cx.error_with(span, "`api_url` without `token`", "remove it: an incoming webhook has its own address");
            None
        }
        Some((_, node)) => url(cx, node, "`api_url`"),
        None => Some(API_URL.to_owned()),
    };
    if both {
        let hint = "keep `webhook_url`, or `token` and `channel`";
        cx.error_with(fields.at, "`slack` has both `webhook_url` and `token`", hint);
        return None;
    }
    if fields.has("webhook_url") {
        let (_, node) = webhook_url?;
        if let Some((span, _)) = channel {
            cx.error_with(span, "`channel` without `token`", "remove it: an incoming webhook has one channel");
        }
        let webhook_url = secrets.read(cx, node, "webhook_url", |text| check_url(text).map(drop))?;
        return Some(Arc::new(Slack::Webhook { webhook_url, templates: templates? }));
    }
    if !fields.has("token") {
        let message = "`slack` needs `webhook_url`, or `token` and `channel`";
        cx.error_with(fields.at, message, "add `webhook_url: …`, or the token of an app");
        return None;
    }
    let token = token.and_then(|(_, node)| secrets.read(cx, node, "token", check_token));
    if !fields.has("channel") {
        cx.error_with(fields.at, "`token` needs `channel`", "add `channel: '#…'`, or the id of a channel");
    }
    let (token, channel, api_url, templates) = (token?, channel?.1?, api_url?, templates?);
    Some(Arc::new(Slack::App(App { token, channel, api_url, templates, edits })))
}

fn templates(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<Templates> {
    let place = Place { escape: Escape::Mrkdwn, granularity: Granularity::Group };
    let title = templates::read(cx, fields, "title", place);
    let text = templates::read(cx, fields, "text", place);
    Some(Templates { title: title?, text: text? })
}

/// The key's place and the channel, if there is one and it is right.
fn channel(cx: &mut Context<'_>, fields: &mut Fields<'_>) -> Option<(Span, Option<String>)> {
    if let Some((span, node)) = fields.peek("channel")
        && matches!(node.value, Value::Null)
    {
        fields.skip(&["channel"]);
        let hint = "in YAML `#` begins a comment: write the name in quotes, '#alerts', or without it";
        cx.error_with(span, "`channel` has no value", hint);
        return Some((span, None));
    }
    let (span, node) = fields.take_with_key(cx, "channel")?;
    let Some(text) = cx.text(node, "`channel`") else { return Some((span, None)) };
    let problem = if text.starts_with('@') {
        Some("names a person")
    } else if text.contains("://") {
        Some("is an address")
    } else if text.chars().count() > MAX_CHANNEL || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Some("is no name of a channel: these have no blanks and at most 80 characters")
    } else {
        None
    };
    match problem {
        Some(problem) => {
            let hint = "write '#alerts', or the id of a channel or person (C…, U…)";
            cx.error_with(node.span, format!("`channel` {problem}"), hint);
            Some((span, None))
        }
        None => Some((span, Some(text.to_owned()))),
    }
}

fn check_token(text: &str) -> Result<(), &'static str> {
    if text.contains("://") {
        return Err("is an address; an incoming webhook is `webhook_url`");
    }
    if text.starts_with("xapp-") {
        return Err("is an app-level token, which cannot post: that of a bot begins with xoxb-");
    }
    let fits = text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(()) } else { Err("has characters that cannot be sent in a header") }
}

/// Warns of a pace that Slack answers with 429.
pub(super) fn check_pace(cx: &mut Context<'_>, fields: &Fields<'_>, limit: RateLimit) {
    if let Some((span, _)) = fields.peek("rate_limit")
        && limit.period < EDIT_EVERY
    {
        let message = "with a token each notification edits a message, and Slack takes 50 edits a minute";
        cx.warn_with(span, message, "write `rate: 50/m` or less; what exceeds Slack's limit waits as Slack asks");
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{self, Options, secret};
    use crate::receiver::RateLimit;

    fn read(keys: &str) -> (Option<config::Config>, Vec<String>) {
        let file = format!("receivers: [{{name: a, {keys}}}]\nroute: {{receivers: [a]}}");
        let (config, problems) = config::parse(file.as_bytes(), &Options::without_secrets(), &secret::System);
        (config, problems.iter().map(|problem| problem.one_line("f")).collect())
    }

    #[track_caller]
    fn check(keys: &str, expected: &[&str]) {
        assert_eq!(read(keys).1, expected, "{keys}");
    }

    #[test]
    fn either_a_webhook_or_a_token() {
        check("slack: {webhook_url: {env: X}}", &[]);
        check("slack: {token: {env: X}, channel: '#alerts'}", &[]);
        check("slack: {token: xoxb-1, channel: C0123456789, api_url: https://slack-gov.com/api/}", &[]);
        check(
            "slack: {}",
            &[
                "f:1:23: error: `slack` needs `webhook_url`, or `token` and `channel`; add `webhook_url: …`, or the token of an app",
            ],
        );
        check(
            "slack: {webhook_url: {env: X}, token: {env: Y}, channel: x}",
            &[
                "f:1:23: error: `slack` has both `webhook_url` and `token`; keep `webhook_url`, or `token` and `channel`",
            ],
        );
        check(
            "slack: {token: {env: X}}",
            &["f:1:23: error: `token` needs `channel`; add `channel: '#…'`, or the id of a channel"],
        );
        check(
            "slack: {channel: x}",
            &[
                "f:1:23: error: `slack` needs `webhook_url`, or `token` and `channel`; add `webhook_url: …`, or the token of an app",
            ],
        );
        check(
            "slack: {webhook_url: {env: X}, channel: x, api_url: https://slack.com/api}",
            &[
                "f:1:54: error: `channel` without `token`; remove it: an incoming webhook has one channel",
                "f:1:66: error: `api_url` without `token`; remove it: an incoming webhook has its own address",
            ],
        );
        check(
            "slack: {app_token: {env: X}, channel: x, webhook_url: {env: Y}}",
            &[
                "f:1:31: error: unknown key `app_token`; the token of an app is `token`",
                "f:1:52: error: `channel` without `token`; remove it: an incoming webhook has one channel",
            ],
        );
    }

    #[test]
    fn what_cannot_work_is_found_before_the_night() {
        for (token, why) in [
            ("https://hooks.slack.com/services/x", "is an address; an incoming webhook is `webhook_url`"),
            ("xapp-1-x", "is an app-level token, which cannot post: that of a bot begins with xoxb-"),
            ("'xoxb 1'", "has characters that cannot be sent in a header"),
            ("''", "is empty"),
        ] {
            check(&format!("slack: {{channel: x, token: {token}}}"), &[&format!("f:1:50: error: `token` {why}")]);
        }
        for (channel, why) in [
            ("'@jane'", "names a person"),
            ("https://x.slack.com/archives/C1", "is an address"),
            ("'#my alerts'", "is no name of a channel: these have no blanks and at most 80 characters"),
        ] {
            let expected =
                format!("f:1:57: error: `channel` {why}; write '#alerts', or the id of a channel or person (C…, U…)");
            check(&format!("slack: {{token: {{env: X}}, channel: {channel}}}"), &[&expected]);
        }
        let file =
            "receivers:\n- name: a\n  slack:\n    token: {env: X}\n    channel: #alerts\nroute: {receivers: [a]}";
        let (_, problems) = config::parse(file.as_bytes(), &Options::without_secrets(), &secret::System);
        assert_eq!(
            problems[0].one_line("f"),
            "f:5:5: error: `channel` has no value; in YAML `#` begins a comment: write the name in quotes, '#alerts', or without it"
        );
    }

    #[test]
    fn the_pace_is_that_of_edits() {
        let limit = |keys: &str| read(keys).0.unwrap().receivers[0].delivery.rate_limit;
        let shown = |RateLimit { period, burst, .. }: RateLimit| (period.as_millis(), burst.get());
        let token = "slack: {token: {env: X}, channel: x}";
        assert_eq!(shown(limit(token)), (1200, 5));
        assert_eq!(shown(limit("slack: {webhook_url: {env: X}}")), (1000, 5));
        check(&format!("{token}, rate_limit: {{rate: 50/m, burst: 20}}"), &[]);
        check("slack: {webhook_url: {env: X}}, rate_limit: {rate: 1/s}", &[]);
        check(
            &format!("{token}, rate_limit: {{rate: 1/s}}"),
            &[
                "f:1:61: warning: with a token each notification edits a message, and Slack takes 50 edits a minute; write `rate: 50/m` or less; what exceeds Slack's limit waits as Slack asks",
            ],
        );
        // Without edits there is Slack's limit for posts.
        check(&format!("{token}, send_resolved: false, rate_limit: {{rate: 1/s}}"), &[]);
        assert_eq!(shown(limit(&format!("{token}, send_resolved: false"))), (1000, 5));
    }
}
