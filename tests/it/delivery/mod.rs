//! What is delivered, in which order, how often, and what becomes of what cannot be.

mod annotation;
mod dead;
mod departed;
mod digest;
mod email;
mod fallback;
pub mod faults;
mod health;
mod incident;
mod injected;
mod order;
mod pace;
mod reload;
mod restart;
mod retry;
mod slack_token;
