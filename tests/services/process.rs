//! Child processes that never outlive the test process, and tools that are installed once.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Ends the process group `$1`, every other process that carries the mark of the folder `$2` in its environment, and
/// the folder, once nobody holds the other end of its standard input.
///
/// The kernel closes that end when the test process is gone, also after a SIGKILL and also where libtest leaves by
/// `exit` without dropping statics. A parent-death signal would not do: it fires when the *thread* that started the
/// child ends, and every test has a thread of its own. Nor would the group alone: a Prefect worker starts each run in
/// a session of its own.
const WATCHDOG: &str = r#"
read -r _
kill -s KILL -- "-$1"
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    found=$(grep -lsFxz -- "FLOWYARD_TEST_SERVICE=$2" /proc/[0-9]*/environ)
    [ -n "$found" ] || break
    for environ in $found; do
        pid=${environ#/proc/}
        kill -s KILL "${pid%/environ}"
    done
    sleep 0.1
done
rm -rf -- "$2"
"#;

/// A child process in a process group of its own, with a log file, ended with all its descendants on drop.
pub(crate) struct Service {
    name: String,
    child: Child,
    watchdog: Child,
    folder: PathBuf,
}

impl Service {
    /// Starts `command`, which writes its log to `folder/log` and its temporary files to `folder/tmp`; `folder`, made
    /// by [`folder`], is removed in the end.
    pub(crate) fn start(name: &str, folder: PathBuf, command: &mut Command) -> Self {
        let log = File::create(folder.join("log")).expect("the service's folder is there");
        let tmp = folder.join("tmp");
        fs::create_dir(&tmp).expect("the service's folder can be written");
        let errors = log.try_clone().expect("a file handle can be copied");
        let child = command
            .env("FLOWYARD_TEST_SERVICE", &folder)
            .env("TMPDIR", tmp)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("failed to start {name} ({command:?}): {e}"));
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog", &child.id().to_string()])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("every Unix has a shell");
        Self {
            name: name.to_owned(),
            child,
            watchdog,
            folder,
        }
    }

    /// Waits until `ready`; panics with the log when the service ends before that, or takes longer than `limit`.
    #[must_use]
    pub(crate) fn ready_when(mut self, limit: Duration, ready: impl Fn() -> bool) -> Self {
        let start = Instant::now();
        while !ready() {
            self.expect_running();
            assert!(
                start.elapsed() < limit,
                "{} is not ready after {limit:?}; its log:\n{}",
                self.name,
                self.log()
            );
            thread::sleep(Duration::from_millis(50));
        }
        self
    }

    /// All that the service wrote so far.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Panics with the log if the service has ended.
    pub(crate) fn expect_running(&mut self) {
        let ended = self.child.try_wait().expect("the child is ours");
        assert!(
            ended.is_none(),
            "{} ended: {ended:?}; its log:\n{}",
            self.name,
            self.log()
        );
    }
}

impl Drop for Service {
    #[expect(
        clippy::print_stderr,
        reason = "a failed test shows its services' logs"
    )]
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(60)..].join("\n");
            eprintln!("---- the end of the log of {} ----\n{tail}", self.name);
        }
        // The watchdog ends the group; this side reaps the child, so that the group is seen to be empty.
        drop(self.watchdog.stdin.take());
        let _ = self.child.wait();
        let _ = self.watchdog.wait();
    }
}

/// A new empty folder for one service, below the target folder.
pub(crate) fn folder(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("services")
        .join(format!("{name}-{}-{count}", std::process::id()));
    // A process of the same id may have left one behind.
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("the target folder can be written");
    path
}

/// A port of 127.0.0.1 that nobody listens on.
///
/// Below the range from which the kernel takes the ports of outgoing connections: a service may need ten seconds
/// until it listens, and the port must still be free then.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        let offset = std::process::id() * 37 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + u16::try_from(offset % 12_000).expect("below 12000");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 20000 and 32000");
}

/// Whether `GET path` on the port of 127.0.0.1 gives a body that holds `expected`.
pub(crate) fn answers(port: u16, path: &str, expected: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains(expected))
}

/// Whether somebody listens on the port of 127.0.0.1.
pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Asks `look` until it gives something; panics with `what` when `limit` is over.
pub(crate) async fn wait_until<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Where the services' programs are installed: `services` in cargo's target folder.
pub(crate) fn tools_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("cargo's tmp folder is in the target folder")
        .join("services")
}

/// The folder of a tool, installed by `install` if it is not there with exactly these `pins`.
///
/// Safe to call from many processes at once: the first installs, the others wait. A broken installation is never
/// taken for a whole one, because the stamp is written last; nor is one that was copied from another place, because
/// the stamp names the place (a virtual environment cannot move).
pub(crate) fn installed(name: &str, pins: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let tools = tools_dir();
    fs::create_dir_all(&tools).expect("the target folder can be written");
    // Several checkouts may share one folder by a link: the place is where it leads.
    let tools = fs::canonicalize(&tools).expect("the folder is there");
    let lock = File::create(tools.join(format!("{name}.lock"))).expect("a lock file can be made");
    lock.lock().expect("a file of ours can be locked");

    let folder = tools.join(name);
    let stamp = folder.join("stamp");
    let expected = format!("{}\n{pins}", folder.display());
    if fs::read_to_string(&stamp).is_ok_and(|found| found == expected) {
        return folder;
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder can be written");
    install(&folder);
    fs::write(&stamp, expected).expect("the target folder can be written");
    folder
}

/// A Python environment, made on first use; `requirements` are the lines of a requirements file.
pub(crate) fn venv(name: &str, requirements: &str) -> PathBuf {
    installed(name, requirements, |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder));
        let list = folder.join("requirements.txt");
        fs::write(&list, requirements).expect("the target folder can be written");
        run(Command::new(folder.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-input",
                "--retries",
                "10",
                "--timeout",
                "120",
                "-r",
            ])
            .arg(list));
    })
}

/// Installs packages of npm, each with its version, below a folder.
pub(crate) fn npm(folder: &Path, packages: &[&str]) {
    run(Command::new("npm")
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--fetch-retries=6",
            "--prefix",
        ])
        .arg(folder)
        .args(packages));
}

/// Runs a command of an installation to its end; panics with all that it said if it fails.
pub(crate) fn run(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("failed to start {command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Writes a shell script that can be run.
///
/// Not by this process: another of its threads may start a child at the moment, which would hold the file open for writing
/// until it runs its own program, and for that long nobody can run the script.
pub(crate) fn script(path: &Path, text: &str) {
    run(Command::new("sh")
        .args([
            "-c",
            "printf '#!/bin/sh\n%s\n' \"$1\" >\"$0\" && chmod 755 \"$0\"",
        ])
        .arg(path)
        .arg(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service with a descendant in another session, which must end too.
    fn family(name: &str) -> Service {
        let folder = folder(name);
        let script = format!(
            "setsid sh -c 'echo $$ >{0}/pid.new; mv {0}/pid.new {0}/pid; exec sleep 1000' & wait",
            folder.display()
        );
        Service::start(
            name,
            folder.clone(),
            Command::new("sh").args(["-c", &script]),
        )
        .ready_when(Duration::from_secs(60), || folder.join("pid").exists())
    }

    fn alive(pid: &str) -> bool {
        // A zombie has no command line any more.
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
    }

    #[test]
    fn a_dropped_service_ends_with_its_descendants_and_its_folder() {
        let service = family("dropped");
        let folder = service.folder.clone();
        let pid = fs::read_to_string(folder.join("pid")).expect("it was written");
        assert!(alive(pid.trim()));
        drop(service);
        assert!(!alive(pid.trim()));
        assert!(!folder.exists());
    }

    #[test]
    fn a_service_ends_when_the_other_end_of_its_watchdog_closes() {
        let mut service = family("orphan");
        let pid = fs::read_to_string(service.folder.join("pid")).expect("it was written");
        // What the kernel does when the test process is killed.
        drop(service.watchdog.stdin.take());
        let ended = service.child.wait().expect("the child is ours");
        assert!(!ended.success());
        service.watchdog.wait().expect("the child is ours");
        assert!(!alive(pid.trim()));
    }

    #[test]
    fn a_tool_is_installed_once_until_its_pins_change() {
        let name = format!("once-{}", std::process::id());
        let count = std::cell::Cell::new(0);
        let install = |_: &Path| count.set(count.get() + 1);
        let folder = installed(&name, "a", install);
        installed(&name, "a", install);
        assert_eq!(count.get(), 1);
        installed(&name, "b", install);
        assert_eq!(count.get(), 2);
        fs::remove_dir_all(folder).expect("it is ours");
        fs::remove_file(tools_dir().join(format!("{name}.lock"))).expect("it is ours");
    }
}
