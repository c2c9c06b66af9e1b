//! Child processes that never outlive the tests, and the folder where tools are installed.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a command, and ends its whole process group when the pipe on its standard input closes: by `drop`, or because
/// the test process is gone, however it went. A static would never be dropped, and a killed process drops nothing.
const GUARD: &str = r#"
"$@" </dev/null &
cat >/dev/null
trap "" TERM
kill -s TERM -- -$$
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    kill -0 $! 2>/dev/null || break
    sleep 0.2
done
rm -rf "$GUARDED_FOLDER"
kill -s KILL -- -$$
"#;

/// A running service.
#[derive(Debug)]
pub(crate) struct Service {
    guard: Child,
    log: PathBuf,
}

impl Service {
    /// Starts `command`, whose output goes to `service.log` in `folder`, which is removed in the end.
    pub(crate) fn start(command: &Command, folder: &Path) -> Self {
        let log = folder.join("service.log");
        let output = File::create(&log).expect("create the log");
        let mut guard = Command::new("sh");
        guard
            .args(["-c", GUARD, "guard"])
            .arg(command.get_program())
            .args(command.get_args())
            .env("GUARDED_FOLDER", folder)
            .current_dir(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("share the log"))
            .stderr(output);
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => guard.env(key, value),
                None => guard.env_remove(key),
            };
        }
        let guard = guard.spawn().expect("start the service");
        Self { guard, log }
    }

    /// Waits until `ready`; fails with the end of the log where it takes longer than `patience`.
    pub(crate) fn wait(&self, patience: Duration, ready: impl Fn() -> bool) {
        let start = Instant::now();
        while !ready() {
            if start.elapsed() > patience {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(40).collect();
                let tail: Vec<&str> = tail.into_iter().rev().collect();
                panic!("the service did not come up:\n{}", tail.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // It ends itself by a signal: there is no status worth looking at.
        let _ = self.guard.wait();
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a port");
    listener.local_addr().expect("the port's address").port()
}

/// Whether something listens on a port of this machine.
pub(crate) fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The folder for what tests install and run, kept from run to run.
pub(crate) fn tools_dir() -> PathBuf {
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
    };
    let folder = target.join("services");
    fs::create_dir_all(&folder).expect("create the tools' folder");
    folder
}

/// Installs a tool below [`tools_dir`] unless it is there: `install` fills the folder that it is given. One process at a
/// time; a broken installation is begun anew.
pub(crate) fn install_once(name: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let folder = tools_dir().join(name);
    let done = folder.join(".installed");
    let lock = File::create(tools_dir().join(format!("{name}.lock"))).expect("create the lock");
    lock.lock().expect("take the lock");
    if !done.exists() {
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("remove a broken installation");
        }
        install(&folder);
        File::create(done).expect("mark the installation as complete");
    }
    folder
}

/// Runs a command to its end; fails with its output.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().expect("run a command");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
