//! Files for people to begin with: a repository's configuration and workflows, and new projects from templates.
//!
//! Everything here is a pure function from facts to [`File`]s, apart from [`Template::open`], which reads a folder. Who
//! calls it writes them, and overwrites none.

mod repository;
mod template;
mod variables;

use crate::model::RepoPath;

pub use repository::{Facts, Imported, repository};
pub use template::{Asked, Rendered, Template};

/// A file that would be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where, from the folder that the files are for.
    pub path: RepoPath,
    /// All of it.
    pub content: Vec<u8>,
    /// Whether it may be run.
    pub executable: bool,
}

impl File {
    fn text(path: &str, content: impl Into<String>) -> Self {
        Self {
            path: RepoPath::new(path),
            content: content.into().into_bytes(),
            executable: false,
        }
    }
}
