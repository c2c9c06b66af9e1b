//! Google Cloud Storage: gcp-storage-emulator's storage under the XML API of `gcs_server.py`.

use std::path::Path;
use std::process::Command;

use super::process::{Service, free_port, venv};

/// A running emulator with its own empty memory.
#[derive(Debug)]
pub struct Gcs {
    /// Where it listens.
    pub port: u16,
    _service: Service,
}

impl Gcs {
    /// Starts one that has one bucket.
    pub async fn start(bucket: &str) -> Self {
        let folder = venv(
            "gcs-2026.7.19",
            &["gcp-storage-emulator==2026.7.19", "setuptools<81"],
        );
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/gcs_server.py");
        let port = free_port();
        let mut service = Service::start(
            "gcs",
            Command::new(folder.join("bin/python"))
                .arg(script)
                .args([&port.to_string(), bucket]),
        );
        service.listens(port).await;
        Self {
            port,
            _service: service,
        }
    }

    /// The service's URL.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
