//! Mutants that no test can notice.

/// The rule, what was done to it, and why it makes no difference.
pub(super) const EQUIVALENT: &[(&str, &[&str], &str)] = &[
    ("Watchdog", &["1 becomes 0", "1 becomes 2"], "it fires whatever its value, which is shown nowhere"),
    (
        "LLMAvailabilityBudgetBurnPage",
        &[
            "> becomes >= before 14.4 * (1 - 0.99)",
            "> becomes >= before 14.4 * (1 - 0.99) (2)",
            "> becomes >= before 6 * (1 - 0.99)",
            "> becomes >= before 6 * (1 - 0.99) (2)",
        ],
        NO_RATIO,
    ),
    (
        "LLMAvailabilityBudgetBurnTicket",
        &[
            "> becomes >= before 3 * (1 - 0.99)",
            "> becomes >= before 3 * (1 - 0.99) (2)",
            "> becomes >= before 1 * (1 - 0.99)",
            "> becomes >= before 1 * (1 - 0.99) (2)",
        ],
        NO_RATIO,
    ),
    (
        "LLMLatencyBudgetBurnPage",
        &[
            "> becomes >= before 14.4 * (1 - 0.95)",
            "> becomes >= before 14.4 * (1 - 0.95) (2)",
            "> becomes >= before 6 * (1 - 0.95)",
            "> becomes >= before 6 * (1 - 0.95) (2)",
        ],
        NO_RATIO,
    ),
    (
        "LLMLatencyBudgetBurnTicket",
        &[
            "> becomes >= before 3 * (1 - 0.95)",
            "> becomes >= before 3 * (1 - 0.95) (2)",
            "> becomes >= before 1 * (1 - 0.95)",
            "> becomes >= before 1 * (1 - 0.95) (2)",
        ],
        NO_RATIO,
    ),
    (
        "job_model:llm_cost_dollars:increase10m",
        &["range 10m becomes 20m", "range 10m becomes 20m (2)", "range 10m becomes 20m (3)"],
        "what was seen 10 to 20 minutes ago stands in the hour before the tile as well",
    ),
    (
        "job_model:llm_cost_dollars_increase1h:avg7d",
        &["range 5d becomes 10d"],
        "the average on the other side reaches 8 days back",
    ),
    (
        "job_model:llm_cost_dollars_increase1h:baseline",
        &["> becomes >= before job_model:llm_cost_dollars_increase1h:avg7d"],
        "the greater of two that are equal is either",
    ),
    ("AlertrouterDeadLetters", &["and loses job"], "both sides select the same job, and it has each instance once"),
    ("job_model:llm_cost_dollars:increase10m", &["< loses job"], "both sides select the same job"),
    ("VLLMHighServerErrorRatio", &["job=\"vllm\" dropped"], "it is divided by what is recorded of the job only"),
];

const NO_RATIO: &str = "the threshold is a product of decimal fractions: no ratio of two counts is exactly that";
