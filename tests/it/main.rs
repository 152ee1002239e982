//! The integration tests: one binary, so that there is one thing to link.
#![expect(unreachable_pub, reason = "the crate is a binary: nothing is reachable from outside")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of a test fails as the test does"
)]
#![expect(clippy::float_cmp, reason = "metrics are floats, and the ones compared are whole")]

mod alertmanager;
mod cli;
mod crash;
mod delivery;
mod demo;
mod fuzz;
mod harness;
mod import;
mod intake;
mod metrics;
mod packs;
mod readme_ci;
mod routes_file;
mod routing;
mod rules;
mod schema;
mod tidy;
