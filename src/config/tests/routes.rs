//! Routes and matchers.

use super::*;

#[test]
fn routes_are_checked() {
    check_route(
        "route: {receivers: [a]}\ndedup: {settle: 2d, ignore_labels: x}",
        &[
            "f:3:17: error: `settle` must be between 0s and 1d",
            "f:3:36: error: `ignore_labels` must be a list, and this is a single value; write `[prometheus_replica]`",
        ],
    );
    check_route("", &["f:1:1: error: the file needs `route`; add `route: …`"]);
    check_route("route:", &["f:2:1: error: `route` has no value; give it one, or remove the key"]);
    check_route("route: {}", &["f:2:1: error: `route` needs `receivers`; add `receivers: …`"]);
    check_route(
        "route: {receivers: []}",
        &[
            "f:1:20: warning: no route uses the receiver `a`; name it in `receivers` of a route, or remove it",
            "f:2:20: error: `receivers` of the root must not be empty; to drop alerts on purpose, write `receivers: []` in a route below `routes`",
        ],
    );
    check_route(
        "route: {receivers: a}",
        &["f:2:20: error: `receivers` of a route must be a list, and this is a single value; write `[NAME]`"],
    );
    check_route("route: {receivers: [b]}", &["f:2:21: error: there is no receiver `b`; did you mean `a`?"]);
    check_route(
        "route: {receivers: [a, a]}",
        &["f:2:24: warning: the receiver `a` is named twice; remove one of them"],
    );
    check_route(
        "route: {receivers: [a], matchers: [x=y], continue: true, group_by: [x], receiver: a}",
        &[
            "f:2:25: error: the root takes every alert: it has no `matchers`; put it into a route below `routes`",
            "f:2:42: error: the root takes every alert: it has no `continue`; put it into a route below `routes`",
            "f:2:58: error: unknown key `group_by`; Alertmanager groups alerts before it posts them: leave it in alertmanager.yml",
            "f:2:73: error: unknown key `receiver`; it is a list here: `receivers: [NAME]`",
        ],
    );
    check_route(
        "route: {receivers: [a], repeat_interval: 4}",
        &["f:2:42: error: `repeat_interval`: the number needs a unit; durations are written as `30s`, `4h` or `1d12h`"],
    );
    check_route(
        "route: {receivers: [a], receivers: [a]}",
        &["f:2:25: error: duplicate key `receivers`; it was first given in line 2"],
    );
}

#[test]
fn matchers_are_checked() {
    let check = |matchers: &str, expected: &[&str]| {
        check_route(&format!("route:\n  receivers: [a]\n  routes:\n  - matchers: {matchers}"), expected);
    };
    check("[a=b, 'c=~\"d|e\",f!=g']", &[]);
    check(
        "a=b",
        &["f:5:15: error: `matchers` must be a list, and this is a single value; write `[severity=\"critical\"]`"],
    );
    check(
        "[a: b]",
        &[
            "f:5:16: error: a matcher must be a text, and this is a map; write `severity=\"critical\"`, and quote it with '…' where YAML sees something else in it",
        ],
    );
    check(
        "['a=b, größe=~''']",
        &[
            "f:5:29: error: bad matcher: expected a value; write \"\" for an empty one; matchers are written as severity=\"critical\" or job=~\"api|web\"",
        ],
    );
    check(
        r#"["a=\"\u00e9\"b"]"#,
        &[
            "f:5:29: error: bad matcher: expected a comma or the end after the value; matchers are written as severity=\"critical\" or job=~\"api|web\"",
        ],
    );
    check(
        "[a=~(b]",
        &[
            "f:5:19: error: bad matcher: bad regular expression: unclosed group; regular expressions are RE2's, as in Alertmanager",
        ],
    );
    check(
        "['a=~\"\\d\"']",
        &["f:5:16: warning: only Alertmanager's classic syntax reads this matcher; write a=~\"\\\\d\""],
    );
    check(
        "\n    - |\n      a=b,\n      c!d\n",
        &[
            "f:8:8: error: bad matcher: expected one of = != =~ !~ after the label name; matchers are written as severity=\"critical\" or job=~\"api|web\"",
        ],
    );
}

#[test]
fn routes_that_can_never_match() {
    let check = |routes: &str, expected: &[&str]| {
        check_route(&format!("route: {{receivers: [a], routes: [\n{routes}]}}"), expected);
    };
    check("{matchers: [x=y]},\n{matchers: [x=z]}", &[]);
    check("{matchers: [x=y], continue: true},\n{matchers: [x=y]}", &[]);
    check("{matchers: [x=y, z=a]},\n{matchers: [x=y]}", &[]);
    let never = "f:4:1: warning: this route can never match; the route in line 3 takes all of its alerts first";
    check("{matchers: [x=y]},\n{matchers: ['z=a,x=\"y\"']}", &[never]);
    check("{},\n{matchers: [x=y]}", &[never]);
}

#[test]
fn routes_know_where_they_stand() {
    let text = "receivers: [{name: é, webhook: {url: http://x/}}]
route:
  receivers: [é]
  routes:
  - matchers: [a=b]
    routes: [{matchers: [é=é]}, { matchers: [x=y] }]
  # nothing
  -
    receivers: []
    matchers: [b=c]
";
    let check = |text: &str, expected: &[(usize, usize)]| {
        let tree = read(text).0.unwrap().tree;
        let at: Vec<_> = tree.root.walk().map(|route| (route.at.line, route.at.column)).collect();
        assert_eq!(at, expected, "{text}");
    };
    check(text, &[(2, 1), (5, 5), (6, 14), (6, 33), (9, 5)]);
    check(&format!("\u{feff}{}", text.replace('\n', "\r\n")), &[(2, 1), (5, 5), (6, 14), (6, 33), (9, 5)]);
}

#[test]
fn routes_that_no_alert_reaches_are_found() {
    // The first and the last route begin in line 4 and 5.
    let check = |first: &str, last: &str, expected: &[&str]| {
        check_route(&format!("route:\n  receivers: [a]\n  routes:\n  - {first}\n  - {last}"), expected);
    };
    let never = "warning: this route can never match;";
    let taken = format!("f:6:5: {never} the route in line 5 takes all of its alerts first");
    check("{matchers: ['s=~\"critical|warning\"']}", "{matchers: [s=critical, x=y]}", &[&taken]);
    check("{matchers: ['x!=\"\"']}", "{matchers: [x=y]}", &[&taken]);
    check("{matchers: ['x=~\".*\"']}", "{matchers: [y=z]}", &[&taken]);
    check("{matchers: []}", "{matchers: [y=z]}", &[&taken]);
    check("{matchers: [], continue: true}", "{matchers: [y=z]}", &[]);
    check("{matchers: ['s=~\"critical|warning\"']}", "{matchers: [s=info]}", &[]);
    // A route with a mistake takes nothing.
    check("{matchers: [x=y], continue: 1}", "{matchers: [x=y]}", &["f:5:33: error: `continue` must be true or false"]);
    let excluded = format!("f:6:5: {never} no alert has both a=\"1\" and a=\"2\"");
    check("{matchers: [x=y]}", "{matchers: ['a=1,a=2'], routes: [{matchers: [x=y]}]}", &[&excluded]);
    let below = format!("f:5:32: {never} no alert has both n=\"1\" and n=\"2\"");
    check("{matchers: [n=1], routes: [{matchers: [n=2]}]}", "{matchers: [n=2]}", &[&below]);
    let child = "f:5:5: warning: the receivers of this route are never told; the route in line 5 below it takes all of its \
                 alerts";
    check("{matchers: [n=1], routes: [{matchers: [n=~1|2], receivers: []}]}", "{matchers: [n=2]}", &[child]);
    check("{matchers: [n=1], routes: [{matchers: [n=~1|2], repeat_interval: 1h}]}", "{matchers: [n=2]}", &[]);
}

#[test]
fn ignored_labels_are_held_against_the_routes() {
    check_route(
        "route: {receivers: [a], routes: [{matchers: [x=y]}]}\ndedup: {ignore_labels: [r, x, r]}",
        &[
            "f:3:28: warning: a route asks for the label `x`, which is ignored here; alerts that differ only in it count \
             as one, although they may belong to different receivers",
            "f:3:31: warning: the label `r` is named twice; remove one of them",
        ],
    );
}
