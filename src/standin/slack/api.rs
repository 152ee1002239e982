//! Slack's Web API: `chat.postMessage` and `chat.update` (docs.slack.dev/reference/methods).

use std::time::Duration;

use serde_json::{Value, json};

use super::super::behaviour::Limit;
use super::super::exchange::{Received, Reply};
use super::super::forget;
use super::{blocks, check};
use crate::clock::SharedClock;

/// The bot token, with `chat:write`.
pub const TOKEN: &str = "xoxb-standin-standinstandinstandin000";
/// The path of the Web API: `api_url` is the address with this.
pub const API: &str = "/api";
/// The channel that the app is in, by its name. `chat.update` takes the id only.
pub const CHANNEL: &str = "#alerts";
/// Its id.
pub const CHANNEL_ID: &str = "C0STANDIN00";

/// `text` of an edit; a post takes more.
const MAX_EDITED_TEXT: usize = 4000;
/// Block ids.
const MAX_BLOCK_ID: usize = 255;

/// A message as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id in the channel.
    pub ts: String,
    /// The message that it is a reply to.
    pub thread_ts: Option<String>,
    /// Whether a reply is also shown in the channel.
    pub is_broadcast: bool,
    /// `text`, `blocks` and `attachments`.
    pub content: Value,
    /// How often it was edited.
    pub edits: usize,
    /// Whether somebody has deleted it.
    pub is_deleted: bool,
}

/// What the Web API remembers.
#[derive(Default)]
pub(super) struct Api {
    messages: Vec<Message>,
    /// How many were posted.
    posted: usize,
    /// The workspace allows no more edits of what is there so far.
    closed: usize,
    limits: Option<Limits>,
}

/// Slack's limits: 1 message a second and channel or webhook, with bursts, 50 edits a minute.
struct Limits {
    post: Limit,
    webhook: Limit,
    update: Limit,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Api({} messages)", self.messages.len())
    }
}

impl Api {
    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }

    pub(super) fn delete(&mut self, ts: &str) {
        for message in self.messages.iter_mut().filter(|message| message.ts == ts) {
            message.is_deleted = true;
        }
    }

    pub(super) fn close_edit_window(&mut self) {
        self.closed = self.messages.len();
    }

    pub(super) fn keep_limits(&mut self, clock: &SharedClock) {
        self.limits = Some(Limits {
            post: Limit::new(clock.clone(), Duration::from_secs(1), 5),
            webhook: Limit::new(clock.clone(), Duration::from_secs(1), 5),
            update: Limit::new(clock.clone(), Duration::from_millis(1200), 50),
        });
    }

    /// `None` if the path is none of the Web API.
    pub(super) fn answer(&mut self, received: &Received) -> Option<Reply> {
        let method = received.path.strip_prefix(API)?.strip_prefix('/')?;
        let answer = match self.take(method).map(|()| self.work(method, received)) {
            Ok(Ok(answer)) => answer,
            Ok(Err(word)) => json!({ "ok": false, "error": word }),
            Err(early) => return Some(Reply::too_early(early)),
        };
        Some(Reply::json(200, &answer))
    }

    /// Takes a message by the webhook, or says how long it is too early.
    pub(super) fn take_by_webhook(&mut self) -> Result<(), Duration> {
        self.limits.as_mut().map_or(Ok(()), |limits| limits.webhook.take())
    }

    fn take(&mut self, method: &str) -> Result<(), Duration> {
        let Some(limits) = &mut self.limits else { return Ok(()) };
        if method == "chat.update" { limits.update.take() } else { limits.post.take() }
    }

    fn work(&mut self, method: &str, received: &Received) -> Result<Value, &'static str> {
        match received.header("authorization").strip_prefix("Bearer ") {
            None => return Err("not_authed"),
            Some(token) if token != TOKEN => return Err("invalid_auth"),
            Some(_) => {}
        }
        let body = &received.json;
        if received.method != "POST" || !received.is_json() {
            return Err("invalid_post_type");
        }
        if !body.is_object() {
            return Err(if body.is_null() { "invalid_json" } else { "json_not_object" });
        }
        let mut answer = match method {
            "chat.postMessage" => self.post(body)?,
            "chat.update" => self.update(body)?,
            _ => return Err("unknown_method"),
        };
        if !received.header("content-type").contains("charset=utf-8") {
            answer["warning"] = "missing_charset".into();
        }
        Ok(answer)
    }

    fn post(&mut self, body: &Value) -> Result<Value, &'static str> {
        let channel = body["channel"].as_str().ok_or("channel_not_found")?;
        if ![CHANNEL, CHANNEL.trim_start_matches('#'), CHANNEL_ID].contains(&channel) {
            return Err("channel_not_found");
        }
        valid(body)?;
        // A reply to what is not there (any more) is no error: it is a message of its own.
        let parent = body["thread_ts"].as_str().filter(|ts| {
            self.messages.iter().any(|message| message.ts == **ts && message.thread_ts.is_none() && !message.is_deleted)
        });
        self.posted += 1;
        let message = Message {
            ts: format!("1795291200.{:06}", self.posted),
            thread_ts: parent.map(str::to_owned),
            is_broadcast: parent.is_some() && body["reply_broadcast"] == true,
            content: content(body, &Value::Null),
            edits: 0,
            is_deleted: false,
        };
        let answer = shape(&message);
        self.messages.push(message);
        self.closed = self.closed.saturating_sub(forget(&mut self.messages));
        Ok(answer)
    }

    fn update(&mut self, body: &Value) -> Result<Value, &'static str> {
        if body["channel"] != CHANNEL_ID {
            return Err("channel_not_found");
        }
        if body["text"].as_str().is_some_and(|text| text.len() > MAX_EDITED_TEXT) {
            return Err("msg_too_long");
        }
        let closed = self.closed;
        let found = self.messages.iter_mut().enumerate().find(|(_, message)| body["ts"] == message.ts.as_str());
        let Some((at, message)) = found.filter(|(_, message)| !message.is_deleted) else {
            return Err("message_not_found");
        };
        valid(body)?;
        if at < closed {
            return Err("edit_window_closed");
        }
        message.content = content(body, &message.content);
        message.edits += 1;
        Ok(shape(message))
    }
}

/// What is there after a request: what an edit does not name stays, but blocks go if there is a text without them.
fn content(body: &Value, before: &Value) -> Value {
    let kept = |key: &str| if body[key].is_null() { before[key].clone() } else { body[key].clone() };
    let blocks = if body["text"].is_null() { kept("blocks") } else { body["blocks"].clone() };
    json!({ "text": body["text"], "blocks": blocks, "attachments": kept("attachments") })
}

fn shape(message: &Message) -> Value {
    let mut inner = message.content.clone();
    inner["ts"] = message.ts.as_str().into();
    if let Some(parent) = &message.thread_ts {
        inner["thread_ts"] = parent.as_str().into();
    }
    json!({ "ok": true, "channel": CHANNEL_ID, "ts": message.ts, "message": inner })
}

fn valid(body: &Value) -> Result<(), &'static str> {
    check(body)?;
    let mut ids: Vec<&str> = blocks(body).filter_map(|block| block["block_id"].as_str()).collect();
    let given = ids.len();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() < given || ids.iter().any(|id| id.len() > MAX_BLOCK_ID) { Err("invalid_blocks") } else { Ok(()) }
}
