//! Random trees and label sets.

use std::num::NonZero;
use std::thread;

use alertrouter::alert::Labels;
use alertrouter::notification::ReceiverName;
use alertrouter::route::Tree;
use alertrouter::route::matcher::parse_one;
use proptest::collection::vec;

use super::tree::{Node, any_label, any_tree};
use super::{Difference, Files, never_differs};

#[test]
fn the_same_receivers_as_amtool() {
    never_differs(150, &(any_tree(), vec(vec(any_label(), 0..5), 20)), |(tree, sets)| same(tree, sets));
}

fn same(tree: &Node, sets: &[Vec<String>]) -> Result<(), Difference> {
    let files = Files::new(tree.alertmanager_yml(), tree.routes_yaml());
    // The command answers for the first set of labels; it would read the file again for each.
    let (amtool, ours) = (files.amtool(&sets[0]), files.ours(&sets[0]));
    let tree = match (&amtool, &ours, files.tree()) {
        (Err(_), Err(_), _) => return Ok(()),
        // amtool names a receiver once for each route that takes the alert.
        (Ok(theirs), Ok(names), Some(tree)) if without_copies(theirs) == *names => tree,
        _ => return Err(files.difference(&sets[0], &amtool, &ours)),
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let all_of = |sets: &[Vec<String>]| sets.iter().try_for_each(|labels| same_for(&files, &tree, labels));
    thread::scope(|scope| {
        let parts = sets.chunks(sets.len().div_ceil(cores));
        let parts: Vec<_> = parts.map(|sets| scope.spawn(|| all_of(sets))).collect();
        parts.into_iter().try_for_each(|part| part.join().unwrap())
    })
}

fn same_for(files: &Files, tree: &Tree, arguments: &[String]) -> Result<(), Difference> {
    let label = |argument: &String| {
        let label = parse_one(argument).unwrap();
        (label.name().to_owned(), label.value().to_owned())
    };
    let labels: Labels = arguments.iter().map(label).collect();
    let amtool = files.amtool(arguments);
    let ours = names(tree.matching(&labels).into_iter().flat_map(|route| &route.receivers));
    if amtool.as_ref() != Ok(&ours) {
        return Err(files.difference(arguments, &amtool, &Ok(ours)));
    }
    let told = tree.receivers(&labels);
    assert_eq!(names(told.iter().map(|(name, _)| name)), without_copies(&ours), "each receiver is told once");
    Ok(())
}

fn names<'a>(names: impl Iterator<Item = &'a ReceiverName>) -> String {
    names.map(ReceiverName::as_str).collect::<Vec<_>>().join(",")
}

fn without_copies(names: &str) -> String {
    let mut once: Vec<&str> = Vec::new();
    for name in names.split(',') {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once.join(",")
}
