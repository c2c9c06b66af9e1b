//! The binary under test and the repositories that it runs in.

mod flowyard;
mod repo;

pub(crate) use flowyard::{Flowyard, Run};
pub(crate) use repo::Repo;
