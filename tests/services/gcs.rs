//! Google Cloud Storage: gcp-storage-emulator's storage under the XML API of `gcs_server.py`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::process::{self, Service};

/// Its pins; it imports `pkg_resources`, which newer setuptools lacks.
const REQUIREMENTS: &str = "gcp-storage-emulator==2026.7.19\nsetuptools<81\n";

/// A running emulator with its own empty memory.
pub(crate) struct Gcs {
    port: u16,
    _service: Service,
}

impl Gcs {
    /// Starts one that has one bucket.
    pub(crate) fn start(bucket: &str) -> Self {
        let venv = process::venv("gcs", REQUIREMENTS);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/gcs_server.py");
        let port = process::free_port();
        let folder = process::folder("gcs");
        let mut command = Command::new(venv.join("bin/python"));
        command
            .arg(script)
            .args([&port.to_string(), bucket])
            .current_dir(&folder);
        let service = Service::start("gcs", folder, &mut command)
            .ready_when(Duration::from_secs(60), || process::listens(port));
        Self {
            port,
            _service: service,
        }
    }

    /// The service's URL.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
