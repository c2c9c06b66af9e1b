//! Faults of `flowyard.toml` that keep every command from beginning.

use std::fmt;
use std::ops::Range;

use super::FILE;
use crate::model::{Diagnostic, Place, RepoPath};

/// The file's faults, in their order; never empty. For people each is a line, `flowyard.toml:3:9: what is wrong`.
#[derive(Debug)]
pub struct Faulty(pub Vec<Diagnostic>);

impl Faulty {
    /// That of one place.
    pub fn at(place: Place, message: impl Into<String>) -> anyhow::Error {
        Self(vec![Diagnostic::error(place, message)]).into()
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                // Each stands below the first, which "error: " comes before.
                f.write_str("\n       ")?;
            }
            write!(f, "{}: {}", fault.place, fault.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faulty {}

/// The place of a span of the file's text.
pub(super) fn place(text: &str, span: &Range<usize>) -> Place {
    let before = text.get(..span.start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Place::at(RepoPath::new(FILE), number(line), number(column))
}
