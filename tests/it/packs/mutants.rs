//! The tests of the packs notice a mistake in any rule: each mutant makes at least one of them fail.
//!
//! `MUTANTS_OF=LLMHighErrorRatio cargo test --test it packs::mutants` looks at the mutants of one rule only.
//!
//! This is half of what `make test` computes, and says the same as long as nothing that goes into it has changed: of each rule
//! the survivors are kept in `target/tmp/mutants`, under a digest of all that decides who they are (`digest`). A fresh clone, CI's
//! among them, starts without any.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Context, SHA256};
use serde_json::Value;

use super::equivalent::EQUIVALENT;
use super::mutations::{self, Mutant};
use super::slice::{self, Slice};
use super::{Packs, Rule};
use crate::harness::{Folder, process};

/// Tests up to about this much work go to promtool together: most mutants die there.
const TOGETHER: u64 = 500;

/// What promtool says when a file cannot be loaded, which would be a mistake of ours and not one that a test notices.
const NOT_LOADED: [&str; 4] = ["parse error", "could not parse", "yaml: ", "no such file"];

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Survivor {
    rule: String,
    what: String,
    expression: String,
}

#[test]
fn every_mutant_is_noticed_by_a_test() {
    let packs = Packs::read();
    let only = std::env::var_os("MUTANTS_OF");
    let chosen = |rule: &Rule| only.as_ref().is_none_or(|only| **only == *rule.name);
    let mut rules: Vec<usize> = (0..packs.rules.len()).filter(|at| chosen(&packs.rules[*at])).collect();
    // The longest first, so that the last ones do not wait for one of them.
    rules.sort_by_cached_key(|at| std::cmp::Reverse(work_of(&packs, *at)));
    assert!(!rules.is_empty(), "there is no rule {only:?}");

    let promtool = version_of_promtool();
    let (next, threads) = (AtomicUsize::new(0), std::thread::available_parallelism().map_or(1, usize::from));
    let work = || {
        let mut survivors = Vec::new();
        while let Some(&rule) = rules.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mutants = mutations::of(&packs.rules[rule]);
            // Who names a rule wants to see it tried.
            let kept = only.is_none().then(|| Kept::of(&packs, rule, &mutants, &promtool));
            let known = kept.as_ref().and_then(Kept::survivors);
            let how = if known.is_some() { "as before" } else { "tried" };
            let survived = known.unwrap_or_else(|| {
                let survived = survivors_of(&packs, rule, &mutants);
                if let Some(kept) = &kept {
                    kept.keep(&survived);
                }
                survived
            });
            println!("{}: {} mutants, {} survive, {how}", packs.rules[rule].name, mutants.len(), survived.len());
            survivors.extend(survived.iter().map(|nth| survivor(&packs.rules[rule], &mutants[*nth])));
        }
        survivors
    };
    let mut survivors: Vec<Survivor> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    survivors.sort();

    let equivalent: Vec<(&str, &str)> =
        EQUIVALENT.iter().flat_map(|(rule, mutants, _)| mutants.iter().map(|what| (*rule, *what))).collect();
    let is = |it: &Survivor, (rule, what): (&str, &str)| it.rule == rule && it.what == what;
    let unknown: Vec<_> = survivors.iter().filter(|it| !equivalent.iter().any(|mutant| is(it, *mutant))).collect();
    // Of rules that were not looked at nothing is known.
    let looked_at = |name: &str| packs.rules.iter().filter(|rule| rule.name == name).all(chosen);
    let noticed: Vec<_> = equivalent
        .into_iter()
        .filter(|mutant| looked_at(mutant.0) && !survivors.iter().any(|it| is(it, *mutant)))
        .collect();
    let lines: Vec<_> = unknown.iter().map(|it| format!("{}: {}\n    {}", it.rule, it.what, it.expression)).collect();
    assert!(unknown.is_empty(), "no test notices these {} mistakes:\n{}", unknown.len(), lines.join("\n"));
    assert!(noticed.is_empty(), "tests do notice these, or they do not exist: {noticed:#?}");
}

/// About how much there is to do for a rule.
fn work_of(packs: &Packs, at: usize) -> u64 {
    let slices = slice::of(packs, at);
    slices.iter().map(|slice| slice.cost).sum::<u64>() * mutations::of(&packs.rules[at]).len() as u64
}

fn survivor(rule: &Rule, mutant: &Mutant) -> Survivor {
    let expression = mutant.source["expr"].as_str().unwrap().to_owned();
    Survivor { rule: rule.name.clone(), what: mutant.what.clone(), expression }
}

fn version_of_promtool() -> String {
    let output = process::debian("promtool", "prometheus").into_std().arg("--version").output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Where the survivors of a rule are kept.
struct Kept(PathBuf);

impl Kept {
    fn of(packs: &Packs, at: usize, mutants: &[Mutant], promtool: &str) -> Self {
        let digest = digest(packs, at, mutants, promtool);
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants").join(digest))
    }

    /// Their places among the mutants, if these have been tried.
    fn survivors(&self) -> Option<Vec<usize>> {
        serde_json::from_slice(&std::fs::read(&self.0).ok()?).ok()
    }

    fn keep(&self, survivors: &[usize]) {
        std::fs::create_dir_all(self.0.parent().unwrap()).unwrap();
        // Whole or not at all, whoever else runs tests here.
        let unfinished = self.0.with_extension(std::process::id().to_string());
        std::fs::write(&unfinished, serde_json::to_vec(survivors).unwrap()).unwrap();
        std::fs::rename(unfinished, &self.0).unwrap();
    }
}

/// All that decides who survives: the mutants, the tests with the rules that they need, promtool, and how they are tried.
fn digest(packs: &Packs, at: usize, mutants: &[Mutant], promtool: &str) -> String {
    let rule = &packs.rules[at];
    let mut all = Context::new(&SHA256);
    let mut add = |part: &str| {
        all.update(&part.len().to_le_bytes());
        all.update(part.as_bytes());
    };
    for part in [include_str!("mutants.rs"), promtool, &rule.name] {
        add(part);
    }
    for slice in slice::of(packs, at) {
        add(&slice.test.to_string());
        add(&slice.rules(packs, at, &mutations::printed(rule)).to_string());
    }
    for mutant in mutants {
        add(&mutant.what);
        add(&mutant.source.to_string());
    }
    URL_SAFE_NO_PAD.encode(all.finish())
}

/// The places of those mutants that no test notices.
fn survivors_of(packs: &Packs, at: usize, mutants: &[Mutant]) -> Vec<usize> {
    let rule = &packs.rules[at];
    let folder = Folder::new();
    let slices = slice::of(packs, at);
    assert!(!slices.is_empty(), "no test is about {}", rule.name);
    for (nth, slice) in slices.iter().enumerate() {
        let test = slice.test.to_string().replace(slice::RULES, &rules_file(nth));
        std::fs::write(folder.0.join(test_file(nth)), test).unwrap();
    }
    let mut batches = batches(&slices);
    let mut survivors = Vec::new();
    for (nth, Mutant { what, source }) in mutants.iter().enumerate() {
        let killer = batches.iter_mut().position(|batch| {
            let Some(said) = batch.notices(&folder.0, packs, &slices, at, source) else { return false };
            let not_loaded = NOT_LOADED.iter().any(|words| said.contains(words));
            assert!(!not_loaded, "{}: {what}: {source:#}\n{said}", rule.name);
            batch.passes_unchanged(&folder.0, packs, &slices, at);
            true
        });
        if let Some(batch) = killer {
            // What has noticed one mistake will probably notice the next.
            batches[..=batch].rotate_right(1);
        } else {
            survivors.push(nth);
        }
    }
    survivors
}

/// Slices that promtool runs at once.
#[derive(Debug)]
struct Batch {
    /// By their place among the slices.
    slices: Vec<usize>,
    /// Whether they are known to pass without any mistake: else what they notice means nothing.
    passes: bool,
}

impl Batch {
    /// What promtool says if a test fails with the rule `changed` in the words of `instead`.
    fn notices(&self, folder: &Path, packs: &Packs, all: &[Slice], changed: usize, instead: &Value) -> Option<String> {
        for nth in &self.slices {
            let rules = all[*nth].rules(packs, changed, instead);
            std::fs::write(folder.join(rules_file(*nth)), rules.to_string()).unwrap();
        }
        let mut promtool: Command = process::debian("promtool", "prometheus").into_std();
        promtool.current_dir(folder).args(["test", "rules"]).args(self.slices.iter().map(|nth| test_file(*nth)));
        // It lives for a moment: collecting its garbage is a third of its work.
        promtool.env("GOGC", "400");
        let output = promtool.output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (!output.status.success()).then(|| text(&output.stdout) + &text(&output.stderr))
    }

    fn passes_unchanged(&mut self, folder: &Path, packs: &Packs, all: &[Slice], rule: usize) {
        if self.passes {
            return;
        }
        let rule_name = &packs.rules[rule].name;
        if let Some(said) = self.notices(folder, packs, all, rule, &mutations::printed(&packs.rules[rule])) {
            let names: Vec<_> = self.slices.iter().map(|nth| &all[*nth].name).collect();
            panic!("{rule_name}, as it is, fails in {names:#?}:\n{said}");
        }
        self.passes = true;
    }
}

/// The cheap ones together, each of the others alone.
fn batches(slices: &[Slice]) -> Vec<Batch> {
    let (mut batches, mut sum) = (Vec::<Batch>::new(), 0);
    for (nth, slice) in slices.iter().enumerate() {
        sum += slice.cost;
        if let Some(batch) = batches.last_mut().filter(|_| sum <= TOGETHER) {
            batch.slices.push(nth);
        } else {
            batches.push(Batch { slices: vec![nth], passes: false });
            sum = slice.cost;
        }
    }
    batches
}

fn rules_file(nth: usize) -> String {
    format!("rules{nth}.json")
}

fn test_file(nth: usize) -> String {
    format!("test{nth}.json")
}
