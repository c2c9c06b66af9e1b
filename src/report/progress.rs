//! What is going on, for people who wait: bars and spinners on stderr, and nothing of it where that is no terminal.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::done::subject;
use super::value;
use crate::apply::{Event, Item, Observer, Outcome, Status};
use crate::model::RepoPath;
use crate::plan::{Action, ImagePlan, Plan, Upload};

/// How often what moves by itself is drawn.
const TICK: Duration = Duration::from_millis(100);

/// Shows how far a deploy is: a bar of the bytes to upload, a bar of the registrations, and every failure above them
/// as soon as it happens. The bars are gone at the end, also when it is dropped earlier.
///
/// Where stderr is no terminal it is silent; asked to be verbose, it writes a line for every project that is finished.
pub struct Progress {
    multi: MultiProgress,
    state: Mutex<State>,
}

struct State {
    builds: ProgressBar,
    uploads: ProgressBar,
    writes: ProgressBar,
    /// How many images are to be made.
    images: u64,
    /// What every project still has to do, and how it went so far.
    projects: BTreeMap<RepoPath, Tally>,
    lines: Option<Box<dyn Write + Send>>,
}

#[derive(Default)]
struct Tally {
    left: usize,
    done: usize,
    failed: usize,
    skipped: usize,
}

impl Progress {
    /// Gets ready to show how `plan` is carried out.
    pub fn new(plan: &Plan, verbose: bool) -> Self {
        let lines: Option<Box<dyn Write + Send>> = if verbose && !io::stderr().is_terminal() {
            Some(Box::new(io::stderr()))
        } else {
            None
        };
        Self::on(plan, ProgressDrawTarget::stderr(), lines)
    }

    fn on(plan: &Plan, target: ProgressDrawTarget, lines: Option<Box<dyn Write + Send>>) -> Self {
        let projects = plan
            .projects
            .iter()
            .map(|project| {
                let upload = usize::from(project.upload != Upload::Nothing);
                let changes = project.changes.iter();
                let writes = changes.filter(|change| change.action != Action::Keep);
                let tally = Tally {
                    left: upload + writes.count(),
                    ..Tally::default()
                };
                (project.path.clone(), tally)
            })
            .collect();
        Self {
            multi: MultiProgress::with_draw_target(target),
            state: Mutex::new(State {
                builds: ProgressBar::hidden(),
                uploads: ProgressBar::hidden(),
                writes: ProgressBar::hidden(),
                images: u64::try_from(plan.counts().builds).unwrap_or(u64::MAX),
                projects,
                lines,
            }),
        }
    }

    /// Writes a line above the bars, escaped; where stderr is no terminal, just the line.
    pub fn line(&self, line: &str) {
        // A terminal that is gone is no reason to stop a deploy.
        let line = value::text(line);
        if self.multi.is_hidden() {
            let _ = writeln!(io::stderr(), "{line}");
        } else {
            let _ = self.multi.println(line);
        }
    }

    fn bar(&self, length: u64, template: &str) -> ProgressBar {
        let bar = ProgressBar::new(length).with_style(style(template));
        let bar = self.multi.add(bar);
        if !self.multi.is_hidden() {
            bar.enable_steady_tick(TICK);
        }
        bar
    }

    fn building(&self, state: &mut State, image: &ImagePlan) {
        if state.builds.is_hidden() || state.builds.is_finished() {
            state.builds = self.bar(
                state.images,
                "{spinner} building     {bar:30} {pos}/{len} {msg}",
            );
        }
        state.builds.set_message(value::text(&image.repository));
    }

    fn begin(&self, state: &mut State, bytes: u64, writes: usize) {
        let begin = |length, template| self.bar(length, template);
        state.builds.finish_and_clear();
        if bytes > 0 {
            state.uploads = begin(
                bytes,
                "{spinner} uploading    {bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}",
            );
        }
        if writes > 0 {
            let length = u64::try_from(writes).unwrap_or(u64::MAX);
            state.writes = begin(length, "{spinner} registering  {bar:30} {pos}/{len}");
        }
    }

    fn over(&self, state: &mut State, outcome: &Outcome) {
        match outcome.item {
            Item::Image(_) => state.builds.inc(1),
            Item::Release(_) => {}
            Item::Registration(_) | Item::Removal(_) => state.writes.inc(1),
        }
        if let Status::Failed { message, .. } = &outcome.status
            && !self.multi.is_hidden()
        {
            let what = value::text(&subject(&outcome.item));
            let first = message.lines().next().unwrap_or_default();
            // A terminal that is gone is no reason to stop a deploy.
            let _ = self
                .multi
                .println(format!("failed: {what}: {}", value::text(first)));
        }
        let Some(lines) = &mut state.lines else {
            return;
        };
        if let Item::Image(name) = &outcome.item {
            let word = match outcome.status {
                Status::Done => "built",
                Status::Failed { .. } => "failed to build",
                Status::Skipped { .. } => "did not build",
            };
            let _ = writeln!(lines, "{word} {}", value::text(name));
            return;
        }
        if let Item::Removal(id) = &outcome.item {
            let word = match outcome.status {
                Status::Done => "removed",
                Status::Failed { .. } => "failed to remove",
                Status::Skipped { .. } => "did not remove",
            };
            let _ = writeln!(lines, "{word} {}", value::text(&id.to_string()));
            return;
        }
        let Some(tally) = state.projects.get_mut(&outcome.project) else {
            return;
        };
        match outcome.status {
            Status::Done => tally.done += 1,
            Status::Failed { .. } => tally.failed += 1,
            Status::Skipped { .. } => tally.skipped += 1,
        }
        tally.left = tally.left.saturating_sub(1);
        if tally.left == 0 {
            let path = value::text(&outcome.project.to_string());
            let words = match (tally.failed, tally.skipped) {
                (0, 0) => format!("{} done", tally.done),
                (failed, skipped) => {
                    format!("{} done, {failed} failed, {skipped} skipped", tally.done)
                }
            };
            let _ = writeln!(lines, "{path}: {words}");
        }
    }
}

impl Observer for Progress {
    fn on(&self, event: &Event<'_>) {
        // What another task left half counted only makes a bar a little wrong.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Begin { bytes, writes, .. } => self.begin(&mut state, *bytes, *writes),
            Event::Building(image) => self.building(&mut state, image),
            Event::Stored { bytes, .. } => state.uploads.inc(*bytes),
            Event::Over(outcome) => self.over(&mut state, outcome),
            Event::End => state.clear(),
        }
    }
}

impl State {
    fn clear(&self) {
        self.builds.finish_and_clear();
        self.uploads.finish_and_clear();
        self.writes.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.clear();
    }
}

/// Something that takes a while and does not say how long; gone when it is dropped.
#[must_use = "it is shown until it is dropped"]
pub struct Spinner(ProgressBar);

/// Shows a spinner with `message`, such as `reading deployments from Prefect`; nothing where stderr is no terminal.
pub fn spinner(message: &str) -> Spinner {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        .with_style(style("{spinner} {msg}"))
        .with_message(value::text(message));
    if !bar.is_hidden() {
        bar.enable_steady_tick(TICK);
    }
    Spinner(bar)
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates are fixed text")
        .progress_chars("━╸ ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::report::sample;

    /// A writer whose text can be read while it is owned by another.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("one thread").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn play(progress: &Progress, plan: &Plan, failing: bool) {
        let counts = plan.counts();
        progress.on(&Event::Begin {
            bytes: counts.bytes,
            files: counts.files,
            writes: counts.create + counts.update + counts.remove,
        });
        for _ in 0..counts.files {
            progress.on(&Event::Stored {
                bytes: counts.bytes / counts.files as u64,
                sent: true,
            });
        }
        for outcome in sample::outcomes(plan, failing) {
            progress.on(&Event::Over(&outcome));
        }
    }

    #[test]
    fn without_a_terminal_there_is_a_line_for_every_project() {
        let plan = sample::plan(true);
        let out = Shared::default();
        let lines: Box<dyn Write + Send> = Box::new(out.clone());
        let progress = Progress::on(&plan, ProgressDrawTarget::hidden(), Some(lines));
        play(&progress, &plan, true);
        progress.on(&Event::End);
        let text = String::from_utf8(out.0.lock().expect("one thread").clone());
        insta::assert_snapshot!(text.expect("it is UTF-8"), @r"
        projects/news/load_dn: 3 done, 1 failed, 0 skipped
        projects/x`</details>|@all\u{1b}[31m: 0 done, 1 failed, 1 skipped
        did not remove old/one
        ");
    }

    #[test]
    fn the_bars_count_all_there_is_to_do() {
        let plan = sample::plan(true);
        let progress = Progress::on(&plan, ProgressDrawTarget::hidden(), None);
        play(&progress, &plan, false);
        let state = progress.state.lock().expect("one thread");
        assert_eq!(state.writes.position(), 5);
        assert_eq!(state.writes.length(), Some(5));
        assert_eq!(state.uploads.length(), Some(13_000));
        assert!(state.uploads.position() > 12_900);
        drop(state);
        progress.on(&Event::End);
        let state = progress.state.lock().expect("one thread");
        assert!(state.uploads.is_finished() && state.writes.is_finished());
    }
}
