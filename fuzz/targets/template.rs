//! Templates of routes.yaml.

use alertrouter::notification::Granularity;
use alertrouter::receiver::custom::Render;
use alertrouter::template::{Escape, Template, samples};

/// A template: reading and rendering end, in little memory; what is wrong points into it; what it makes for a JSON body is
/// JSON; no label becomes markup in Slack's.
///
/// For which service it is, and whether it is checked or rendered, depends on its length: a template may nearly use up its fuel
/// with each of the samples, and under a sanitizer that takes a second each time. Space around a template is of no account, so
/// any of it can be had.
pub fn template(bytes: &[u8]) {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    let escape = [Escape::Plain, Escape::Mrkdwn, Escape::Html, Escape::Json][source.len() % 4];
    let template = match Template::compile("text", source, escape) {
        Ok(template) => template,
        Err(error) => return assert!(error.at.is_none_or(|(_, offset)| source.is_char_boundary(offset)), "{error:?}"),
    };
    if source.len() / 4 % 2 == 0 {
        if let Err(error) = template.check(Granularity::Alert) {
            assert!(error.at.is_none_or(|(_, offset)| source.is_char_boundary(offset)), "{error:?}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        return;
    }
    for sample in samples::all(Granularity::Group).iter().take(4) {
        let Ok(text) = template.render(&sample.notification) else { continue };
        assert!(!text.trim().is_empty());
        if escape == Escape::Json {
            serde_json::from_str::<serde_json::Value>(&text).expect("a body of JSON is JSON");
        }
        // The samples' description holds the word in angle brackets.
        let written = source.contains("dashboard") || source.contains('<');
        assert!(escape != Escape::Mrkdwn || written || !text.contains("<dashboard>"), "{text}");
    }
}
