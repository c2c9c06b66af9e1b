//! moto's server, an emulator of S3, as `moto_server.py` starts it.

use std::path::Path;
use std::process::Command;

use super::process::{Service, free_port, http, venv};

/// A running moto with its own empty memory.
#[derive(Debug)]
pub struct Moto {
    /// Where it listens.
    pub port: u16,
    _service: Service,
}

impl Moto {
    /// Starts one that takes any key.
    pub async fn start() -> Self {
        Self::with_environment(&[]).await
    }

    /// Starts one that knows no key and lets nobody do anything.
    pub async fn start_strict() -> Self {
        Self::with_environment(&[("INITIAL_NO_AUTH_ACTION_COUNT", "0")]).await
    }

    async fn with_environment(environment: &[(&str, &str)]) -> Self {
        let folder = venv("moto-5.2.5", &["moto[server]==5.2.5"]);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/moto_server.py");
        let port = free_port();
        let mut service = Service::start(
            "moto",
            Command::new(folder.join("bin/python"))
                .arg(script)
                .arg(port.to_string())
                .envs(environment.iter().copied()),
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

    /// Creates a bucket.
    pub async fn create_bucket(&self, name: &str) {
        let answer = http()
            .put(format!("{}/{name}", self.endpoint()))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "creating a bucket");
    }
}
