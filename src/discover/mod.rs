//! Finds projects and their files, in a work tree or in any revision of git.
//!
//! [`Tree`] is the one view of both: the sorted entries that are left after the ignore rules. [`find`] picks the
//! projects out of it. [`Git`] answers what only git knows: the head, the origin, what changed.
//!
//! # Which files count
//!
//! The rules are the same for a work tree and for a revision, so that the same content gives the same entries:
//!
//! 1. `.git` and `.flowyard` never count.
//! 2. `.prefectignore` (the syntax of `.gitignore`, from its folder down, the deepest file first, the last matching
//!    line wins) takes files out, tracked by git or not. Names that are never code (`__pycache__`, `.venv`,
//!    `node_modules`, `gha-creds-*.json` …) are out as if a `.prefectignore` above all others named them: `!venv` brings one back.
//! 3. What git ignores is out: `.gitignore` files up to the root of the git repository and `.git/info/exclude`, but not
//!    the global excludes of the person at the keyboard. As in git itself, a tracked file is never ignored. All files
//!    of a revision are tracked, so that there this rule never takes one out.

mod absent;
mod changes;
pub mod event;
mod fetch;
mod git;
mod ignored;
mod links;
mod projects;
mod revision;
mod root;
mod tree;
mod walk;
mod work;

pub use changes::Changes;
pub use fetch::Login;
pub use git::{Git, Head};
pub use links::LinkFault;
pub use projects::{
    DeploymentFile, Format, Found, FoundProject, Scope, absent, find, find_with_flows,
};
pub use root::{Root, root};
pub use tree::{Content, Entry, EntryKind, Tree};
pub use walk::{Fault, FaultKind};
