//! Python of the repository that is run, because the user has asked for it.
//!
//! Nothing here is reached without an explicit flag. [`steps`] and [`script`] run the steps of a `prefect.yaml` with this
//! process's environment and network, as Prefect's command would: they bound what is kept of the output and end the whole
//! process group, and hold nothing else back. [`capture`] runs `.deployment.py` files, and denies them what it can: our
//! environment, the network, and more than their share of time and memory. Environments are made by `uv`, which gets to see no secret of ours.

pub mod capture;
mod environment;
mod process;
pub mod script;
pub mod steps;

pub use environment::Cache;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// Why something could not be run, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is wrong: a lower-case fragment.
    message: String,
    /// What to do.
    hint: Option<String>,
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
        }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StepFault {
    /// What is wrong, with the step's name: a lower-case fragment.
    pub message: String,
    /// What to do, where we know.
    pub hint: Option<String>,
    /// The last lines that it wrote; empty where it wrote none.
    pub output: Vec<String>,
}

impl StepFault {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            output: Vec::new(),
        }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    fn output(self, output: Vec<String>) -> Self {
        Self { output, ..self }
    }
}

/// Text that nobody can guess: what begins with it on a pipe was written by our own program.
fn token() -> String {
    // The standard library's hasher is keyed with the system's randomness, which needs no crate.
    let part = || RandomState::new().build_hasher().finish();
    format!("flowyard-{:016x}{:016x}", part(), part())
}
