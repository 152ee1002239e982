//! What the Web API's words mean: the `error` of an answer with `ok: false`
//! (docs.slack.dev/reference/methods/chat.postmessage and chat.update).

use serde_json::Value;

use super::super::FailureClass;

/// What follows from a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It may pass.
    Passing(FailureClass),
    /// Somebody has to change the token, the app or the workspace.
    Setup(FailureClass),
    /// The channel cannot be posted to. The one that is configured may be another one than that of an older message.
    Channel(FailureClass),
    /// The request itself is wrong: a bug.
    Bug,
    /// This message cannot be edited (any more).
    NotEditable,
    /// Nobody can reply to this message.
    NoReplies,
    /// A word that is not known.
    Unknown,
}

/// The token, the app or the workspace does not allow it.
const SETUP: [&str; 17] = [
    "invalid_auth",
    "not_authed",
    "account_inactive",
    "token_revoked",
    "token_expired",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "access_denied",
    "accesslimited",
    "ekm_access_denied",
    "enterprise_is_restricted",
    "team_access_not_granted",
    "two_factor_setup_required",
    "messages_tab_disabled",
    "app_access_restricted",
    "team_not_found",
];

/// The request is not what Slack takes.
const BUG: [&str; 21] = [
    "invalid_blocks",
    "invalid_blocks_format",
    "msg_blocks_too_long",
    "msg_too_long",
    "invalid_attachments",
    "too_many_attachments",
    "attachment_payload_limit_exceeded",
    "no_text",
    "invalid_arguments",
    "invalid_arg_name",
    "invalid_array_arg",
    "invalid_json",
    "json_not_object",
    "invalid_charset",
    "invalid_post_type",
    "missing_post_type",
    "invalid_form_data",
    "invalid_metadata_format",
    "invalid_metadata_schema",
    "metadata_too_large",
    "markdown_text_conflict",
];

/// What a word means.
pub(super) fn meaning(word: &str) -> Meaning {
    use FailureClass::{NotFound, RateLimited, Unauthorized, Unavailable};
    match word {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => Meaning::Passing(RateLimited),
        "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org"
        | "org_login_required"
        | "external_channel_migrating"
        | "update_failed" => Meaning::Passing(Unavailable),
        "message_not_found"
        | "cant_update_message"
        | "edit_window_closed"
        | "block_mismatch"
        | "is_inactive"
        | "streaming_state_conflict" => Meaning::NotEditable,
        "cannot_reply_to_message" | "restricted_action_non_threadable_channel" | "restricted_action_thread_locked" => {
            Meaning::NoReplies
        }
        "channel_not_found" | "not_in_channel" | "is_archived" => Meaning::Channel(NotFound),
        _ if word.starts_with("restricted_action") => Meaning::Channel(Unauthorized),
        _ if SETUP.contains(&word) => Meaning::Setup(Unauthorized),
        _ if BUG.contains(&word) => Meaning::Bug,
        _ => Meaning::Unknown,
    }
}

/// The word with all that Slack says beside it, and what to do about the common ones.
pub(super) fn explained(word: &str, answer: &Value) -> String {
    let mut said = word.to_owned();
    let texts = [("needed", "needs"), ("provided", "has")];
    let scopes = texts.iter().filter_map(|(key, says)| Some(format!("{says} {}", answer[key].as_str()?)));
    let scopes = scopes.collect::<Vec<_>>().join(", ");
    if !scopes.is_empty() {
        said = format!("{said} ({scopes})");
    }
    let messages = answer["response_metadata"]["messages"].as_array().map_or(&[][..], Vec::as_slice);
    for message in messages.iter().filter_map(Value::as_str) {
        said = format!("{said}; {message}");
    }
    match hint(word) {
        Some(hint) => format!("{said}: {hint}"),
        None => said,
    }
}

fn hint(word: &str) -> Option<&'static str> {
    Some(match word {
        "not_in_channel" => "invite the app to the channel",
        "channel_not_found" => "there is no such channel, or it is private and the app is not in it",
        "is_archived" => "the channel is archived",
        "missing_scope" => "add the scope to the app and install it again",
        "invalid_auth" | "not_authed" | "token_revoked" | "account_inactive" | "token_expired" => {
            "the token is not valid (any more)"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_slack_says_beside_the_word_is_kept() {
        let scope = json!({"ok": false, "error": "missing_scope", "needed": "chat:write", "provided": "channels:read"});
        assert_eq!(
            explained("missing_scope", &scope),
            "missing_scope (needs chat:write, has channels:read): add the scope to the app and install it again"
        );
        let blocks =
            json!({"response_metadata": {"messages": ["[ERROR] must be shorter [json-pointer:/blocks/0]", 7]}});
        assert_eq!(
            explained("invalid_blocks", &blocks),
            "invalid_blocks; [ERROR] must be shorter [json-pointer:/blocks/0]"
        );
        assert_eq!(explained("fatal_error", &Value::Null), "fatal_error");
    }
}
