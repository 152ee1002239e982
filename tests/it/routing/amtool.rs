//! Debian's amtool, and text as it reads it.

use std::path::Path;
use std::process::Stdio;

use crate::harness::process::debian;

/// The receivers that `amtool config routes test` prints, or why it refuses.
pub fn routes_test(config: &Path, labels: &[String]) -> Result<String, String> {
    amtool("test", config, labels).map(|out| out.trim_end_matches('\n').to_owned())
}

/// The tree as `amtool config routes show` prints it, or why it refuses.
pub fn routes_show(config: &Path) -> Result<String, String> {
    amtool("show", config, &[])
}

fn amtool(command: &str, config: &Path, labels: &[String]) -> Result<String, String> {
    let mut amtool = debian("amtool", "prometheus-alertmanager").into_std();
    amtool.args(["config", "routes", command, "--config.file"]).arg(config).args(labels);
    let said = amtool.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if said.status.success() { Ok(text(said.stdout)) } else { Err(text(said.stderr)) }
}

/// `name="value"`, as both of Alertmanager's syntaxes read it.
pub fn matcher(name: &str, op: &str, value: &str) -> String {
    let escaped = value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
    format!("{name}{op}\"{escaped}\"")
}

/// A text as YAML, which keeps every character.
pub fn yaml(text: &str) -> String {
    let raw = |c: char| !c.is_control() && c != '\u{feff}';
    if text.chars().all(raw) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let escape = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if raw(c) => c.to_string(),
        c => format!("\\u{:04x}", u32::from(c)),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

/// Arguments for a shell.
pub fn shell(arguments: &[String]) -> String {
    let quoted = |argument: &String| format!("'{}'", argument.replace('\'', r"'\''"));
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}
