//! What a run tells the job of GitHub Actions that it is a step of: masks, annotations, summary, outputs.
//!
//! All of it comes by itself where there is such a job, and nothing of it elsewhere. That a file of the runner cannot be
//! written is told, and changes nothing else: the exit code says how the command went.

mod mask;
mod page;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::Run;
use crate::apply::Outcome;
use crate::cli::Global;
use crate::config::{self, Faulty};
use crate::error::Failure;
use crate::model::{Desired, Diagnostic, RepoPath};
use crate::plan::Plan;
use crate::report::actions::{self, Outputs, command};
use crate::report::markdown::{self, Options};

pub(super) use mask::{Masks, hide, hiding, quiet};
pub(super) use page::{Page, Wishes};

/// Hides the values of the variables that the templates of deployments name.
pub(super) fn hide_used(run: &Run, desired: &Desired) {
    let deployments = desired.projects.iter().flat_map(|one| &one.deployments);
    let names: BTreeSet<&str> = deployments
        .flat_map(|deployment| deployment.hidden.values())
        .flat_map(|written| variables(written))
        .collect();
    hide(run, config::secret_values(names, &run.process));
}

/// The variables that a text names as `{{ $NAME }}`.
fn variables(written: &str) -> impl Iterator<Item = &str> {
    let named = written.split("{{").skip(1).filter_map(|rest| {
        let (inside, _) = rest.split_once("}}")?;
        inside.trim().strip_prefix('$')
    });
    named.map(str::trim)
}

/// The text without what nobody may read.
pub(super) fn redacted(run: &Run, text: &str) -> String {
    let secrets = run.secrets.lock().unwrap_or_else(PoisonError::into_inner);
    secrets.redact(text).into_owned()
}

/// The plan without what nobody may read, where others read it. Its texts are cut when they are shown, and what is left of a
/// secret then is no secret that could be found.
pub(super) fn readable<'p>(run: &Run, plan: &'p Plan) -> Cow<'p, Plan> {
    match run.config.github {
        None => Cow::Borrowed(plan),
        Some(_) => Cow::Owned(plan.shown(&|text| redacted(run, text))),
    }
}

/// Annotates the lines that hold faults, the first time that there are any.
pub(super) fn annotate(run: &Run, faults: &[Diagnostic]) {
    if run.config.github.is_none() || faults.is_empty() {
        return;
    }
    if run.annotated.swap(true, Ordering::Relaxed) {
        return;
    }
    for line in actions::annotations(faults, &folder(run), &|text| redacted(run, text)) {
        say(&line);
    }
}

/// Tells what is no fault, but has to be known to read the result.
pub(super) fn notice(run: &Run, message: &str) {
    let message = redacted(run, message);
    say(&command::command(
        "notice",
        &[("title", "flowyard")],
        &message,
    ));
}

/// Adds the plan to the summary, and sets the outputs.
pub(super) fn planned(
    run: &Run,
    plan: &Plan,
    desired: &Desired,
    file: Option<&Path>,
    parts: Option<u16>,
) {
    summary(run, |options| markdown::plan(plan, desired, options));
    let file = file.map(|file| file.display().to_string());
    outputs(run, &actions::planned(plan, file.as_deref(), parts));
}

/// Adds what a deploy did to the summary, with the faults of what was left out, and sets the outputs.
pub(super) fn deployed(run: &Run, plan: &Plan, desired: &Desired, outcomes: &[Outcome]) {
    summary(run, |options| {
        markdown::outcomes(plan, desired, outcomes, options)
    });
    outputs(run, &actions::deployed(plan, desired, outcomes));
}

/// Adds the faults of files to the summary, or that there is none.
pub(super) fn faulty(run: &Run, desired: &Desired, faults: &[Diagnostic]) {
    summary(run, |options| markdown::check(desired, faults, options));
}

/// Tells how a command ended that did not come as far as a report.
pub(super) fn end(run: &Run, name: &str, result: Result<(), Failure>) -> Result<(), Failure> {
    if let (Err(failure), Some(_)) = (&result, &run.config.github)
        && !matches!(failure, Failure::Changes | Failure::Faulty { .. })
    {
        let message = redacted(run, &failure.to_string());
        match failure {
            Failure::Usage(error) if error.is::<Faulty>() => {
                let faults = error.downcast_ref::<Faulty>();
                annotate(run, faults.map_or(&[], |faulty| &faulty.0));
            }
            _ => say_error(&message),
        }
        if !run.summed_up.load(Ordering::Relaxed) {
            let environment = &run.config.environment;
            summary(run, |options| {
                actions::failure(name, environment, &message, options)
            });
        }
    }
    result
}

/// Tells why a command could not begin, wherever it was asked to tell how it ends: mostly the configuration is at fault, and
/// GitHub is known by the environment alone.
pub(super) async fn unopened(
    global: Global,
    wishes: Wishes,
    failure: Failure,
) -> Result<(), Failure> {
    if !config::is_a_job(&config::environment()) {
        return Err(failure);
    }
    match Run::unconfigured(global) {
        Ok(run) => {
            Page::unopened(&run, wishes, &failure).await;
            end(&run, wishes.command, Err(failure))
        }
        Err(_) => {
            say_error(&failure.to_string());
            Err(failure)
        }
    }
}

fn say_error(message: &str) {
    say(&command::command(
        "error",
        &[("title", "flowyard")],
        message,
    ));
}

/// Adds a report to the step's summary, as far as there is room.
fn summary(run: &Run, report: impl FnOnce(&Options) -> String) {
    let Some(path) = run
        .config
        .github
        .as_ref()
        .and_then(|one| one.summary.as_ref())
    else {
        return;
    };
    run.summed_up.store(true, Ordering::Relaxed);
    let taken = std::fs::metadata(path).map_or(0, |data| data.len());
    let room =
        actions::LONGEST_SUMMARY.saturating_sub(usize::try_from(taken).unwrap_or(usize::MAX));
    let text = report(&Options { limit: Some(room) });
    let text = redacted(run, &text);
    if text.len() > room {
        tracing::warn!("the step's summary is full: GitHub takes 1 MiB");
        return;
    }
    append(path, &format!("{text}\n"), "the step's summary");
}

fn outputs(run: &Run, outputs: &Outputs) {
    let Some(path) = run
        .config
        .github
        .as_ref()
        .and_then(|one| one.output.as_ref())
    else {
        return;
    };
    let mut outputs = outputs.clone();
    // The others are numbers, words and names: a secret of the same text would only spoil them.
    for name in ["summary", "releases"] {
        if let Some(value) = outputs.0.get_mut(name) {
            *value = redacted(run, value);
        }
    }
    match outputs.text(&actions::delimiter()) {
        Ok(text) => append(path, &text, "the step's outputs"),
        Err(error) => tracing::warn!("the step's outputs are not set: {error:#}"),
    }
}

fn append(path: &Path, text: &str, what: &str) {
    let open = OpenOptions::new().append(true).create(true).open(path);
    if let Err(error) = open.and_then(|mut file: File| file.write_all(text.as_bytes())) {
        tracing::warn!("{what} cannot be written to {}: {error}", path.display());
    }
}

/// The root's place in the checkout; the root of that where it is elsewhere.
fn folder(run: &Run) -> RepoPath {
    let workspace = run
        .config
        .github
        .as_ref()
        .and_then(|one| one.workspace.clone());
    let below = workspace.and_then(|workspace| {
        let workspace = workspace.canonicalize().unwrap_or(workspace);
        let below = run.path().strip_prefix(&workspace).ok()?;
        Some(below.to_str()?.replace('\\', "/"))
    });
    below.map_or_else(RepoPath::root, RepoPath::new)
}

/// Writes a command for the runner, in one piece. Where stderr is gone there is nobody to take it.
fn say(command: &str) {
    let _ = std::io::stderr().write_all(format!("{command}\n").as_bytes());
}
