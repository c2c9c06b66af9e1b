//! TLS for every client of a process: the platform's certificates, read when the first server shows its own and not before.
//!
//! To read the folder of certificates takes longer than to plan a small repository, and is in vain where no request goes by
//! TLS; each client would do it anew.

use std::sync::{Arc, LazyLock, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

static CONFIG: LazyLock<ClientConfig> = LazyLock::new(|| {
    let platform = Arc::new(Platform {
        provider: provider(),
        verifier: OnceLock::new(),
    });
    let mut config = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(platform)
        .with_no_client_auth();
    config.alpn_protocols = vec!["h2".into(), "http/1.1".into()];
    config
});

/// What clients are set up with; all of them share what was read of certificates and the sessions that servers offered.
pub(super) fn config() -> ClientConfig {
    CONFIG.clone()
}

/// What to do about a connection that failed with `cause`; `None` where no certificate was the reason.
pub(super) fn hint(cause: &str) -> Option<&'static str> {
    if cause.contains("UnknownIssuer") {
        Some(
            "let SSL_CERT_FILE name a file with the certificate of the authority that signed the server's",
        )
    } else if cause.contains("No CA certificates") {
        Some(
            "install the package `ca-certificates`, or let SSL_CERT_FILE name a file with the certificates of authorities",
        )
    } else {
        None
    }
}

/// The crypto provider that the process has installed, or else installs: ring's.
fn provider() -> Arc<CryptoProvider> {
    if let Some(provider) = CryptoProvider::get_default() {
        return provider.clone();
    }
    let ring = rustls::crypto::ring::default_provider();
    // Fails only where another thread was faster, which is as good.
    ring.clone().install_default().ok();
    Arc::new(ring)
}

/// The platform's own verifier, made when it is first asked.
#[derive(Debug)]
struct Platform {
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Result<Verifier, Error>>,
}

impl Platform {
    /// Fails where the platform has no certificates at all.
    fn verifier(&self) -> Result<&Verifier, Error> {
        self.verifier
            .get_or_init(|| Verifier::new(self.provider.clone()))
            .as_ref()
            .map_err(Clone::clone)
    }
}

impl ServerCertVerifier for Platform {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier()?.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier()?.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier()?.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
