//! What a manual page says and the command tree does not know: exit codes, files, examples.

/// Terms, and what they mean.
type Entries = &'static [(&'static str, &'static str)];

/// Of one command.
pub(super) struct Facts {
    pub(super) exit_status: Entries,
    /// Variables besides those of flags.
    pub(super) environment: Entries,
    pub(super) files: Entries,
    pub(super) examples: Entries,
    pub(super) see_also: &'static [&'static str],
}

/// What holds where nothing else is said.
const COMMON: Facts = Facts {
    exit_status: &[("0", "It has done what it was asked for."), FAILED, USAGE],
    environment: &[],
    files: &[],
    examples: &[],
    see_also: &[],
};

const FAILED: (&str, &str) = ("1", "It has failed; one line on standard error says why.");
const USAGE: (&str, &str) = ("2", "The arguments are wrong.");

const ROUTES: (&str, &str) = ("routes.yaml", "Receivers and routes, unless another file is named.");
const DATABASE: (&str, &str) =
    ("data/alertrouter.db", "The embedded store: what was told to whom, what waits, what is dead.");

const SECRETS: (&str, &str) = ("NAME", "The secret that routes.yaml asks for as `{ env: NAME }`.");
const AUTHORITIES: (&str, &str) =
    ("SSL_CERT_FILE", "Certificates of the authorities that are trusted, in place of the system's.");
const PROXIES: (&str, &str) =
    ("HTTPS_PROXY, HTTP_PROXY, NO_PROXY", "The proxy that receivers are reached by. Mail goes past it.");

const TRACES: (&str, &str) = (
    "OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, \
     OTEL_TRACES_SAMPLER_ARG, OTEL_BSP_SCHEDULE_DELAY, OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BSP_MAX_EXPORT_BATCH_SIZE, \
     OTEL_SDK_DISABLED",
    "How traces are exported, as OpenTelemetry defines them. Read with `--otlp-endpoint` only: none of them switches traces on.",
);

/// The outbox is that of the service, so it needs the rights of the service.
const OUTBOX: Facts = Facts { files: &[DATABASE], ..COMMON };

impl Facts {
    /// Those of a command: `serve`, `outbox-list`; of the program itself if it is empty.
    pub(super) fn of(command: &str) -> Self {
        match command {
            "" => PROGRAM,
            "serve" => SERVE,
            "demo" => DEMO,
            "check" => CHECK,
            "route" => ROUTE,
            "test" => TEST,
            "import" => IMPORT,
            "send" => SEND,
            "outbox-retry" | "outbox-discard" => CHANGE,
            "rejected" => Self { files: &[DATABASE], ..COMMON },
            "healthcheck" => HEALTHCHECK,
            "completions" => COMPLETIONS,
            "man" => MAN,
            other if other.starts_with("outbox") => OUTBOX,
            _ => COMMON,
        }
    }
}

const PROGRAM: Facts = Facts {
    environment: &[("ALERTROUTER_*", "Most flags can be set by a variable; the page of each command names them.")],
    files: &[
        ROUTES,
        DATABASE,
        ("/usr/share/doc/alertrouter/README.md", "Everything else there is to know, where a package installed it."),
    ],
    examples: &[
        (
            "alertrouter demo --once",
            "See it work: a recorded incident, with stand-ins for Slack, PagerDuty and Grafana.",
        ),
        ("alertrouter check routes.yaml", "Is the file right?"),
        ("alertrouter route severity=critical team=search", "Who would hear of this alert?"),
        ("alertrouter send team-slack", "Does a message get through?"),
        ("alertrouter serve", "Run the service, for Alertmanager to post to http://127.0.0.1:9096/webhook."),
    ],
    see_also: &["amtool(1)", "prometheus(1)", "promtool(1)"],
    ..COMMON
};

const SERVE: Facts = Facts {
    exit_status: &[
        ("0", "SIGTERM or SIGINT has ended it."),
        ("1", "It could not start; standard error says why. Nothing was changed."),
        USAGE,
    ],
    environment: &[SECRETS, PROXIES, AUTHORITIES, TRACES],
    files: &[ROUTES, DATABASE],
    examples: &[
        (
            "alertrouter serve --config /etc/alertrouter/routes.yaml --data-dir /var/lib/alertrouter",
            "As a service does.",
        ),
        ("kill -HUP PID", "Load routes.yaml again; the log says every problem of one that is not taken."),
    ],
    see_also: &["alertrouter-check(1)", "alertrouter-outbox(1)", "systemctl(1)"],
};

const DEMO: Facts = Facts {
    exit_status: &[("0", "Everything arrived."), ("1", "It could not start, or something was lost."), USAGE],
    ..COMMON
};

const CHECK: Facts = Facts {
    exit_status: &[
        ("0", "There are no errors; with `--strict`, no warnings either."),
        ("1", "There are, or the file cannot be read."),
        USAGE,
    ],
    environment: &[SECRETS],
    files: &[ROUTES],
    examples: &[
        ("alertrouter check --strict --no-secrets routes.yaml", "In CI, where the secrets are not."),
        ("alertrouter check --rules rules routes.yaml", "Does it know every alert of these rule files?"),
    ],
    see_also: &["promtool(1)"],
};

const ROUTE: Facts = Facts {
    exit_status: &[
        ("0", "The receivers were printed and, with `--verify`, are those that were expected."),
        ("1", "They are not, or the file cannot be used."),
        USAGE,
    ],
    files: &[ROUTES],
    examples: &[("alertrouter route --explain severity=critical team=search", "Which route takes it, and why?")],
    ..COMMON
};

const TEST: Facts = Facts {
    exit_status: &[
        ("0", "Every test has passed."),
        ("1", "One has not, a file cannot be used, or fewer routes are reached than `--coverage` asks for."),
        USAGE,
    ],
    files: &[ROUTES],
    examples: &[("alertrouter test --coverage=100 tests/routes.test.yaml", "Run them, and let no route go untested.")],
    ..COMMON
};

const IMPORT: Facts = Facts {
    exit_status: &[
        ("0", "The routes file was written."),
        (
            "1",
            "The file has errors, and nothing was written; or something of it has to be finished by hand, and standard error \
             says what.",
        ),
        USAGE,
    ],
    examples: &[("alertrouter import /etc/alertmanager/alertmanager.yml --output routes.yaml", "Take it over.")],
    see_also: &["amtool(1)"],
    ..COMMON
};

const SEND: Facts = Facts {
    exit_status: &[("0", "The service has accepted it."), ("1", "It has not; the reason is printed."), USAGE],
    environment: &[SECRETS, PROXIES, AUTHORITIES],
    files: &[ROUTES],
    examples: &[("alertrouter send oncall --resolve", "Open an incident, and close it.")],
    ..COMMON
};

const CHANGE: Facts = Facts {
    exit_status: &[
        ("0", "It is done."),
        ("1", "One of the numbers does not exist or cannot be changed; then none is."),
        ("2", "The arguments are wrong, or do not say which."),
    ],
    ..OUTBOX
};

const HEALTHCHECK: Facts = Facts {
    exit_status: &[("0", "It is well."), ("1", "It is not, or does not answer in time."), USAGE],
    environment: &[AUTHORITIES],
    ..COMMON
};

const COMPLETIONS: Facts = Facts {
    examples: &[
        ("alertrouter completions bash > /etc/bash_completion.d/alertrouter", "For everybody's bash."),
        ("alertrouter completions zsh > ~/.zfunc/_alertrouter", "In a folder of zsh's `fpath`."),
        ("alertrouter completions fish > ~/.config/fish/completions/alertrouter.fish", "For one's own fish."),
    ],
    ..COMMON
};

const MAN: Facts = Facts {
    examples: &[
        ("alertrouter man | man -l -", "Read the page of the program."),
        ("alertrouter man --output /usr/local/share/man/man1", "Install all pages."),
    ],
    see_also: &["man(1)"],
    ..COMMON
};
