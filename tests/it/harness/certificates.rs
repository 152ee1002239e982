//! Certificates, made by openssl when a test runs, and clients that show or trust them.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::process::{debian, run};

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";

/// Runs `openssl` in `folder`; it has to succeed.
pub async fn openssl(folder: &Path, arguments: &str) {
    let mut command = debian("openssl", "openssl");
    command.current_dir(folder).args(arguments.split(' '));
    let said = run(command).await;
    assert_eq!(said.code, Some(0), "openssl {arguments}: {}", said.err);
}

/// Makes `NAME.pem` and `NAME.key` of an authority.
pub async fn authority(folder: &Path, name: &str) {
    openssl(folder, &format!("req -x509 {KEY} -keyout {name}.key -out {name}.pem -subj /CN={name} -days 2")).await;
}

/// Makes `NAME.pem` and `NAME.key` for subject alternative names, by an authority.
pub async fn certificate(folder: &Path, name: &str, authority: &str, for_whom: &str) {
    certificate_for(folder, name, authority, for_whom, 2).await;
}

/// The same, for so many days; with a negative number it has expired.
pub async fn certificate_for(folder: &Path, name: &str, authority: &str, for_whom: &str, days: i32) {
    std::fs::write(folder.join("extensions"), format!("subjectAltName={for_whom}\n")).unwrap();
    openssl(folder, &format!("req {KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}")).await;
    let by = format!("-CA {authority}.pem -CAkey {authority}.key -CAcreateserial -days {days} -extfile extensions");
    openssl(folder, &format!("x509 -req -in {name}.csr -out {name}.pem {by}")).await;
}

/// The certificate and the key of `NAME.pem` and `NAME.key`.
pub fn read(folder: &Path, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = vec![CertificateDer::from_pem_file(folder.join(format!("{name}.pem"))).unwrap()];
    (chain, PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).unwrap())
}

/// A client that trusts `authority` and, if it has one, shows the certificate `own`.
pub fn client(folder: &Path, authority: &str, own: Option<&str>) -> Arc<ClientConfig> {
    client_with(folder, authority, own, rustls::ALL_VERSIONS)
}

/// The same, for these versions of TLS.
pub fn client_with(
    folder: &Path,
    authority: &str,
    own: Option<&str>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join(format!("{authority}.pem"))).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match own {
        Some(own) => {
            let (chain, key) = read(folder, own);
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A connection to `address`, called `name`.
pub async fn connect(
    address: &str,
    name: &str,
    config: &Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>, std::io::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(config.clone()).connect(name, TcpStream::connect(address).await?).await
}

/// Sends a request without a body on a connection of its own; the whole answer, or why there is none. A client of TLS 1.3 learns
/// only after its own part of the handshake whether it was let in.
pub async fn ask(address: &str, config: &Arc<ClientConfig>, method: &str, path: &str) -> Result<String, String> {
    let mut stream = connect(address, "127.0.0.1", config).await.map_err(|error| error.to_string())?;
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8(answer).unwrap())
}
