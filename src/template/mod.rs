//! The texts of routes.yaml: MiniJinja over what is known of a notification.
//!
//! What the author of a template writes is markup, what comes out of `{{ }}` is data: it is escaped as the service wants
//! it, whatever the template says, so that a label can make neither mentions nor links nor JSON. A label or an annotation
//! that an alert has not is "", as in Alertmanager; a name that is none of ours is an error. There is no loader, no
//! include and no way to the environment; fuel bounds what a template takes.
//!
//! [`Template::check`] renders with samples ([`samples`]), so that mistakes are found before the night.

mod context;
mod error;
mod filters;
pub mod samples;

use std::io;

use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior, Value};

pub use error::TemplateError;

use crate::notification::Notification;
use crate::receiver::custom::Render;
use crate::receiver::text;

/// What one rendering may cost: about so many steps, and 64 bytes for each of them. The longest message that anybody would
/// read, over a group of a thousand alerts, takes a tenth of it.
const FUEL: u64 = 1_000_000;
/// A longer text is cut here. All services cut texts far below; for a body of JSON it is an error.
const MAX_OUTPUT: usize = 1 << 20;

/// How values are written: what the place of the text in the message wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// As they are.
    Plain,
    /// Slack's mrkdwn.
    Mrkdwn,
    /// HTML, between tags or in a quoted attribute.
    Html,
    /// As JSON: a text with its quotes. What comes out must be JSON as a whole.
    Json,
}

impl Escape {
    /// A text of an alert, without what is no text.
    fn text(self, value: &str) -> String {
        match self {
            Self::Plain | Self::Json => value.to_owned(),
            Self::Mrkdwn => text::mrkdwn(value, usize::MAX),
            Self::Html => text::html(value, usize::MAX).replace('"', "&quot;").replace('\'', "&#39;"),
        }
    }

    /// An address that can become a link. In markup it is nothing else any more: it must not be escaped like a text.
    fn url(self, address: &str) -> Value {
        match (self, text::http_url(address)) {
            (Self::Plain | Self::Json, url) => Value::from(url.unwrap_or_default()),
            (_, Some(url)) => Value::from_safe_string(url.replace('&', "&amp;")),
            (_, None) => Value::from(""),
        }
    }
}

/// A template of routes.yaml, ready to be rendered.
pub struct Template {
    /// What it is called in routes.yaml: `title`.
    key: &'static str,
    escape: Escape,
    environment: Environment<'static>,
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Template({}, {:?})", self.key, self.escape)
    }
}

impl Template {
    /// Reads a template. `key` is what messages call it, the key in routes.yaml.
    ///
    /// # Errors
    /// If its syntax is wrong.
    pub fn compile(key: &'static str, source: &str, escape: Escape) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(50);
        // Places of errors are known in debug mode only; the rest of what it adds goes unused.
        environment.set_debug(true);
        environment.set_auto_escape_callback(move |_| match escape {
            Escape::Plain => AutoEscape::None,
            Escape::Json => AutoEscape::Json,
            Escape::Mrkdwn | Escape::Html => AutoEscape::Custom("markup".into()),
        });
        environment.set_formatter(move |out, state, value| write(escape, out, state, value));
        filters::install(&mut environment, escape);
        let added = environment.add_template_owned(key, source.to_owned());
        added.map_err(|error| TemplateError::of(&error, source))?;
        Ok(Self { key, escape, environment })
    }

    /// The text for a notification; `missing` is what a label or annotation is that an alert has not.
    fn text(&self, notification: &Notification, missing: &'static str) -> Result<String, TemplateError> {
        let template = self.environment.get_template(self.key).map_err(|error| TemplateError::of(&error, ""))?;
        let context = context::of(notification, self.escape, missing);
        let mut written = Bounded::default();
        let rendered = template.render_captured_to(context, &mut written).map(drop);
        match rendered {
            Ok(()) => {}
            Err(_) if written.full && self.escape != Escape::Json => {}
            Err(_) if written.full => {
                return Err(TemplateError::new(format!("it becomes longer than {} MiB", MAX_OUTPUT >> 20)));
            }
            Err(error) if error.kind() == ErrorKind::OutOfFuel => {
                let hint = "is there a loop in a loop over all alerts?";
                return Err(TemplateError::of(&error, template.source()).says("it takes too long", hint));
            }
            Err(error) => return Err(TemplateError::of(&error, template.source())),
        }
        let text = written.into_text();
        if self.escape == Escape::Json {
            error::check_json(&text)?;
        }
        Ok(text)
    }
}

impl Render for Template {
    fn render(&self, notification: &Notification) -> Result<String, String> {
        let text = self.text(notification, "").map_err(|error| text::cut(&format!("`{}`: {error}", self.key), 300))?;
        // Space around it is how people write templates, and of no use in a message.
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(format!("`{}`: it renders to nothing", self.key));
        }
        Ok(if trimmed.len() == text.len() { text } else { trimmed.to_owned() })
    }
}

/// Writes what comes out of `{{ }}`. Not even `{% autoescape false %}` changes it.
fn write(escape: Escape, out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    // Markup that was made here: a link, a macro, a block that was set.
    if value.is_safe()
        && let Some(markup) = value.as_str()
    {
        return Ok(out.write_str(markup)?);
    }
    if escape == Escape::Json {
        let json = serde_json::to_string(value)
            .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
        return Ok(out.write_str(&json)?);
    }
    if value.is_none() || value.is_undefined() {
        return Ok(());
    }
    let text = match value.as_str() {
        Some(text) => escape.text(text),
        None => escape.text(&value.to_string()),
    };
    Ok(out.write_str(&text)?)
}

/// Takes what is written up to [`MAX_OUTPUT`].
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    full: bool,
}

impl Bounded {
    fn into_text(self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.full {
            text.truncate(text.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
        }
        text
    }
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = MAX_OUTPUT - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room {
            self.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
