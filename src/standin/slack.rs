//! Slack's incoming webhook, and its Web API.

mod api;

use serde_json::Value;

pub use api::{API, CHANNEL, CHANNEL_ID, Message, TOKEN};

use super::exchange::{Received, Reply};
use super::forget;
use crate::clock::SharedClock;

/// The webhook's path, token and all.
pub const PATH: &str = "/services/T00000000/B00000000/standinstandinstandin000";

/// Blocks of a message (docs.slack.dev/reference/block-kit/blocks).
const MAX_BLOCKS: usize = 50;
/// A text object.
const MAX_TEXT: usize = 3000;
/// A header block.
const MAX_HEADER: usize = 150;
/// A field of a section.
const MAX_FIELD: usize = 2000;
/// Elements of a context block and fields of a section.
const MAX_ELEMENTS: usize = 10;
/// All texts of all blocks: undocumented; the lowest number that was reported as refused is 11,341.
const MAX_ALL_TEXT: usize = 11_000;
/// Attachments of a message.
const MAX_ATTACHMENTS: usize = 100;

/// What Slack remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    injections: Vec<String>,
    api: api::Api,
}

impl State {
    pub(super) fn answer(&mut self, received: &Received) -> Reply {
        if let Some(reply) = self.api.answer(received) {
            self.note_injections(received);
            return reply;
        }
        if received.path != PATH {
            return Reply::text(404, "no_service");
        }
        if let Err(early) = self.api.take_by_webhook() {
            return Reply::too_early(early);
        }
        if received.method != "POST" || !received.is_json() || !received.json.is_object() {
            return Reply::text(400, "invalid_payload");
        }
        if let Err(word) = check(&received.json) {
            return Reply::text(400, word);
        }
        self.note_injections(received);
        Reply::text(200, "ok")
    }

    fn note_injections(&mut self, received: &Received) {
        self.injections.extend(injections(&received.json));
        forget(&mut self.injections);
    }

    pub(crate) fn injections(&self) -> &[String] {
        &self.injections
    }

    /// Those that were posted to the Web API, in order.
    pub(crate) fn messages(&self) -> &[Message] {
        self.api.messages()
    }

    pub(crate) fn delete(&mut self, ts: &str) {
        self.api.delete(ts);
    }

    pub(crate) fn close_edit_window(&mut self) {
        self.api.close_edit_window();
    }

    pub(super) fn keep_limits(&mut self, clock: &SharedClock) {
        self.api.keep_limits(clock);
    }
}

/// What Slack would say to this message.
///
/// # Errors
/// Slack's word for what is wrong with it.
pub fn check(message: &Value) -> Result<(), &'static str> {
    let attachments = list(&message["attachments"]);
    if attachments.len() > MAX_ATTACHMENTS {
        return Err("too_many_attachments");
    }
    let has_text = message["text"].as_str().is_some_and(|text| !text.trim().is_empty());
    if !has_text && list(&message["blocks"]).is_empty() && attachments.is_empty() {
        return Err("no_text");
    }
    let blocks: Vec<_> = blocks(message).collect();
    if blocks.len() > MAX_BLOCKS {
        return Err("invalid_blocks");
    }
    let mut sum = 0;
    for block in blocks {
        sum += block_length(block).ok_or("invalid_blocks")?;
    }
    if sum > MAX_ALL_TEXT { Err("msg_blocks_too_long") } else { Ok(()) }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Those of the message and of its attachments, in the order in which they are shown.
fn blocks(message: &Value) -> impl Iterator<Item = &Value> {
    let attached = list(&message["attachments"]).iter().flat_map(|attachment| list(&attachment["blocks"]));
    list(&message["blocks"]).iter().chain(attached)
}

/// How long a block's texts are; `None` if the block is not valid.
fn block_length(block: &Value) -> Option<usize> {
    match block["type"].as_str()? {
        "divider" => Some(0),
        "header" => text_length(&block["text"], MAX_HEADER).filter(|_| block["text"]["type"] == "plain_text"),
        "section" => {
            let fields = list(&block["fields"]);
            let mut sum =
                if fields.is_empty() || !block["text"].is_null() { text_length(&block["text"], MAX_TEXT)? } else { 0 };
            for field in fields {
                sum += text_length(field, MAX_FIELD)?;
            }
            (fields.len() <= MAX_ELEMENTS).then_some(sum)
        }
        "context" => {
            let elements = list(&block["elements"]);
            let mut sum = 0;
            for element in elements {
                sum += text_length(element, MAX_TEXT)?;
            }
            (1..=MAX_ELEMENTS).contains(&elements.len()).then_some(sum)
        }
        _ => None,
    }
}

/// Whether Slack counts characters or bytes is not documented: bytes are the stricter reading.
fn text_length(text: &Value, max: usize) -> Option<usize> {
    let known = matches!(text["type"].as_str()?, "mrkdwn" | "plain_text");
    let length = text["text"].as_str()?.len();
    (known && (1..=max).contains(&length)).then_some(length)
}

/// The texts that a person sees.
fn texts(message: &Value) -> Vec<&str> {
    let mut texts: Vec<&str> = message["text"].as_str().into_iter().collect();
    for block in blocks(message) {
        let objects = std::iter::once(&block["text"]).chain(list(&block["fields"])).chain(list(&block["elements"]));
        texts.extend(objects.filter_map(|object| object["text"].as_str()));
    }
    texts
}

/// Every `<…>` of a message that is neither a web link nor a date: a mention, or a link with another scheme.
#[must_use]
pub fn injections(message: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for text in texts(message) {
        for (at, _) in text.match_indices('<') {
            let rest = &text[at..];
            if !["<http://", "<https://", "<!date^"].iter().any(|start| rest.starts_with(start)) {
                found.push(rest.chars().take(40).collect());
            }
        }
    }
    // An edit looks for names and channels unless it is told not to.
    let is_edit = message["ts"].is_string() && message["parse"] != "none";
    found.extend(is_edit.then(|| "an edit without `parse: none`".to_owned()));
    found
}

/// What a person sees of a request.
pub(super) fn render(received: &Received) -> String {
    let shown = plain_text(&received.json);
    if received.path.ends_with("/chat.update") {
        format!("edited: {shown}")
    } else if received.json["thread_ts"].is_string() {
        format!("in the thread: {shown}")
    } else {
        shown
    }
}

/// The message as Slack shows it: the headline, and beside the coloured bar the rest.
#[must_use]
pub fn plain_text(message: &Value) -> String {
    let mut lines: Vec<String> = Vec::new();
    let shown = |block: &Value| -> Vec<String> {
        let objects = std::iter::once(&block["text"]).chain(list(&block["elements"]));
        objects.filter_map(|object| object["text"].as_str()).flat_map(plain_lines).collect()
    };
    let own = list(&message["blocks"]);
    if own.is_empty() {
        lines.extend(plain_lines(message["text"].as_str().unwrap_or_default()));
    }
    lines.extend(own.iter().flat_map(shown));
    for block in list(&message["attachments"]).iter().flat_map(|attachment| list(&attachment["blocks"])) {
        lines.extend(shown(block).into_iter().map(|line| format!("▌ {line}")));
    }
    lines.join("\n")
}

fn plain_lines(text: &str) -> Vec<String> {
    text.lines().map(plain).collect()
}

/// mrkdwn as it looks: links by their label, dates by their fallback, no formatting characters.
fn plain(line: &str) -> String {
    let (mut out, mut rest) = (String::new(), line);
    while let Some((before, tail)) = rest.split_once('<') {
        out.push_str(&unformatted(before));
        let Some((target, after)) = tail.split_once('>') else { break };
        out.push_str(target.rsplit_once('|').map_or(target, |(_, label)| label));
        rest = after;
    }
    out.push_str(&unformatted(rest));
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn unformatted(text: &str) -> String {
    let text = text.replace('`', "");
    let words = text.split(' ').map(|word| word.strip_prefix('*').unwrap_or(word));
    words.map(|word| word.strip_suffix('*').unwrap_or(word)).collect::<Vec<_>>().join(" ")
}
