//! Reports for a pull request's comment or a job's summary, in GitHub's Markdown.
//!
//! All that comes from the repository or a service stands in code spans or in fenced blocks, whose fences are longer
//! than any run of backticks inside: there no tag, table, link or mention is anything but text. Reports are cut between
//! projects or between lines, and what is open there is closed, so that the text never ends inside of a block.

mod escape;
mod listing;
mod outcomes;
mod plan;

pub use listing::{check, list, status};
pub use outcomes::outcomes;
pub use plan::plan;

use super::value;

/// How long and how detailed a report is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How many bytes of text it may have, as far as that can be kept: GitHub refuses a comment of more than 65,536
    /// characters. What does not fit is counted instead. `None`: no limit.
    pub limit: Option<usize>,
}

/// Collects the parts of a report, and leaves out what there is no room for.
struct Parts {
    head: String,
    parts: Vec<String>,
    limit: usize,
}

/// Kept free for what comes after the parts: the note of what was left out.
const RESERVE: usize = 300;

/// Less than this of a part is not worth showing, in bytes.
const WORTH: usize = 300;

impl Parts {
    /// Begins with `head`, which is always kept.
    fn after(head: String, options: &Options) -> Self {
        Self {
            head,
            parts: Vec::new(),
            limit: options.limit.unwrap_or(usize::MAX),
        }
    }

    /// Adds a part, to be preceded by an empty line.
    fn add(&mut self, part: &str) {
        self.parts.push(part.to_owned());
    }

    /// The text. What does not fit as a whole keeps none of the others out; the first of those is cut to fill the room
    /// that is left, and a note tells what is missing.
    fn finish(self) -> String {
        let whole = |part: &String| part.len() + 1;
        let mut room = self.limit.saturating_sub(self.head.len());
        if self.parts.iter().map(whole).sum::<usize>() > room {
            room = room.saturating_sub(RESERVE);
        }
        let mut shown: Vec<Option<String>> = Vec::new();
        for part in &self.parts {
            let fits = whole(part) <= room;
            room -= if fits { whole(part) } else { 0 };
            shown.push(fits.then(|| part.clone()));
        }
        let mut left_out = shown.iter().filter(|one| one.is_none()).count();
        let mut cut_short = false;
        let first = shown.iter().position(Option::is_none);
        if let Some((at, text)) = first.and_then(|at| Some((at, cut(&self.parts[at], room)?))) {
            shown[at] = Some(text);
            left_out -= 1;
            cut_short = true;
        }
        let mut text = self.head;
        for part in shown.iter().flatten() {
            text.push('\n');
            text.push_str(part);
        }
        let number = value::count(left_out, "section");
        let missing = match (left_out, cut_short) {
            (0, false) => return text,
            (0, true) => "a section is not shown whole".to_owned(),
            (_, false) => format!("{number} left out"),
            (_, true) => format!("{number} left out, and one not shown whole"),
        };
        text + &format!(
            "\n… {missing}, too long to show here: see the log, or run the command with `--format json`.\n"
        )
    }
}

/// As many lines of a part as fit, with what they open closed again: fences, and what is folded. `None` where that would
/// not be worth it.
fn cut(part: &str, room: usize) -> Option<String> {
    if room < WORTH {
        return None;
    }
    let mut text = String::new();
    let (mut fence, mut folded) = (None, false);
    let closing = |fence: Option<&str>, folded: bool| {
        let fence = fence.map(|fence| format!("{fence}\n")).unwrap_or_default();
        format!("{fence}{}", if folded { "\n</details>\n" } else { "" })
    };
    let mut kept = String::new();
    for line in part.lines() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        match fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if ticks >= 3 => fence = Some(&line[..ticks]),
            None if line.starts_with("<details>") => folded = true,
            None if line.starts_with("</details>") => folded = false,
            None => {}
        }
        text += line;
        text.push('\n');
        let end = closing(fence, folded);
        if text.len() + end.len() > room {
            break;
        }
        kept = format!("{text}{end}");
    }
    (kept.len() >= WORTH / 2).then_some(kept)
}

/// How much of one line of a message is worth showing, in columns: a service may answer with a page.
const LONGEST_LINE: usize = 2_000;

/// What is shown where a command ended before it had anything to report: `message`, without secrets, in a block.
pub fn failure(title: &str, environment: &str, message: &str, options: &Options) -> String {
    let lines = message.lines().map(|line| value::cut(line, LONGEST_LINE));
    let lines: Vec<String> = lines.map(|line| value::text(&line)).collect();
    let head = format!("{}❌ **It failed.**\n", heading(title, environment));
    let mut parts = Parts::after(head, options);
    parts.add(&escape::block("text", &lines));
    parts.finish()
}

/// A heading, with the environment where it is not the usual one.
fn heading(title: &str, environment: &str) -> String {
    if environment.is_empty() || environment == "default" {
        format!("### {title}\n\n")
    } else {
        format!("### {title} for {}\n\n", escape::code(environment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_cut_at_a_line() {
        let short = failure("flowyard deploy", "prod", "a\nb ```", &Options::default());
        insta::assert_snapshot!(short, @r"
        ### flowyard deploy for `prod`

        ❌ **It failed.**

        ````text
        a
        b ```
        ````
        ");
        let many: String = (0..5_000).map(|at| format!("  moved: p{at}\n")).collect();
        let one = format!("{}end", "x".repeat(150_000));
        for message in [many.as_str(), &one] {
            for limit in [1_000, 4_000, 65_000] {
                let options = Options { limit: Some(limit) };
                let text = failure("flowyard deploy", "default", message, &options);
                assert!(text.len() <= limit, "{limit}: {}", text.len());
                assert_eq!(text.matches("```").count() % 2, 0, "{text}");
                assert!(text.contains("too long to show here") || text.contains("end\n```"));
            }
        }
        let text = failure("x", "default", &many, &Options { limit: Some(1_000) });
        assert!(text.contains("```text\n  moved: p0\n"), "{text}");
    }
}
