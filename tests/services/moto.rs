//! moto's server, an emulator of S3, as `moto_server.py` starts it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::process::{self, Service};

/// Its pins.
const REQUIREMENTS: &str = "moto[server]==5.2.5\n";

/// A running moto with its own empty memory.
pub(crate) struct Moto {
    port: u16,
    _service: Service,
}

impl Moto {
    /// Starts one that takes any key.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one that knows no key and lets nobody do anything.
    pub(crate) fn start_strict() -> Self {
        Self::start_with(&[("INITIAL_NO_AUTH_ACTION_COUNT", "0")])
    }

    fn start_with(environment: &[(&str, &str)]) -> Self {
        let venv = process::venv("moto", REQUIREMENTS);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/moto_server.py");
        let port = process::free_port();
        let folder = process::folder("moto");
        let mut command = Command::new(venv.join("bin/python"));
        command
            .arg(script)
            .arg(port.to_string())
            .envs(environment.iter().copied())
            .current_dir(&folder);
        let service = Service::start("moto", folder, &mut command)
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

    /// Creates a bucket.
    pub(crate) async fn create_bucket(&self, name: &str) {
        let answer = super::client()
            .put(format!("{}/{name}", self.endpoint()))
            .send()
            .await
            .expect("moto answers");
        assert_eq!(answer.status(), 200, "creating bucket {name}");
    }
}
