//! Images of code, in layouts: what is in them, and that the same inputs give the same bytes.

use std::sync::Arc;

use flowyard::backend::Images as _;
use flowyard::backend::oci::layout::Layout;
use flowyard::backend::oci::{Compression, Oci, Repositories, Repository as _, Version};
use flowyard::model::{Digest, Image};
use serde_json::json;

use super::{
    GLIBC, Machine, Project, base, base_for, configuration, layers_of, layout, oci_path, output,
    repository, stored, texts_of,
};
use crate::contract;
use crate::services::buildah::{Buildah, skopeo};

const FLOWS: &str = "registry.example.org/acme/flows";
const BASE: &str = "registry.example.org/base";

fn project(text: &str) -> Project {
    let code = [("flow.py", text), ("bin/start", "#!/bin/sh\n")];
    let mut project = Project::new(FLOWS, &format!("{BASE}:1"), &code);
    project.image.tags = vec!["latest".to_owned()];
    project
}

#[tokio::test]
async fn a_layout_holds_the_contract() {
    let (_folder, layout, _) = layout();
    contract::repository::holds(&layout.named(FLOWS)).await;
}

#[tokio::test]
async fn an_image_in_a_layout_is_what_other_programs_read() {
    let (_folder, layout, path) = layout();
    base(&layout, BASE, GLIBC).await;
    let project = project("print(1)\n");
    let oci = Machine::new().local(&layout);
    let pinned = project.pin(&oci).await.expect("pinned");
    let identity = Image::identity(&project.image.inputs(&pinned));
    let reference = format!("{FLOWS}:{identity}");
    assert_eq!(oci.find(&reference).await.expect("an answer"), None);
    let digest = project.make(&oci).await;
    assert_eq!(oci.find(&reference).await.expect("an answer"), Some(digest));
    let pinned_reference = format!("{FLOWS}@sha256:{digest}");
    let found = oci.find(&pinned_reference).await.expect("an answer");
    assert_eq!(found, Some(digest));

    for tag in ["latest", &identity.to_string()] {
        let name = oci_path(&path, &format!("{FLOWS}:{tag}"));
        let text = output(skopeo().arg("inspect").arg(&name));
        let seen: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(seen["Digest"], json!(format!("sha256:{digest}")));
        assert_eq!(
            seen["Labels"],
            json!({
                "org.flowyard.inputs": identity,
                "org.opencontainers.image.base.digest": format!("sha256:{}", pinned.bases[&format!("{BASE}:1")]),
                "org.opencontainers.image.base.name": format!("{BASE}:1"),
                "org.opencontainers.image.title": "flows",
            })
        );
        assert_eq!(seen["Layers"].as_array().map(Vec::len), Some(2));
    }
    // Packed and unpacked by others, it is the same image.
    let copy = path.with_file_name("copy");
    output(
        skopeo()
            .arg("copy")
            .arg(oci_path(&path, &format!("{FLOWS}:latest")))
            .arg(format!("dir:{}", copy.display())),
    );

    let flows = layout.named(FLOWS);
    let config = configuration(&flows, &digest).await;
    assert_eq!(config["config"]["WorkingDir"], "/opt/flowyard/code");
    assert_eq!(
        config["config"]["Env"],
        json!(["PATH=/usr/local/bin:/usr/bin"]),
        "without packages there is nothing to find"
    );
    let layers = layers_of(&flows, &digest).await;
    let texts = texts_of(&flows, &layers[1]).await;
    assert_eq!(texts["opt/flowyard/code/flow.py"], "print(1)\n");
    assert_eq!(texts["opt/flowyard/code/bin/start"], "#!/bin/sh\n");
}

#[tokio::test]
async fn the_same_inputs_give_the_same_image_and_one_line_another_layer() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (_folder, layout, _) = layout();
        base(&layout, BASE, GLIBC).await;
        let digest = project("print(1)\n")
            .make(&Machine::new().local(&layout))
            .await;
        seen.push(digest);
    }
    assert_eq!(seen[0], seen[1]);

    let (_folder, layout, _) = layout();
    base(&layout, BASE, GLIBC).await;
    let machine = Machine::new();
    let one = project("print(1)\n").make(&machine.local(&layout)).await;
    let two = project("print(2)\n").make(&machine.local(&layout)).await;
    assert_eq!(one, seen[0]);
    let flows = layout.named(FLOWS);
    let (one, two) = (layers_of(&flows, &one).await, layers_of(&flows, &two).await);
    assert_eq!(one[0], two[0]);
    assert_ne!(one[1], two[1]);
}

/// A base for two platforms, as an index.
async fn two_bases(layout: &Layout) {
    let bases = layout.named(BASE);
    let mut manifests = Vec::new();
    for (platform, architecture) in [("linux/amd64", "amd64"), ("linux/arm64", "arm64")] {
        let libc = format!("usr/lib/{architecture}/libc.so.6");
        let manifest = base_for(&bases, platform, &[&libc, GLIBC[1], GLIBC[2]]).await;
        let version = Version::Digest(manifest.digest);
        bases
            .put_manifest(&version, &manifest)
            .await
            .expect("written");
        manifests.push(json!({
            "mediaType": manifest.media_type, "digest": format!("sha256:{}", manifest.digest),
            "size": manifest.bytes.len(), "platform": {"os": "linux", "architecture": architecture},
        }));
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
    let bytes = bytes::Bytes::from(index.to_string());
    let index = flowyard::backend::oci::Manifest {
        digest: Digest::of(&bytes),
        media_type: media_type.to_owned(),
        bytes,
    };
    let tag = Version::Tag("1".to_owned());
    bases.put_manifest(&tag, &index).await.expect("written");
}

#[tokio::test]
async fn an_image_for_two_platforms_is_an_index() {
    let (_folder, layout, path) = layout();
    two_bases(&layout).await;
    let mut project = project("print(1)\n");
    project.image.platforms = vec!["linux/amd64".to_owned(), "linux/arm64/v8".to_owned()];
    let digest = project.make(&Machine::new().local(&layout)).await;
    let flows = layout.named(FLOWS);
    let index = stored(&flows, &digest).await;
    let manifests = index["manifests"].as_array().expect("manifests");
    let mut layers = Vec::new();
    for (manifest, architecture) in manifests.iter().zip(["amd64", "arm64"]) {
        assert_eq!(manifest["platform"]["architecture"], architecture);
        let one = super::digest_of(manifest);
        let config = configuration(&flows, &one).await;
        assert_eq!(config["architecture"], architecture);
        layers.push(layers_of(&flows, &one).await);
    }
    assert_ne!(layers[0][0], layers[1][0], "each has its own base");
    assert_eq!(layers[0][1], layers[1][1], "code is the same everywhere");
    for architecture in ["amd64", "arm64"] {
        let text = output(
            skopeo()
                .args(["--override-arch", architecture, "inspect"])
                .arg(oci_path(&path, &format!("{FLOWS}:latest"))),
        );
        assert!(
            text.contains(&format!("\"Architecture\": \"{architecture}\"")),
            "{text}"
        );
    }

    project.image.platforms = vec!["linux/s390x".to_owned()];
    let error = project
        .build(&Machine::new().local(&layout))
        .await
        .expect_err("no such base");
    assert_eq!(
        error.to_string(),
        format!("{BASE}:1: the base is not made for linux/s390x")
    );
    assert_eq!(
        error.hint.as_deref(),
        Some("it is made for linux/amd64, linux/arm64")
    );
    let oci = Machine::new().local(&layout);
    assert!(
        repository(&layout, FLOWS)
            .has(&digest)
            .await
            .expect("an answer")
    );
    assert_eq!(
        oci.find(&format!("{FLOWS}:none")).await.expect("an answer"),
        None
    );
}

/// The media types of an image's layers, without what is common to all of them.
async fn packings(layout: &Layout, digest: &Digest) -> Vec<String> {
    let image = stored(&layout.named(FLOWS), digest).await;
    let layers = image["layers"].as_array().expect("layers");
    let kind = |layer: &serde_json::Value| {
        let text = layer["mediaType"].as_str().expect("a type");
        let end = text.strip_prefix("application/vnd.oci.image.layer.v1.tar");
        end.expect("a layer").to_owned()
    };
    layers.iter().map(kind).collect()
}

#[tokio::test]
async fn layers_are_packed_as_the_base_shows_that_they_can_be() {
    let (_folder, layout, path) = layout();
    base(&layout, BASE, GLIBC).await;
    let machine = Machine::new();
    let digest = project("1\n").make(&machine.local(&layout)).await;
    assert_eq!(packings(&layout, &digest).await, ["", "+gzip"]);

    let mut settings = machine.settings();
    settings.compression = Some(Compression::Zstd);
    let places: Arc<dyn Repositories> = Arc::new(layout.clone());
    let oci = Oci::new(settings, places.clone(), vec![places]);
    let zstd = project("1\n").make(&oci).await;
    assert_eq!(packings(&layout, &zstd).await, ["", "+zstd"]);
    assert_ne!(digest, zstd, "and it has another name");

    // What stands on that is packed so too, and others can unpack it.
    let mut upper = project("2\n");
    upper.layers().base = format!("{FLOWS}@sha256:{zstd}");
    let upper = upper.make(&machine.local(&layout)).await;
    assert_eq!(packings(&layout, &upper).await, ["", "+zstd", "+zstd"]);
    let buildah = Buildah::new();
    let place = |name| buildah.folder().join(name).display().to_string();
    let storage = format!("[vfs@{}+{}]", place("root"), place("run"));
    output(
        skopeo()
            .arg("copy")
            .arg(oci_path(&path, &format!("{FLOWS}:latest")))
            .arg(format!("containers-storage:{storage}localhost/flows:1")),
    );
    let mut command = std::process::Command::new("buildah");
    command.args(buildah.flags());
    let name = output(command.args(["from", "--quiet", "localhost/flows:1"]));
    let mut command = std::process::Command::new("buildah");
    let root = output(command.args(buildah.flags()).args(["mount", name.trim()]));
    let file = std::path::Path::new(root.trim()).join("opt/flowyard/code/flow.py");
    assert_eq!(std::fs::read_to_string(file).expect("unpacked"), "2\n");
}
