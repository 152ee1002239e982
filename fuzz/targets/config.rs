//! routes.yaml.

use alertrouter::alert::Labels;
use alertrouter::config::{self, Options};
use alertrouter::yaml::problem;

use super::NoSecrets;

/// A routes.yaml: reading ends, there is a configuration exactly if no problem is an error, every problem can be shown.
pub fn config(bytes: &[u8]) {
    let (config, problems) = config::parse(bytes, &Options::default(), &NoSecrets);
    assert_eq!(config.is_some(), problem::is_sound(&problems));
    for problem in &problems {
        assert!(!problem.one_line("routes.yaml").contains('\n'), "{problem:?}");
        assert!(problem.render("routes.yaml").contains("routes.yaml"));
    }
    if let Some(config) = config {
        let labels: Labels = [("severity", "critical"), ("alertname", "A")].into_iter().collect();
        assert!(!config.tree.matching(&labels).is_empty());
    }
}
