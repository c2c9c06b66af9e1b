//! What a Python deployment file registered when it was run, because the user asked for that.

use serde_json::{Map, Value};

use super::{Diagnostic, RepoPath};

/// What came of running one file.
#[derive(Clone, Debug, PartialEq)]
pub enum Captured {
    /// What it would have registered, in its order; empty where it registers nothing.
    Registered(Vec<CapturedDeployment>),
    /// It failed, or ran into a limit.
    Failed(Box<Diagnostic>),
}

/// One deployment that a running file registered.
#[derive(Clone, Debug, PartialEq)]
pub struct CapturedDeployment {
    /// The line of the file that registered it, from 1.
    pub line: u32,
    /// The file of its flow; `None` where `entrypoint` says it in the file's own words.
    pub file: Option<RepoPath>,
    /// What it declares, with the keys of a deployment file; `entrypoint` is the function alone where `file` is known.
    pub declares: Map<String, Value>,
    /// What else is to be shown with its plan. Lower-case fragments.
    pub notes: Vec<String>,
}
