//! alertrouter: an Alertmanager webhook receiver and alert router.
//!
//! The modules in reading order: what Alertmanager says ([`alert`]), what a receiver is told ([`notification`]), who
//! is told ([`route`]), what is new ([`dedup`]), what is kept ([`store`]), how each service is spoken to ([`receiver`]) and
//! in which words of routes.yaml ([`template`]), how that is made true ([`deliver`]), how alerts come in ([`http`]) and from
//! whom ([`auth`], [`certificate`]), which of
//! them must keep coming ([`heartbeat`]); [`config`] reads routes.yaml (by way of [`yaml`]),
//! [`import`] makes one of an alertmanager.yml, [`rules`] reads Prometheus' rule files and holds them against it,
//! [`routetest`] tests it, [`traces`] shows what became of a webhook, [`app`] puts it together, [`cli`] is what one
//! types, [`version`] which build it is. `ARCHITECTURE.md` is the map.

#![forbid(unsafe_code)]

pub mod alert;
pub mod app;
pub mod auth;
pub mod certificate;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dedup;
pub mod deliver;
pub mod demo;
pub mod heartbeat;
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
pub mod template;
pub mod traces;
pub mod version;
pub mod yaml;
