//! The integration tests: one binary, so that there is one thing to link.
#![forbid(unsafe_code)]
#![expect(unreachable_pub, reason = "the crate is a binary: nothing is reachable from outside")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of a test fails as the test does"
)]
#![expect(clippy::float_cmp, reason = "metrics are floats, and the ones compared are whole")]

mod alertmanager;
mod auth;
mod cli;
mod crash;
mod dashboards;
mod delivery;
mod demo;
mod deploy;
mod fuzz;
mod harness;
mod heartbeat;
mod import;
mod intake;
mod metrics;
mod packs;
mod readme;
mod readme_ci;
mod recipes;
mod release;
mod routes_file;
mod routing;
mod rules;
mod schema;
mod secrets;
mod signed;
mod stack;
mod tidy;
mod tls;
mod traces;
