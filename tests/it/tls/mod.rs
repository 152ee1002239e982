//! The listener with `--web-config`: who comes in, and what a changed certificate changes.

mod binary;
mod clients;
mod readme;
mod reload;

use std::path::Path;

use crate::harness::certificates::{authority, certificate};
use crate::harness::{Folder, Harness, ROUTES};

/// `tls_server_config` for [`server`].
const WEB: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

/// A folder with an authority `ca`, a certificate `server` of it, and a `web.yml`.
async fn server(web: &str) -> Folder {
    let folder = Folder::new();
    authority(&folder.0, "ca").await;
    certificate(&folder.0, "server", "ca", "IP:127.0.0.1,DNS:router.example").await;
    std::fs::write(folder.0.join("web.yml"), web).unwrap();
    folder
}

/// The service with the `web.yml` of `folder`.
async fn start(folder: &Path) -> Harness {
    Harness::with(ROUTES, |settings| settings.web_config = Some(folder.join("web.yml"))).await
}
