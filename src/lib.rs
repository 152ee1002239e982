//! alertrouter: an Alertmanager webhook receiver and alert router.
//!
//! The modules in reading order: what Alertmanager says ([`alert`]), what a receiver is told ([`notification`]), who
//! is told ([`route`]), what is new ([`dedup`]), what is kept ([`store`]), how each service is spoken to ([`receiver`]),
//! how that is made true ([`deliver`]), how alerts come in ([`http`]); [`config`] reads routes.yaml (by way of [`yaml`]),
//! [`import`] makes one of an alertmanager.yml, [`rules`] reads Prometheus' rule files and holds them against it,
//! [`routetest`] tests it, [`app`] puts it together, [`cli`] is what one types. `ARCHITECTURE.md` is the map.

pub mod alert;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dedup;
pub mod deliver;
pub mod demo;
pub mod http;
pub mod import;
pub mod metrics;
pub mod notification;
pub mod receiver;
pub mod route;
pub mod routetest;
pub mod rules;
pub mod standin;
pub mod store;
pub mod telemetry;
pub mod yaml;
