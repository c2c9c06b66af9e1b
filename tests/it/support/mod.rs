//! The binary under test, the repositories that it runs in, and what it leaves on disk.

mod files;
mod flowyard;
mod repo;

pub(crate) use files::{Files, changed, files};
pub(crate) use flowyard::{Flowyard, Run, Running, to_the_end};
pub(crate) use repo::{Repo, copy, git};
