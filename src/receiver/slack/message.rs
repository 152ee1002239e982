//! The message: a headline that says what and where, where to read on, and under it, coloured, the alerts that are new.
//! What the reader needs first stands above the colour, because Slack folds long attachments.
//!
//! Slack's limits: 50 blocks a message and 3000 characters a text (docs.slack.dev/reference/block-kit/blocks), and all
//! texts together about 12,000 characters, undocumented, refused by some reports from 11,000 on. The budgets below stay
//! under 9,000 bytes in sum.

use serde_json::{Value, json};

use super::super::describe::{self, Level, Link};
use super::super::text::{self, count, human, mrkdwn, one_line};
use super::blocks::{codes, date, join_links, mrkdwn_object, section};
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

/// The message for a notification that holds at least one alert.
pub(super) fn message(notification: &Notification) -> Value {
    let view = View::of(notification);
    json!({
        "text": view.notice(),
        "blocks": view.top(),
        "attachments": [{ "color": view.color(), "blocks": view.details() }],
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// A notification, seen as one message.
struct View<'a> {
    notification: &'a Notification,
    /// Firing ones first, the worst of them first; then the resolved ones.
    alerts: Vec<&'a Notified>,
    firing: usize,
    /// The labels that all alerts share: they are said once, at the top.
    labels: Vec<(&'a str, &'a str)>,
    /// The summary that all firing alerts share (all alerts, if none fires); empty if they differ.
    summary: &'a str,
    /// The links that the same alerts share.
    links: Vec<Link>,
}

impl<'a> View<'a> {
    fn of(notification: &'a Notification) -> Self {
        let mut alerts: Vec<_> = notification.alerts.iter().collect();
        alerts.sort_by_key(|notified| {
            let alert = &notified.alert;
            (alert.status == Status::Resolved, std::cmp::Reverse(Level::of(alert.severity())))
        });
        let firing = notification.with_status(Status::Firing).count();
        let all = || alerts.iter().map(|notified| &notified.alert);
        // What fires comes first, so this is what the message is about.
        let subject = || all().take(if firing > 0 { firing } else { alerts.len() });
        let mut summaries = subject().map(describe::summary);
        let summary = summaries.next().filter(|first| summaries.all(|other| other == *first)).unwrap_or("");
        let mut links = subject().next().map(describe::links).unwrap_or_default();
        for alert in subject().skip(1) {
            let others = describe::links(alert);
            links.retain(|link| others.contains(link));
        }
        let labels = describe::common(all().map(|alert| &alert.labels));
        Self { notification, alerts, firing, labels, summary, links }
    }

    /// Red to blue by the worst severity that fires, green if none does.
    fn color(&self) -> &'static str {
        match self.alerts[..self.firing].iter().map(|notified| Level::of(notified.alert.severity())).max() {
            Some(Level::Critical) => "#D00000",
            Some(Level::Error) => "#E8590C",
            Some(Level::Warning) => "#F2C744",
            Some(Level::Info) => "#439FE0",
            None => "#2EB67D",
        }
    }

    /// `[FIRING:2 · RESOLVED:1] HighErrorRate · still firing for 4h`, not yet escaped.
    fn headline(&self) -> String {
        let resolved = self.alerts.len() - self.firing;
        let state = match (self.firing, resolved) {
            (firing, 0) => format!("[FIRING:{firing}]"),
            (0, resolved) => format!("[RESOLVED:{resolved}]"),
            (firing, resolved) => format!("[FIRING:{firing} · RESOLVED:{resolved}]"),
        };
        let mut names: Vec<String> = Vec::new();
        for notified in &self.alerts {
            let name = text::cut(&describe::name(&notified.alert), 80);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let more = names.len().saturating_sub(2);
        names.truncate(2);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{state} {}{more}{}", names.join(", "), self.manner())
    }

    /// What is special about a message whose firing alerts are all there for the same reason.
    fn manner(&self) -> String {
        let firing = &self.alerts[..self.firing];
        let all = |reason| !firing.is_empty() && firing.iter().all(|notified| notified.reason == reason);
        if all(Reason::Repeat) {
            let received_at = self.notification.received_at;
            let longest = firing.iter().filter_map(|notified| describe::lasted(&notified.alert, received_at)).max();
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
        let notice = mrkdwn(&one_line(&format!("{}{summary}{place}", self.headline())), 600);
        match describe::fallback(self.notification) {
            Some(fallback) => format!("{notice} · {}", mrkdwn(&fallback, MAX_FALLBACK)),
            None => notice,
        }
    }

    /// The headline, and what leads on from it.
    fn top(&self) -> Vec<Value> {
        let firing = self.alerts[..self.firing].iter().map(|notified| &notified.alert.labels);
        let silence = describe::silence(&self.notification.group, &describe::common(firing));
        let links = join_links(self.links.iter().chain(&silence), LINKS_BUDGET, text::MAX_URL + 50);
        let mut blocks = vec![section(&self.head())];
        if !links.is_empty() {
            blocks.push(section(&links));
        }
        blocks
    }

    /// What and where, for all alerts of the message.
    fn head(&self) -> String {
        let mut lines = vec![format!("*{}*", mrkdwn(&self.headline(), MAX_HEADLINE))];
        lines.extend(describe::fallback(self.notification).map(|fallback| mrkdwn(&fallback, MAX_FALLBACK)));
        if !self.summary.is_empty() {
            lines.push(mrkdwn(&one_line(self.summary), MAX_SUMMARY));
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
        let severity = mrkdwn(&one_line(&severities.join(", ")), 100);
        let line: Vec<_> = [severity, labels].into_iter().filter(|part| !part.is_empty()).collect();
        if !line.is_empty() {
            lines.push(line.join(" · "));
        }
        lines.join("\n")
    }

    /// The alerts, and what of them is not shown.
    fn details(&self) -> Vec<Value> {
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
        let notes = self.notes(shown);
        if !notes.is_empty() {
            blocks.push(json!({ "type": "context", "elements": [mrkdwn_object(&notes.join("\n"))] }));
        }
        blocks
    }

    /// One alert: its state, what tells it from the others, and what only it has to say.
    fn alert(&self, notified: &Notified) -> String {
        let alert = &notified.alert;
        let alone = self.alerts.len() == 1;
        let own = alert.labels.iter().filter(|pair| self.labels.binary_search(pair).is_err());
        let mut lines = vec![state(notified, self.notification.received_at)];
        lines.push(codes(own, MAX_OWN_LABELS));
        let summary = describe::summary(alert);
        if summary != self.summary {
            lines.push(mrkdwn(&one_line(summary), MAX_OWN_SUMMARY));
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
        let (firing, resolved) = (self.firing.saturating_sub(shown), self.alerts.len() - self.firing.max(shown));
        match (firing, resolved) {
            (0, 0) => {}
            (firing, 0) => notes.push(format!("and {firing} more firing")),
            (0, resolved) => notes.push(format!("and {resolved} more resolved")),
            (firing, resolved) => notes.push(format!("and {firing} more firing, {resolved} more resolved")),
        }
        match (self.notification.others_firing, self.firing) {
            (0, _) => {}
            (others, 0) => notes.push(format!("{others} more of this group still fire")),
            (others, _) => notes.push(format!("{others} more of this group were already firing")),
        }
        let truncated = self.notification.group.truncated_alerts;
        if truncated > 0 {
            notes.push(format!("Alertmanager left out {} (max_alerts)", count(truncated, "alert")));
        }
        notes
    }
}

/// The headline and the severity say these already.
fn is_said(label: &str) -> bool {
    matches!(label, "alertname" | "severity")
}

/// Since when it fires, or until when it did.
fn state(notified: &Notified, received_at: Timestamp) -> String {
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
        (None, Some(starts_at), Some(lasted)) => format!("{firing} since {} ({lasted})", date(starts_at)),
        (None, ..) => format!("{firing} seen {}", date(received_at)),
    }
}
