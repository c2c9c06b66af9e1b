//! The build context: a folder that holds exactly the files that a build may see, and nothing that leads out of it.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use super::dockerfile;
use crate::backend::{Content, Files};
use crate::model::{CodeFile, Dockerfile, FileMode, Hasher, Pinned};

/// The time of every file, in seconds since 1970: 1980, the first that a ZIP archive (a Python wheel) can hold. That of a
/// checkout would spoil the builder's cache.
pub(super) const TIME: u64 = 315_532_800;

/// A folder for one build, removed on drop.
pub(super) struct BuildContext {
    folder: TempDir,
    dockerfile: PathBuf,
}

impl BuildContext {
    /// Writes the context of a Dockerfile and, beside it, the Dockerfile with its bases pinned. Every file must still be
    /// what its digest says.
    pub(super) async fn write(
        recipe: &Dockerfile,
        pinned: &Pinned,
        files: &dyn Files,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("flowyard-build-")
            .tempdir()
            .context("make a folder for the build context")?;
        let context = folder.path().join("context");
        let base = recipe.context.base();
        let mut contents = Vec::new();
        for file in recipe.context.files() {
            let to = inside(&context, &file.path)?;
            let content = files.content(&base.join(&file.path))?;
            contents.push((file.clone(), to, content));
        }
        // In a folder of its own, so that any name is free.
        let dockerfile = folder.path().join("file").join(recipe.file.file_name());
        let text = dockerfile::pinned(recipe, &pinned.bases);
        let write = {
            let dockerfile = dockerfile.clone();
            move || -> anyhow::Result<()> {
                if let Some(parent) = dockerfile.parent() {
                    fs::create_dir(parent)?;
                }
                fs::write(&dockerfile, text).context("write the Dockerfile")?;
                fill(&context, contents)
            }
        };
        tokio::task::spawn_blocking(write)
            .await
            .context("write the build context")??;
        Ok(Self { folder, dockerfile })
    }

    /// The context itself.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.path().join("context")
    }

    /// The Dockerfile, outside of the context.
    pub(super) fn dockerfile(&self) -> &Path {
        &self.dockerfile
    }

    /// A path outside of the context for what the builder tells.
    pub(super) fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    /// A path outside of the context for an archive of the image.
    pub(super) fn archive(&self) -> PathBuf {
        self.folder.path().join("archive.tar")
    }
}

/// Where a file of the context goes; an error where that would be outside of it.
fn inside(context: &Path, path: &str) -> anyhow::Result<PathBuf> {
    let normal = |one| matches!(one, Component::Normal(_));
    ensure!(
        !path.is_empty() && Path::new(path).components().all(normal),
        "`{path}` is not inside of the build context"
    );
    Ok(context.join(path))
}

/// Writes all files, with the modes and times of files and folders set.
fn fill(context: &Path, contents: Vec<(CodeFile, PathBuf, Content)>) -> anyhow::Result<()> {
    fs::create_dir(context).context("make the build context")?;
    let mut folders = BTreeSet::from([context.to_owned()]);
    for (file, to, content) in contents {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
            let above = parent.ancestors().take_while(|one| *one != context);
            folders.extend(above.map(Path::to_owned));
        }
        copy(&file, &to, content).with_context(|| format!("copy {}", file.path))?;
    }
    // The deepest first: what is written into a folder changes its time.
    for folder in folders.iter().rev() {
        mode(folder, 0o755)?;
        touch(&File::open(folder)?)?;
    }
    Ok(())
}

fn copy(file: &CodeFile, to: &Path, content: Content) -> anyhow::Result<()> {
    let mut from: Box<dyn Read> = match content {
        Content::Bytes(bytes) => Box::new(std::io::Cursor::new(bytes)),
        Content::File { path, .. } => {
            Box::new(File::open(&path).with_context(|| format!("read {}", path.display()))?)
        }
    };
    // Two files never share a path.
    let mut out = File::create_new(to)?;
    let mut hasher = Hasher::default();
    let mut part = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut part)?;
        if count == 0 {
            break;
        }
        hasher.update(&part[..count]);
        out.write_all(&part[..count])?;
    }
    if hasher.finish() != file.sha256 {
        bail!("it has changed since it was read; run again");
    }
    let bits = match file.mode {
        FileMode::Regular => 0o644,
        FileMode::Executable => 0o755,
    };
    mode(to, bits)?;
    touch(&out)?;
    Ok(())
}

#[cfg(unix)]
fn mode(path: &Path, bits: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(bits))
}

#[cfg(not(unix))]
fn mode(_: &Path, _: u32) -> std::io::Result<()> {
    Ok(())
}

fn touch(file: &File) -> std::io::Result<()> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(TIME);
    file.set_times(FileTimes::new().set_accessed(time).set_modified(time))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::MetadataExt as _;

    use bytes::Bytes;

    use super::*;
    use crate::model::{CodeTree, Digest, NamedBase, RepoPath};

    struct Here(BTreeMap<&'static str, &'static str>);

    impl Files for Here {
        fn content(&self, path: &RepoPath) -> anyhow::Result<Content> {
            let text = self.0.get(path.as_str()).context("no such file")?;
            Ok(Content::Bytes(Bytes::from_static(text.as_bytes())))
        }
    }

    fn recipe(files: &[(&str, &str, FileMode)]) -> Dockerfile {
        let file = |(path, text, mode): &(&str, &str, FileMode)| CodeFile {
            path: (*path).to_owned(),
            length: text.len() as u64,
            sha256: Digest::of(text.as_bytes()),
            mode: *mode,
        };
        Dockerfile {
            file: RepoPath::new("deploy/Dockerfile"),
            text: "FROM a\n".to_owned(),
            context: CodeTree::new(RepoPath::new("p"), files.iter().map(file).collect()),
            arguments: BTreeMap::new(),
            bases: vec!["a".to_owned()],
            named: vec![NamedBase {
                place: 5..6,
                name: "a".to_owned(),
            }],
        }
    }

    #[tokio::test]
    async fn a_context_holds_its_files_with_fixed_modes_and_times() {
        let here = Here(BTreeMap::from([("p/a/b/run.sh", "run"), ("p/x", "y")]));
        let recipe = recipe(&[
            ("a/b/run.sh", "run", FileMode::Executable),
            ("x", "y", FileMode::Regular),
        ]);
        let pinned = Pinned {
            bases: BTreeMap::from([("a".to_owned(), Digest::of(b"a"))]),
            ..Pinned::default()
        };
        let context = BuildContext::write(&recipe, &pinned, &here)
            .await
            .expect("it is written");
        let text = fs::read_to_string(context.dockerfile()).expect("it is there");
        assert_eq!(
            text,
            format!("FROM docker.io/library/a@sha256:{}\n", Digest::of(b"a"))
        );
        for (path, mode) in [
            ("", 0o755),
            ("a", 0o755),
            ("a/b", 0o755),
            ("a/b/run.sh", 0o755),
            ("x", 0o644),
        ] {
            let meta = fs::metadata(context.folder().join(path)).expect("it is there");
            assert_eq!(meta.mode() & 0o7777, mode, "{path}");
            assert_eq!(meta.mtime(), i64::try_from(TIME).expect("small"), "{path}");
        }
        let folder = context.folder();
        drop(context);
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn nothing_is_written_outside_and_nothing_else_than_was_read() {
        let refused = async |path: &str, text: &str| {
            let here = Here(BTreeMap::from([("p/x", "other")]));
            let recipe = recipe(&[(path, text, FileMode::Regular)]);
            let error = BuildContext::write(&recipe, &Pinned::default(), &here)
                .await
                .err();
            format!("{:#}", error.expect("it is refused"))
        };
        for path in ["../x", "/x", "a/../../x", ""] {
            let said = refused(path, "other").await;
            assert_eq!(said, format!("`{path}` is not inside of the build context"));
        }
        assert_eq!(
            refused("x", "mine").await,
            "copy x: it has changed since it was read; run again"
        );
    }
}
