//! What is wrong with a file, and where.

use std::fmt;

use serde::Serialize;

use super::RepoPath;

/// A place in a file of the repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The file, or the folder where the fault is that something is not in it.
    pub path: RepoPath,
    /// Line, from 1; 0 where the fault is the whole file's.
    pub line: u32,
    /// Column in characters, from 1; 0 where the fault is the whole file's.
    pub column: u32,
}

impl Place {
    /// A place in a file, counted from 1.
    pub fn at(path: RepoPath, line: u32, column: u32) -> Self {
        Self { path, line, column }
    }

    /// A file as a whole.
    pub fn file(path: RepoPath) -> Self {
        Self {
            path,
            line: 0,
            column: 0,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "{}", self.path);
        }
        write!(f, "{}:{}:{}", self.path, self.line, self.column)
    }
}

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// `deploy` refuses to write (or skips the project with `--keep-going`).
    Error,
    /// Reported; nothing is held back.
    Warning,
}

/// One fault, to be reported together with all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// Where.
    pub place: Place,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong: a lower-case fragment without a full stop.
    pub message: String,
    /// What to do about it, where we know.
    pub hint: Option<String>,
    /// Other places that belong to it, each with its role ("first declared here").
    pub related: Vec<(Place, String)>,
}

impl Diagnostic {
    /// A fault that holds a deploy back.
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            severity: Severity::Error,
            message: message.into(),
            hint: None,
            related: Vec::new(),
        }
    }

    /// A fault that holds nothing back.
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(place, message)
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds another place that belongs to the fault.
    #[must_use]
    pub fn related(mut self, place: Place, role: impl Into<String>) -> Self {
        self.related.push((place, role.into()));
        self
    }

    /// Whether it holds a deploy back.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
