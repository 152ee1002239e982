//! File descriptors: each connection needs one, and so do the store and the deliveries.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What 512 connections, all deliveries and the store need at the same time.
const NEEDED: u64 = 1024;
/// Asked for where it can be had. A service commonly may have 1024 and could have more: the limit is that low for programs
/// that use `select`, and this one does not.
const WANTED: u64 = 4096;

/// Raises the limit as far as that is allowed, and says so if it is too low then.
pub(super) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    // No limit at all is enough.
    let (Some(current), maximum) = (limit.current, limit.maximum.unwrap_or(WANTED)) else { return };
    let wanted = WANTED.min(maximum);
    let raised = Rlimit { current: Some(wanted), ..limit };
    let have = if current < wanted && setrlimit(Resource::Nofile, raised).is_ok() { wanted } else { current };
    if have < NEEDED {
        tracing::warn!(
            "only {have} file descriptors can be had, and many connections at once need {NEEDED}; \
             hint: LimitNOFILE={NEEDED} in a systemd unit, `ulimit -n` in a shell"
        );
    }
}
