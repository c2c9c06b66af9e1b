//! The digests of a tree's files: each file is read once in a run, whatever number of projects hold it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
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
                Content::Bytes(read_at_once(&path, length)?)
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

/// Reads a file whose length is known already, in three calls to the system instead of the six of `fs::read`: on small
/// files they are most of the time.
fn read_at_once(path: &Path, length: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    // One byte more tells whether it has grown: a regular file gives less than asked for only at its end.
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX) + 1];
    let mut filled = 0;
    while filled < bytes.len() {
        let read = match file.read(&mut bytes[filled..]) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let asked = bytes.len() - filled;
        filled += read;
        if read < asked {
            bytes.truncate(filled);
            return Ok(bytes);
        }
    }
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
