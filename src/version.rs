//! Which program this is, as the build script (`src/build.rs`) found out.

/// The version: `0.1.0`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The first 12 digits of the commit, with `-dirty` if tracked files differed from it; `unknown` for a debug build, and where
/// neither git nor `ALERTROUTER_COMMIT` said it.
pub const REVISION: &str = env!("BUILD_REVISION");

/// The day of the commit, in UTC; empty if it is not known.
pub const DATE: &str = env!("BUILD_DATE");

/// The version of the compiler.
pub const RUSTC: &str = env!("BUILD_RUSTC");

/// All in one: `0.1.0 (commit 9815c0c1f2ab, 2026-11-28, release, x86_64-unknown-linux-gnu, rustc 1.95.0)`.
pub const LONG: &str = env!("BUILD_VERSION");
