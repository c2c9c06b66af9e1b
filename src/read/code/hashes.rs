//! The digests of a tree's files: each file is read once in a run, whatever number of projects hold it.

use std::sync::OnceLock;

use rayon::prelude::*;

use super::shared::{LONGEST_SEARCHED, Shared};
use crate::discover::{Content, EntryKind, Tree};
use crate::model::{Digest, Hasher};

/// What is known of the files of a tree, by their place among its entries; filled for the files asked for only.
pub(super) struct Hashes<'a> {
    tree: &'a Tree,
    shared: &'a Shared<'a>,
    known: Vec<OnceLock<Result<Hashed, String>>>,
}

/// What one reading of a file gives.
pub(super) struct Hashed {
    pub(super) sha256: Digest,
    /// The number of bytes that were digested.
    pub(super) length: u64,
    /// The shared folders that it imports from.
    pub(super) imported: Box<[u16]>,
}

/// Files up to this length, in bytes, are read in one piece.
const SMALL: u64 = 1 << 20;

impl<'a> Hashes<'a> {
    pub(super) fn new(tree: &'a Tree, shared: &'a Shared<'a>) -> Self {
        let known = tree.entries().iter().map(|_| OnceLock::new()).collect();
        Self {
            tree,
            shared,
            known,
        }
    }

    /// Reads the files at these places, many at once; symbolic links are passed over. Memory is bounded by the number
    /// of threads, not by the lengths of files (except for those that lie in git, which come in one piece).
    pub(super) fn fill(&self, indices: &[usize]) {
        indices.par_iter().for_each(|&index| {
            self.known[index]
                .get_or_init(|| self.read(index).map_err(|error| format!("{error:#}")));
        });
    }

    /// What is known of a file: `None` where it was not asked for, an error where it could not be read.
    pub(super) fn get(&self, index: usize) -> Option<Result<&Hashed, &str>> {
        let known = self.known[index].get()?;
        Some(known.as_ref().map_err(String::as_str))
    }

    fn read(&self, index: usize) -> anyhow::Result<Hashed> {
        let entry = &self.tree.entries()[index];
        let EntryKind::File { length, .. } = entry.kind else {
            anyhow::bail!("a symbolic link has no content of its own");
        };
        let searched = !self.shared.is_empty()
            && entry.path.as_str().ends_with(".py")
            && length <= LONGEST_SEARCHED;
        let content = match self.tree.content(index)? {
            Content::File(path) if length <= SMALL || searched => {
                Content::Bytes(std::fs::read(path)?)
            }
            content => content,
        };
        let mut imported = Box::default();
        if let Content::Bytes(bytes) = &content
            && searched
        {
            imported = self.shared.imported(self.tree, &entry.path, bytes);
        }
        let mut hasher = Hasher::default();
        let length = content.pieces(|piece| hasher.update(piece))?;
        Ok(Hashed {
            sha256: hasher.finish(),
            length,
            imported,
        })
    }
}
