//! Every kind of receiver, with its built-in texts and with texts of routes.yaml, from a file as people write it.

use std::sync::LazyLock;

use alertrouter::config::secret::{SecretFile, SecretSource};
use alertrouter::config::{self, Options};
use alertrouter::receiver::Definition;

/// Part of every secret of [`ALL`], and long enough to be one: nothing but the service itself may see it.
pub const SECRET: &str = "5ecretMark5ecretMark5ecretMark00";

/// The receivers, by name.
const ROUTES: &str = r##"
receivers:
  - name: slack
    slack: { webhook_url: "https://hooks.slack.example/services/T0/B0/SECRET" }
  - name: slack-app
    slack: { token: "SECRET", channel: "#alerts", api_url: "https://slack.example/api" }
  - name: pagerduty
    pagerduty: { routing_key: "SECRET", url: "https://events.example/v2/enqueue" }
  - name: pagerduty-group
    pagerduty: { routing_key: "SECRET", url: "https://events.example/v2/enqueue", incident_per: group }
  - name: grafana
    grafana: { url: "http://grafana.example:3000/base", token: "SECRET", tags: [ops, "a:b"], dashboard_uid: abc, panel_id: 2 }
  - name: webhook
    webhook:
      url: "https://hooks.example/in/SECRET?key=SECRET"
      headers: { authorization: "Bearer SECRET" }
      secret: "whsec_SECRET"
  - name: email
    email:
      smarthost: mail.example:587
      from: Alerts <alerts@example.org>
      to: On Call <oncall@example.org>, team@example.org
      auth: { username: router, password: "SECRET" }

  - name: slack-texts
    slack:
      webhook_url: "https://hooks.slack.example/services/T0/B0/SECRET"
      title: "{{ alert.name }} {{ alert.labels.instance | upper }} {{ commonLabels }}"
      text: &text |
        {% for a in alerts %}{{ a.generatorURL | link(a.name) }} {{ a.labels }} {{ a.summary | title }} {{ a.annotations.description }}
        {{ a.annotations.runbook_url | url }} {{ a.silenceURL | link('Silence') }} {{ a.duration }}
        {% for name, value in a.labels | items %}{{ name }}={{ value | replace("a", "<") | reverse }}{% endfor %}
        {% endfor %}{{ fallback }} {{ digest }} {{ title | truncate(50) }} {{ groupKey }} {{ externalURL }} {{ notification }}
  - name: slack-app-texts
    slack: { token: "SECRET", channel: "C0123456789", api_url: "https://slack.example/api", title: "*{{ title }}*", text: *text }
  - name: pagerduty-texts
    pagerduty:
      routing_key: "SECRET"
      url: "https://events.example/v2/enqueue"
      summary: "{{ alert.name }} {{ alert.annotations.description | trim }} {{ alert.labels | join(',') }}."
  - name: grafana-texts
    grafana: { url: "http://grafana.example:3000", token: "SECRET", text: *text }
  - name: email-texts
    email:
      smarthost: mail.example:465
      from: alerts@example.org
      to: oncall@example.org
      auth: { username: router, password: "SECRET" }
      title: "{{ alert.name }} {{ alert.labels.instance }} {{ summary }}"
      text: *text
  - name: webhook-texts
    webhook:
      url: "https://hooks.example/SECRET"
      body: |
        { "text": {{ title | truncate(300) }}, "alerts": {{ alerts | map(attribute="name") | list }}, "labels": {{ commonLabels }},
          "plain": {{ groupKey | markdown }}, "html": {{ summary | html }}, "when": {{ alert.startsAt | time("%H:%M") }},
          "for": {{ alert.startsAt | since }}, "links": {{ links }}, "all": {{ notification }}, "key": {{ fallback ~ digest | oneline }} }

route: { receivers: [slack, slack-app, pagerduty, pagerduty-group, grafana, webhook, email, slack-texts, slack-app-texts,
  pagerduty-texts, grafana-texts, email-texts, webhook-texts, teams, discord, telegram] }
"##;

/// Those of [`ROUTES`], and those for other services that README shows.
pub static ALL: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    let recipes = ["teams", "discord", "telegram"].map(recipe).concat();
    let routes = ROUTES.replace("\n\nroute:", &format!("\n{recipes}\nroute:")).replace("SECRET", SECRET);
    let (config, problems) = config::parse(routes.as_bytes(), &Options::default(), &Secrets);
    let problems: Vec<_> = problems.iter().map(|problem| problem.one_line("routes.yaml")).collect();
    config.unwrap_or_else(|| panic!("{}", problems.join("\n"))).receivers
});

/// A receiver as README shows it, with what stands before and after the item of the list cut away.
fn recipe(name: &str) -> String {
    let readme = include_str!("../../README.md");
    let begins = format!("  - name: {name}\n");
    let ours = readme.split("```yaml\n").filter_map(|block| block.split_once("```")).map(|(block, _)| block);
    let block = ours.into_iter().find(|block| block.contains(&begins) && block.contains("body: |"));
    let block = block.unwrap_or_else(|| panic!("README shows no receiver {name}"));
    let item = &block[block.find(&begins).unwrap_or_default()..];
    item[..item.find("\nroute:").unwrap_or(item.len())].to_owned() + "\n"
}

/// Every variable holds the secret.
struct Secrets;

impl SecretSource for Secrets {
    fn env(&self, _: &str) -> Option<String> {
        Some(format!("https://hooks.example/{SECRET}"))
    }

    fn file(&self, _: &std::path::Path) -> std::io::Result<SecretFile> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}
