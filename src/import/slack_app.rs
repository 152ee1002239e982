//! Slack with the token of an app.

use super::integration::{Integration, Service, Taken};
use super::secret::{Variables, variable_name};
use super::service::{Given, holds};
use super::values::{boolean, text};
use super::write::scalar;
use crate::yaml::{Context, Fields};

/// The method that Alertmanager's `app_url` ends with.
const METHOD: &str = "/chat.postMessage";
/// Where both post unless told otherwise.
const API_URL: &str = "https://slack.com/api";

pub(super) fn service<'n>(
    cx: &mut Context<'_>,
    fields: &mut Fields<'n>,
    part: &Integration<'_, 'n>,
    variables: &mut Variables,
) -> Service {
    let own = Given::read(cx, fields, "app_token", "app_token_file");
    let inherited = own.is_none();
    let token = match own {
        Some(token) => Some(token),
        // An address of its own goes with credentials of its own.
        None if fields.has("api_url") || fields.has("api_url_file") => None,
        None => Given::of(cx, part.global.slack_app_token, part.global.slack_app_token_file, "slack_app_token"),
    };
    let Some(token) = token else {
        return Err("the token of its Slack app is in `http_config`; here `slack` has `token` and `channel`".to_owned());
    };
    let channel = fields.value(cx, "channel").and_then(|(_, node)| text(cx, node, "channel"));
    let Some(channel) = channel else {
        return Err("Slack with a token needs a `channel`, and it has none".to_owned());
    };
    if channel.contains("{{") {
        return Err("its `channel` is a template; each channel needs a receiver of its own".to_owned());
    }
    if channel.starts_with('@') || channel.contains(char::is_whitespace) {
        return Err("its `channel` names no channel; a person is named by an id, which begins with U".to_owned());
    }
    let (name, holds) = if inherited {
        ("SLACK_BOT_TOKEN".to_owned(), "`slack_app_token` of `global`".to_owned())
    } else {
        (variable_name(&[part.name, "slack bot token"]), holds("app_token", part))
    };
    let mut keys = vec![("token", token.yaml(cx, variables, &name, &holds)), ("channel", scalar(channel))];
    let own_url = fields.value(cx, "app_url").map(|(_, node)| node);
    if let Some(node) = own_url.or(part.global.slack_app_url)
        && let Some(url) = text(cx, node, "app_url")
        && url != format!("{API_URL}{METHOD}")
    {
        match url.strip_suffix(METHOD).filter(|url| url.starts_with("http")) {
            Some(url) => keys.push(("api_url", scalar(url))),
            None => cx.warn_with(node.span, "this `app_url` is left out", "Slack's own is used"),
        }
    }
    // Alertmanager may edit its message, too; here that is what a token is for.
    let edits = fields.value(cx, "update_message").and_then(|(_, node)| boolean(cx, node, "update_message"));
    let resolves = fields.value(cx, "send_resolved").and_then(|(_, node)| boolean(cx, node, "send_resolved"));
    let mut comments = Vec::new();
    if resolves != Some(true) {
        comments
            .push("With `send_resolved: true` the message of a group is edited as alerts join and resolve.".to_owned());
    } else if edits != Some(true) {
        comments.push("The message of a group is edited as alerts join and resolve.".to_owned());
    }
    Ok(Taken { service: "slack", keys, comments })
}
