//! Everything that a person or a machine reads of a run: plans, outcomes, listings, diagnostics, progress.
//!
//! Nothing here decides anything, and nothing but [`progress`] writes to a stream of its own: what is for the terminal
//! is written into a `dyn Write` with ANSI colours, which the caller strips where they are not wanted (`anstream`); the
//! other formats are returned as text. Values and names come from a repository that may be a stranger's, so each
//! format escapes all of them: no control character reaches a terminal, and nothing closes a block of Markdown.

pub mod actions;
pub mod diagnostics;
mod done;
pub mod json;
pub mod markdown;
mod parts;
pub mod progress;
mod reach;
mod registered;
mod rows;
#[cfg(test)]
mod sample;
mod schedule;
mod schema;
mod shown;
mod style;
pub mod terminal;
mod trigger;
mod value;

use crate::model::{Desired, Diagnostic};
use crate::plan::Plan;

/// What a report is written for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people at a terminal or in a log.
    #[default]
    Terminal,
    /// For programs: one versioned document.
    Json,
    /// For a pull request's comment or a job's summary.
    Markdown,
}

/// How much a report tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether deployments that stay as they are are listed too; otherwise they are only counted.
    pub verbose: bool,
}

/// The faults of the files and those that only the comparison shows, sorted by place, each once.
pub fn all_diagnostics(desired: &Desired, plan: &Plan) -> Vec<Diagnostic> {
    let mut all: Vec<Diagnostic> = desired
        .diagnostics
        .iter()
        .chain(&plan.diagnostics)
        .cloned()
        .collect();
    all.sort();
    all.dedup();
    all
}

/// `2 to create, 1 to update, 14 unchanged, 0 to remove; 1 image to build; 3 releases to upload (12 files, 48.2 KB)`.
fn to_do(plan: &Plan) -> String {
    let counts = plan.counts();
    if plan.destroys {
        return format!("{} to remove", value::count(counts.remove, "deployment"));
    }
    let mut text = format!(
        "{} to create, {} to update, {} unchanged, {} to remove",
        counts.create, counts.update, counts.keep, counts.remove
    );
    if counts.builds > 0 {
        text += &format!("; {} to build", value::count(counts.builds, "image"));
    }
    if counts.uploads > 0 {
        text += &format!(
            "; {} to upload ({}, {})",
            value::count(counts.uploads, "release"),
            value::count(counts.files, "file"),
            value::size(counts.bytes)
        );
    }
    text
}

/// How a deployment that is to be removed belongs to its project.
fn was_in(plan: &Plan) -> &'static str {
    // A project may well be there still when its environment goes.
    if plan.destroys { "of" } else { "was in" }
}

/// `17 deployments in 9 projects are as the files declare.`
fn as_declared(plan: &Plan) -> String {
    if plan.destroys {
        return "No deployment is registered for it.".to_owned();
    }
    let deployments = plan.projects.iter().map(|one| one.changes.len()).sum();
    let verb = match deployments {
        0 => return "No deployment is in scope.".to_owned(),
        1 => "is",
        _ => "are",
    };
    format!(
        "{} in {} {verb} as the files declare.",
        value::count(deployments, "deployment"),
        value::count(plan.projects.len(), "project")
    )
}

/// `2 faults in the deployment files`.
pub fn faults_of_files(faults: usize) -> String {
    format!("{} in the deployment files", value::count(faults, "fault"))
}

/// `17 deployments in 9 projects`.
pub fn size_of(desired: &Desired) -> String {
    let deployments = desired
        .projects
        .iter()
        .map(|project| project.deployments.len())
        .sum();
    format!(
        "{} in {}",
        value::count(deployments, "deployment"),
        value::count(desired.projects.len(), "project")
    )
}

/// Says what drift means for `drifted` fields; `None` where there is none.
fn drift_note(drifted: usize) -> Option<String> {
    let fields = value::count(drifted, "value");
    match drifted {
        0 => None,
        1 => Some(format!(
            "{fields} was changed on the server since the last deploy; deploying sets it back"
        )),
        _ => Some(format!(
            "{fields} were changed on the server since the last deploy; deploying sets them back"
        )),
    }
}

/// ` for prod`; empty for the environment that needs no name.
fn for_environment(environment: &str) -> String {
    if environment.is_empty() || environment == "default" {
        String::new()
    } else {
        format!(" for {}", value::text(environment))
    }
}
