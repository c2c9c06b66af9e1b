//! What all child processes have in common, whoever starts them.

use std::process::Stdio;

/// What `uv` may see of the environment: where its own things are, and how to reach package indexes; and all that begins
/// with `UV_`. No cloud's or Prefect's secret is among it, because building a package runs code.
const FOR_UV: &[&str] = &[
    "PATH",
    "HOME",
    "USERPROFILE",
    "LOCALAPPDATA",
    "APPDATA",
    "SYSTEMROOT",
    "TMPDIR",
    "TEMP",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "NETRC",
];

/// Whether `uv` may see a variable of the environment.
pub(crate) fn is_for_uv(name: &str) -> bool {
    FOR_UV.contains(&name) || name.starts_with("UV_")
}

/// A process group, killed when it is dropped; `None` for a process that has ended.
pub(crate) struct Group(pub(crate) Option<u32>);

impl Group {
    /// Kills what is left of the group. Signals need the shell: this crate has no `unsafe`, and not every system has the
    /// program of that name.
    pub(crate) fn kill(&self) {
        #[cfg(unix)]
        if let Some(id) = self.0 {
            let _ = std::process::Command::new("sh")
                .args(["-c", "kill -s KILL -- \"-$0\"", &id.to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
