//! README's commands, run one after the other as a newcomer does, with stand-ins in the place of the services.

use alertrouter::standin::{Behaviour, pagerduty};

use super::commands::of_story;
use super::listed::Story;
use super::section;
use super::shell::Shell;
use crate::alertmanager::Alertmanager;
use crate::harness::process::{Router, debian};
use crate::harness::wait::{until, until_taken};
use crate::harness::{ROUTES, Services, alerts, http};
use crate::routes_file::{blocks, root};

/// The address by which the stand-in is known to what is shown: `http://127.0.0.1:PORT`.
fn origin(url: &str) -> &str {
    url.match_indices('/').nth(2).map_or(url, |(at, _)| &url[..at])
}

async fn serve(shell: &Shell) -> Router {
    Router::from_command(shell.process("ALERTROUTER_LISTEN=127.0.0.1:0 exec alertrouter serve")).await
}

#[tokio::test]
async fn a_newcomer_reaches_the_first_page() {
    for (program, package) in [("amtool", "prometheus-alertmanager"), ("curl", "curl")] {
        drop(debian(program, package));
    }
    let services = Services::start().await;
    let mut shell = Shell::new();
    shell.instead("https://hooks.slack.com", origin(&services.slack.url()));
    let examples = blocks(&section("## Five minutes to the first page"), "yaml");
    let [slack, pagerduty, alertmanager] = <[String; 3]>::try_from(examples).expect("three files");
    let (mut router, mut peer) = (None, None);
    for command in of_story(Story::FirstPage) {
        let input = match command.text.rsplit(' ').next().unwrap() {
            "slack-webhook" => format!("{}\n", services.slack.url()),
            "pagerduty-key" => format!("{}\n", pagerduty::ROUTING_KEY),
            _ => String::new(),
        };
        match command.text.as_str() {
            "alertrouter check routes.yaml" => shell.write("routes.yaml", &slack),
            "amtool check-config alertmanager.yml" => shell.write("alertmanager.yml", &shell.in_place(&alertmanager)),
            "alertrouter serve" => {
                let running = serve(&shell).await;
                shell.instead("127.0.0.1:9096", &running.address);
                router = Some(running);
                continue;
            }
            text if text.contains("alert add") => {
                let config = shell.in_place(&alertmanager);
                let started = Alertmanager::with_config(&shell.home.0, "alertmanager", &config, &[]).await;
                shell.instead("127.0.0.1:9093", &started.address);
                peer = Some(started);
            }
            _ => (),
        }
        let said = shell.expect(&command, &input).await;
        if command.text.contains("alert add") {
            let log = || format!("{}{}", said.err, router.as_ref().unwrap().process.log());
            until_taken(&services.slack, "the first page", log, |slack| {
                slack.accepted().iter().any(|request| request.json.to_string().contains("FirstPage"))
            })
            .await;
        }
        if command.text.ends_with("alert query") {
            assert!(said.out.contains("FirstPage"), "{}", said.out);
        }
    }
    let mut router = router.expect("it was served");
    until_taken(
        &services.slack,
        "the one by hand",
        || router.process.log(),
        |slack| slack.accepted().iter().any(|request| request.json.to_string().contains("Just trying.")),
    )
    .await;
    assert!(services.pagerduty.received().is_empty());
    drop(peer);
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());
    the_same_with_pagerduty(&services, &mut shell, &pagerduty).await;
}

/// The other file, and the same two commands.
async fn the_same_with_pagerduty(services: &Services, shell: &mut Shell, routes: &str) {
    let ours = format!("    pagerduty:\n      url: {}\n", services.pagerduty.url());
    shell.write("routes.yaml", &routes.replace("    pagerduty:\n", &ours));
    for command in ["alertrouter check routes.yaml", "alertrouter send me --resolve"] {
        let said = shell.run(command, "").await;
        assert_eq!(said.code, Some(0), "{command}\n{}{}", said.out, said.err);
    }
    let incidents = services.pagerduty.incidents();
    assert_eq!(incidents.iter().map(|incident| incident.open).collect::<Vec<_>>(), [false]);
}

/// Rules of which README says what `check` says.
fn rules() -> [(&'static str, String); 3] {
    let of = |name: &str, alerts: &[(String, &str)]| {
        let rule = |(alert, severity): &(String, &str)| {
            format!("      - {{ alert: {alert}, expr: a > 1, labels: {{ severity: '{severity}' }} }}\n")
        };
        format!("groups:\n  - name: {name}\n    rules:\n{}", alerts.iter().map(rule).collect::<String>())
    };
    let some = |from: usize, to: usize, severity| (from..to).map(|n| (format!("A{n}"), severity)).collect::<Vec<_>>();
    [
        ("rules/a.rules.yaml", of("a", &some(0, 6, "critical"))),
        ("rules/b.rules.yaml", of("b", &some(6, 10, "warning"))),
        ("more.rules.yaml", of("c", &some(10, 12, "{{ $labels.severity }}"))),
    ]
}

#[tokio::test]
async fn files_are_checked_tested_and_imported() {
    drop(debian("jq", "jq"));
    let mut shell = Shell::new();
    let home = shell.home.0.clone();
    for name in ["import", "test", "check", "team"] {
        std::fs::create_dir(home.join(name)).unwrap();
    }
    std::os::unix::fs::symlink(root(""), home.join("alertrouter")).unwrap();
    shell.set("PAGERDUTY_ROUTING_KEY", pagerduty::ROUTING_KEY);
    shell.set("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/T00000000/B00000000/not-a-real-one");
    shell.set("GRAFANA_TOKEN", "not-a-real-one");
    for command in of_story(Story::Files) {
        let folder = match command.section.as_str() {
            "Coming from Alertmanager" => "import",
            "Test your routes" => "test",
            "Checking rules" | "Problems as JSON" => "check",
            _ => "team",
        };
        shell.at = home.join(folder);
        match folder {
            "import" => shell.write("alertmanager.yml", &blocks(&section("## Coming from Alertmanager"), "yaml")[0]),
            "test" => {
                shell.write("routes.yaml", &blocks(&section("## routes.yaml"), "yaml")[0]);
                shell.write("tests/routes.test.yaml", &blocks(&section("## Test your routes"), "yaml")[0]);
            }
            "check" => {
                shell.write("routes.yaml", &std::fs::read_to_string(root("routes.yaml")).unwrap());
                for (name, text) in rules() {
                    shell.write(name, &text);
                }
            }
            _ => (),
        }
        shell.expect(&command, "").await;
    }
    for file in
        ["import/routes.yaml", "test/routes.xml", "team/rules/llm/llm.rules.yaml", "team/tests/routes.test.yaml"]
    {
        assert!(home.join(file).is_file(), "{file}");
    }
}

#[tokio::test]
async fn beside_a_service_its_outbox_is_mended_and_its_data_kept() {
    drop(debian("sqlite3", "sqlite3"));
    let services = Services::start().await;
    let mut shell = Shell::new();
    shell.write("routes.yaml", &services.fill_in(ROUTES));
    shell.instead("https://events.pagerduty.com", origin(&services.pagerduty.url()));
    let mut router = serve(&shell).await;
    let post = async |name: &str, severity: &str| {
        let body = alerts::one(name, severity).to_string();
        assert_eq!(http::post(&router.address, "/webhook", body.into()).await.0, 200);
    };
    // What the section about the outbox shows: a dead letter of Slack's, and one that waits for PagerDuty.
    services.slack.behave(Behaviour::answer(404, "no_service"));
    post("DiskFull", "warning").await;
    let log = || router.process.log();
    until("a dead letter", log, async || router.sum("alertrouter_dead_letters").await == 1.0).await;
    services.pagerduty.set_down(true);
    post("ApiDown", "critical").await;
    services.pagerduty.wait_for_turned_away(1).await;
    for command in of_story(Story::Beside) {
        match command.text.as_str() {
            "alertrouter outbox show 142" => {
                let json = shell.run("alertrouter outbox list --state dead --format json", "").await.out;
                let list: serde_json::Value = serde_json::from_str(&json).unwrap();
                shell.instead("show 142", &format!("show {}", list["deliveries"][0]["id"]));
            }
            "alertrouter send oncall --resolve" => services.pagerduty.set_down(false),
            "umask 077" => {
                services.pagerduty.set_down(true);
                post("Waiting", "critical").await;
            }
            _ => (),
        }
        let said = shell.expect(&command, "").await;
        if command.text == "alertrouter outbox retry --receiver team-slack" {
            until("it was sent again", log, async || router.sum("alertrouter_dead_letters").await == 0.0).await;
        }
        if command.text.ends_with("list --data-dir restored --state waiting") {
            assert!(said.out.contains("Waiting"), "the copy lacks what was written last:\n{}", said.out);
        }
    }
    assert_eq!(router.process.terminate().await, Some(0), "{}", router.process.log());

    // The copy is what it was.
    services.pagerduty.set_down(false);
    let command = shell.process("ALERTROUTER_LISTEN=127.0.0.1:0 exec alertrouter serve --data-dir restored");
    let mut restored = Router::from_command(command).await;
    until_taken(
        &services.pagerduty,
        "what waited in the copy",
        || restored.process.log(),
        |pagerduty| pagerduty.incidents().iter().any(|incident| incident.summary.contains("Waiting")),
    )
    .await;
    assert!(!restored.process.log().contains("other users can look into"), "{}", restored.process.log());
    assert_eq!(restored.process.terminate().await, Some(0), "{}", restored.process.log());
}
