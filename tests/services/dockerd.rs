//! Docker's daemon of Debian's `docker.io`, with folders and a socket of its own. Needs root, as the daemon does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use super::machine;
use super::process::{self, Service};

/// Starts the daemon with the folder `$1`, in namespaces of its own.
///
/// When the first process of a process namespace ends, the kernel ends all others in it, and the mounts of a mount
/// namespace go with the last one: containers, their shims and the layers that they have mounted never outlive the
/// daemon, also where it is killed. The empty folder over `/run/containerd` keeps the daemon from a containerd that the
/// machine may run already; it is also a short path, as sockets need it.
///
/// No network of its own, for which a container on CI lacks the right: containers use the machine's (`--network host`).
const START: &str = r#"
exec unshare --mount --pid --fork --mount-proc --propagation private --kill-child sh -c '
    set -e
    mkdir -p /run/containerd
    mount -t tmpfs tmpfs /run/containerd
    exec dockerd --config-file "$1/daemon.json" --data-root "$1/data" --exec-root /run/containerd/docker \
        --pidfile "$1/pid" --host "unix://$1/sock" --iptables=false --ip-masq=false --bridge=none
' dockerd "$1"
"#;

/// A running daemon without any image.
pub(crate) struct Dockerd {
    folder: PathBuf,
    _service: Service,
}

impl Dockerd {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let folder = process::folder("dockerd");
        let socket = folder.join("sock");
        assert!(
            socket.as_os_str().len() < 108,
            "{}: too long for a socket, clone into a shorter path",
            socket.display()
        );
        fs::write(folder.join("daemon.json"), "{}").expect("the service's folder can be written");
        fs::create_dir(folder.join("config")).expect("the service's folder can be written");
        let mut command = Command::new("sh");
        command.args(["-c", START, "start"]).arg(&folder);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DOCKER_") {
                command.env_remove(name);
            }
        }
        let _share = machine::share();
        let service = Service::start("dockerd", folder.clone(), &mut command);
        let answers = || {
            docker(&folder)
                .arg("version")
                .stdin(Stdio::null())
                .output()
                .is_ok_and(|output| output.status.success())
        };
        let service = service.ready_when(Duration::from_secs(60), answers);
        Self {
            folder,
            _service: service,
        }
    }

    /// The one that tests of this process share; each uses names of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Dockerd> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// What `DOCKER_HOST` is set to.
    pub(crate) fn host(&self) -> String {
        host(&self.folder)
    }

    /// What `DOCKER_CONFIG` is set to: a folder without any credentials.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// A command of `docker`'s that speaks to this daemon.
    pub(crate) fn docker(&self) -> Command {
        docker(&self.folder)
    }

    /// What `command` prints in a new container of the image, which is pulled where it is not there; panics where it
    /// fails. `options` are those of `docker run`.
    pub(crate) fn run(&self, options: &[&str], image: &str, command: &[&str]) -> String {
        let output = self
            .docker()
            .args(["run", "--rm", "--network", "host"])
            .args(options)
            .arg(image)
            .args(command)
            .stdin(Stdio::null())
            .output()
            .expect("docker is installed");
        assert!(
            output.status.success(),
            "{command:?} in {image}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn host(folder: &Path) -> String {
    format!("unix://{}/sock", folder.display())
}

/// The client, without the settings of who runs the tests.
fn docker(folder: &Path) -> Command {
    let mut command = Command::new("docker");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DOCKER_") {
            command.env_remove(name);
        }
    }
    command
        .env("DOCKER_HOST", host(folder))
        .env("DOCKER_CONFIG", folder.join("config"));
    command
}

#[cfg(test)]
mod tests {
    use super::super::{base_image, buildah};
    use super::*;

    /// The ids of processes whose command line holds `text`.
    fn processes(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").expect("Linux").flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(text) {
                found.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        found
    }

    #[test]
    fn a_container_of_the_base_image_runs_and_ends_with_its_daemon() {
        let dockerd = Dockerd::start();
        let archive = dockerd.folder.join("base.tar");
        process::run(
            buildah::skopeo()
                .args(["copy", "--quiet"])
                .arg(format!(
                    "oci:{}:{}",
                    base_image::layout().display(),
                    base_image::TAG
                ))
                .arg(format!("docker-archive:{}:base:1", archive.display())),
        );
        process::run(dockerd.docker().args(["load", "--input"]).arg(&archive));
        let script = "import os, ssl, sqlite3, zoneinfo; zoneinfo.ZoneInfo('Europe/Berlin'); print(os.environ['PYTHON_VERSION'])";
        let printed = dockerd.run(&[], "base:1", &["python", "-c", script]);
        assert!(printed.starts_with("3.11."), "{printed}");
        let certificates = "import ssl; print(ssl.create_default_context().get_ca_certs() != [])";
        let printed = dockerd.run(
            &[],
            "base:1",
            &["sh", "-c", &format!("python -c '{certificates}'")],
        );
        assert_eq!(printed, "True\n");

        let mark = format!("mark-{}", std::process::id());
        process::run(
            dockerd
                .docker()
                .args(["run", "--detach", "--network", "host", "base:1"])
                .args(["sh", "-c", "sleep 1000; true", &mark]),
        );
        assert!(!processes(&mark).is_empty());
        let folder = dockerd.folder.clone();
        drop(dockerd);
        // The kernel ends what is left of a namespace once its first process is gone.
        let start = std::time::Instant::now();
        while !processes(&mark).is_empty() {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "the container's end"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(!folder.exists());
    }
}
