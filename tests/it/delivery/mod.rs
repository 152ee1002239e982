//! What is delivered, in which order, how often, and what becomes of what cannot be.

mod dead;
mod departed;
mod fallback;
mod health;
mod order;
mod pace;
mod reload;
mod restart;
mod retry;
