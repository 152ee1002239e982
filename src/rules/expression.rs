//! Which labels the result of a PromQL expression carries.
//!
//! The rules are those of Prometheus' engine (`promql/engine.go`, `promql/functions.go`). Where it is unclear what they
//! give, nothing is claimed. The parser reads what Prometheus 2.45 does and a little more; promtool has the last word on
//! what is an expression.

use promql_parser::label::{Labels, Matchers};
use promql_parser::parser::token::{
    T_BOTTOMK, T_COUNT_VALUES, T_LAND, T_LIMIT_RATIO, T_LIMITK, T_LOR, T_LUNLESS, T_TOPK,
};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, BinModifier, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector,
};

use super::known::Known;
use super::promql;

/// Functions that change values and leave the labels alone, but for the metric's name.
const KEEP_LABELS: &str = " abs acos acosh asin asinh atan atanh avg_over_time ceil changes clamp clamp_max clamp_min cos \
    cosh count_over_time day_of_month day_of_week day_of_year days_in_month deg delta deriv double_exponential_smoothing \
    exp first_over_time floor histogram_avg histogram_count histogram_stddev histogram_stdvar histogram_sum hour idelta \
    increase irate last_over_time ln log10 log2 mad_over_time max_over_time min_over_time minute month predict_linear \
    present_over_time quantile_over_time rad rate resets round sgn sin sinh sort sort_by_label sort_by_label_desc \
    sort_desc sqrt stddev_over_time stdvar_over_time sum_over_time tan tanh timestamp ts_of_first_over_time \
    ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time year ";

/// What is known of the labels of the result.
///
/// # Errors
/// If the expression cannot be read: why, in a few words.
pub(super) fn labels(text: &str) -> Result<Known, String> {
    let known = of(&promql::parse(text)?);
    // The name of the metric is no label of an alert, and what begins like it is Prometheus' own affair.
    let internal: Vec<String> =
        known.fixed().map(|(name, _)| name.to_owned()).filter(|n| n.starts_with("__")).collect();
    let known = internal.iter().fold(known, |known, name| known.with_any(name));
    Ok(known.without(|name| name == "__name__"))
}

fn of(expression: &Expr) -> Known {
    if expression.value_type() == ValueType::Scalar {
        return Known::empty();
    }
    match expression {
        Expr::VectorSelector(selector) => selected(selector),
        Expr::MatrixSelector(selector) => selected(&selector.vs),
        Expr::Subquery(inner) => of(&inner.expr),
        Expr::Paren(inner) => of(&inner.expr),
        Expr::Unary(inner) => of(&inner.expr),
        Expr::Call(call) => called(call),
        Expr::Aggregate(aggregate) => aggregated(aggregate),
        Expr::Binary(binary) => combined(binary),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Known::empty(),
        Expr::Extension(_) => Known::open(),
    }
}

/// `up{job="api"}`: any label, and those that are asked for by value.
fn selected(selector: &VectorSelector) -> Known {
    equalities(&selector.matchers).fold(Known::open(), |known, (name, value)| known.with(name, value))
}

/// The matchers that leave one value. There are none where alternatives are given with `or`, which only other programs
/// read.
fn equalities(matchers: &Matchers) -> impl Iterator<Item = (&str, &str)> {
    let all = if matchers.or_matchers.is_empty() { &matchers.matchers[..] } else { &[] };
    let equal = all.iter().filter(|matcher| matches!(matcher.op, promql_parser::label::MatchOp::Equal));
    equal
        .map(|matcher| (&*matcher.name, &*matcher.value))
        .filter(|(name, value)| *name != "__name__" && !value.is_empty())
}

fn called(Call { func, args }: &Call) -> Known {
    let argument = |at: usize| args.args.get(at).map(|argument| &**argument);
    // The one argument that has labels.
    let input =
        args.args.iter().find(|argument| matches!(argument.value_type(), ValueType::Vector | ValueType::Matrix));
    let text = |at: usize| argument(at).and_then(literal);
    match (func.name, input) {
        ("absent" | "absent_over_time", Some(input)) => absent(input),
        ("vector", _) => Known::empty(),
        ("histogram_quantile" | "histogram_fraction", Some(input)) => {
            // A classic histogram loses the label, a native one may happen to have it.
            let known = of(input);
            if known.may_have("le") { known.with_any("le") } else { known }
        }
        ("label_replace", Some(input)) => match (text(1), text(2), text(3), text(4)) {
            // The way to add a constant label.
            (Some(target), Some(value), Some(""), Some("" | ".*")) if !value.contains('$') => {
                of(input).with(target, value)
            }
            (Some(target), ..) => of(input).with_any(target),
            _ => Known::open(),
        },
        ("label_join", Some(input)) => text(1).map_or_else(Known::open, |target| of(input).with_any(target)),
        // `hour()` without an argument is about now.
        (name, input) if KEEP_LABELS.contains(&format!(" {name} ")) => {
            input.map_or_else(Known::empty, |input| of(input))
        }
        _ => Known::open(),
    }
}

fn literal(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::StringLiteral(text) => Some(&text.val),
        Expr::Paren(inner) => literal(&inner.expr),
        _ => None,
    }
}

/// What is absent has the labels by which it was looked for (`createLabelsForAbsentFunction`).
fn absent(input: &Expr) -> Known {
    let (selector, direct) = match input {
        Expr::VectorSelector(selector) => (selector, true),
        Expr::MatrixSelector(selector) => (&selector.vs, true),
        // Versions differ in whether they look into parentheses.
        Expr::Paren(inner) => match &*inner.expr {
            Expr::VectorSelector(selector) => (selector, false),
            Expr::Paren(_) => return Known::open(),
            _ => return Known::empty(),
        },
        _ => return Known::empty(),
    };
    if !selector.matchers.or_matchers.is_empty() {
        return Known::open();
    }
    let certain = |name: &str| {
        let all = &selector.matchers.matchers;
        // With `@` Prometheus wraps the selector, which hides it. Of two matchers on one label neither counts.
        direct && selector.at.is_none() && all.iter().filter(|matcher| matcher.name == name).count() == 1
    };
    equalities(&selector.matchers).fold(Known::empty(), |known, (name, value)| {
        if certain(name) { known.with(name, value) } else { known.with_any(name) }
    })
}

fn aggregated(AggregateExpr { op, expr, param, modifier }: &AggregateExpr) -> Known {
    let input = of(expr);
    let op = op.id();
    // These choose among the series and leave them as they are.
    if [T_TOPK, T_BOTTOMK, T_LIMITK, T_LIMIT_RATIO].contains(&op) {
        return input;
    }
    let known = match modifier {
        None => Known::empty(),
        Some(LabelModifier::Include(by)) => input.only(&by.labels),
        Some(LabelModifier::Exclude(without)) => input.without(|name| has(without, name)),
    };
    if op != T_COUNT_VALUES {
        return known;
    }
    param.as_deref().and_then(literal).map_or_else(Known::open, |name| known.with_any(name))
}

fn has(labels: &Labels, name: &str) -> bool {
    labels.labels.iter().any(|label| label == name)
}

fn combined(BinaryExpr { op, lhs, rhs, modifier }: &BinaryExpr) -> Known {
    // With a number on one side the other one keeps its labels.
    match (lhs.value_type(), rhs.value_type()) {
        (ValueType::Scalar, _) => return of(rhs),
        (_, ValueType::Scalar) => return of(lhs),
        _ => {}
    }
    let default = BinModifier::default();
    let modifier = modifier.as_ref().unwrap_or(&default);
    // Where a missing side is filled in, its labels are made up from the other one.
    if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
        return Known::open();
    }
    // The labels by which the two sides find each other are equal.
    let equal = |name: &str| match &modifier.matching {
        None => true,
        Some(LabelModifier::Include(on)) => has(on, name),
        Some(LabelModifier::Exclude(ignoring)) => !has(ignoring, name),
    };
    let (left, right) = (of(lhs), of(rhs));
    match op.id() {
        T_LOR => return left.or(right),
        T_LUNLESS => return left,
        T_LAND => return left.learn(&right, equal),
        _ => {}
    }
    match &modifier.card {
        VectorMatchCardinality::ManyToOne(include) => including(left.learn(&right, equal), &right, include),
        VectorMatchCardinality::OneToMany(include) => including(right.learn(&left, equal), &left, include),
        VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => {
            let known = left.learn(&right, equal);
            match &modifier.matching {
                None => known,
                Some(LabelModifier::Include(on)) => known.only(&on.labels),
                Some(LabelModifier::Exclude(ignoring)) => known.without(|name| has(ignoring, name)),
            }
        }
    }
}

/// `group_left(a, b)`: these labels come from the side that has one.
fn including(many: Known, one: &Known, include: &Labels) -> Known {
    include.labels.iter().fold(many, |known, name| match one.get(name) {
        Some(value) => known.with(name, value),
        None if one.may_have(name) => known.with_any(name),
        None => known.without(|other| other == name),
    })
}

#[cfg(test)]
mod tests {
    use super::super::known::Possible;
    use super::*;

    /// `job=api | instance`: what is fixed, then what else may be there; `*` for anything.
    fn show(known: &Known) -> String {
        let fixed = known.fixed().map(|(name, value)| format!("{name}={value}"));
        let rest = match known.possible() {
            Possible::Open => vec!["*".to_owned()],
            Possible::Closed(names) => names.iter().filter(|name| known.get(name).is_none()).cloned().collect(),
        };
        format!("{} | {}", fixed.collect::<Vec<_>>().join(" "), rest.join(" ")).trim().to_owned()
    }

    #[track_caller]
    fn check(expression: &str, expected: &str) {
        let known = labels(expression).unwrap_or_else(|why| panic!("{expression}: {why}"));
        assert_eq!(show(&known), expected, "{expression}");
    }

    #[test]
    fn selectors() {
        check("up", "| *");
        check("up == 0", "| *");
        check("0 == up{job='api'}", "job=api | *");
        check(r#"up{job="api", env!="dev", zone=~"a|b", rack=""}"#, "job=api | *");
        check(r#"{__name__="up", job="api"}"#, "job=api | *");
        check(r#"{"http.requests", "service.name"="api"}"#, "service.name=api | *");
        check(r#"up{__type__="gauge", job="api"}"#, "job=api | *");
        check(r#"-up{job="api"} offset 5m"#, "job=api | *");
        check(r#"up{job="api"} @ 100 > 3"#, "job=api | *");
        // Alternatives are VictoriaMetrics'.
        check(r#"up{job="api" or job="web"}"#, "| *");
    }

    #[test]
    fn functions() {
        check(r#"rate(x{job="api"}[5m]) > 1"#, "job=api | *");
        check(r#"max_over_time(sum by (job) (x{job="api", a="b"})[1h:1m])"#, "job=api |");
        check(r#"clamp_max(round(x{job="api"}, 0.1), 5)"#, "job=api | *");
        check(r#"quantile_over_time(0.9, x{job="api"}[5m])"#, "job=api | *");
        check(r#"histogram_quantile(0.9, sum by (le, job) (rate(x{job="api"}[5m])))"#, "job=api | le");
        check(r#"histogram_quantile(0.9, x{le="10", job="api"})"#, "job=api | *");
        check(r#"sort_desc(timestamp(x{job="api"}))"#, "job=api | *");
        check("hour() > 8", "|");
        check(r#"hour(x{job="api"}) > 8"#, "job=api | *");
        check("vector(1)", "|");
        check("time() - 5 > bool 3", "|");
        check(r#"scalar(x{job="api"}) > bool 3"#, "|");
        check(r#"vector(scalar(x{job="api"}))"#, "|");
        check("1", "|");
        // Adds labels of other series, and may replace any.
        check(r#"info(x{job="api"})"#, "| *");
    }

    #[test]
    fn absence() {
        check(r#"absent(up{job="api", env!="dev", zone=~"a"})"#, "job=api |");
        check(r#"absent_over_time(up{job="api"}[5m]) > 0"#, "job=api |");
        check("absent(up)", "|");
        check(r#"absent(rate(x{job="api"}[5m]))"#, "|");
        check(r#"absent(sum(x{job="api"}))"#, "|");
        check(r#"absent_over_time(rate(x{job="api"}[5m])[1h:])"#, "|");
        check(r#"absent(up{job="api", job="web", a="b"})"#, "a=b | job");
        check(r#"absent(up{job="api", job!="web"})"#, "| job");
        check(r#"absent((up{job="api"}))"#, "| job");
        check(r#"absent((sum(up{job="api"})))"#, "|");
        check(r#"absent(((up{job="api"})))"#, "| *");
        check(r#"absent(up{job="api"} @ 5)"#, "| job");
        check(r#"absent(up{job="api" or job="web"})"#, "| *");
    }

    #[test]
    fn aggregations() {
        check(r#"sum(x{job="api"})"#, "|");
        check(r#"sum by (job, team) (x{job="api", a="b"})"#, "job=api | team");
        check(r#"sum(x{job="api"}) by (job) > 5"#, "job=api |");
        check(r#"sum by () (x{job="api"})"#, "|");
        check(r#"avg without (instance) (x{job="api", instance="a"})"#, "job=api | *");
        check("max without (a) (sum by (a, b) (x))", "| b");
        check("sum by (job, zone) (sum by (job) (x))", "| job");
        check(r#"topk(3, x{job="api"})"#, "job=api | *");
        check(r#"bottomk by (a) (3, sum by (a, b) (x{b="c"}))"#, "b=c | a");
        check(r#"limitk(3, x{job="api"})"#, "job=api | *");
        check(r#"quantile by (job) (0.9, x{job="api"})"#, "job=api |");
        check(r#"count_values("version", x{job="api"})"#, "| version");
        check(r#"count_values by (job) ("version", x{job="api"})"#, "job=api | version");
        check(r#"count_values without (a) ("job", x{job="api", b="c"})"#, "b=c | *");
        check(r#"count_values by (job) (("job"), x{job="api"})"#, "| job");
        check("sum by (__name__, job) (x)", "| job");
    }

    #[test]
    fn replaced_labels() {
        check(r#"label_replace(x{job="api"}, "team", "db", "", "")"#, "job=api team=db | *");
        check(r#"label_replace(sum(x), "team", "db", "", ".*")"#, "team=db |");
        check(r#"label_replace(sum by (job) (x), "team", "$1", "job", "(.*)")"#, "| job team");
        check(r#"label_replace(x{job="api"}, "job", "web", "a", "b")"#, "| *");
        check(r#"label_replace(x{job="api"}, "job", "", "", "")"#, "| *");
        check(r#"label_replace(sum by (job, a) (x), "job", "", "", "")"#, "| a");
        check(r#"label_replace(x{job="api"}, "team", "$0", "", "")"#, "job=api | *");
        check(r#"label_join(sum by (a, b) (x{a="1"}), "c", "-", "a", "b")"#, "a=1 | b c");
        check(r#"label_join(x{a="1", b="2"}, "a", "-", "b")"#, "b=2 | *");
    }

    #[test]
    fn two_sides() {
        let (a, b) = (r#"a{job="api", x="1"}"#, r#"b{job="api", y="2"}"#);
        // Without a modifier all labels are equal on both sides.
        check(&format!("{a} / {b}"), "job=api x=1 y=2 | *");
        check(&format!("{a} > bool {b}"), "job=api x=1 y=2 | *");
        check(&format!("{a} / on (job) {b}"), "job=api |");
        check(&format!("{a} > on (y) {b}"), "y=2 |");
        check(&format!("{a} / on () {b}"), "|");
        check(&format!("{a} / ignoring (x) {b}"), "job=api y=2 | *");
        check(&format!("{a} / ignoring (y) {b}"), "job=api x=1 | *");
        check(&format!("{a} * on (job) group_left (y) {b}"), "job=api x=1 y=2 | *");
        check(&format!("{a} * on (job) group_left () {b}"), "job=api x=1 | *");
        check(&format!("{a} * on (job) group_left (x) {b}"), "job=api | *");
        check(&format!("{a} * on (job) group_right (x) {b}"), "job=api x=1 y=2 | *");
        check(&format!("{a} * on (job) group_left (x) sum by (job) ({b})"), "job=api | *");
        check("sum by (a) (m) * on (a) group_left (c) sum by (a) (n)", "| a");
        check("sum by (a) (m) * on (a) group_left (c) sum by (a, c) (n)", "| a c");
        check("sum by (a, b) (m) / ignoring (b) group_left () sum by (a) (n)", "| a b");
        check("sum by (job) (m) / sum by (job) (n) > 0.05", "| job");
        check(r#"sum by (job) (m) / sum by (job) (n{job="api"}) > 0.05"#, "job=api |");
        check(&format!("{a} + 1 > time()"), "job=api x=1 | *");
        // A side that is filled in has made-up labels.
        check(&format!("{a} + fill (0) {b}"), "| *");
    }

    #[test]
    fn sets() {
        check(r#"a{x="1"} and b{y="2"}"#, "x=1 y=2 | *");
        check(r#"a{x="1"} and on (z) b{y="2", z="3"}"#, "x=1 z=3 | *");
        check(r#"a{x="1"} and ignoring (y) b{y="2", z="3"}"#, "x=1 z=3 | *");
        check(r#"a{x="1"} and on () b{x="2"}"#, "x=1 | *");
        check(r#"sum by (job) (a) and on (zone) b{zone="eu"}"#, "| job");
        check(r#"a{x="1"} unless b{y="2"}"#, "x=1 | *");
        check(r#"a{x="1", y="2"} or b{x="1", y="3"}"#, "x=1 | *");
        check("sum by (x) (a) or sum by (y) (b)", "| x y");
        check("sum(a) or b", "| *");
        check(r#"sum(a{x="1"}) or vector(0)"#, "|");
        check(r#"a{x="1"} or on () vector(0)"#, "| *");
    }

    #[test]
    fn what_cannot_be_read() {
        assert_eq!(labels("nope(x)"), Err("unknown function with name 'nope'".to_owned()));
        let deep = "sum by (a) (".repeat(promql::MAX_DEPTH / 2) + "x" + &")".repeat(promql::MAX_DEPTH / 2);
        check(&deep, "| a");
        check(&("a or ".repeat(promql::MAX_DEPTH) + "b"), "| *");
    }
}
