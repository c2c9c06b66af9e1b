//! The real services that tests speak to: each is installed once, started on a free port of 127.0.0.1 and ended with the
//! test process, however that ends.

pub(crate) mod act;
pub(crate) mod azurite;
pub(crate) mod base_image;
pub(crate) mod buildah;
pub(crate) mod dockerd;
pub(crate) mod gcs;
pub(crate) mod linters;
pub(crate) mod machine;
pub(crate) mod moto;
pub(crate) mod prefect;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod registry;
pub(crate) mod uv;

/// A client for the services, which are all at 127.0.0.1; one a test, because its connections end with the test's
/// runtime.
pub(crate) fn client() -> reqwest::Client {
    // The first in the process wins; all of them are the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client with defaults can be built")
}
