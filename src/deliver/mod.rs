//! Makes true what was written: leases the oldest delivery of each lane, lets the receiver encode it, sends it, lets the
//! receiver judge the answer, settles it. A wake-up carries no data: whoever is woken looks into the outbox, so intake,
//! timer and another replica share one code path.

mod attempt;
mod fallback;
mod hands;
mod health;
mod mail;
mod pace;
mod policy;
mod storm;
mod task;
mod traced;
mod transport;
pub mod trial;
mod worker;

pub use fallback::{FallbackTimer, FallbackTo};
pub use health::SharedHealth;
pub use transport::{Transport, TransportError};
pub use worker::{Shared, Worker};
