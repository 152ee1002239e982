//! Mistakes that somebody will make in a rule one day.
//!
//! Each is made in the tree of the expression, which is then printed again; that the printed rules do what the written
//! ones do is what the tests are run for before any mistake is made.

use std::collections::HashMap;
use std::time::Duration;

use promql_parser::label::Matcher;
use promql_parser::parser::token::{
    T_EQLC, T_GTE, T_GTR, T_LAND, T_LOR, T_LSS, T_LTE, T_LUNLESS, T_NEQ, TokenId, TokenType,
};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Expr, LabelModifier, MatrixSelector, NumberLiteral, Offset, ParenExpr, SubqueryExpr,
    VectorSelector,
};
use promql_parser::util::{display_duration, parse_duration};
use serde_json::Value;

use super::{Rule, children, children_mut, selectors};

/// A rule with a mistake in it.
#[derive(Debug, Clone)]
pub(super) struct Mutant {
    /// What was done: unique within a rule.
    pub(super) what: String,
    /// The rule, as it would stand in a file.
    pub(super) source: Value,
}

/// The rule as it is, printed as the mutants are.
pub(super) fn printed(rule: &Rule) -> Value {
    let mut source = rule.source.clone();
    source["expr"] = rule.expression.to_string().into();
    source
}

/// All mutants of a rule.
pub(super) fn of(rule: &Rule) -> Vec<Mutant> {
    let mut all: Vec<Mutant> = in_expression(&rule.expression)
        .into_iter()
        .chain(without_matchers(&rule.expression))
        .map(|(what, expression)| {
            let mut source = rule.source.clone();
            source["expr"] = expression.to_string().into();
            Mutant { what, source }
        })
        .collect();
    for key in ["for", "keep_firing_for"] {
        if !rule.text(key).is_empty() {
            all.extend(of_wait(rule, key));
        }
    }
    number(&mut all);
    all
}

/// `for` removed, halved, doubled.
fn of_wait(rule: &Rule, key: &str) -> Vec<Mutant> {
    let wait = parse_duration(rule.text(key)).unwrap();
    let with = |wait: Option<Duration>| {
        let mut source = printed(rule);
        let rule = source.as_object_mut().unwrap();
        match wait {
            Some(wait) => rule.insert(key.to_owned(), display_duration(&wait).into()),
            None => rule.remove(key),
        };
        let shown = wait.map_or("nothing".to_owned(), |wait| display_duration(&wait));
        Mutant { what: format!("{key} becomes {shown}"), source }
    };
    [None, Some(wait / 2), Some(wait * 2)].map(with).into()
}

/// The same thing can be done in several places of one rule.
fn number(mutants: &mut [Mutant]) {
    let mut times = HashMap::<String, usize>::new();
    for mutant in mutants {
        let nth = times.entry(mutant.what.clone()).or_default();
        *nth += 1;
        if *nth > 1 {
            mutant.what = format!("{} ({nth})", mutant.what);
        }
    }
}

type Changed = (String, Expr);

/// One change each, here or further down.
fn in_expression(expression: &Expr) -> Vec<Changed> {
    let mut all = here(expression);
    for (at, child) in children(expression).into_iter().enumerate() {
        if is_precision(expression, at) {
            continue;
        }
        for (what, changed) in in_expression(child) {
            let mut whole = expression.clone();
            *children_mut(&mut whole)[at] = changed;
            all.push((what, whole));
        }
    }
    all
}

/// The second argument of `round()`: it hides the inexactness of binary fractions and is no threshold.
fn is_precision(expression: &Expr, argument: usize) -> bool {
    matches!(expression, Expr::Call(call) if call.func.name == "round" && argument == 1)
}

fn here(expression: &Expr) -> Vec<Changed> {
    match expression {
        Expr::NumberLiteral(number) => of_number(number.val),
        Expr::Aggregate(aggregate) => of_aggregation(aggregate),
        Expr::Binary(binary) => of_operation(binary),
        Expr::Subquery(subquery) => of_subquery(subquery),
        Expr::VectorSelector(selector) => of_selector(selector),
        Expr::MatrixSelector(range) => of_range(range),
        _ => Vec::new(),
    }
}

/// A tenth more, a tenth less; a whole number by 1 at least, because counts do not come in tenths; 0 becomes 1.
fn of_number(value: f64) -> Vec<Changed> {
    let step = if value.fract() == 0.0 { (value.abs() / 10.0).ceil().max(1.0) } else { value.abs() / 10.0 };
    let all = if value == 0.0 { vec![1.0] } else { vec![value + step, value - step] };
    let changed = |to: f64| (format!("{value} becomes {to}"), Expr::NumberLiteral(NumberLiteral::new(to)));
    all.into_iter().map(changed).collect()
}

fn of_aggregation(aggregate: &AggregateExpr) -> Vec<Changed> {
    let mut all = vec![(format!("{} dropped", aggregate.op), paren(&aggregate.expr))];
    let Some(modifier) = &aggregate.modifier else { return all };
    for label in &modifier.labels().labels {
        let mut changed = aggregate.clone();
        changed.modifier = Some(without(modifier, label));
        all.push((format!("{} loses {label}", aggregate.op), Expr::Aggregate(changed)));
    }
    all
}

fn without(modifier: &LabelModifier, label: &str) -> LabelModifier {
    let rest = modifier.labels().labels.iter().map(String::as_str).filter(|other| *other != label).collect();
    match modifier {
        LabelModifier::Include(_) => LabelModifier::include(rest),
        LabelModifier::Exclude(_) => LabelModifier::exclude(rest),
    }
}

fn of_operation(binary: &BinaryExpr) -> Vec<Changed> {
    let mut all = Vec::new();
    let turned = |id: TokenId| {
        let op = TokenType::new(id);
        let changed = BinaryExpr { op, ..binary.clone() };
        (format!("{} becomes {op} before {}", binary.op, binary.rhs), Expr::Binary(changed))
    };
    all.extend(others(binary.op.id()).iter().copied().map(turned));
    match binary.op.id() {
        T_LAND | T_LUNLESS => all.push((format!("{} {} removed", binary.op, binary.rhs), paren(&binary.lhs))),
        T_LOR => {
            all.push((format!("or {} removed", binary.rhs), paren(&binary.lhs)));
            all.push((format!("{} or removed", binary.lhs), paren(&binary.rhs)));
        }
        _ if binary.op.is_comparison_operator() => {
            let side = if binary.lhs.value_type() == ValueType::Scalar { &binary.rhs } else { &binary.lhs };
            all.push((format!("filter {} {} removed", binary.op, binary.rhs), paren(side)));
        }
        _ => {}
    }
    if let Some((modifier, matching)) = binary.modifier.as_ref().and_then(|it| Some((it, it.matching.as_ref()?))) {
        for label in &matching.labels().labels {
            let mut changed = binary.clone();
            let mut modifier = modifier.clone();
            modifier.matching = Some(without(matching, label));
            changed.modifier = Some(modifier);
            all.push((format!("{} loses {label}", binary.op), Expr::Binary(changed)));
        }
    }
    all
}

/// A comparison turned round, and made strict or not.
fn others(comparison: TokenId) -> &'static [TokenId] {
    match comparison {
        T_GTR => &[T_GTE, T_LSS],
        T_GTE => &[T_GTR, T_LTE],
        T_LSS => &[T_LTE, T_GTR],
        T_LTE => &[T_LSS, T_GTE],
        T_EQLC => &[T_NEQ],
        T_NEQ => &[T_EQLC],
        _ => &[],
    }
}

fn of_subquery(subquery: &SubqueryExpr) -> Vec<Changed> {
    let changed = |what: &str, from: Duration, to: Duration, change: &dyn Fn(&mut SubqueryExpr)| {
        let mut changed = subquery.clone();
        change(&mut changed);
        (format!("{what} {} becomes {}", display_duration(&from), display_duration(&to)), Expr::Subquery(changed))
    };
    let mut all = Vec::new();
    for to in around(subquery.range) {
        all.push(changed("range", subquery.range, to, &|it| it.range = to));
    }
    for (from, to) in subquery.step.iter().flat_map(|from| around(*from).map(|to| (*from, to))) {
        all.push(changed("step", from, to, &|it| it.step = Some(to)));
    }
    for (from, to) in offsets(subquery.offset.as_ref()) {
        all.push(changed("offset", from, to, &|it| it.offset = Some(Offset::Pos(to))));
    }
    all
}

fn of_range(range: &MatrixSelector) -> Vec<Changed> {
    let mut all = Vec::new();
    for to in around(range.range) {
        let changed = MatrixSelector { range: to, ..range.clone() };
        let what = format!("range {} becomes {}", display_duration(&range.range), display_duration(&to));
        all.push((what, Expr::MatrixSelector(changed)));
    }
    for (what, vs) in moved(&range.vs) {
        all.push((what, Expr::MatrixSelector(MatrixSelector { vs, range: range.range })));
    }
    all
}

fn of_selector(selector: &VectorSelector) -> Vec<Changed> {
    moved(selector).into_iter().map(|(what, changed)| (what, Expr::VectorSelector(changed))).collect()
}

fn moved(selector: &VectorSelector) -> Vec<(String, VectorSelector)> {
    let moved = |(from, to)| {
        let changed = VectorSelector { offset: Some(Offset::Pos(to)), ..selector.clone() };
        (format!("offset {} becomes {}", display_duration(&from), display_duration(&to)), changed)
    };
    offsets(selector.offset.as_ref()).into_iter().map(moved).collect()
}

/// Each matcher dropped, wherever it stands: where two sides are joined, one of them is enough to select.
fn without_matchers(expression: &Expr) -> Vec<Changed> {
    let mut seen: Vec<Matcher> = Vec::new();
    for matcher in selectors(expression).into_iter().flat_map(|it| &it.matchers.matchers) {
        if !seen.contains(matcher) {
            seen.push(matcher.clone());
        }
    }
    let dropped = |matcher: Matcher| {
        let mut changed = expression.clone();
        drop_matcher(&mut changed, &matcher);
        (format!("{matcher} dropped"), changed)
    };
    seen.into_iter().map(dropped).collect()
}

fn drop_matcher(expression: &mut Expr, matcher: &Matcher) {
    match expression {
        Expr::VectorSelector(selector) => selector.matchers.matchers.retain(|it| it != matcher),
        Expr::MatrixSelector(range) => range.vs.matchers.matchers.retain(|it| it != matcher),
        _ => children_mut(expression).into_iter().for_each(|child| drop_matcher(child, matcher)),
    }
}

fn offsets(offset: Option<&Offset>) -> Vec<(Duration, Duration)> {
    match offset {
        Some(Offset::Pos(from)) => around(*from).map(|to| (*from, to)).into(),
        _ => Vec::new(),
    }
}

fn around(duration: Duration) -> [Duration; 2] {
    [duration / 2, duration * 2]
}

fn paren(expression: &Expr) -> Expr {
    Expr::Paren(ParenExpr { expr: Box::new(expression.clone()) })
}
