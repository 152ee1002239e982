//! The services that both have.

use url::Url;

use super::channels::Place;
use super::global::has_credentials;
use super::integration::{Integration, Keys, Service, Taken};
use super::secret::{Variables, file, variable_name};
use super::slack_app;
use super::values::{secret, shorten, text};
use super::write::scalar;
use crate::yaml::{Context, Fields, Node, Span, Value, quote};

/// PagerDuty's address where nobody says otherwise; the same in Alertmanager and here.
const PAGERDUTY_URL: &str = "https://events.pagerduty.com/v2/enqueue";

/// A secret that stands in the file, or the path of a file that holds it.
pub(super) enum Given<'n> {
    Literal(&'n Node, &'n str),
    File(&'n Node, &'n str),
}

impl<'n> Given<'n> {
    /// Of `key` or `key_file`.
    pub(super) fn read(
        cx: &mut Context<'_>,
        fields: &mut Fields<'n>,
        key: &'static str,
        key_file: &'static str,
    ) -> Option<Self> {
        let (literal, file) = (fields.value(cx, key), fields.value(cx, key_file));
        Self::of(cx, literal.map(|(_, node)| node), file.map(|(_, node)| node), key)
    }

    pub(super) fn of(
        cx: &mut Context<'_>,
        literal: Option<&'n Node>,
        file: Option<&'n Node>,
        key: &str,
    ) -> Option<Self> {
        if let Some(node) = literal
            && let Some(value) = secret(cx, node, key)
        {
            return Some(Self::Literal(node, value));
        }
        let node = file?;
        text(cx, node, key).map(|path| Self::File(node, path))
    }

    fn place(&self) -> Place<'n> {
        match self {
            Self::Literal(_, value) => Place::Literal(value),
            Self::File(_, path) => Place::File(path),
        }
    }

    /// Its YAML. `name` is what a variable for it is called.
    pub(super) fn yaml(self, cx: &mut Context<'_>, variables: &mut Variables, name: &str, holds: &str) -> String {
        match self {
            Self::Literal(node, value) => variables.literal(value, node.span, name, holds),
            Self::File(node, path) => {
                if !path.starts_with('/') {
                    let hint = "here it is looked up beside routes.yaml, in Alertmanager where that was started";
                    cx.warn_with(node.span, "a path that does not begin at the root", hint);
                }
                file(path)
            }
        }
    }
}

pub(super) fn holds(key: &str, part: &Integration<'_, '_>) -> String {
    format!("`{key}` of the receiver {}", quote(part.original))
}

pub(super) fn slack<'n>(
    cx: &mut Context<'_>,
    fields: &mut Fields<'n>,
    part: &Integration<'_, 'n>,
    variables: &mut Variables,
) -> Service {
    let own = Given::read(cx, fields, "api_url", "api_url_file");
    let mut token = false;
    for key in ["app_token", "app_token_file"] {
        token |= fields.value(cx, key).is_some();
    }
    token |= credentials(cx, fields);
    // As Alertmanager does: the app of `global` counts where the integration says nothing itself.
    token |= own.is_none() && part.global.has_slack_app();
    let inherited = own.is_none();
    let url = match own {
        Some(url) => Some(url),
        None => Given::of(cx, part.global.slack_api_url, part.global.slack_api_url_file, "slack_api_url"),
    };
    if let Some(Given::Literal(node, value)) = &url
        && let Ok(address) = Url::parse(value)
    {
        token |= address.path().ends_with("/chat.postMessage");
        let host = address.host_str().unwrap_or_default();
        if !token && !["slack.com", "slack-gov.com"].iter().any(|slack| host.ends_with(slack)) {
            let hint = "messages are made for Slack: look at one before you rely on it";
            cx.warn_with(node.span, "this is not an address of Slack", hint);
        }
    }
    if token {
        return slack_app::service(cx, fields, part, variables);
    }
    let Some(url) = url else {
        return Err("there is neither `api_url` nor `slack_api_url`".to_owned());
    };
    let name = variable_name(&[part.name, "slack webhook url"]);
    if part.channels.share(url.place())
        && let Some((span, node)) = fields.value(cx, "channel")
        && let Some(channel) = text(cx, node, "channel")
    {
        return Ok(channel_of_its_own(cx, variables, &url, channel, span, &name));
    }
    let (name, holds) = if inherited {
        ("SLACK_WEBHOOK_URL".to_owned(), "`slack_api_url` of `global`".to_owned())
    } else {
        (name, holds("api_url", part))
    };
    Ok(taken("slack", vec![("webhook_url", url.yaml(cx, variables, &name, &holds))]))
}

/// The address serves other channels, too: this one needs its own.
fn channel_of_its_own(
    cx: &mut Context<'_>,
    variables: &mut Variables,
    url: &Given<'_>,
    channel: &str,
    span: Span,
    name: &str,
) -> Taken {
    let (Given::Literal(_, address) | Given::File(_, address)) = url;
    let (yaml, name) = variables.for_channel(address, channel, name);
    let message = "several channels share one address, and an incoming webhook has one channel";
    cx.warn_with(span, message, format!("make one for this channel, for {name}"));
    let comment = format!(
        "Was `channel: {}` of an address that other channels share: {name} has to be one for this channel.",
        scalar(&shorten(channel))
    );
    Taken { service: "slack", keys: vec![("webhook_url", yaml)], comments: vec![comment] }
}

fn taken(service: &'static str, keys: Keys) -> Taken {
    Taken { service, keys, comments: Vec::new() }
}

pub(super) fn pagerduty<'n>(
    cx: &mut Context<'_>,
    fields: &mut Fields<'n>,
    part: &Integration<'_, 'n>,
    variables: &mut Variables,
) -> Service {
    let key = Given::read(cx, fields, "routing_key", "routing_key_file");
    let own_url = fields.value(cx, "url").map(|(_, node)| node);
    let Some(key) = key else {
        return Err(
            "`service_key` is PagerDuty's old API; the `routing_key` of an Events API v2 integration is needed"
                .to_owned(),
        );
    };
    let name = variable_name(&[part.name, "pagerduty routing key"]);
    let mut keys = vec![("routing_key", key.yaml(cx, variables, &name, &holds("routing_key", part)))];
    if let Some(node) = own_url.or(part.global.pagerduty_url)
        && let Some(url) = secret(cx, node, "url")
        && url.trim_end_matches('/') != PAGERDUTY_URL
    {
        let is_fine = Url::parse(url).is_ok_and(|url| {
            let is_bare = url.username().is_empty() && url.password().is_none();
            is_bare && matches!(url.scheme(), "http" | "https") && url.has_host()
        });
        if is_fine && !url.contains(char::is_whitespace) {
            keys.push(("url", scalar(url)));
        } else {
            cx.warn_with(
                node.span,
                "this `url` is left out",
                "PagerDuty's own is used; an address begins with https://",
            );
        }
    }
    Ok(taken("pagerduty", keys))
}

pub(super) fn webhook<'n>(
    cx: &mut Context<'_>,
    fields: &mut Fields<'n>,
    part: &Integration<'_, 'n>,
    variables: &mut Variables,
) -> Service {
    let url = Given::read(cx, fields, "url", "url_file");
    if let Some(Given::Literal(_, url)) = &url
        && url.contains("{{")
    {
        return Err("its `url` is a template; each address needs a receiver of its own".to_owned());
    }
    let has_credentials = match fields.peek("http_config") {
        Some((_, node)) if !matches!(node.value, Value::Null) => credentials(cx, fields),
        _ => part.global.has_credentials,
    };
    if has_credentials {
        return Err("its `http_config` holds credentials or headers, and a webhook cannot send any yet".to_owned());
    }
    let name = variable_name(&[part.name, "webhook url"]);
    match url {
        Some(url) => Ok(taken("webhook", vec![("url", url.yaml(cx, variables, &name, &holds("url", part)))])),
        None => Err("it has no `url`".to_owned()),
    }
}

/// For the kinds that we do not have.
pub(super) fn unsupported(part: &Integration<'_, '_>) -> String {
    match part.kind {
        Some(kind) => format!("{} is not supported yet", kind.label),
        None => format!("nothing is known of `{}_configs`", part.stem),
    }
}

/// Whether the integration's own `http_config` says who is asking. The key is left for [`hint`] to mention.
fn credentials(cx: &mut Context<'_>, fields: &Fields<'_>) -> bool {
    let Some((span, node)) = fields.peek("http_config") else { return false };
    if matches!(node.value, Value::Null) {
        return false;
    }
    Fields::open(cx, node, span, "`http_config`").is_some_and(|mut inner| has_credentials(cx, &mut inner))
}

/// Why keys are left out, and what there is instead.
pub(super) fn hint(stem: &str, keys: &[&str]) -> String {
    let mut hint = match stem {
        "slack" if keys.contains(&"channel") => {
            "an incoming webhook decides the channel, and messages are alertrouter's own"
        }
        "slack" => "messages are alertrouter's own",
        "email" => "subject and text are alertrouter's own, and mails are threads by group and day",
        "pagerduty" => "the severity is the label's, and what an incident says is alertrouter's own",
        _ => "all alerts that are new are posted, in Alertmanager's own shape",
    }
    .to_owned();
    if keys.contains(&"http_config") {
        hint.push_str("; certificates are verified, HTTPS_PROXY is honoured");
    }
    hint
}
