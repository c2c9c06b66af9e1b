//! A Prefect 3 server with a database of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::process::{Service, answers, free_port, install_once, run, tools_dir};

/// With the newest FastAPI 3.8.8 does not start, with SQLAlchemy 2.1 it never schedules a run.
const PACKAGES: [&str; 4] = [
    "prefect==3.8.8",
    "prefect-azure[blob_storage]==0.4.13",
    "fastapi==0.139.*",
    "sqlalchemy<2.1",
];

/// A running server; ends when dropped, or with the test process.
#[derive(Debug)]
pub(crate) struct Server {
    port: u16,
    _service: Service,
}

impl Server {
    /// Starts a server, which takes 10 to 20 seconds.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with further variables in its environment.
    pub(crate) fn start_with(variables: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let port = free_port();
        let index = COUNT.fetch_add(1, Ordering::Relaxed);
        let home = tools_dir().join(format!("prefect-{}-{index}", std::process::id()));
        fs::create_dir_all(&home).expect("create the server's home");
        let mut command = cli();
        command
            .args([
                "server",
                "start",
                "--host",
                "127.0.0.1",
                "--port",
                &port.to_string(),
            ])
            .env("PREFECT_HOME", &home)
            .env("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
            .env("DO_NOT_TRACK", "1")
            .env_remove("PREFECT_API_URL")
            .env_remove("PREFECT_API_KEY")
            .envs(variables.iter().copied());
        let service = Service::start(&command, &home);
        // It opens the port when it is ready to answer.
        service.wait(Duration::from_secs(180), || answers(port));
        Self {
            port,
            _service: service,
        }
    }

    /// The server that all tests of a process share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// `http://127.0.0.1:<port>/api`.
    pub(crate) fn api_url(&self) -> String {
        format!("http://127.0.0.1:{}/api", self.port)
    }
}

/// The `prefect` command, installed on first use.
pub(crate) fn cli() -> Command {
    let venv = install_once("prefect3", |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder));
        run(Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(PACKAGES));
    });
    let program: PathBuf = venv.join("bin/prefect");
    Command::new(program)
}
