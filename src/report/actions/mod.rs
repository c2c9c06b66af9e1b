//! For the runner of GitHub Actions: workflow commands, annotations, the step's summary and its outputs.
//!
//! A runner takes commands from both streams of a step, line by line
//! (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>): `::name key=value::data` after
//! white space, and the older `##[name key=value]data` anywhere. Here all of them go to stderr, as stdout is data that
//! someone may redirect. What comes from a repository is data of a command, escaped ([`command`]), or has no line that
//! could be one ([`Guard`]); what other programs print stands between [`command::stop`] and [`command::resume`].
//! `tests/it/github/runner.rs` is the runner's own parser, and holds all that is written here against it.

mod annotation;
pub mod command;
mod guard;
mod output;
mod summary;

pub use annotation::annotations;
pub use guard::Guard;
pub use output::{Outputs, delimiter, deployed, planned};
pub use summary::{LONGEST as LONGEST_SUMMARY, failure};
