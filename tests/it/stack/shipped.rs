//! The stack of deploy/compose.yaml without containers: its command lines and its files, with addresses and folders of this
//! machine in the place of the containers'. Nothing else is changed.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::alertmanager::Alertmanager;
use crate::harness::Folder;
use crate::harness::http::Client;
use crate::harness::process::{Process, Router, alertrouter, debian, free_address, run};
use crate::routes_file::root;

/// deploy/compose.yaml.
pub struct Compose(pub Value);

impl Compose {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(root("deploy/compose.yaml")).unwrap();
        Self(serde_yaml::from_str(&text).unwrap())
    }

    pub fn services(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0["services"].as_object().unwrap().iter().map(|(name, service)| (name.as_str(), service))
    }

    /// The words of a service's command line.
    fn command(&self, service: &str) -> Vec<String> {
        let words = self.0["services"][service]["command"].as_array();
        let words = words.unwrap_or_else(|| panic!("{service} has no command"));
        words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    }

    /// What a service finds in its environment, given what deploy/.env says.
    pub fn environment(&self, service: &str, secrets: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let all = self.0["services"][service]["environment"].as_object().unwrap();
        let interpolated = |value: &Value| {
            let text = value.as_str().unwrap();
            let Some(inside) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
                return text.to_owned();
            };
            let (name, what) = inside.split_once(':').unwrap();
            let default = || what.strip_prefix('-').unwrap_or_else(|| panic!("{name} has no default")).to_owned();
            secrets.get(name).cloned().unwrap_or_else(default)
        };
        all.iter().map(|(name, value)| (name.clone(), interpolated(value))).collect()
    }
}

/// What stands for what: of the containers, of this machine.
#[derive(Clone, Default)]
pub struct Places(Vec<(String, String)>);

impl Places {
    pub fn add(&mut self, theirs: &str, ours: &str) {
        self.0.push((theirs.to_owned(), ours.to_owned()));
    }

    fn with(&self, own: &[(&str, &str)]) -> Self {
        let mut places = self.clone();
        for (theirs, ours) in own {
            places.add(theirs, ours);
        }
        places
    }

    fn fill_in(&self, text: &str) -> String {
        let filled = self.0.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours));
        let left = regex::Regex::new(
            r"0\.0\.0\.0|localhost|/run/|/etc/|\b(llm-service|stand-in|alertmanager-\d|alertrouter|prometheus):\d",
        );
        let left = left.unwrap().find(&filled).map(|found| found.as_str().to_owned());
        assert_eq!(left, None, "nothing stands for it in\n{filled}");
        filled
    }

    /// A shipped file.
    pub fn file(&self, name: &str) -> String {
        self.fill_in(&std::fs::read_to_string(root(name)).unwrap())
    }

    fn arguments(&self, words: &[String]) -> Vec<String> {
        words.iter().map(|word| self.fill_in(word)).collect()
    }
}

/// Runs deploy/stack/make-secrets in `folder`, which is then to a part what a clone is; what deploy/.env says.
pub async fn make_secrets(folder: &Path) -> BTreeMap<String, String> {
    let script = folder.join("deploy/stack/make-secrets");
    std::fs::create_dir_all(script.parent().unwrap()).unwrap();
    std::fs::copy(root("deploy/stack/make-secrets"), &script).unwrap();
    // As another program: the kernel would not start a file that a sibling test's fork still holds open for writing.
    let mut shell = Command::new("sh");
    shell.arg(&script);
    let said = run(shell).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    let env = std::fs::read_to_string(folder.join("deploy/.env")).unwrap();
    let lines = env.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once('=').unwrap()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The running stack.
pub struct Stack {
    pub client: Client,
    pub service: Process,
    pub stand_in: Process,
    pub router: Router,
    pub alertmanagers: [Alertmanager; 2],
    pub prometheus: Process,
    pub service_address: String,
    pub stand_in_address: String,
    pub prometheus_address: String,
    pub metrics_token: String,
    _folder: Folder,
}

impl Stack {
    /// Starts everything, in the order of `depends_on`.
    pub async fn start() -> Self {
        let (compose, folder) = (Compose::read(), Folder::new());
        let secrets = make_secrets(&folder.0).await;
        let at = |name: &str| folder.0.join(name).display().to_string();
        let mut places = Places::default();
        places.add("/run/secrets/", &at("deploy/stack/secrets/"));
        places.add("/srv/", &root("deploy/stack/"));

        let words = compose.command("llm-service");
        let mut command = debian(&words[0], "python3");
        command.arg("-B").args(places.with(&[("0.0.0.0:8000", "127.0.0.1:0")]).arguments(&words[1..]));
        let mut service = Process::start(command);
        let service_address = address(&mut service).await;
        places.add("llm-service:8000", &service_address);

        let mut command = alertrouter();
        command.args(places.with(&[("0.0.0.0:9099", "127.0.0.1:0")]).arguments(&compose.command("stand-in")));
        let mut stand_in = Process::start_talking(command);
        let stand_in_address = address(&mut stand_in).await;
        places.add("stand-in:9099", &stand_in_address);

        std::fs::write(at("routes.yaml"), places.file("deploy/stack/routes.yaml")).unwrap();
        let mut command = alertrouter();
        command.args(compose.command("alertrouter")).args(["--listen", "127.0.0.1:0", "--log-level", "debug"]);
        command.args(["--config", &at("routes.yaml"), "--data-dir", &at("data")]);
        let environment = compose.environment("alertrouter", &secrets);
        command.envs(environment.iter().map(|(name, value)| (name, places.fill_in(value))));
        let router = Router::from_command(command).await;
        places.add("alertrouter:9096", &router.address);

        let alertmanagers = Self::alertmanagers(&compose, &folder.0, &mut places).await;
        let prometheus_address = free_address().await;
        let prometheus = Self::prometheus(&compose, &folder.0, &places, &prometheus_address);
        Self {
            client: Client::new(),
            service,
            stand_in,
            router,
            alertmanagers,
            prometheus,
            service_address,
            stand_in_address,
            prometheus_address,
            metrics_token: secrets["ALERTROUTER_METRICS_TOKEN"].clone(),
            _folder: folder,
        }
    }

    async fn alertmanagers(compose: &Compose, folder: &Path, places: &mut Places) -> [Alertmanager; 2] {
        let config = folder.join("alertmanager.yml").display().to_string();
        std::fs::write(&config, places.file("deploy/stack/alertmanager.yml")).unwrap();
        places.add("/etc/alertmanager/alertmanager.yml", &config);
        let mut own = Vec::new();
        for (name, host) in [("alertmanager-1", "localhost:9093"), ("alertmanager-2", "localhost:9094")] {
            let (web, cluster) = (free_address().await, free_address().await);
            places.add(&format!("{name}:9093"), &web);
            places.add(&format!("{name}:9094"), &cluster);
            places.add(host, &web);
            own.push((name, web, cluster));
        }
        let start = async |(name, web, cluster): &(&str, String, String)| {
            let data = format!("={}", folder.join(name).display());
            let here = places.with(&[("0.0.0.0:9093", web), ("0.0.0.0:9094", cluster), ("=/alertmanager", &data)]);
            let mut command = debian("prometheus-alertmanager", "prometheus-alertmanager");
            command.args(here.arguments(&compose.command(name)));
            Alertmanager::from_command(command, web.clone()).await
        };
        // At once, so that nobody else takes an address meanwhile.
        let (one, two) = tokio::join!(start(&own[0]), start(&own[1]));
        [one, two]
    }

    fn prometheus(compose: &Compose, folder: &Path, places: &Places, address: &str) -> Process {
        let config = folder.join("prometheus");
        let (files, data) = (format!("{}/", config.display()), format!("={}", folder.join("tsdb").display()));
        let here = places.with(&[
            ("/etc/prometheus/", &files),
            ("=/prometheus", &data),
            ("0.0.0.0:9090", address),
            ("localhost:9090", address),
            ("prometheus:9090", address),
        ]);
        std::fs::create_dir(&config).unwrap();
        std::fs::write(config.join("prometheus.yml"), here.file("deploy/stack/prometheus.yml")).unwrap();
        // Where compose mounts them.
        symlink(root("rules"), config.join("rules")).unwrap();
        symlink(root("deploy/stack/stack.rules.yaml"), config.join("stack.rules.yaml")).unwrap();
        let mut command = debian("prometheus", "prometheus");
        command.args(here.arguments(&compose.command("prometheus")));
        Process::start(command)
    }

    /// Asks as the service's health check in compose.yaml does. Prometheus' own, `promtool check ready`, is not in Debian's.
    pub async fn is_healthy(&self, service: &str) {
        let check = &Compose::read().0["services"][service]["healthcheck"]["test"];
        let words: Vec<_> = check.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        let [one, two] = &self.alertmanagers;
        let (at, address) = match service {
            "llm-service" => ("127.0.0.1:8000", &self.service_address),
            "stand-in" => ("127.0.0.1:9099", &self.stand_in_address),
            "alertmanager-1" => ("127.0.0.1:9093", &one.address),
            "alertmanager-2" => ("127.0.0.1:9093", &two.address),
            _ => ("127.0.0.1:9096", &self.router.address),
        };
        assert_eq!(words[0], "CMD", "{service}");
        let mut command = match words[1] {
            "/usr/local/bin/alertrouter" => alertrouter(),
            program => debian(program, "python3 prometheus-alertmanager"),
        };
        command.args(words[2..].iter().map(|word| word.replace(at, address)));
        // What the binary asks where nothing else is said.
        command.env("ALERTROUTER_HEALTHCHECK_URL", format!("http://{}/-/healthy", self.router.address));
        let said = run(command).await;
        assert_eq!(said.code, Some(0), "{service} is not healthy: {}{}", said.out, said.err);
    }

    /// What all of them say: for when something does not come.
    pub fn log(&self) -> String {
        let [one, two] = &self.alertmanagers;
        [&self.service, &self.stand_in, &self.router.process, &one.process, &two.process, &self.prometheus]
            .map(Process::log)
            .join("\n---\n")
    }

    /// `data` of an answer of Prometheus' API; null if there is none yet.
    pub async fn ask_prometheus(&self, path: &str) -> Value {
        let answer = self.client.get(&self.prometheus_address, path, "").await.unwrap_or_default();
        serde_json::from_str::<Value>(&answer).unwrap_or_default()["data"].take()
    }

    /// The text of the router's `/metrics`.
    pub async fn metrics(&self) -> String {
        self.client.get(&self.router.address, "/metrics", &self.metrics_token).await.unwrap()
    }
}

/// Where a process says that it listens.
pub async fn address(process: &mut Process) -> String {
    let line = process.wait_for("listening on ").await;
    let address = line.split("listening on ").nth(1).unwrap().split(' ').next().unwrap();
    address.trim_end_matches('.').to_owned()
}
