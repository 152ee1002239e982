//! The commands of README, and what becomes of each in the tests. One that is new there belongs in here.

/// The worlds in which commands are run, in README's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    /// From an empty home to the first page.
    FirstPage,
    /// Files alone: routes, rules, tests.
    Files,
    /// Beside a service that has something to show.
    Beside,
}

#[derive(Debug, Clone, Copy)]
pub enum How {
    /// It is run, and says what README shows below it, if anything.
    In(Story),
    /// The same, but what README shows is an example: the first line has to be so.
    Like(Story),
    /// Another test runs it.
    By(&'static str),
    /// It stands in this file as well, from which a test takes it and runs it as far as it can be run here.
    As(&'static str),
    /// The gate itself runs it, or somebody who means to: a target of the Makefile.
    Make(&'static str),
    /// It is not run, and why.
    Not(&'static str),
}

use How::{As, By, In, Like, Make, Not};
use Story::{Beside, Files, FirstPage};

const ROOT: &str = "it changes the machine, as root";
const BUILD: &str = "a release build takes minutes; `make test` builds and runs the same sources";
const DOCKER: &str = "there is no Docker where the tests run; hadolint reads the Dockerfile";
const NO_DOCKER: &str = "there is no Docker where the tests run; `make stack` is the same without";
const CHAIN: &str = "stack::an_alert_travels_from_a_metric_to_one_message_and_so_does_its_end";
const KUSTOMIZATION: &str = "deploy/kubernetes/base/kustomization.yaml";
const PACKAGE: &str = "it changes the machine, as root; `.ci/package` installs the package below a folder";
const SYSTEMD: &str = "it changes the machine, as root, and wants systemd; systemd-analyze reads the unit";

/// By section.
pub const COMMANDS: &[(&str, &[(&str, How)])] = &[
    (
        "See it work",
        &[
            ("cargo run --release -- demo --once", By("demo::the_demo_loses_nothing_and_drops_copies")),
            ("make test", Make("test")),
        ],
    ),
    (
        "Five minutes to the first page",
        &[
            ("sudo apt-get update", Not(ROOT)),
            (
                "sudo apt-get install -y --no-install-recommends build-essential ca-certificates curl git make nano",
                Not(ROOT),
            ),
            (
                "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal",
                Not("it installs a compiler, without which no test would run"),
            ),
            (". \"$HOME/.cargo/env\"", Not("as above")),
            ("git clone ADDRESS alertrouter", Not("the address is the reader's; the tests run in a clone")),
            ("cd alertrouter", Not("as above")),
            ("cargo build --release", Not(BUILD)),
            ("sudo install -m 0755 target/release/alertrouter /usr/local/bin/", Not(ROOT)),
            ("mkdir -p ~/pages && cd ~/pages", In(FirstPage)),
            ("install -m 0600 /dev/stdin slack-webhook", In(FirstPage)),
            ("install -m 0600 /dev/stdin pagerduty-key", In(FirstPage)),
            ("alertrouter check routes.yaml", In(FirstPage)),
            ("alertrouter send me --resolve", In(FirstPage)),
            ("alertrouter serve", In(FirstPage)),
            ("cd ~/pages", In(FirstPage)),
            ("sudo apt-get install -y --no-install-recommends prometheus-alertmanager", Not(ROOT)),
            ("amtool check-config alertmanager.yml", In(FirstPage)),
            (
                r#"sudo sed -i 's|^ARGS=.*|ARGS="--cluster.listen-address="|' /etc/default/prometheus-alertmanager"#,
                Not("it changes the machine, as root; the story starts an Alertmanager with that flag"),
            ),
            (
                "sudo cp alertmanager.yml /etc/prometheus/ && sudo systemctl restart prometheus-alertmanager",
                Not("it changes the machine, as root; the story starts an Alertmanager with that file"),
            ),
            (
                "amtool --alertmanager.url=http://127.0.0.1:9093 alert add alertname=FirstPage severity=critical …",
                In(FirstPage),
            ),
        ],
    ),
    (
        "Without an account",
        &[("alertrouter stand-in", By("cli::stand_in::what_it_says_to_write_into_routes_yaml_works"))],
    ),
    (
        "The whole stack",
        &[
            ("deploy/stack/make-secrets", By("stack::compose::secrets_are_made_and_never_have_a_default")),
            ("docker compose --file deploy/compose.yaml up --build --detach --wait", Not(NO_DOCKER)),
            ("docker compose --file deploy/compose.yaml logs --follow stand-in", Not(NO_DOCKER)),
            ("curl -X POST http://127.0.0.1:8000/misbehave/errors", By(CHAIN)),
            ("curl -X POST http://127.0.0.1:8000/misbehave/off", By(CHAIN)),
            ("make stack", Make("stack")),
        ],
    ),
    (
        "When nothing arrives",
        &[
            ("alertrouter send me", In(FirstPage)),
            ("alertrouter route severity=critical", In(FirstPage)),
            ("curl -s http://127.0.0.1:9096/-/ready", In(FirstPage)),
            ("curl -s http://127.0.0.1:9096/metrics | grep alertrouter_webhooks_total", In(FirstPage)),
            ("alertrouter outbox list", In(FirstPage)),
            ("alertrouter rejected", In(FirstPage)),
            ("amtool --alertmanager.url=http://127.0.0.1:9093 alert query", In(FirstPage)),
            ("curl -s http://127.0.0.1:9096/webhook -d '…", In(FirstPage)),
        ],
    ),
    (
        "routes.yaml",
        &[(
            "alertrouter route --explain severity=critical team=search",
            By("routes_file::the_explanation_in_the_readme_is_what_is_printed"),
        )],
    ),
    ("Coming from Alertmanager", &[("alertrouter import alertmanager.yml --output routes.yaml", In(Files))]),
    ("Test your routes", &[("alertrouter test --coverage=100 --junit routes.xml tests/*.test.yaml", In(Files))]),
    ("Checking rules", &[("alertrouter check --strict --rules rules --rules more.rules.yaml routes.yaml", In(Files))]),
    (
        "Problems as JSON",
        &[
            ("alertrouter check --no-secrets --rules rules --format json |…", In(Files)),
            ("alertrouter check --format json | jq…", In(Files)),
        ],
    ),
    (
        "The outbox",
        &[
            ("alertrouter outbox list", Like(Beside)),
            ("alertrouter outbox show 142", In(Beside)),
            ("alertrouter outbox retry --receiver team-slack --dry-run", In(Beside)),
            ("alertrouter outbox retry --receiver team-slack", In(Beside)),
            ("alertrouter outbox discard --state waiting --alertname ApiDown", In(Beside)),
        ],
    ),
    ("Does it get through?", &[("alertrouter send oncall --resolve", In(Beside))]),
    (
        "Rules in your own CI",
        &[
            ("cp -r ../alertrouter/rules ../alertrouter/routes.yaml .", In(Files)),
            ("mkdir -p tests && cp ../alertrouter/tests/routes.test.yaml tests/", In(Files)),
        ],
    ),
    (
        "systemd",
        &[
            ("make release && sudo install -m 0755 target/release/alertrouter /usr/local/bin/", Make("release")),
            (
                "sudo install -d -m 0755 /etc/alertrouter && sudo install -m 0644 routes.yaml /etc/alertrouter/",
                Not(ROOT),
            ),
            ("sudo install -d -m 0700 /etc/alertrouter/secrets", Not(ROOT)),
            ("sudo install -m 0600 /dev/stdin /etc/alertrouter/secrets/pagerduty", Not(ROOT)),
            ("sudo install -m 0644 deploy/systemd/alertrouter.service /etc/systemd/system/", Not(SYSTEMD)),
            ("sudo systemctl daemon-reload", Not(SYSTEMD)),
            ("sudo systemctl edit alertrouter", Not(SYSTEMD)),
            ("sudo systemctl enable --now alertrouter", Not(SYSTEMD)),
        ],
    ),
    (
        "Debian package and archive",
        &[
            ("sudo rm -f /usr/local/bin/alertrouter", Not(ROOT)),
            ("sudo apt install ./target/dist/alertrouter_0.1.0-1_amd64.deb", Not(PACKAGE)),
            ("sudoedit /etc/alertrouter/routes.yaml", Not(ROOT)),
            ("sudo systemctl edit alertrouter", Not(SYSTEMD)),
            ("sudo systemctl enable --now alertrouter", Not(SYSTEMD)),
            (
                "tar xzf target/dist/alertrouter-0.1.0-x86_64-unknown-linux-gnu.tar.gz",
                Not("`make dist` makes it of a release build; `.ci/package` looks into one of the debug build"),
            ),
            ("cd alertrouter-0.1.0-x86_64-unknown-linux-gnu", Not("as above")),
            ("sudo install -m 0755 alertrouter /usr/local/bin/", Not(ROOT)),
            (
                "sudo install -d -m 0755 /usr/local/share/man/man1 && sudo install -m 0644 man/*.1 /usr/local/share/man/man1/",
                Not(ROOT),
            ),
        ],
    ),
    (
        "Completions and manual pages",
        &[
            ("alertrouter completions bash | sudo tee /etc/bash_completion.d/alertrouter >/dev/null", Not(ROOT)),
            ("mkdir -p ~/.zfunc && alertrouter completions zsh >~/.zfunc/_alertrouter", In(Files)),
            (
                "mkdir -p ~/.config/fish/completions && alertrouter completions fish >~/.config/fish/completions/alertrouter.fish",
                In(Files),
            ),
            ("sudo alertrouter man --output /usr/local/share/man/man1", Not(ROOT)),
            ("alertrouter man | man -l -", Not("it is a page to turn; `cli::man` has mandoc read what it is made of")),
        ],
    ),
    (
        "Kubernetes",
        &[
            ("kubectl create namespace alertrouter", As(KUSTOMIZATION)),
            ("kubectl label namespace alertrouter pod-security.kubernetes.io/enforce=restricted", As(KUSTOMIZATION)),
            ("mkdir -m 700 secrets", As(KUSTOMIZATION)),
            (
                "for name in ingest-token metrics-token admin-token; do openssl rand -hex 32 | tr -d '\\n' >secrets/$name; done",
                As(KUSTOMIZATION),
            ),
            ("cat >secrets/pagerduty", As(KUSTOMIZATION)),
            ("cat >secrets/slack", As(KUSTOMIZATION)),
            (
                "kubectl --namespace alertrouter create secret generic alertrouter --from-file=secrets",
                As(KUSTOMIZATION),
            ),
            ("kubectl apply -k deploy/kubernetes/base", As(KUSTOMIZATION)),
        ],
    ),
    (
        "Dashboards",
        &[(
            r"sudo sed -i 's|https://alertrouter\.example/|https://wiki.example/|g' /etc/grafana/dashboards/*.json",
            Not("it changes files that Grafana has, as root"),
        )],
    ),
    (
        "A container",
        &[
            ("docker build --file deploy/docker/Dockerfile --tag alertrouter …", Not(DOCKER)),
            ("docker run --detach --name alertrouter --restart unless-stopped --stop-timeout 75 …", Not(DOCKER)),
            ("docker exec alertrouter /usr/local/bin/alertrouter outbox list", Not(DOCKER)),
            ("docker kill --signal HUP alertrouter", Not(DOCKER)),
        ],
    ),
    ("Upgrade", &[("alertrouter --version", In(Beside))]),
    (
        "Backup",
        &[
            ("umask 077", In(Beside)),
            ("sqlite3 -readonly data/alertrouter.db \"VACUUM INTO 'backup.db'\"", In(Beside)),
            ("mkdir -m 0700 restored", In(Beside)),
            ("cp backup.db restored/alertrouter.db && touch restored/alertrouter.lock", In(Beside)),
            ("alertrouter outbox list --data-dir restored --state waiting", In(Beside)),
            ("alertrouter outbox discard --data-dir restored --state waiting --older-than 1h --dry-run", In(Beside)),
        ],
    ),
    (
        "Who may post",
        &[(
            "curl -s -X POST -H @/etc/alertrouter/admin-header http://alertrouter.example:9096/-/reload",
            By("auth::what_readme_has_for_curl_and_prometheus_works"),
        )],
    ),
];
