//! Child processes that end with the test, and tools that are installed once.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where tools are installed once for all tests: `services` in cargo's target folder.
pub fn tools_dir() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(target)
        .join("services")
}

/// Installs a tool into a folder of [`tools_dir`], unless an earlier run did; `steps` get the folder's path. Tests of
/// other processes wait meanwhile.
pub fn install(name: &str, steps: impl FnOnce(&Path)) -> PathBuf {
    let tools = tools_dir();
    fs::create_dir_all(&tools).expect("the tools folder");
    let lock = File::create(tools.join(format!("{name}.lock"))).expect("the lock file");
    lock.lock().expect("the lock");
    let folder = tools.join(name);
    let done = folder.join(".installed");
    if !done.exists() {
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).expect("the tool's folder");
        steps(&folder);
        File::create(done).expect("the mark");
    }
    folder
}

/// Runs a command to its end; what it wrote is in the panic if it fails.
pub fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A Python environment with these requirements.
pub fn venv(name: &str, requirements: &[&str]) -> PathBuf {
    install(name, |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder));
        run(Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(requirements));
    })
}

/// A port of 127.0.0.1 that nobody listens on just now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// A plain HTTP client, for setting a service up.
pub fn http() -> reqwest::Client {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only where another thread was faster, which is as good.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
    }
    reqwest::Client::new()
}

/// Repeats `check` until it holds; panics with `what` when the time is over.
pub async fn wait_until<F: Future<Output = bool>>(
    deadline: Duration,
    what: &str,
    mut check: impl FnMut() -> F,
) {
    let started = Instant::now();
    while !check().await {
        assert!(
            started.elapsed() < deadline,
            "waited {deadline:?} in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A running service: ends, with all that it started, when this is dropped.
#[derive(Debug)]
pub struct Service {
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts `command` in a process group of its own; both its outputs go to a log file.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let logs = tools_dir().join("logs");
        fs::create_dir_all(&logs).expect("the logs folder");
        let log = logs.join(format!("{name}-{}.log", free_port()));
        let file = File::create(&log).expect("the log file");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("the log file"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        Self { child, log }
    }

    /// Waits until something listens on `port`; panics if the service ends before (with its log) or takes a minute.
    pub async fn listens(&mut self, port: u16) {
        let what = format!("something listens on {port}");
        wait_until(Duration::from_secs(60), &what, || {
            let ended = self.child.try_wait().expect("the child's state");
            assert!(
                ended.is_none(),
                "the service ended ({ended:?}):\n{}",
                fs::read_to_string(&self.log).unwrap_or_default()
            );
            async move {
                tokio::net::TcpStream::connect(("127.0.0.1", port))
                    .await
                    .is_ok()
            }
        })
        .await;
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The group has the child's id, which is ours until it is waited for.
        let group = format!("-{}", self.child.id());
        Command::new("kill")
            .args(["-KILL", "--", &group])
            .status()
            .ok();
        self.child.wait().ok();
    }
}
