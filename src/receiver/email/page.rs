//! What a mail says, before it is text or HTML: clean and cut, not escaped.

use super::super::describe::{self, InCommon, Level, Link};
use super::super::digest::{Kind, Summary, latest};
use super::super::text::{self, count, cut, human, line, one_line};
use super::html;
use crate::alert::Status;
use crate::clock::Timestamp;
use crate::notification::{Notification, Notified, Reason};

/// How many alerts are shown at most; the rest is counted.
const MAX_SHOWN: usize = 20;
/// What all shown alerts may take together as HTML, in bytes; the first one is always shown. Gmail cuts after 102 KB.
const ALERTS_BUDGET: usize = 64 * 1024;
/// Parts of a subject, in bytes. RFC 5322 has no limit; phones show about 40 characters, lists about 100.
const MAX_STATE: usize = 60;
const MAX_ABOUT: usize = 90;
const MAX_TITLE: usize = 300;
const MAX_FALLBACK: usize = 400;
const MAX_LABELS: usize = 30;
const MAX_KINDS: usize = 40;
const MAX_KIND: usize = 120;
const MAX_LABEL_NAME: usize = 60;
const MAX_LABEL: usize = 200;
const MAX_DESCRIPTION: usize = 4000;
const MAX_OWN_DESCRIPTION: usize = 800;
/// A link of one alert among others that is longer is left out.
const MAX_OWN_LINK: usize = 700;

/// What routes.yaml says in its own words, rendered.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) title: Option<String>,
    pub(super) text: Option<String>,
}

/// A mail.
pub(super) struct Page {
    subject: String,
    /// What happened: the first line, which phones show under the subject.
    pub(super) title: String,
    /// How many fire and ended, which, how bad.
    pub(super) state: String,
    /// That it is a fallback or a digest.
    pub(super) marks: Vec<String>,
    /// A text of routes.yaml; then there are neither labels nor links nor cards.
    pub(super) text: String,
    /// Of a digest: a line for each kind of alert.
    pub(super) kinds: Vec<String>,
    /// What all alerts share.
    pub(super) labels: Vec<(String, String)>,
    pub(super) links: Vec<Link>,
    pub(super) cards: Vec<Card>,
    /// What is not shown, so that nobody takes the mail for all there is.
    pub(super) notes: Vec<String>,
    pub(super) footer: String,
    /// The worst that fires; `None` if nothing does.
    pub(super) level: Option<Level>,
}

/// One alert, and what only it has to say.
pub(super) struct Card {
    /// Since when it fires, or until when it did.
    pub(super) state: String,
    pub(super) summary: String,
    pub(super) description: String,
    pub(super) labels: Vec<(String, String)>,
    pub(super) links: Vec<Link>,
}

impl Page {
    /// What is said of a notification with at least one alert.
    pub(super) fn of(notification: &Notification, texts: Texts) -> Self {
        View::of(notification, texts).page()
    }

    /// `[FIRING:2] HighErrorRate (checkout)`: what changes within a thread stands in the brackets.
    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    /// Whether somebody has to act now.
    pub(super) fn is_urgent(&self) -> bool {
        self.level == Some(Level::Critical)
    }
}

struct View<'a> {
    notification: &'a Notification,
    texts: Texts,
    /// Firing ones first, the worst of them first; then the resolved ones.
    alerts: Vec<&'a Notified>,
    firing: usize,
    labels: Vec<(&'a str, &'a str)>,
    /// The summary that all alerts share which the mail is about; empty if they differ.
    summary: &'a str,
    /// The links that these share.
    links: Vec<Link>,
}

impl<'a> View<'a> {
    fn of(notification: &'a Notification, texts: Texts) -> Self {
        let mut alerts = latest(notification);
        describe::sort(&mut alerts);
        let firing = alerts.iter().filter(|notified| notified.alert.status == Status::Firing).count();
        let InCommon { labels, summary, links } = InCommon::of(&alerts, firing);
        Self { notification, texts, alerts, firing, labels, summary, links }
    }

    fn page(self) -> Page {
        let notification = self.notification;
        let page = Page {
            subject: self.subject(),
            title: self.texts.title.as_ref().map_or_else(|| self.title(), |title| line(title, MAX_TITLE)),
            state: self.state(),
            marks: self.marks(),
            text: String::new(),
            kinds: self.kinds(),
            labels: Vec::new(),
            links: Vec::new(),
            cards: Vec::new(),
            notes: Vec::new(),
            footer: format!("alertrouter, receiver {}", one_line(notification.receiver.as_str())),
            level: self.alerts[..self.firing].iter().map(|notified| Level::of(notified.alert.severity())).max(),
        };
        if let Some(text) = &self.texts.text {
            let text = cut(text::clean(text).trim(), ALERTS_BUDGET);
            // Which alerts it shows is its own business; the rest of the notes is not.
            return Page { text, notes: self.notes(self.alerts.len()), ..page };
        }
        let firing = self.alerts[..self.firing].iter().map(|notified| &notified.alert.labels);
        let silence = describe::silence(&notification.group, &describe::common(firing));
        let cards = self.cards();
        Page {
            labels: shown(self.labels.iter().copied()),
            links: self.links.iter().cloned().chain(silence).collect(),
            notes: self.notes(cards.len()),
            cards,
            ..page
        }
    }

    /// Whether all firing alerts are there for this reason.
    fn all(&self, reason: Reason) -> bool {
        self.firing > 0 && self.alerts[..self.firing].iter().all(|notified| notified.reason == reason)
    }

    fn subject(&self) -> String {
        let Notification { group, digest, fallback, .. } = self.notification;
        let resolved = self.alerts.len() - self.firing;
        let word = if self.all(Reason::Repeat) { "STILL FIRING" } else { "FIRING" };
        let mut state: Vec<String> = fallback.iter().map(|_| "FALLBACK".to_owned()).collect();
        state.extend((self.firing > 0).then(|| format!("{word}:{}", self.firing)));
        state.extend((resolved > 0).then(|| format!("RESOLVED:{resolved}")));
        let about = match (&self.texts.title, digest) {
            (Some(title), _) => title.clone(),
            (None, Some(digest)) => format!("digest of {}", count(digest.notifications.into(), "notification")),
            (None, None) => about(group.labels.iter()),
        };
        // A group that is not about one name says in the brackets which alerts they are this time.
        if self.texts.title.is_none() && (group.labels.get("alertname").is_empty() || digest.is_some()) {
            state.push(self.names());
        }
        let unbracketed = |text: &str, max| cut(&one_line(text).replace('[', "(").replace(']', ")"), max);
        format!("[{}] {}", unbracketed(&state.join(", "), MAX_STATE), unbracketed(&about, MAX_ABOUT))
    }

    /// The first two names.
    fn names(&self) -> String {
        describe::names(self.alerts.iter().map(|notified| &notified.alert))
    }

    /// The summary of all, or of the worst.
    fn title(&self) -> String {
        let worst = self.alerts.first().map_or("", |worst| describe::summary(&worst.alert));
        let others = if self.firing > 0 { self.firing } else { self.alerts.len() } - 1;
        let title = match (line(self.summary, MAX_TITLE), line(worst, MAX_TITLE)) {
            (shared, _) if !shared.is_empty() => shared,
            (_, worst) if worst.is_empty() => self.names(),
            (_, worst) => format!("{worst} (and {others} more)"),
        };
        // What a resolved alert says of itself is what was wrong.
        if self.firing == 0 { format!("Resolved: {title}") } else { title }
    }

    fn state(&self) -> String {
        let resolved = self.alerts.len() - self.firing;
        let counts = match (self.firing, resolved) {
            (firing, 0) => format!("{firing} firing"),
            (0, resolved) => format!("{resolved} resolved"),
            (firing, resolved) => format!("{firing} firing, {resolved} resolved"),
        };
        // They come sorted, so equal ones are neighbours.
        let subject = &self.alerts[..if self.firing > 0 { self.firing } else { self.alerts.len() }];
        let mut severities: Vec<_> = subject.iter().map(|notified| line(notified.alert.severity(), 100)).collect();
        severities.dedup();
        severities.truncate(3);
        severities.retain(|severity| !severity.is_empty());
        let parts = [counts, self.names(), cut(&severities.join(", "), 100), self.manner()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
    }

    fn manner(&self) -> String {
        if self.all(Reason::Repeat) {
            let lasted = |notified: &&Notified| describe::lasted(&notified.alert, self.notification.received_at);
            let longest = self.alerts[..self.firing].iter().filter_map(lasted).max();
            longest.map_or_else(|| "still firing".to_owned(), |longest| format!("still firing for {}", human(longest)))
        } else if self.all(Reason::Refired) {
            "fires again".to_owned()
        } else {
            String::new()
        }
    }

    fn marks(&self) -> Vec<String> {
        let fallback = describe::fallback(self.notification, MAX_FALLBACK);
        let digest = Summary::of(self.notification).into_iter().flat_map(|summary| {
            [format!("{}, since {}", summary.why(), date(summary.digest.since)), summary.counts.said()]
        });
        fallback.into_iter().chain(digest).collect()
    }

    /// The kinds of alerts of a digest, the worst first, as many as a reader takes in; the rest is counted.
    fn kinds(&self) -> Vec<String> {
        let Some(Summary { kinds, .. }) = Summary::of(self.notification) else { return Vec::new() };
        let mut lines: Vec<_> = kinds.iter().take(MAX_KINDS).map(kind).collect();
        if let hidden @ [_, ..] = kinds.get(MAX_KINDS..).unwrap_or_default() {
            let alerts: usize = hidden.iter().map(|kind| kind.counts.all()).sum();
            lines.push(format!("and {} more, {}", count(hidden.len() as u64, "kind"), count(alerts as u64, "alert")));
        }
        lines
    }

    /// As many as fit.
    fn cards(&self) -> Vec<Card> {
        let (mut cards, mut used) = (Vec::new(), 0);
        for notified in self.alerts.iter().take(MAX_SHOWN) {
            let card = self.card(notified);
            used += html::card(&card).len();
            if !cards.is_empty() && used > ALERTS_BUDGET {
                break;
            }
            cards.push(card);
        }
        cards
    }

    fn card(&self, notified: &Notified) -> Card {
        let alert = &notified.alert;
        let alone = self.alerts.len() == 1;
        let own = alert.labels.iter().filter(|pair| self.labels.binary_search(pair).is_err());
        let summary = one_line(describe::summary(alert));
        let description = text::clean(alert.annotations.get("description"));
        // That of a resolved alert tells the value with which it last fired: misleading.
        let says_more = alert.status == Status::Firing && description.trim() != describe::summary(alert).trim();
        let description = if says_more { description.trim() } else { "" };
        let mut links = describe::links(alert);
        links.retain(|link| !self.links.contains(link) && (alone || link.url.len() <= MAX_OWN_LINK));
        Card {
            state: state(notified, self.notification.received_at),
            // The title may be that of another alert.
            summary: if summary == one_line(self.summary) || alone { String::new() } else { cut(&summary, MAX_TITLE) },
            description: cut(description, if alone { MAX_DESCRIPTION } else { MAX_OWN_DESCRIPTION }),
            labels: shown(own),
            links,
        }
    }

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

/// `HighErrorRate · warning · 12 fired, 8 of them resolved meanwhile`.
fn kind(kind: &Kind<'_>) -> String {
    let parts = [cut(&kind.name, MAX_KIND), cut(&kind.severity, MAX_KIND), kind.counts.said()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

/// What a group is about: its `alertname` and, in brackets, the rest of what it is grouped by.
fn about<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let (name, rest): (Vec<_>, Vec<_>) = labels.partition(|(name, _)| *name == "alertname");
    let values = || rest.iter().map(|(_, value)| *value).collect::<Vec<_>>().join(", ");
    match (name.first(), rest.is_empty()) {
        (Some((_, name)), true) => (*name).to_owned(),
        (Some((_, name)), false) => format!("{name} ({})", values()),
        (None, true) => "alerts".to_owned(),
        (None, false) => rest.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", "),
    }
}

/// Labels to show, without the name, as many as there may be; the rest is counted.
fn shown<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    let all: Vec<_> = labels.filter(|(name, _)| *name != "alertname").collect();
    let one = |(name, value): &(&str, &str)| (line(name, MAX_LABEL_NAME), line(value, MAX_LABEL));
    let mut shown: Vec<_> = all.iter().take(MAX_LABELS).map(one).collect();
    if all.len() > MAX_LABELS {
        shown.push(("…".to_owned(), format!("{} more", all.len() - MAX_LABELS)));
    }
    shown
}

fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn state(notified: &Notified, received_at: Timestamp) -> String {
    let alert = &notified.alert;
    let firing = match notified.reason {
        Reason::Repeat => "Still firing",
        Reason::Refired => "Firing again",
        _ => "Firing",
    };
    let lasted = describe::lasted(alert, received_at).map(human);
    match (alert.ends_at, alert.starts_at, lasted) {
        (Some(ends_at), _, Some(lasted)) => format!("Resolved {} after {lasted}", date(ends_at)),
        (Some(ends_at), _, None) => format!("Resolved {}", date(ends_at)),
        (None, Some(starts_at), Some(lasted)) => format!("{firing} since {} ({lasted})", date(starts_at)),
        (None, ..) => format!("{firing}, seen {}", date(received_at)),
    }
}
