//! What flowyard tells GitHub: through the runner of its Actions, and through its API.

mod api;
pub(crate) mod double;
mod escaping;
mod forks;
mod gather;
pub(crate) mod hostile;
mod id_token;
mod job;
mod names;
mod pages;
mod private;
pub(crate) mod runner;
pub(crate) mod secrets;
mod unopened;
mod verdicts;

/// The names of a step's outputs, sorted.
pub(crate) const OUTPUTS: [&str; 8] = [
    "changed",
    "deployed",
    "failed",
    "has-changes",
    "matrix",
    "plan-file",
    "releases",
    "summary",
];
