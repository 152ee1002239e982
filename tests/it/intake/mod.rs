//! What goes in, what is answered, and what it is taken for.

mod captured;
mod connections;
mod decisions;
mod heads;
mod hostile;
mod places;
mod refused;
mod rules;
mod unavailable;
