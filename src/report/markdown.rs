//! Reports for a pull request's comment or a job's summary, in GitHub's Markdown.
//!
//! All that comes from the repository or a service stands in code spans or in fenced blocks, whose fences are longer
//! than any run of backticks inside: there no tag, table, link or mention is anything but text. Reports are cut between
//! projects, so that the text never ends inside of a block.

mod escape;
mod listing;
mod outcomes;
mod plan;

pub use listing::{check, list, status};
pub use outcomes::outcomes;
pub use plan::plan;

/// How long and how detailed a report is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How many bytes of text it may have, as far as that can be kept: GitHub refuses a comment of more than 65,536
    /// characters. What does not fit is counted instead. `None`: no limit.
    pub limit: Option<usize>,
}

/// Collects the parts of a report while they fit.
struct Parts {
    text: String,
    limit: usize,
    left_out: usize,
}

/// Kept free for what comes after the parts: the note of what was left out.
const RESERVE: usize = 300;

impl Parts {
    /// Begins with `head`, which is always kept.
    fn after(head: String, options: &Options) -> Self {
        Self {
            text: head,
            limit: options.limit.unwrap_or(usize::MAX),
            left_out: 0,
        }
    }

    /// Adds a part, preceded by an empty line, if it fits. One that is too long keeps none of the others out.
    fn add(&mut self, part: &str) {
        let fits = self
            .text
            .len()
            .saturating_add(part.len())
            .saturating_add(RESERVE)
            <= self.limit;
        if !fits {
            self.left_out += 1;
            return;
        }
        self.text.push('\n');
        self.text.push_str(part);
    }

    /// The text, with a note of what was left out.
    fn finish(mut self) -> String {
        if self.left_out > 0 {
            let number = super::value::count(self.left_out, "section");
            self.text += &format!(
                "\n… {number} left out, too long to show here: see the log, or run the command with `--format json`.\n"
            );
        }
        self.text
    }
}

/// What is shown where a command ended before it had anything to report.
pub fn failure(title: &str, environment: &str, message: &str) -> String {
    let lines: Vec<String> = message.lines().map(super::value::text).collect();
    let block = escape::block("text", &lines);
    format!(
        "{}❌ **It failed.**\n\n{block}",
        heading(title, environment)
    )
}

/// A heading, with the environment where it is not the usual one.
fn heading(title: &str, environment: &str) -> String {
    if environment.is_empty() || environment == "default" {
        format!("### {title}\n\n")
    } else {
        format!("### {title} for {}\n\n", escape::code(environment))
    }
}
