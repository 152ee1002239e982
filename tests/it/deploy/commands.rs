//! The commands at the head of deploy/kubernetes/base, run: a namespace, the files of secrets, the Secret. kubectl makes them
//! without a cluster and keeps them to itself.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use tokio::process::Command;

use super::kubernetes::kubectl;
use super::{read, yaml};
use crate::harness::process::run;

/// The Secret's keys and values, as they are after somebody has followed the commands and pasted what `paste` says.
pub async fn secret_made_by_the_commands(folder: &Path, paste: fn(&str) -> String) -> BTreeMap<String, String> {
    let head = read("deploy/kubernetes/base/kustomization.yaml");
    let step = |command: &str| {
        let (words, dry) = (command.split(" #").next().unwrap().trim_end(), "--dry-run=client --output=yaml");
        match words.strip_prefix("cat >secrets/") {
            // With the end of the line, which comes along.
            Some(name) => format!("echo '{}' >secrets/{name}", paste(name)),
            None if words.starts_with("kubectl create namespace ") => format!("{words} {dry} >namespace.yaml"),
            None if words.starts_with("kubectl label namespace alertrouter ") => {
                words.replace("label namespace alertrouter", "label --local --filename=namespace.yaml") + " >labelled"
            }
            None if words.contains(" create secret ") => format!("{words} {dry}"),
            None => words.to_owned(),
        }
    };
    let script = head.lines().filter_map(|line| line.strip_prefix("#   ")).map(step).collect::<Vec<_>>().join("\n");
    assert_eq!(script.matches("kubectl").count(), 3, "{script}");
    let mut shell = Command::new("bash");
    let mut path = vec![Path::new(&kubectl()).parent().unwrap().to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let path = std::env::join_paths(path).unwrap();
    // It is to know of no cluster.
    shell
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(folder)
        .env("PATH", path)
        .env("KUBECONFIG", "/dev/null");
    let said = run(shell).await;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{script}");
    let secret = yaml(&said.out);
    assert_eq!((&secret["kind"], &secret["metadata"]["namespace"]), (&"Secret".into(), &"alertrouter".into()));
    let decoded = |value: &serde_json::Value| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    secret["data"].as_object().unwrap().iter().map(|(name, value)| (name.clone(), decoded(value))).collect()
}
