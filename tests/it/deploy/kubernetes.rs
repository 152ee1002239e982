//! deploy/kubernetes as kubectl renders it: what schemas do not see. Schemas are `.ci/kubernetes`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use super::commands::secret_made_by_the_commands;
use super::{list, read, text, yaml};
use crate::harness::process::run;
use crate::harness::{Folder, files_under};
use crate::routes_file::root;

pub const OVERLAYS: [&str; 3] = ["base", "statefulset", "example"];

/// The program that renders.
pub fn kubectl() -> String {
    let kubectl = root("target/tools/kubernetes/bin/kubectl");
    assert!(Path::new(&kubectl).is_file(), "run .ci/tools: it installs kubectl");
    kubectl
}

/// The objects that an overlay makes.
pub struct Rendered {
    name: &'static str,
    objects: Vec<Value>,
}

impl Rendered {
    pub async fn new(name: &'static str) -> Self {
        let mut command = Command::new(kubectl());
        command.args(["kustomize", &root(&format!("deploy/kubernetes/{name}"))]);
        let said = run(command).await;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{name}");
        let objects: Vec<Value> = said.out.split("\n---\n").map(yaml).collect();
        for object in &objects {
            assert_eq!(text(object, "/metadata/namespace"), "alertrouter", "{object:#}");
        }
        Self { name, objects }
    }

    /// The only object of a kind, if there is one.
    pub fn find(&self, kind: &str) -> Option<&Value> {
        let mut found = self.objects.iter().filter(|object| object["kind"] == kind);
        let first = found.next();
        assert!(found.next().is_none(), "{}: more than one {kind}", self.name);
        first
    }

    pub fn one(&self, kind: &str) -> &Value {
        self.find(kind).unwrap_or_else(|| panic!("{}: no {kind}", self.name))
    }

    /// What makes the pod: a Deployment or a `StatefulSet`.
    pub fn workload(&self) -> &Value {
        match (self.find("Deployment"), self.find("StatefulSet")) {
            (Some(one), None) | (None, Some(one)) => one,
            other => panic!("{}: {other:?}", self.name),
        }
    }

    pub fn pod(&self) -> &Value {
        &self.workload()["spec"]["template"]["spec"]
    }

    pub fn container(&self) -> &Value {
        let all = list(self.pod(), "/containers");
        assert_eq!(all.len(), 1, "{}", self.name);
        &all[0]
    }

    /// The routes.yaml that its pod is given.
    pub fn routes(&self) -> &str {
        let map = self.one("ConfigMap");
        let volume = self.volume("routes");
        assert_eq!(volume["configMap"]["name"], map["metadata"]["name"], "{}", self.name);
        text(map, "/data/routes.yaml")
    }

    /// A volume of the pod.
    pub fn volume(&self, name: &str) -> &Value {
        let found = list(self.pod(), "/volumes").iter().find(|volume| volume["name"] == name);
        found.unwrap_or_else(|| panic!("{}: no volume {name}", self.name))
    }

    /// Where a volume is mounted.
    pub fn mount(&self, name: &str) -> &Value {
        let found = list(self.container(), "/volumeMounts").iter().find(|mount| mount["name"] == name);
        found.unwrap_or_else(|| panic!("{}: {name} is not mounted", self.name))
    }
}

/// The names of secrets that a comment of a routes.yaml has as `secrets/NAME`.
fn secrets_named_in(text: &str) -> BTreeSet<String> {
    let name = regex::Regex::new(r"\bsecrets/([a-z-]+)").unwrap();
    name.captures_iter(text).map(|found| found[1].to_owned()).filter(|name| name != "alertrouter").collect()
}

/// Does a selector's `matchLabels` find what has these labels?
fn finds(selector: &Value, labelled: &Value) -> bool {
    let wanted = selector.as_object().unwrap();
    let labels = labelled["metadata"]["labels"].as_object().unwrap();
    !wanted.is_empty() && wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

#[tokio::test]
async fn selectors_find_the_pod_and_the_service() {
    for overlay in OVERLAYS {
        let rendered = Rendered::new(overlay).await;
        let (workload, service) = (rendered.workload(), rendered.one("Service"));
        let template = &workload["spec"]["template"];
        for (who, selector) in [
            ("workload", &workload["spec"]["selector"]["matchLabels"]),
            ("Service", &service["spec"]["selector"]),
            ("PodDisruptionBudget", &rendered.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]),
            ("NetworkPolicy", &rendered.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]),
        ] {
            assert!(finds(selector, template), "{overlay}: {who} does not find the pod");
        }
        let account = &rendered.one("ServiceAccount")["metadata"]["name"];
        assert_eq!(&rendered.pod()["serviceAccountName"], account, "{overlay}");
    }
}

#[tokio::test]
async fn prometheus_finds_the_service_under_the_job_that_the_rules_ask_for() {
    let rendered = Rendered::new("example").await;
    let (service, monitor) = (rendered.one("Service"), rendered.one("ServiceMonitor"));
    assert!(finds(&monitor["spec"]["selector"]["matchLabels"], service));
    let job = &service["metadata"]["labels"][text(monitor, "/spec/jobLabel")];
    let rules = read("rules/alertrouter/alertrouter.rules.yaml");
    assert!(rules.contains(&format!("job=\"{}\"", job.as_str().unwrap())), "no rule asks for job {job}");
    let endpoint = &list(monitor, "/spec/endpoints")[0];
    assert_eq!(endpoint["port"], service["spec"]["ports"][0]["name"]);
    // The Secret that the pod reads, too: one token, in one place.
    let credentials = &endpoint["authorization"]["credentials"];
    assert_eq!(credentials["name"], rendered.volume("secrets")["secret"]["secretName"]);
    let file = format!("{}/{}", text(rendered.mount("secrets"), "/mountPath"), text(credentials, "/key"));
    assert!(rendered.routes().contains(&format!("{file} }}\n      roles: [metrics]\n")), "{file}");
}

/// Every file under rules/alertrouter, whole; by the script, which is there for the other packs as well.
#[tokio::test]
async fn the_prometheus_rule_is_the_rule_files() {
    let files = |folder: &str| {
        let mut files = files_under(root(folder).as_ref());
        files.retain(|file| file.to_string_lossy().ends_with(".rules.yaml"));
        files
    };
    let groups = |files: &[std::path::PathBuf]| {
        let parsed = files.iter().map(|file| yaml(&std::fs::read_to_string(file).unwrap()));
        Value::Array(parsed.flat_map(|file| list(&file, "/groups").to_vec()).collect())
    };
    let made = |files: Vec<std::path::PathBuf>| async move {
        let mut script = Command::new("sh");
        script.arg(root("deploy/kubernetes/prometheusrule.sh")).arg("alertrouter").args(files);
        run(script).await
    };
    let shipped = files("rules/alertrouter");
    assert_eq!(shipped.len(), 2, "{shipped:?}");
    let rule = read("deploy/kubernetes/monitoring/prometheusrule.yaml");
    let again = "deploy/kubernetes/prometheusrule.sh alertrouter rules/alertrouter/*.rules.yaml \
                 >deploy/kubernetes/monitoring/prometheusrule.yaml";
    assert!(yaml(&rule)["spec"]["groups"] == groups(&shipped), "it differs from rules/alertrouter; run: {again}");
    let rendered = Rendered::new("example").await;
    assert_eq!(rendered.one("PrometheusRule")["spec"]["groups"], groups(&shipped));

    let said = made(shipped).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert!(said.out == rule, "comments differ; run: {again}");
    let all = files("rules");
    let said = made(all.clone()).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(yaml(&said.out)["spec"]["groups"], groups(&all));
    let no_rules = made(vec![root("routes.yaml").into()]).await;
    assert_eq!(no_rules.code, Some(1), "{}", no_rules.err);
    assert!(no_rules.err.ends_with("routes.yaml has no line `groups:`\n"), "{}", no_rules.err);
    assert_eq!(made(Vec::new()).await.code, Some(2));
}

#[tokio::test]
async fn the_statefulset_is_the_same_pod_with_a_volume_of_its_own() {
    let (base, variant) = (Rendered::new("base").await, Rendered::new("statefulset").await);
    assert!(variant.find("PersistentVolumeClaim").is_none() && base.find("StatefulSet").is_none());
    let without_data = |pod: &Value| {
        let mut pod = pod.clone();
        pod["volumes"].as_array_mut().unwrap().retain(|volume| volume["name"] != "data");
        pod
    };
    assert_eq!(without_data(base.pod()), without_data(variant.pod()));
    let claim = base.one("PersistentVolumeClaim");
    assert_eq!(base.volume("data")["persistentVolumeClaim"]["claimName"], claim["metadata"]["name"]);
    let set = variant.workload();
    let template = &list(set, "/spec/volumeClaimTemplates")[0];
    assert_eq!((&template["metadata"]["name"], &template["spec"]), (&json!("data"), &claim["spec"]));
    assert_eq!(set["spec"]["serviceName"], variant.one("Service")["metadata"]["name"]);
}

/// A second one would find the store locked; a first one that nothing may evict keeps a node from being drained.
#[tokio::test]
async fn there_is_one_pod_at_a_time_and_a_drain_may_take_it() {
    for overlay in OVERLAYS {
        let rendered = Rendered::new(overlay).await;
        let workload = rendered.workload();
        assert_eq!(workload["spec"]["replicas"], 1, "{overlay}");
        if workload["kind"] == "Deployment" {
            assert_eq!(workload["spec"]["strategy"], json!({ "type": "Recreate" }), "{overlay}");
            let startup = &rendered.container()["startupProbe"];
            let patience = startup["periodSeconds"].as_u64().unwrap() * startup["failureThreshold"].as_u64().unwrap();
            assert!(workload["spec"]["progressDeadlineSeconds"].as_u64().unwrap() > patience, "{overlay}");
        }
        let budget = &rendered.one("PodDisruptionBudget")["spec"];
        assert_eq!((&budget["maxUnavailable"], budget.get("minAvailable")), (&json!(1), None), "{overlay}");
        assert_eq!(budget["unhealthyPodEvictionPolicy"], "AlwaysAllow", "{overlay}");
    }
}

/// Every secret file that routes.yaml names is one that the commands in base/kustomization.yaml make, or that the overlay's
/// own routes.yaml says.
#[tokio::test]
async fn every_secret_of_the_routes_is_in_the_secret() {
    let folder = Folder::new();
    let made = secret_made_by_the_commands(&folder.0, |_| "pasted".to_owned()).await;
    let files = regex::Regex::new(r"file: ([^ }]+)").unwrap();
    for overlay in OVERLAYS {
        let rendered = Rendered::new(overlay).await;
        assert_eq!(text(rendered.volume("secrets"), "/secret/secretName"), "alertrouter", "{overlay}");
        let mounted = text(rendered.mount("secrets"), "/mountPath");
        let mut asked = BTreeSet::new();
        for found in files.captures_iter(rendered.routes()) {
            let name = found[1].strip_prefix(mounted).and_then(|name| name.strip_prefix('/'));
            asked.insert(name.unwrap_or_else(|| panic!("{overlay}: {} is not in {mounted}", &found[1])).to_owned());
        }
        let mut there: BTreeSet<String> = made.keys().cloned().collect();
        there.extend(secrets_named_in(rendered.routes()));
        assert_eq!(asked, there, "{overlay}");
    }
}

/// What routes.yaml sends to is let out by the network policy, and nothing but its own port is let in.
#[tokio::test]
async fn the_network_policy_lets_out_what_the_routes_send_to() {
    let urls = regex::Regex::new(r"\burl: (\S+)").unwrap();
    for overlay in OVERLAYS {
        let rendered = Rendered::new(overlay).await;
        let policy = &rendered.one("NetworkPolicy")["spec"];
        assert_eq!(policy["policyTypes"], json!(["Ingress", "Egress"]), "{overlay}");
        let ports = |rules: &str| -> BTreeSet<String> {
            let rules = list(policy, rules).iter().flat_map(|rule| list(rule, "/ports"));
            rules.map(|port| format!("{}/{}", text(port, "/protocol"), port["port"]).replace('"', "")).collect()
        };
        // By number: not every network plugin knows the names of ports.
        let own = &rendered.container()["ports"][0]["containerPort"];
        assert_eq!(ports("/ingress"), BTreeSet::from([format!("TCP/{own}")]), "{overlay}");
        assert!(list(policy, "/ingress").iter().all(|rule| !list(rule, "/from").is_empty()), "{overlay}");
        let mut needed: BTreeSet<String> = ["TCP/443", "UDP/53", "TCP/53"].map(str::to_owned).into();
        for found in urls.captures_iter(rendered.routes()) {
            let port = url::Url::parse(&found[1]).unwrap().port_or_known_default().unwrap();
            needed.insert(format!("TCP/{port}"));
        }
        assert_eq!(ports("/egress"), needed, "{overlay}");
    }
}
