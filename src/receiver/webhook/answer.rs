//! What a webhook's answer means. Any service may stand there, so HTTP's own meaning counts; where the answer is in the
//! words of Discord, Telegram or Microsoft Teams, which README shows how to reach, it is taken at its word.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use super::super::{Answer, FailureClass, Verdict, judge};

/// A service cannot ask for a longer pause in its body than in a header: an hour, which is what the policy honours.
const MAX_PAUSE: f64 = 3600.0;

/// Teams' legacy connectors answer 200 to what Teams itself has refused, 429 among it
/// (learn.microsoft.com, "Create and send messages with webhooks", rate limiting).
const TEAMS: &str = "Microsoft Teams endpoint returned HTTP error ";

pub(super) fn judge(answer: &Answer, secrets: &[&SecretString]) -> Verdict {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let own = own_words(answer.status, &body);
    let detail = judge::detail(answer, own, secrets);
    let asked = answer.retry_after.or_else(|| pause(answer.status, &body));
    let answer = &Answer { retry_after: asked, ..answer.clone() };
    match answer.status {
        200..=299 => match teams_status(&answer.body) {
            Some(429) => judge::retry(answer, FailureClass::RateLimited, detail),
            Some(_) => judge::retry(answer, FailureClass::Unavailable, detail),
            None => Verdict::Delivered { receipt: None },
        },
        _ if own.is_some() => judge::by_status(answer, detail),
        // Who it is that says so cannot be told: an ingress says 404 while the service behind it starts anew.
        _ => judge::by_foreign_status(answer, detail),
    }
}

/// The words of a service that says of itself which it is: then a 401 or 404 is final, not a proxy's.
///
/// Telegram: `{"ok":false,"error_code":403,"description":"…"}` with the status as the code (core.telegram.org/bots/api,
/// "Making requests"). Discord: `{"message":"Unknown Webhook","code":10015}`, codes from 10001 on
/// (discord.com/developers/docs, "Opcodes and status codes").
fn own_words(status: u16, body: &Value) -> Option<&str> {
    if body["ok"] == false && body["error_code"] == status {
        return body["description"].as_str();
    }
    let code = body["code"].as_u64().filter(|code| *code > 10_000);
    code.and_then(|_| body["message"].as_str())
}

/// The pause that a 429 asks for in its body, in seconds: Discord's `retry_after`, a fraction, and Telegram's
/// `parameters.retry_after`. Both send the header too, which a proxy may have lost.
fn pause(status: u16, body: &Value) -> Option<Duration> {
    let seconds = body["retry_after"].as_f64().or_else(|| body["parameters"]["retry_after"].as_f64())?;
    (status == 429 && seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(MAX_PAUSE)))
}

/// The status with which Teams itself answered a legacy connector.
fn teams_status(body: &[u8]) -> Option<u16> {
    let body = String::from_utf8_lossy(body);
    let (_, rest) = body.split_once(TEAMS)?;
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::fixture::{answer, failed};

    #[test]
    fn services_are_taken_at_their_word() {
        use FailureClass::{NotFound, RateLimited, Refused, Unauthorized, Unavailable};
        let telegram = |code: u16, text: &str| format!(r#"{{"ok":false,"error_code":{code},"description":"{text}"}}"#);
        for (status, body, expected) in [
            (200, r#"{"ok":true,"result":{"message_id":1}}"#.to_owned(), None),
            (202, String::new(), None),
            (400, telegram(400, "Bad Request: chat not found"), Some((false, Refused))),
            (401, telegram(401, "Unauthorized"), Some((false, Unauthorized))),
            (403, telegram(403, "Forbidden: bot was kicked from the group chat"), Some((false, Unauthorized))),
            (403, telegram(401, "x"), Some((true, Unauthorized))),
            (404, telegram(404, "Not Found"), Some((false, NotFound))),
            (429, telegram(429, "Too Many Requests: retry after 7"), Some((true, RateLimited))),
            (404, r#"{"message":"Unknown Webhook","code":10015}"#.to_owned(), Some((false, NotFound))),
            (404, r#"{"message":"no route","code":404}"#.to_owned(), Some((true, NotFound))),
            (400, r#"{"content":["Must be 2000 or fewer in length."]}"#.to_owned(), Some((false, Refused))),
            (
                200,
                format!("Webhook message delivery failed with error: {TEAMS}429 with ContextId x"),
                Some((true, RateLimited)),
            ),
            (200, format!("{TEAMS}413 with ContextId x"), Some((true, Unavailable))),
            (200, "1".to_owned(), None),
        ] {
            let verdict = judge(&answer("post", status, &body), &[]);
            assert_eq!(failed(&verdict), expected, "{status} {body}: {verdict:?}");
        }
    }

    #[test]
    fn a_pause_is_read_from_the_body_where_the_header_is_lost() {
        let check = |status, header: Option<u64>, body: &str, expected: Option<f64>| {
            let answer = Answer { retry_after: header.map(Duration::from_secs), ..answer("post", status, body) };
            let Verdict::Retry { after, .. } = judge(&answer, &[]) else { panic!("{status} {body}") };
            assert_eq!(after.map(|after| after.as_secs_f64()), expected, "{status} {body}");
        };
        let discord = r#"{"message":"You are being rate limited.","retry_after":64.57,"global":false}"#;
        let telegram = r#"{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":7}}"#;
        check(429, None, discord, Some(64.57));
        check(429, Some(3), discord, Some(3.0));
        check(429, None, telegram, Some(7.0));
        check(429, None, r#"{"retry_after":1e300}"#, Some(3600.0));
        check(429, None, r#"{"retry_after":-1}"#, None);
        check(429, None, r#"{"retry_after":"soon"}"#, None);
        check(503, None, discord, None);
    }
}
