//! Prometheus's own text format, for those who do not ask for OpenMetrics: curl, promtool, older scrapers.

/// The same metrics. There the name in `HELP` and `TYPE` is the series' own, an info is a gauge, and nothing marks the end.
pub(super) fn from_open_metrics(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut help = "";
    for line in text.lines() {
        if line.starts_with("# HELP ") {
            // Which name it needs is said by the type, in the next line.
            help = line;
        } else if let Some((family, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            if let Some((_, said)) = help.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
                push(&mut out, &["# HELP ", family, suffix, " ", said]);
            }
            push(&mut out, &["# TYPE ", family, suffix, " ", kind]);
        } else if !line.starts_with('#') {
            push(&mut out, &[line]);
        }
    }
    out
}

fn push(out: &mut String, pieces: &[&str]) {
    out.extend(pieces.iter().copied().chain(["\n"]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types_are_those_of_the_series() {
        let open = "# HELP a_seconds Took.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\na_seconds_count 1\n\
                    # HELP b Seen.\n# TYPE b counter\nb_total{c=\"# TYPE\"} 2\n# HELP d Built.\n# TYPE d info\nd_info 1\n# EOF\n";
        let classic = "# HELP a_seconds Took.\n# TYPE a_seconds histogram\na_seconds_count 1\n\
                       # HELP b_total Seen.\n# TYPE b_total counter\nb_total{c=\"# TYPE\"} 2\n\
                       # HELP d_info Built.\n# TYPE d_info gauge\nd_info 1\n";
        assert_eq!(from_open_metrics(open), classic);
    }
}
