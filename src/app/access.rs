//! Who may come in: what routes.yaml and the web configuration say together, and whether the listener's reach fits that.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::auth::{Access, Credentials, Exposure};
use crate::config::Config;
use crate::config::web::WebConfig;

/// Where the service listens, as far as it decides who has to authenticate.
#[derive(Debug, Clone, Copy)]
pub struct Reach {
    /// `--listen`.
    pub address: SocketAddr,
    /// `--allow-unauthenticated`.
    pub allow_unauthenticated: bool,
}

impl Reach {
    /// Nobody on other machines.
    pub const LOOPBACK: Self =
        Self { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), allow_unauthenticated: false };
}

/// What both files say, compiled. It is asked for at the start and whenever one of them changes: a file that would open the
/// service to strangers is refused like one that cannot be read.
///
/// # Errors
/// If strangers could post, nobody could, or both files have a user of the same name.
pub(super) fn access(config: &Config, web: &WebConfig, reach: Reach) -> Result<Access, String> {
    let credentials: Credentials = config.auth.clone().unwrap_or_default();
    let credentials = credentials.with_web(web.basic_users.clone(), web.requires_verified_certificate())?;
    let exposure = Exposure {
        address: reach.address,
        allow_unauthenticated: reach.allow_unauthenticated,
        encrypted: web.tls.is_some(),
        verifies_certificates: web.verifies_certificates(),
    };
    for advice in exposure.check(&credentials)? {
        tracing::warn!("{}", advice.as_str());
    }
    Ok(Access::new(credentials))
}
