//! A folder of this machine, or of a share that it mounts.
//!
//! It does not go through the crate's `LocalFileSystem`, which rewrites nothing but refuses names such as `a#1`, has no
//! conditional update, and copies by hard links, so that a worker that writes into its release would change another.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::backend::transfer::check_key;
use crate::backend::{Content, Entry, Error, Kind, Put, Result, Store, Tag};

/// Where files are written before they get their name, and where the lock is. No key lies below it.
const STAGING: &str = ".flowyard/staging";

/// A folder: a key is a path below it, so that `a` and `a/b` cannot both exist. Symbolic links and names that are not
/// UTF-8 are not objects.
///
/// A file gets its name in one step when it is complete. An object's version is the digest of its content;
/// [`put_if_unchanged`](Store::put_if_unchanged) and [`delete`](Store::delete) take turns by a lock file, which other
/// processes and machines respect where the file system supports locks. Files are handed to the operating system but not
/// forced to disk: they survive the end of the process, not a power failure.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Uses a folder, which is created with the first write.
    pub fn open(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        check_key(&self.subject(), key)?;
        if is_staging(key) {
            let message =
                format!("use {key:?} as a key: that folder is for files that are being written");
            return Err(Error::new(Kind::Other, self.subject(), message));
        }
        Ok(self.root.join(key))
    }

    /// Runs `work`, which blocks, on a thread of its own and says what failed.
    async fn run<T: Send + 'static>(
        &self,
        verb: &str,
        key: &str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let root = self.root.clone();
        let done = tokio::task::spawn_blocking(move || work(&root))
            .await
            .expect("work on files does not panic");
        done.map_err(|error| {
            let kind = match error.kind() {
                ErrorKind::NotFound => Kind::NotFound,
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Kind::Denied,
                ErrorKind::StorageFull
                | ErrorKind::QuotaExceeded
                | ErrorKind::StaleNetworkFileHandle => Kind::Unavailable,
                _ => Kind::Other,
            };
            Error::new(kind, self.subject(), format!("{verb} `{key}`: {error}"))
        })
    }
}

fn is_staging(key: &str) -> bool {
    key.strip_prefix(STAGING)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn tag_of(content: &[u8]) -> Tag {
    let digest = Sha256::digest(content);
    Tag(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A new file in the staging folder, with the permissions that any new file has.
fn stage(root: &Path) -> io::Result<NamedTempFile> {
    let staging = root.join(STAGING);
    fs::create_dir_all(&staging)?;
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // Without this the file would be its owner's alone, and workers often run as another user.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(staging)
}

/// Gives a staged file its name. `false`: the name is taken and must stay as it is.
fn publish(mut staged: NamedTempFile, path: &Path, overwrite: bool) -> io::Result<bool> {
    let folder = path.parent().unwrap_or(path);
    let mut tries = 0;
    loop {
        fs::create_dir_all(folder)?;
        let renamed = if overwrite {
            staged.persist(path)
        } else {
            staged.persist_noclobber(path)
        };
        match renamed {
            Ok(_) => return Ok(true),
            Err(error) if !overwrite && error.error.kind() == ErrorKind::AlreadyExists => {
                return Ok(false);
            }
            // A deletion has just removed the folder, which was empty.
            Err(error) if error.error.kind() == ErrorKind::NotFound && tries < 100 => {
                tries += 1;
                staged = error.file;
            }
            Err(error) => return Err(error.error),
        }
    }
}

/// Copies exactly `length` bytes; within one file system the kernel may share the blocks until one side changes.
fn copy(from: &Path, length: u64, to: &mut File) -> io::Result<()> {
    let mut from_file = File::open(from)?;
    let copied = io::copy(&mut (&mut from_file).take(length), to)?;
    let now = from_file.metadata()?.len();
    if now != length || copied != length {
        let message = format!(
            "{} has {now} bytes instead of {length}; it changed meanwhile",
            from.display()
        );
        return Err(io::Error::other(message));
    }
    Ok(())
}

/// Holds the folder's lock until it is dropped.
fn lock(root: &Path) -> io::Result<File> {
    let staging = root.join(STAGING);
    fs::create_dir_all(&staging)?;
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(staging.join("lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// Adds what lies below `folder`, whose own key is `base` with its `/`, and starts with `prefix`.
fn walk(folder: &Path, base: &str, prefix: &str, entries: &mut Vec<Entry>) -> io::Result<()> {
    let listing = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(());
        }
        listing => listing?,
    };
    for entry in listing {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            tracing::warn!(path = %entry.path().display(), "passing over a name that is not UTF-8");
            continue;
        };
        let key = format!("{base}{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() && !is_staging(&key) {
            let base = format!("{key}/");
            if base.starts_with(prefix) || prefix.starts_with(&base) {
                walk(&entry.path(), &base, prefix, entries)?;
            }
        } else if kind.is_file() && key.starts_with(prefix) {
            match entry.metadata() {
                Ok(metadata) => entries.push(Entry {
                    key,
                    length: metadata.len(),
                }),
                // Deleted since the folder was read.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

#[async_trait]
impl Store for Folder {
    fn subject(&self) -> String {
        format!("file://{}", self.root.display())
    }

    async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let wanted = prefix.to_owned();
        self.run("list", prefix, move |root| {
            let mut entries = Vec::new();
            // Starts at the deepest folder that holds everything wanted.
            let base = wanted.rsplit_once('/').map_or("", |(folder, _)| folder);
            if base.split('/').any(|part| part == "..") || is_staging(base) {
                return Ok(entries);
            }
            let slash = if base.is_empty() { "" } else { "/" };
            walk(
                &root.join(base),
                &format!("{base}{slash}"),
                &wanted,
                &mut entries,
            )?;
            entries.sort();
            Ok(entries)
        })
        .await
    }

    async fn get(&self, key: &str) -> Result<(Bytes, Tag)> {
        let path = self.path(key)?;
        self.run("read", key, move |_| {
            let content = read(&path)?.ok_or(ErrorKind::NotFound)?;
            let tag = tag_of(&content);
            Ok((Bytes::from(content), tag))
        })
        .await
    }

    async fn put_if_absent(&self, key: &str, content: Content) -> Result<Put> {
        let path = self.path(key)?;
        self.run("write", key, move |root| {
            // Spares the work where the answer is known beforehand.
            if fs::symlink_metadata(&path).is_ok() {
                return Ok(Put::Exists);
            }
            let mut staged = stage(root)?;
            match content {
                Content::Bytes(bytes) => staged.write_all(&bytes)?,
                Content::File { path, length } => copy(&path, length, staged.as_file_mut())?,
            }
            Ok(if publish(staged, &path, false)? {
                Put::Created
            } else {
                Put::Exists
            })
        })
        .await
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, tag: Option<&Tag>) -> Result<Tag> {
        let path = self.path(key)?;
        let (name, tag) = (key.to_owned(), tag.cloned());
        let written = self
            .run("write", key, move |root| {
                let _lock = lock(root)?;
                if read(&path)?.as_deref().map(tag_of) != tag {
                    return Ok(None);
                }
                let mut staged = stage(root)?;
                staged.write_all(&bytes)?;
                Ok(publish(staged, &path, tag.is_some())?.then(|| tag_of(&bytes)))
            })
            .await?;
        written.ok_or_else(|| {
            let message = format!("write `{name}`: someone else changed it meanwhile");
            Error::new(Kind::Conflict, self.subject(), message)
        })
    }

    async fn copy_if_absent(&self, from: &str, to: &str) -> Result<Option<Put>> {
        let (source, target) = (self.path(from)?, self.path(to)?);
        self.run("copy to", to, move |root| {
            if fs::symlink_metadata(&target).is_ok() {
                return Ok(Some(Put::Exists));
            }
            let length = match fs::metadata(&source) {
                Ok(metadata) => metadata.len(),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let mut staged = stage(root)?;
            copy(&source, length, staged.as_file_mut())?;
            Ok(Some(if publish(staged, &target, false)? {
                Put::Created
            } else {
                Put::Exists
            }))
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        self.run("delete", key, move |root| {
            if fs::symlink_metadata(&path).is_err() {
                return Ok(());
            }
            let _lock = lock(root)?;
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // Other stores have no empty folders either.
            let parents = path
                .ancestors()
                .skip(1)
                .take_while(|parent| *parent != root);
            for parent in parents {
                if fs::remove_dir(parent).is_err() {
                    break;
                }
            }
            Ok(())
        })
        .await
    }
}

/// A file's content; `None` where it is absent, or where a part of its path is a file.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn staging_is_not_listed_and_empty_folders_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Folder::open(folder.path());
        let content = || Content::Bytes(Bytes::from_static(b"x"));
        store
            .put_if_absent(".flowyard/lock/prod", content())
            .await
            .expect("a write");
        store
            .put_if_absent("a/b/c", content())
            .await
            .expect("a write");
        let keys: Vec<String> = store
            .list("")
            .await
            .expect("a list")
            .into_iter()
            .map(|entry| entry.key)
            .collect();
        assert_eq!(keys, [".flowyard/lock/prod", "a/b/c"]);
        store.delete("a/b/c").await.expect("a deletion");
        assert!(!folder.path().join("a").exists());
        assert!(
            store
                .put_if_absent(".flowyard/staging/x", content())
                .await
                .is_err()
        );
        assert!(store.list("../").await.expect("a list").is_empty());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn others_may_read_and_a_copy_is_its_own_file() {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        let folder = tempfile::tempdir().expect("a folder");
        let store = Folder::open(folder.path());
        let content = Content::Bytes(Bytes::from_static(b"x"));
        store.put_if_absent("a", content).await.expect("a write");
        store.copy_if_absent("a", "b").await.expect("a copy");
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let metadata = fs::metadata(&a).expect("a file");
        assert_ne!(metadata.ino(), fs::metadata(&b).expect("a file").ino());
        let plain = folder.path().join("plain");
        fs::write(&plain, "").expect("a file");
        let plain = fs::metadata(plain).expect("a file");
        assert_eq!(metadata.permissions().mode(), plain.permissions().mode());
    }
}
