//! `"kind": "init"`, `"kind": "new"` and `"kind": "convert"`: files that people go on with.

use serde::Serialize;

use super::{document, path};
use crate::model::RepoPath;

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is made.
    Write,
    /// It is there already and stays as it is.
    Keep,
    /// It goes, as another one takes its place.
    Delete,
}

/// A file, and what becomes of it.
#[derive(Clone, Debug)]
pub struct File {
    /// Where, from the folder that the files are for.
    pub path: RepoPath,
    /// What becomes of it.
    pub action: Action,
    /// The file that says the same in another format; `None` where it comes from no file.
    pub from: Option<RepoPath>,
    /// All of one that is made; `None` for the others.
    pub content: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct FilesDocument<'a> {
    /// Whether nothing was written, but would be.
    dry_run: bool,
    files: Vec<FileDocument<'a>>,
}

#[derive(Serialize)]
struct FileDocument<'a> {
    path: &'a str,
    action: Action,
    from: Option<&'a str>,
    /// `null` where it is no text, or not made.
    content: Option<&'a str>,
}

impl<'a> FileDocument<'a> {
    fn of(file: &'a File) -> Self {
        let content = file.content.as_deref();
        Self {
            path: path(&file.path),
            action: file.action,
            from: file.from.as_ref().map(path),
            content: content.and_then(|bytes| std::str::from_utf8(bytes).ok()),
        }
    }
}

/// What a command that writes files for people did, or would do.
pub fn files(kind: &str, dry_run: bool, files: &[File]) -> String {
    let content = FilesDocument {
        dry_run,
        files: files.iter().map(FileDocument::of).collect(),
    };
    document(kind, content)
}
