//! The step's summary: the reports in Markdown, and a word where there is none.

use crate::report::markdown::{self, Options};

/// How many bytes of summary a step may write; GitHub drops one of more than 1 MiB, and the step stays green.
pub const LONGEST: usize = 1_000_000;

/// What is shown in the place of a report where a command ended before it had one: `message`, without secrets,
/// in a block.
pub fn failure(command: &str, environment: &str, message: &str, options: &Options) -> String {
    markdown::failure(
        &format!("flowyard {command}"),
        environment,
        message,
        options,
    )
}
