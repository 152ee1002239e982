//! The commands, and what `Debug` shows: whatever is wrong with a file, no secret of it is repeated.

use std::path::Path;

use alertrouter::config::secret::{SecretFile, SecretSource, System};
use alertrouter::config::{self, Options};
use alertrouter::deliver::Transport;

use super::planted::marker;
use super::{IMPORTED, World};

impl SecretSource for World {
    fn env(&self, name: &str) -> Option<String> {
        self.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    fn file(&self, path: &Path) -> std::io::Result<SecretFile> {
        System.file(&self.path().join(path))
    }
}

/// Whatever is made of routes.yaml, with every secret in it, and what is sent.
fn debug_shows_none(world: &World) {
    let (config, problems) = config::parse(world.routes.as_bytes(), &Options::default(), world);
    let config = config.unwrap_or_else(|| panic!("{problems:?}"));
    world.finder.none_in("Debug", format!("{config:?} {config:#?} {problems:?} {:?}", Transport::new().unwrap()));
    let held = config.receivers.iter().filter(|definition| format!("{definition:?}").contains("REDACTED")).count();
    assert_eq!((config.receivers.len(), held), (11, 10), "all but mail, which shows its server alone, hold a secret");
}

#[tokio::test]
async fn no_secret_leaves_a_command_whatever_is_wrong() {
    let world = World::start().await;
    debug_shows_none(&world);

    for receiver in ["webhook", "http2", "pagerduty", "slack-app", "mail", "wrong-name", "no-name"] {
        world.say(&["send", receiver]).await;
    }
    assert_eq!(world.say(&["check"]).await.code, Some(0));
    let marker = marker("SLACK_HOOK");
    let wrong = |from: &str, to: &str| {
        let text = world.routes.replacen(from, to, 1);
        assert_ne!(text, world.routes, "{from}");
        text
    };
    for (number, text) in [
        // A mistake beside each of them, so that every line is shown.
        world
            .routes
            .replace("timeout:", "tiemout:")
            .replace("url: '", "ulr: '")
            .replace("webhook:\n", "webhook:\n      odd: 1\n"),
        // The secret itself in a wrong place: its variable, its file, its key, a name, a receiver, a matcher.
        wrong("{ env: IT_SLACK_TOKEN }", &format!("{{ env: {marker} }}")),
        wrong("{ file: routing_key.secret }", &format!("{{ file: {marker} }}")),
        wrong("token: { env: IT_GRAFANA_TOKEN }", &format!("token: {{ {marker}: x }}")),
        wrong("receivers: [slack-hook", &format!("receivers: [{marker}")),
        wrong("channel: C0123456789", &format!("channel: '{marker}'")),
        wrong("authorization: ", &format!("'{marker} x': ")),
        world.routes.replace("route:\n", &format!("route:\n  matchers: ['{marker}']\n  {marker}: 1\n")),
        world.routes.replace("receivers:\n", "receivers: \"\n"),
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(world.path().join("broken.yaml"), text).unwrap();
        for format in ["text", "json"] {
            let said = world.say(&["check", "--strict", "broken.yaml", "--format", format]).await;
            assert_eq!(said.code, Some(1), "{number}: {said:?}");
        }
        if number == 0 {
            world.say(&["route", "--explain", "--config", "broken.yaml", "a=b"]).await;
            world.say(&["send", "webhook", "--config", "broken.yaml"]).await;
            world.say(&["serve", "--listen", "127.0.0.1:0", "--config", "broken.yaml", "--log-level", "trace"]).await;
        }
    }
    world.say(&["route", "--explain", "severity=critical"]).await;
    let test = "tests: [{ name: a, labels: { alertname: A }, receivers: [nobody] }]";
    std::fs::write(world.path().join("a.test.yaml"), test).unwrap();
    assert_eq!(world.say(&["test", "a.test.yaml", "--coverage"]).await.code, Some(1));
    import(&world).await;
}

async fn import(world: &World) {
    let [slack, key, url, basic, password] = IMPORTED else { panic!("{IMPORTED:?}") };
    let (slack, key, url) = (marker(slack), marker(key), marker(url));
    let (basic, password) = (marker(basic), marker(password));
    let file = format!(
        "global:
  slack_api_url: https://hooks.slack.com/services/T0/B0/{slack}
  smtp_smarthost: mail.example.org:587
  smtp_from: a@example.org
  smtp_auth_username: a
  smtp_auth_password: {password}
route: {{ receiver: all }}
receivers:
- name: all
  slack_configs: [{{ channel: '#a' }}]
  pagerduty_configs: [{{ routing_key: {key} }}]
  email_configs: [{{ to: b@example.org }}]
  webhook_configs:
  - url: https://somebody:{basic}@hooks.example/{url}
    http_config: {{ basic_auth: {{ username: a, password: {basic} }}, authorization: {{ credentials: {key} }} }}
"
    );
    for (name, text) in
        [("am.yml", file.clone()), ("odd.yml", file.replace("receiver: all", "receiver: al").replace("url:", "ulr:"))]
    {
        std::fs::write(world.path().join(name), text).unwrap();
        world.say(&["import", name]).await;
    }
}
