//! Images from git to the container: planned, made, pushed, pinned, and run.

mod built;
mod local;
mod planned;
mod sharded;
mod tags;

use std::path::Path;

use crate::services::dockerd::Dockerd;
use crate::services::registry::Registry;
use crate::services::{base_image, uv};
use crate::support::{Flowyard, Repo};

/// A repository in the registry that tests share, `127.0.0.1:5000/acme/NAME`.
fn repository(name: &str) -> String {
    format!("{}/acme/{name}", Registry::shared().name())
}

/// The base with Python, in the same registry.
fn base() -> String {
    use std::sync::OnceLock;
    static BASE: OnceLock<String> = OnceLock::new();
    let push = || base_image::push(&format!("{}/base", Registry::shared().name()));
    BASE.get_or_init(push).clone()
}

/// A call of flowyard with storage and registrations below the repository, and images in a real registry.
fn flowyard(repo: &Repo, line: &str) -> Flowyard {
    let path = std::env::var("PATH").unwrap_or_default();
    let program = uv::folder().join("bin");
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("uv-cache");
    let mut call = Flowyard::new(repo.path(), line.split_whitespace())
        .env("PATH", format!("{}:{path}", program.display()))
        .env("UV_CACHE_DIR", cache);
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        if let Some(value) = std::env::var_os(name) {
            call = call.env(name, value);
        }
    }
    call
}

/// With Docker's daemon and a storage of buildah's own in reach.
fn with_programs(call: Flowyard, buildah: &Path) -> Flowyard {
    let storage = format!(
        "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/root\"\nrunroot = \"{0}/run\"\n",
        buildah.display()
    );
    let settings = buildah.join("storage.conf");
    std::fs::write(&settings, storage).expect("the folder can be written");
    call.env("FLOWYARD_IMAGE_NETWORK", "host")
        .env("DOCKER_HOST", Dockerd::shared().host())
        .env("DOCKER_CONFIG", Dockerd::shared().config())
        .env("CONTAINERS_STORAGE_CONF", settings)
        .env("BUILDAH_ISOLATION", "chroot")
}
