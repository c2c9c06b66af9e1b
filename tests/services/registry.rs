//! A container registry: the distribution project's own, as Debian packages it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::process::{self, Service};

/// The only user of a registry with a password.
pub(crate) const USER: &str = "flowyard";

/// That user's password.
pub(crate) const PASSWORD: &str = "hush-hush";

/// The same as `htpasswd -B` writes it: bcrypt, cost 4.
const HTPASSWD: &str = "flowyard:$2b$04$6tq24LZwB3Vz6DWQ9/CpAOs093KAbmRBVErXMx9YQ3X1.XKiQ8Dzm\n";

/// A running registry with a storage of its own.
pub(crate) struct Registry {
    port: u16,
    _service: Service,
}

/// A token server that a registry believes.
pub(crate) struct TokenServer<'a> {
    /// Where it is.
    pub(crate) realm: &'a str,
    /// What it calls the registry.
    pub(crate) service: &'a str,
    /// What it calls itself.
    pub(crate) issuer: &'a str,
    /// The PEM file with its certificate.
    pub(crate) certificate: &'a Path,
}

impl Registry {
    /// Starts one that lets everybody do everything.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// Starts one that lets only [`USER`] in.
    pub(crate) fn start_with_password() -> Self {
        Self::start_with("auth: {htpasswd: {realm: test, path: htpasswd}}\n")
    }

    /// Starts one that believes a token server.
    pub(crate) fn start_with_tokens(server: &TokenServer<'_>) -> Self {
        Self::start_with(&format!(
            "auth: {{token: {{realm: '{}', service: '{}', issuer: '{}', rootcertbundle: '{}'}}}}\n",
            server.realm,
            server.service,
            server.issuer,
            server.certificate.display()
        ))
    }

    /// The one that all tests of this process share; each uses repositories of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Registry> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start_with(auth: &str) -> Self {
        let folder = process::folder("registry");
        let port = process::free_port();
        let config = format!(
            "version: 0.1\n\
             storage:\n\
             \x20 filesystem: {{rootdirectory: data}}\n\
             \x20 delete: {{enabled: true}}\n\
             \x20 maintenance: {{uploadpurging: {{enabled: false}}}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\n\
             {auth}"
        );
        fs::write(folder.join("config.yml"), config).expect("the folder is ours");
        fs::write(folder.join("htpasswd"), HTPASSWD).expect("the folder is ours");
        let mut command = Command::new(bin());
        command
            .args(["serve", "config.yml"])
            .env("OTEL_TRACES_EXPORTER", "none")
            .current_dir(&folder);
        let service = Service::start("registry", folder, &mut command)
            .ready_when(Duration::from_secs(60), || process::listens(port));
        Self {
            port,
            _service: service,
        }
    }

    /// The port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The registry as it stands before a repository: `127.0.0.1:5000`.
    pub(crate) fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// The program, which `tests/run` installs.
fn bin() -> &'static str {
    const BIN: &str = "docker-registry";
    let there = Command::new(BIN).arg("--version").output().is_ok();
    assert!(
        there,
        "{BIN} is missing: run tests/run, or `apt-get install {BIN}`"
    );
    BIN
}
