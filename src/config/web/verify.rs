//! What is asked of clients: the five `client_auth_type`s of Go, and `client_allowed_sans`.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::ClientAuth;
use crate::certificate;

/// Looks at the certificate of a client. Whatever is asked for, the client must have its key.
#[derive(Debug)]
pub(super) struct Verifier {
    /// Holds certificates against `client_ca_file`.
    authority: Option<Arc<dyn ClientCertVerifier>>,
    auth: ClientAuth,
    allowed_sans: Vec<String>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// `authority` is there if `auth` verifies. If `allowed_sans` is not empty, one of them must be a name of the certificate.
    pub(super) fn new(
        auth: ClientAuth,
        authority: Option<Arc<dyn ClientCertVerifier>>,
        allowed_sans: Vec<String>,
        provider: Arc<CryptoProvider>,
    ) -> Self {
        Self { authority, auth, allowed_sans, provider }
    }

    fn is_allowed(&self, certificate: &CertificateDer<'_>) -> bool {
        if self.allowed_sans.is_empty() {
            return true;
        }
        let names = certificate::names(certificate);
        self.allowed_sans.iter().any(|allowed| {
            let address = allowed.parse::<IpAddr>();
            names.contains(allowed) || address.is_ok_and(|address| certificate::is_of(certificate, address))
        })
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        matches!(self.auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify)
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.authority.as_ref().map_or(&[], |authority| authority.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match (self.auth.verifies(), &self.authority) {
            (true, Some(authority)) => authority.verify_client_cert(end_entity, intermediates, now).map(drop)?,
            (true, None) => return Err(CertificateError::UnknownIssuer.into()),
            (false, _) => {}
        }
        if self.is_allowed(end_entity) {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
