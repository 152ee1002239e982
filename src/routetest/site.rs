//! Where a route stands, and which routes take an alert.

use std::fmt;

use crate::alert::Labels;
use crate::route::{Route, Tree};

/// A route and how to find it in its file.
#[derive(Debug, Clone)]
pub(super) struct Site<'a> {
    file: &'a str,
    /// From the root down to the route itself.
    path: Vec<&'a Route>,
}

impl<'a> Site<'a> {
    /// The route itself.
    pub(super) fn route(&self) -> Option<&'a Route> {
        self.path.last().copied()
    }

    /// From the root down to the route itself.
    pub(super) fn path(&self) -> &[&'a Route] {
        &self.path
    }
}

impl fmt::Display for Site<'_> {
    /// `routes.yaml {service="db"} {severity="critical"}`: the matchers on the way down. One line, whatever they hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.path.len() < 2 {
            return f.write_str(" (the root)");
        }
        for route in self.path.iter().skip(1) {
            let matchers: Vec<String> = route.matchers.iter().map(ToString::to_string).collect();
            let matchers = matchers.join(", ");
            f.write_str(" {")?;
            for c in matchers.chars() {
                if c.is_control() { write!(f, "{}", c.escape_debug())? } else { write!(f, "{c}")? }
            }
            f.write_str("}")?;
        }
        Ok(())
    }
}

/// All routes, in the order of the file.
pub(super) fn sites<'a>(tree: &'a Tree, file: &'a str) -> Vec<Site<'a>> {
    let mut all = Vec::new();
    let mut waiting = vec![vec![&tree.root]];
    while let Some(path) = waiting.pop() {
        let below = path.last().map_or(&[][..], |route| &route.routes);
        let children = below.iter().rev().map(|child| path.iter().copied().chain([child]).collect());
        waiting.extend(children);
        all.push(Site { file, path });
    }
    all
}

/// The routes that take an alert with these labels: `A takes it`, `A and B take it`.
pub(super) fn who_takes(tree: &Tree, file: &str, labels: &Labels) -> String {
    let matching = tree.matching(labels);
    let takes =
        |site: &Site<'_>| matching.iter().any(|route| site.route().is_some_and(|own| std::ptr::eq(own, *route)));
    let names: Vec<String> = sites(tree, file).iter().filter(|site| takes(site)).map(ToString::to_string).collect();
    let verb = if names.len() == 1 { "takes" } else { "take" };
    format!("{} {verb} it", names.join(" and "))
}
