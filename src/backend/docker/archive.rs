//! The archives that Docker writes of one image, as OCI layouts.
//!
//! BuildKit's are layouts in a tar file. Those of `docker save` are so since Docker 25; before, they have a `manifest.json`
//! that names a configuration and plain tar files as layers
//! ([the format](https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format)),
//! of which the manifest is made here: Docker's configuration is one of OCI too.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::{Digest, Hasher};

const MARK: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// An image in `manifest.json`, as far as it counts.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

/// Makes of the archive a layout in `folder`, which is made.
pub(super) fn unpack(archive: &Path, folder: &Path) -> anyhow::Result<()> {
    let file = File::open(archive).context("open the archive of the image")?;
    fs::create_dir_all(folder)?;
    let folder = &folder.canonicalize()?;
    // Nothing of it can get out of the folder.
    tar::Archive::new(file)
        .unpack(folder)
        .context("unpack the archive of the image")?;
    if folder.join("oci-layout").exists() {
        return Ok(());
    }
    let text = fs::read(folder.join("manifest.json")).context("read the archive's manifest")?;
    let saved: Vec<Saved> = serde_json::from_slice(&text).context("read the archive's manifest")?;
    let [saved] = &saved[..] else {
        bail!("the archive has {} images, not one", saved.len());
    };
    fs::create_dir_all(folder.join("blobs/sha256"))?;
    let mut blobs = Blobs {
        folder,
        moved: BTreeMap::new(),
    };
    let config = blobs.take(&saved.config, "application/vnd.oci.image.config.v1+json")?;
    let layers = saved.layers.iter();
    let layers = layers.map(|path| blobs.take(path, "application/vnd.oci.image.layer.v1.tar"));
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": kind,
        "config": config,
        "layers": layers.collect::<anyhow::Result<Vec<_>>>()?,
    })
    .to_string();
    let digest = Digest::of(manifest.as_bytes());
    let descriptor = descriptor(kind, &digest, manifest.len() as u64);
    fs::write(blobs.path(&digest), manifest)?;
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
    fs::write(folder.join("index.json"), index.to_string())?;
    fs::write(folder.join("oci-layout"), MARK)?;
    Ok(())
}

/// The blobs of a layout that comes to be where an archive was unpacked.
struct Blobs<'a> {
    folder: &'a Path,
    /// What was taken already: several layers may lead to one file.
    moved: BTreeMap<PathBuf, (Digest, u64)>,
}

impl Blobs<'_> {
    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.to_string())
    }

    /// Moves a file of the archive to its place among the blobs, and gives its descriptor.
    fn take(&mut self, path: &str, kind: &str) -> anyhow::Result<Value> {
        let named = || format!("read {path} of the archive");
        // A layer that is there twice is a link the second time.
        let path = self.folder.join(path);
        let link = fs::read_link(&path).ok();
        let file = match (link, path.parent()) {
            (Some(link), Some(parent)) => parent.join(link),
            _ => path,
        };
        let file = normal(&file);
        ensure!(
            file.starts_with(self.folder),
            "{}: it is elsewhere",
            named()
        );
        if let Some((digest, size)) = self.moved.get(&file) {
            return Ok(descriptor(kind, digest, *size));
        }
        let (digest, size) = digest(&file).with_context(named)?;
        fs::rename(&file, self.path(&digest)).with_context(named)?;
        self.moved.insert(file, (digest, size));
        Ok(descriptor(kind, &digest, size))
    }
}

/// A path without `..`, each of which takes away what stands before it.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

fn descriptor(kind: &str, digest: &Digest, size: u64) -> Value {
    json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": size})
}

/// The digest of a file, and its length in bytes.
fn digest(path: &Path) -> std::io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let (mut hasher, mut size) = (Hasher::default(), 0);
    let mut part = vec![0; 256 << 10];
    loop {
        let count = file.read(&mut part)?;
        if count == 0 {
            return Ok((hasher.finish(), size));
        }
        hasher.update(&part[..count]);
        size += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive with these files and links.
    fn archive(files: &[(&str, &str)], links: &[(&str, &str)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut builder = tar::Builder::new(file.as_file());
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            let added = builder.append_data(&mut header, path, text.as_bytes());
            added.expect("it is written");
        }
        for (path, to) in links {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            let added = builder.append_link(&mut header, path, to);
            added.expect("it is written");
        }
        builder.finish().expect("it is written");
        drop(builder);
        file
    }

    fn json(path: PathBuf) -> Value {
        serde_json::from_slice(&fs::read(path).expect("it is there")).expect("JSON")
    }

    #[test]
    fn what_docker_saves_is_a_layout() {
        let saved = r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["1/layer.tar","2/layer.tar","3/layer.tar"]}]"#;
        let archive = archive(
            &[
                ("c.json", "{}"),
                ("1/layer.tar", "one"),
                ("3/layer.tar", "three"),
                ("manifest.json", saved),
            ],
            &[("2/layer.tar", "../1/layer.tar")],
        );
        let folder = tempfile::tempdir().expect("a folder");
        let layout = folder.path().join("layout");
        unpack(archive.path(), &layout).expect("it is one");
        let index = json(layout.join("index.json"));
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().expect("a digest");
            let path = digest.replace(':', "/");
            let bytes = fs::read(layout.join("blobs").join(path)).expect("it is there");
            assert_eq!(format!("sha256:{}", Digest::of(&bytes)), digest);
            assert_eq!(descriptor["size"], bytes.len());
            String::from_utf8(bytes).expect("text")
        };
        let manifest: Value =
            serde_json::from_str(&blob(&index["manifests"][0])).expect("a manifest");
        assert_eq!(blob(&manifest["config"]), "{}");
        let layers = manifest["layers"].as_array().expect("layers");
        let layers: Vec<String> = layers.iter().map(blob).collect();
        assert_eq!(layers, ["one", "one", "three"]);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let fails = |files: &[(&str, &str)], links: &[(&str, &str)]| {
            let folder = tempfile::tempdir().expect("a folder");
            let error = unpack(archive(files, links).path(), &folder.path().join("layout"));
            format!("{:#}", error.expect_err("it is none"))
        };
        assert!(fails(&[], &[]).starts_with("read the archive's manifest"));
        assert!(fails(&[("manifest.json", "[]")], &[]).contains("0 images"));
        let saved = r#"[{"Config":"c.json","Layers":[]}]"#;
        let away = fails(&[("manifest.json", saved)], &[("c.json", "../../x")]);
        assert!(away.contains("c.json"), "{away}");
        let absent = fails(&[("manifest.json", saved)], &[]);
        assert!(absent.starts_with("read c.json of the archive"), "{absent}");
    }
}
