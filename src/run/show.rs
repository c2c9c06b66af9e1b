//! Prints results on stdout in the format that was asked for.

use std::io::{self, Write};

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::Run;
use crate::apply::Outcome;
use crate::cli::{Cli, Format};
use crate::model::{DeploymentId, Desired, Live};
use crate::plan::Plan;
use crate::report::{self, json, markdown, terminal};

/// The projects and deployments found.
pub(super) fn list(desired: &Desired, run: &Run) -> anyhow::Result<()> {
    print(|out| match run.global.format {
        Format::Terminal => terminal::list(desired, out),
        Format::Json => text(out, &json::list(desired)),
        Format::Markdown => text(out, &markdown::list(desired)),
    })
}

/// The faults of all files; they are the result here, so they go to stdout.
pub(super) fn check(desired: &Desired, run: &Run) -> anyhow::Result<()> {
    let faults = &desired.diagnostics;
    print(|out| match run.global.format {
        Format::Terminal if faults.is_empty() => {
            writeln!(out, "No faults in {}.", report::size_of(desired))
        }
        Format::Terminal => report::diagnostics::render(faults, &|path| run.source(path), out),
        Format::Json => text(out, &json::check(desired, faults)),
        Format::Markdown => text(
            out,
            &markdown::check(desired, faults, &markdown::Options::default()),
        ),
    })
}

/// What would change. For people the faults come first, on stderr.
pub(super) fn plan(plan: &Plan, desired: &Desired, run: &Run) -> anyhow::Result<()> {
    let faults = report::all_diagnostics(desired, plan);
    if run.global.format == Format::Terminal && !faults.is_empty() {
        let mut err = anstream::stderr().lock();
        report::diagnostics::render(&faults, &|path| run.source(path), &mut err)
            .and_then(|()| writeln!(err))
            .context("write to stderr")?;
    }
    super::github::annotate(run, &faults);
    let options = options(run);
    print(|out| match run.global.format {
        Format::Terminal => terminal::plan(plan, &options, out),
        Format::Json => text(out, &json::plan(plan, desired)),
        Format::Markdown => text(
            out,
            &markdown::plan(plan, desired, &markdown::Options::default()),
        ),
    })
}

/// What was done. The faults of what was left out were told before, on stderr.
pub(super) fn outcomes(
    plan: &Plan,
    desired: &Desired,
    outcomes: &[Outcome],
    run: &Run,
) -> anyhow::Result<()> {
    print(|out| match run.global.format {
        Format::Terminal => terminal::outcomes(plan, desired, outcomes, out),
        Format::Json => text(out, &json::outcomes(plan, outcomes)),
        Format::Markdown => text(
            out,
            &markdown::outcomes(plan, desired, outcomes, &markdown::Options::default()),
        ),
    })
}

/// What is registered.
pub(super) fn status(live: &Live, ours: &[DeploymentId], run: &Run) -> anyhow::Result<()> {
    print(|out| match run.global.format {
        Format::Terminal => terminal::status(live, ours, out),
        Format::Json => text(out, &json::status(live, ours)),
        Format::Markdown => text(out, &markdown::status(live, ours)),
    })
}

/// What became of files that people go on with: for programs. People are told as they are written.
pub(super) fn files(
    kind: &str,
    dry_run: bool,
    files: &[json::File],
    run: &Run,
) -> anyhow::Result<()> {
    print(|out| match run.global.format {
        Format::Json => text(out, &json::files(kind, dry_run, files)),
        Format::Terminal | Format::Markdown => Ok(()),
    })
}

/// A shell's completion script.
pub(super) fn completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "flowyard", &mut script);
    print(|out| out.write_all(&script))
}

fn options(run: &Run) -> report::Options {
    report::Options {
        verbose: run.global.verbose > 0,
    }
}

fn text(out: &mut dyn Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())
}

/// Hands out stdout; who closes the pipe has read enough.
fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = io::BufWriter::new(anstream::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("write to stdout"),
    }
}
