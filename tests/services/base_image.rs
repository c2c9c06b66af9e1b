//! A small image with Python 3.11, made from Debian packages by `base_image.py`: tests pull nothing from outside.

use std::path::{Path, PathBuf};
use std::process::Command;

use flowyard::model::Digest;

use super::buildah::skopeo;
use super::process;

/// The folder of the OCI layout that holds the image, called [`TAG`] in it; made on first use.
pub(crate) fn layout() -> PathBuf {
    const SCRIPT: &str = include_str!("base_image.py");
    process::installed("base-image", SCRIPT, |folder| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/base_image.py");
        process::run(Command::new("python3").arg(script).arg(folder));
    })
    .join("layout")
}

/// What the image is called in the layout.
pub(crate) const TAG: &str = "3.11";

/// Copies the image into a repository of a registry on this machine, `127.0.0.1:5000/base`, and gives its reference.
pub(crate) fn push(repository: &str) -> String {
    let reference = format!("{repository}:{TAG}");
    process::run(
        skopeo()
            .args(["copy", "--quiet", "--dest-tls-verify=false"])
            .arg(format!("oci:{}:{TAG}", layout().display()))
            .arg(format!("docker://{reference}")),
    );
    reference
}

/// The digest of its manifest.
pub(crate) fn digest() -> Digest {
    let text = std::fs::read(layout().join("index.json")).expect("the layout has an index");
    let index: serde_json::Value = serde_json::from_slice(&text).expect("the index is JSON");
    index["manifests"][0]["digest"]
        .as_str()
        .and_then(|digest| digest.strip_prefix("sha256:")?.parse().ok())
        .expect("the index names the manifest")
}
