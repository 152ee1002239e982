//! The message: a headline that says what and where, where to read on, and under it, coloured, the alerts that are new.
//! What the reader needs first stands above the colour, because Slack folds long attachments.
//!
//! Slack's limits: 50 blocks a message and 3000 characters a text (docs.slack.dev/reference/block-kit/blocks), and all
//! texts together about 12,000 characters, undocumented, refused by some reports from 11,000 on. The budgets below stay
//! under 9,000 bytes in sum.

use serde_json::{Value, json};

use super::super::describe::{self, InCommon, Level, Link};
use super::super::digest::Summary;
use super::super::markup;
use super::super::text::{self, count, human, mrkdwn, mrkdwn_line, one_line};
use super::blocks::{codes, color, date, join_links, mrkdwn_object, section};
use super::digest;
use crate::alert::Status;
use crate::clock::Timestamp;
use crate::notification::{Notification, Notified, Reason};

/// How many alerts are shown at most; the rest is counted.
const MAX_SHOWN: usize = 10;
/// What all shown alerts may take together. The first one is always shown.
const ALERTS_BUDGET: usize = 4800;
/// What the links under the headline may take together.
const LINKS_BUDGET: usize = 2200;
/// A link of one alert that is longer is left out.
const MAX_OWN_LINK: usize = 700;
const MAX_HEADLINE: usize = 300;
const MAX_FALLBACK: usize = 400;
const MAX_SUMMARY: usize = 400;
const MAX_LABELS: usize = 600;
const MAX_OWN_LABELS: usize = 350;
const MAX_OWN_SUMMARY: usize = 250;
const MAX_DESCRIPTION: usize = 1500;
const MAX_OWN_DESCRIPTION: usize = 300;
/// A text of routes.yaml: so many sections of so many bytes at most, which is what the built-in one takes.
const MAX_TEXT: (usize, usize) = (3, 2500);

/// What routes.yaml says in its own words, rendered.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// In place of the headline.
    pub(super) title: Option<String>,
    /// In place of what stands below it: summary, labels, links and alerts. What the message does not show is still said.
    pub(super) text: Option<String>,
}

/// The message for a notification that holds at least one alert.
pub(super) fn message(notification: &Notification, texts: &Texts) -> Value {
    match Summary::of(notification) {
        Some(summary) => digest::message(notification, &summary),
        None => View::of(notification, texts, None).message(),
    }
}

/// A message that is kept up to date: the alerts of the notification are all that it shows.
pub(super) fn kept_message(notification: &Notification, texts: &Texts, kept: &Kept) -> Value {
    View::of(notification, texts, Some(kept)).message()
}

/// What a message that is kept up to date says beside its alerts.
#[derive(Debug)]
pub(super) struct Kept {
    /// Alerts that are no longer known one by one.
    pub(super) beyond: Beyond,
    /// Why it is there, if it is not the first one of its group.
    pub(super) note: Option<String>,
}

/// Alerts that are only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Beyond {
    pub(super) firing: usize,
    pub(super) resolved: usize,
    /// Of those that fire.
    pub(super) worst: Option<Level>,
}

/// A notification, seen as one message.
struct View<'a> {
    notification: &'a Notification,
    texts: &'a Texts,
    /// Firing ones first, the worst of them first; then the resolved ones.
    alerts: Vec<&'a Notified>,
    firing: usize,
    /// The labels that all alerts share: they are said once, at the top.
    labels: Vec<(&'a str, &'a str)>,
    /// The summary that all firing alerts share (all alerts, if none fires); empty if they differ.
    summary: &'a str,
    /// The links that the same alerts share.
    links: Vec<Link>,
    /// Set if the message is kept up to date: it then says nothing that is only true now.
    kept: Option<&'a Kept>,
}

impl<'a> View<'a> {
    fn of(notification: &'a Notification, texts: &'a Texts, kept: Option<&'a Kept>) -> Self {
        let mut alerts: Vec<_> = notification.alerts.iter().collect();
        describe::sort(&mut alerts);
        let firing = notification.with_status(Status::Firing).count();
        let InCommon { labels, summary, links } = InCommon::of(&alerts, firing);
        Self { notification, texts, alerts, firing, labels, summary, links, kept }
    }

    fn message(&self) -> Value {
        json!({
            "text": self.notice(),
            "blocks": self.top(),
            "attachments": [{ "color": self.color(), "blocks": self.details() }],
            "unfurl_links": false,
            "unfurl_media": false,
        })
    }

    fn beyond(&self) -> Beyond {
        self.kept.map_or_else(Beyond::default, |kept| kept.beyond)
    }

    fn color(&self) -> &'static str {
        let shown = self.alerts[..self.firing].iter().map(|notified| Level::of(notified.alert.severity()));
        color(shown.chain(self.beyond().worst).max())
    }

    /// `[FIRING:2 · RESOLVED:1] HighErrorRate · still firing for 4h`, not yet escaped.
    fn headline(&self) -> String {
        let Beyond { firing, resolved, .. } = self.beyond();
        format!("{}{}", describe::headline_beyond(self.notification, firing, resolved), self.manner())
    }

    /// What is special about a message whose firing alerts are all there for the same reason.
    fn manner(&self) -> String {
        let firing = &self.alerts[..self.firing];
        let all = |reason| !firing.is_empty() && firing.iter().all(|notified| notified.reason == reason);
        if all(Reason::Repeat) {
            let received_at = self.notification.received_at;
            let longest = firing.iter().filter_map(|notified| describe::lasted(&notified.alert, received_at)).max();
            let longest = longest.filter(|_| self.kept.is_none());
            longest.map_or_else(|| " · still firing".to_owned(), |long| format!(" · still firing for {}", human(long)))
        } else if all(Reason::Refired) {
            " · fires again".to_owned()
        } else {
            String::new()
        }
    }

    /// What a phone shows in its notification: mrkdwn too, so it is escaped like everything. Where the summaries differ
    /// it quotes the one of the worst alert.
    fn notice(&self) -> String {
        let group = &self.notification.group.labels;
        let place: Vec<_> = group.iter().filter(|(name, _)| !is_said(name)).map(|(_, value)| value).collect();
        let place = if place.is_empty() { String::new() } else { format!(" ({})", place.join(", ")) };
        let summary = self.alerts.first().map_or("", |worst| describe::summary(&worst.alert));
        let summary = if summary.is_empty() { String::new() } else { format!(": {summary}") };
        let notice = match &self.texts.title {
            Some(title) => markup::cut(&one_line(title), 600),
            None => mrkdwn_line(format_args!("{}{summary}{place}", self.headline()), 600),
        };
        match self.fallback() {
            Some(fallback) => format!("{notice} · {fallback}"),
            None => notice,
        }
    }

    /// Whom it was meant for, if somebody else.
    fn fallback(&self) -> Option<String> {
        describe::fallback(self.notification, MAX_FALLBACK + 8).map(|fallback| mrkdwn(&fallback, MAX_FALLBACK))
    }

    /// The headline, and what leads on from it.
    fn top(&self) -> Vec<Value> {
        let firing = self.alerts[..self.firing].iter().map(|notified| &notified.alert.labels);
        let silence = describe::silence(&self.notification.group, &describe::common(firing));
        let links = join_links(self.links.iter().chain(&silence), LINKS_BUDGET, text::MAX_URL + 50);
        let mut blocks = vec![section(&self.head())];
        if !links.is_empty() && self.texts.text.is_none() {
            blocks.push(section(&links));
        }
        blocks
    }

    /// What and where, for all alerts of the message.
    fn head(&self) -> String {
        let mut lines = vec![self.title()];
        lines.extend(self.fallback());
        if self.texts.text.is_some() {
            return lines.join("\n");
        }
        if !self.summary.is_empty() {
            lines.push(mrkdwn_line(self.summary, MAX_SUMMARY));
        }
        let mut severities: Vec<_> = self.alerts.iter().map(|notified| notified.alert.severity()).collect();
        severities.dedup();
        severities.truncate(3);
        severities.retain(|severity| !severity.is_empty());
        let group = &self.notification.group.labels;
        // What the group is grouped by identifies it, so it comes first.
        let (first, rest): (Vec<_>, Vec<_>) =
            self.labels.iter().copied().partition(|(name, value)| group.get(name) == *value);
        let labels = codes(first.into_iter().chain(rest).filter(|(name, _)| !is_said(name)), MAX_LABELS);
        let severity = mrkdwn_line(severities.join(", "), 100);
        let line: Vec<_> = [severity, labels].into_iter().filter(|part| !part.is_empty()).collect();
        if !line.is_empty() {
            lines.push(line.join(" · "));
        }
        lines.join("\n")
    }

    /// The first line, in bold unless somebody has chosen what of it is.
    fn title(&self) -> String {
        match &self.texts.title {
            Some(title) if title.contains('*') => markup::cut(&one_line(title), MAX_HEADLINE),
            Some(title) => format!("*{}*", markup::cut(&one_line(title), MAX_HEADLINE)),
            None => format!("*{}*", mrkdwn(&self.headline(), MAX_HEADLINE)),
        }
    }

    /// The alerts, and what of them is not shown.
    fn details(&self) -> Vec<Value> {
        if let Some(text) = &self.texts.text {
            // Which alerts a text of routes.yaml shows is its own business; the rest of the notes is not.
            let (count, bytes) = MAX_TEXT;
            let blocks = markup::pieces(text, bytes, count).iter().map(|piece| section(piece)).collect();
            return with_notes(blocks, &self.notes(self.alerts.len()));
        }
        let (mut blocks, mut used, mut shown) = (Vec::new(), 0, 0);
        for notified in self.alerts.iter().take(MAX_SHOWN) {
            let text = self.alert(notified);
            if shown > 0 && used + text.len() > ALERTS_BUDGET {
                break;
            }
            used += text.len();
            shown += 1;
            blocks.push(section(&text));
        }
        with_notes(blocks, &self.notes(shown))
    }

    /// One alert: its state, what tells it from the others, and what only it has to say.
    fn alert(&self, notified: &Notified) -> String {
        let alert = &notified.alert;
        let alone = self.alerts.len() == 1;
        let own = alert.labels.iter().filter(|pair| self.labels.binary_search(pair).is_err());
        let mut lines = vec![state(notified, self.notification.received_at, self.kept.is_some())];
        lines.push(codes(own, MAX_OWN_LABELS));
        let summary = describe::summary(alert);
        if summary != self.summary {
            lines.push(mrkdwn_line(summary, MAX_OWN_SUMMARY));
        }
        let description = text::clean(alert.annotations.get("description"));
        // That of a resolved alert tells the value with which it last fired: misleading.
        if alert.status == Status::Firing && description.trim() != summary.trim() {
            let max = if alone { MAX_DESCRIPTION } else { MAX_OWN_DESCRIPTION };
            lines.push(mrkdwn(description.trim(), max));
        }
        let own_links = describe::links(alert);
        lines.push(join_links(own_links.iter().filter(|link| !self.links.contains(link)), MAX_OWN_LINK, MAX_OWN_LINK));
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    }

    /// What the message does not show, so that nobody takes it for all there is.
    fn notes(&self, shown: usize) -> Vec<String> {
        let mut notes = Vec::new();
        let beyond = self.beyond();
        let firing = self.firing.saturating_sub(shown) + beyond.firing;
        let resolved = self.alerts.len() - self.firing.max(shown) + beyond.resolved;
        match (firing, resolved) {
            (0, 0) => {}
            (firing, 0) => notes.push(format!("and {firing} more firing")),
            (0, resolved) => notes.push(format!("and {resolved} more resolved")),
            (firing, resolved) => notes.push(format!("and {firing} more firing, {resolved} more resolved")),
        }
        match (self.notification.others_firing, self.firing + beyond.firing) {
            (0, _) => {}
            (others, 0) => notes.push(format!("{others} more of this group still fire")),
            (others, _) => notes.push(format!("{others} more of this group were already firing")),
        }
        let truncated = self.notification.group.truncated_alerts;
        if truncated > 0 {
            notes.push(format!("Alertmanager left out {} (max_alerts)", count(truncated, "alert")));
        }
        notes.extend(self.kept.and_then(|kept| kept.note.clone()));
        notes
    }
}

fn with_notes(mut blocks: Vec<Value>, notes: &[String]) -> Vec<Value> {
    if !notes.is_empty() {
        blocks.push(json!({ "type": "context", "elements": [mrkdwn_object(&notes.join("\n"))] }));
    }
    blocks
}

/// The headline and the severity say these already.
fn is_said(label: &str) -> bool {
    matches!(label, "alertname" | "severity")
}

/// Since when it fires, or until when it did. How long it has been firing is left out of what is read later (`kept`).
fn state(notified: &Notified, received_at: Timestamp, kept: bool) -> String {
    let alert = &notified.alert;
    let firing = match notified.reason {
        Reason::Repeat => "*Still firing*",
        Reason::Refired => "*Firing again*",
        _ => "*Firing*",
    };
    let lasted = describe::lasted(alert, received_at).map(human);
    match (alert.ends_at, alert.starts_at, lasted) {
        (Some(ends_at), _, Some(lasted)) => format!("*Resolved* {} after {lasted}", date(ends_at)),
        (Some(ends_at), _, None) => format!("*Resolved* {}", date(ends_at)),
        (None, Some(starts_at), _) if kept => format!("{firing} since {}", date(starts_at)),
        (None, Some(starts_at), Some(lasted)) => format!("{firing} since {} ({lasted})", date(starts_at)),
        (None, ..) => format!("{firing} seen {}", date(received_at)),
    }
}
