use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use secrecy::SecretString;

use super::message::compose;
use super::page::{Page, Texts};
use super::*;
use crate::alert::Group;
use crate::notification::{Digest, Reason};
use crate::receiver::custom::Custom;
use crate::receiver::fixture;
use crate::template::{Escape, Template};

pub(crate) fn email(password: &str) -> Email {
    let submission = Submission {
        host: "mail.example".to_owned(),
        port: 587,
        tls: Tls::StartTls,
        trust: None,
        hello: "localhost".to_owned(),
        auth: Some(Auth { username: "router".to_owned(), password: SecretString::from(password) }),
        from: mailboxes("Alerts <alerts@example.org>").unwrap().remove(0),
        to: mailboxes("On Call <oncall@example.org>, team@example.org").unwrap(),
    };
    Email { submission: Arc::new(submission), templates: Templates::default() }
}

fn message(notification: &Notification) -> String {
    String::from_utf8(compose(&email("s3cr3tmarker").submission, notification, Texts::default()).unwrap()).unwrap()
}

/// Name and value of every header, unfolded.
fn headers(message: &str) -> Vec<(String, String)> {
    let (head, _) = message.split_once("\r\n\r\n").unwrap();
    let unfolded = head.replace("\r\n ", " ");
    unfolded
        .split("\r\n")
        .map(|line| line.split_once(": ").unwrap_or((line, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn header(message: &str, name: &str) -> String {
    let found = headers(message).into_iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value).unwrap_or_default()
}

fn page(notification: &Notification) -> Page {
    Page::of(notification, Texts::default())
}

fn text(notification: &Notification) -> String {
    let page = page(notification);
    format!("Subject: {}\n\n{}", page.subject(), plain::render(&page))
}

fn digest(mut notification: Notification, notifications: u32) -> Notification {
    let since = fixture::at("2026-11-21T18:58:00Z");
    notification.digest = Some(Digest { notifications, since });
    Notification { group: Arc::new(Group::default()), ..notification }
}

#[test]
fn the_head_and_how_the_parts_are_put_together() {
    let message = message(&fixture::single());
    let mut in_text = false;
    let shown: Vec<_> = message
        .split("\r\n")
        .filter(|line| {
            in_text = !line.starts_with("--=_") && (in_text || line.is_empty());
            !in_text
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn what_is_read() {
    let captured = [
        "0.25-02-mixed-one-resolved-three-firing",
        "0.25-03-all-resolved",
        "0.33-mixed",
        "0.25-04-truncated-max_alerts-2-firing",
    ];
    let mut all: Vec<_> = captured.iter().map(|name| ((*name).to_owned(), fixture::captured(name))).collect();
    all.insert(0, ("single".to_owned(), fixture::single()));
    all.push(("resolved".to_owned(), fixture::single_resolved()));
    all.push(("fallback".to_owned(), fixture::as_fallback(fixture::single())));
    all.push(("digest".to_owned(), digest(fixture::captured("0.25-02-mixed-one-resolved-three-firing"), 3)));
    let hostile = fixture::hostile()
        .into_iter()
        .filter(|(name, _)| matches!(*name, "evil" | "links" | "controls" | "blank" | "empty" | "bare resolved"));
    all.extend(hostile.map(|(name, notification)| (name.to_owned(), notification)));
    let read: Vec<_> = all.iter().map(|(name, notification)| format!("##### {name}\n{}", text(notification))).collect();
    insta::assert_snapshot!(read.join("\n"));
}

#[test]
fn the_page() {
    insta::assert_snapshot!("page_of_one", html::render(&page(&fixture::as_fallback(fixture::single()))));
    insta::assert_snapshot!(
        "page_of_a_group",
        html::render(&page(&fixture::captured("0.25-02-mixed-one-resolved-three-firing")))
    );
}

/// Every tag that a mail may hold.
static TAG: LazyLock<regex::Regex> = LazyLock::new(|| {
    regex::Regex::new(r#"^(?:!DOCTYPE html|/?(?:html|head|title|body|div|p|table|tr|td|b)(?: lang="en"| valign="top"| style="[^"<>]*")?|meta [a-z0-9=\-", ]+|/?a(?: href="https?://[^"<>\s]*")?)$"#).unwrap()
});

/// What holds for any mail: its labels can add neither a header nor a part nor a tag.
fn hold(name: &str, notification: &Notification) {
    const HEADERS: [&str; 12] = [
        "From",
        "To",
        "Date",
        "Subject",
        "Message-ID",
        "In-Reply-To",
        "References",
        "Auto-Submitted",
        "X-Auto-Response-Suppress",
        "Importance",
        "MIME-Version",
        "Content-Type",
    ];
    let message = message(notification);
    assert!(message.is_ascii(), "{name}");
    assert!(message.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])), "{name}: {message}");
    let found = headers(&message);
    let unknown: Vec<_> = found.iter().filter(|(known, _)| !HEADERS.contains(&known.as_str())).collect();
    assert!(unknown.is_empty(), "{name}: {unknown:?}");
    let names: BTreeSet<_> = found.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), found.len(), "{name}: a header twice");
    assert_eq!(message.matches("\r\n--=_").count(), 3, "{name}: two parts and an end");

    let page = page(notification);
    assert!(page.subject().len() <= 160 && !page.subject().contains(char::is_control), "{name}: {}", page.subject());
    let inside = page.subject().strip_prefix('[').and_then(|rest| rest.split_once("] "));
    assert!(
        inside.is_some_and(|(state, about)| !state.contains(['[', ']']) && !about.contains(['[', ']'])),
        "{name}: {}",
        page.subject()
    );
    assert!(page.cards.len() <= 20 && !page.title.is_empty(), "{name}");
    let html = html::render(&page);
    for tag in html.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        assert!(TAG.is_match(tag), "{name}: <{tag}>");
    }
    assert!(html.len() < 100_000, "{name}: Gmail cuts at 102 KB, and this is {}", html.len());
    let plain = plain::render(&page);
    let rude = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}');
    assert!(!plain.contains(rude) && !html.contains(rude), "{name}");
}

#[test]
fn labels_add_neither_headers_nor_parts_nor_tags() {
    for (name, notification) in fixture::hostile() {
        hold(name, &notification);
        hold(name, &fixture::as_hostile_fallback(digest(notification, 40)));
    }
}

proptest! {
    #[test]
    fn whatever_they_are(name in ".{0,80}|(\r\n|[\\[\\]<>\"=_&: -]|Bcc|\\.|\u{202e}|é|--=_){0,30}", text in r"\PC{0,200}|(\r\n\.\r\n|<b>|--=_|=3D|\u{0}|\t){0,30}") {
        let labels = [("alertname", name.as_str()), ("instance", text.as_str())];
        let alert = fixture::alert(&labels, &[("summary", text.as_str()), ("description", name.as_str()), ("runbook_url", name.as_str())]);
        let group = Group { key: name.clone(), labels: labels.iter().copied().collect(), ..fixture::group() };
        hold("random", &fixture::of(group, vec![alert], fixture::at("2026-11-21T20:00:00Z")));
    }
}

#[test]
fn one_thread_for_the_firing_its_repeat_and_its_resolve() {
    let firing = fixture::single();
    let mut repeat = Notification {
        received_at: fixture::at("2026-11-21T23:04:00Z"),
        id: crate::notification::DeliveryId(8),
        ..firing.clone()
    };
    repeat.alerts[0].reason = Reason::Repeat;
    let mut resolved = fixture::single_resolved();
    resolved.received_at = fixture::at("2026-11-22T00:31:00Z");
    let all = [&firing, &repeat, &resolved].map(message);
    let of = |name| all.iter().map(|message| header(message, name)).collect::<Vec<_>>();
    let subjects = of("Subject");
    assert_eq!(
        subjects,
        [
            "[FIRING:1] HighErrorRate (checkout)",
            "[STILL FIRING:1] HighErrorRate (checkout)",
            "[RESOLVED:1] HighErrorRate (checkout)"
        ]
    );
    // Gmail: one reference, and one subject but for what stands in brackets.
    let threads: BTreeSet<_> = of("References").into_iter().chain(of("In-Reply-To")).collect();
    assert_eq!(threads.len(), 1, "{threads:?}");
    assert_eq!(
        of("Message-ID").into_iter().chain(threads).collect::<BTreeSet<_>>().len(),
        4,
        "every mail has its own id"
    );
}

#[test]
fn another_day_group_or_receiver_is_another_thread() {
    let one = fixture::single();
    let mut later = one.clone();
    later.alerts[0].alert.starts_at = Some(fixture::at("2026-11-22T03:00:00Z"));
    let other = Notification { group: Arc::new(Group { key: "other".to_owned(), ..fixture::group() }), ..one.clone() };
    let elsewhere = Notification { receiver: "elsewhere".into(), ..one.clone() };
    let threads: BTreeSet<_> =
        [&one, &later, &other, &elsewhere].iter().map(|one| header(&message(one), "References")).collect();
    assert_eq!(threads.len(), 4, "{threads:?}");
    assert_eq!(header(&message(&digest(one, 4)), "References"), "", "a digest is of many groups");
}

#[test]
fn every_attempt_is_the_same_mail() {
    let first = fixture::single();
    let again = Notification { attempt: 5, ..first.clone() };
    assert_eq!(message(&first), message(&again));
    assert_eq!(header(&message(&first), "Date"), "Sat, 21 Nov 2026 19:04:00 +0000");
}

#[test]
fn a_group_without_a_name_says_which_alerts_it_is_about() {
    let alerts = |names: &[&str]| {
        names.iter().map(|name| fixture::alert(&[("alertname", name), ("cluster", "eu")], &[])).collect::<Vec<_>>()
    };
    let group = |labels: &[(&str, &str)]| Group { labels: labels.iter().copied().collect(), ..fixture::group() };
    let subject = |group, names: &[&str]| {
        page(&fixture::of(group, alerts(names), fixture::at("2026-11-21T20:00:00Z"))).subject().to_owned()
    };
    assert_eq!(subject(group(&[("cluster", "eu")]), &["Down", "Disk"]), "[FIRING:2, Down, Disk] cluster=eu");
    assert_eq!(subject(group(&[]), &["A", "B", "C"]), "[FIRING:3, A, B and 1 more] alerts");
    assert_eq!(subject(group(&[("alertname", "Disk[1]")]), &["Disk[1]"]), "[FIRING:1] Disk(1)");
}

#[test]
fn a_digest_shows_what_is_so_now() {
    let mut all = fixture::single();
    all.alerts.push(fixture::single_resolved().alerts.remove(0));
    let mut warning = fixture::of(
        fixture::group(),
        vec![fixture::alert(&[("alertname", "Disk"), ("severity", "warning")], &[])],
        all.received_at,
    );
    let mut page_me = fixture::alert(&[("alertname", "Down"), ("severity", "critical")], &[]);
    page_me.annotations = [("summary", "All is down.")].into_iter().collect();
    all.alerts.append(&mut warning.alerts);
    all.alerts.push(crate::notification::Notified { alert: page_me, reason: Reason::First });
    let text = text(&digest(all, 4));
    assert!(
        text.starts_with(
            "Subject: [FIRING:2, RESOLVED:1, Down, Disk and 1 more] digest of 4 notifications\n\nAll is down. (and 1 more)\n"
        ),
        "{text}"
    );
    assert!(
        text.contains(
            "4 notifications in one message: more came than the rate limit lets through, since 2026-11-21 18:58 UTC"
        ),
        "{text}"
    );
    assert!(!text.contains("5xx at 7.3%"), "it has resolved meanwhile: {text}");
}

#[test]
fn importance_is_for_who_has_to_act_now() {
    assert_eq!(header(&message(&fixture::single()), "Importance"), "high");
    assert_eq!(header(&message(&fixture::single_resolved()), "Importance"), "");
    let mut warning = fixture::single();
    warning.alerts[0].alert.labels = [("alertname", "Disk"), ("severity", "warning")].into_iter().collect();
    assert_eq!(header(&message(&warning), "Importance"), "");
}

#[test]
fn answers() {
    use FailureClass::{NotFound, Refused, Unauthorized, Unavailable, Unexpected};
    for (step, status, said, expected) in [
        (MESSAGE, 250, "2.0.0 Ok: queued as 1", None),
        (GREETING, 421, "4.3.2 shutting down", Some((true, Unavailable))),
        (GREETING, 554, "5.7.1 your address is blocked", Some((true, Unavailable))),
        (GREETING, 502, "what?", Some((true, Unexpected))),
        (AUTH, 535, "5.7.8 wrong", Some((false, Unauthorized))),
        (AUTH, 534, "5.7.9 use an app password", Some((false, Unauthorized))),
        (AUTH, 550, "5.7.1 not you", Some((false, Unauthorized))),
        (AUTH, 454, "4.7.0 the directory is down", Some((true, Unauthorized))),
        (AUTH, 504, "5.5.4 no such mechanism", Some((true, Unexpected))),
        (SENDER, 530, "5.7.0 Authentication required", Some((false, Unauthorized))),
        (SENDER, 451, "4.7.1 try again later", Some((true, Unavailable))),
        (SENDER, 553, "5.7.1 not your address", Some((false, Refused))),
        (RECIPIENT, 450, "4.2.0 greylisted", Some((true, Unavailable))),
        (RECIPIENT, 452, "4.2.2 over quota", Some((true, Unavailable))),
        (RECIPIENT, 550, "5.1.1 user unknown", Some((false, NotFound))),
        (RECIPIENT, 550, "no such user", Some((false, NotFound))),
        (RECIPIENT, 550, "5.7.1 relaying denied", Some((false, Refused))),
        (RECIPIENT, 554, "5.7.1 relaying denied", Some((false, Refused))),
        (MESSAGE, 451, "4.3.0 out of disk", Some((true, Unavailable))),
        (MESSAGE, 503, "bad sequence", Some((true, Unexpected))),
        (MESSAGE, 552, "5.3.4 too big", Some((false, Refused))),
        (MESSAGE, 554, "5.6.0 spam", Some((false, Refused))),
        (MESSAGE, 354, "go on", Some((true, Unexpected))),
    ] {
        let verdict = email("s3cr3tmarker").judge(&fixture::single(), &fixture::answer(step, status, said));
        assert_eq!(fixture::failed(&verdict), expected, "{step} {status}: {verdict:?}");
    }
    let answer = fixture::answer(RECIPIENT, 550, "5.1.1 <a@example.org>:\r\nUser unknown");
    let Verdict::Reject { failure } = email("s3cr3tmarker").judge(&fixture::single(), &answer) else { panic!() };
    assert_eq!(failure.detail, "SMTP 550 (recipient): 5.1.1 <a@example.org>: User unknown");
}

#[test]
fn texts_of_routes_yaml_take_their_places() {
    let template = |key, source| -> Custom { Some(Arc::new(Template::compile(key, source, Escape::Plain).unwrap())) };
    let templates = Templates {
        title: template("title", "{{ alert.name }} [{{ alert.labels.service }}]"),
        text: template("text", "Look at {{ alert.labels.instance }}:\n<b>{{ alert.summary }}</b>"),
    };
    let email = Email { templates, ..email("s3cr3tmarker") };
    let sent = |notification: &Notification| {
        let outgoing = email.encode(notification).unwrap();
        (String::from_utf8(outgoing.body.to_vec()).unwrap(), outgoing.template_error)
    };
    let (mail, error) = sent(&fixture::as_fallback(fixture::single()));
    assert_eq!(error, None);
    assert_eq!(header(&mail, "Subject"), "[FALLBACK, FIRING:1] HighErrorRate (checkout)");
    let mut texts = Templates::render(&email.templates, &fixture::single(), &mut None);
    let page = Page::of(&fixture::as_fallback(fixture::single()), Texts { title: texts.title.take(), ..texts });
    let (plain, html) = (plain::render(&page), html::render(&page));
    assert!(plain.starts_with("HighErrorRate [checkout]\n1 firing"), "{plain}");
    assert!(plain.contains("\n\nLook at web-00:9100:\n<b>5xx > 5%</b>\n\n"), "{plain}");
    assert!(plain.contains("Fallback for oncall") && !plain.contains("Runbook"), "{plain}");
    assert!(html.contains("Look at web-00:9100:\n&lt;b&gt;5xx &gt; 5%&lt;/b&gt;"), "{html}");
    // What cannot be rendered goes out with the built-in text, and a digest always does.
    let broken =
        Email { templates: Templates { title: template("title", "{{ alerts[7].name }}"), text: None }, ..email };
    let outgoing = broken.encode(&fixture::single()).unwrap();
    assert!(outgoing.template_error.is_some_and(|why| why.contains("`title`")));
    assert_eq!(broken.encode(&digest(fixture::single(), 3)).unwrap().template_error, None);
}
