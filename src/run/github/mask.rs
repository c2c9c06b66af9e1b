//! Keeping secrets out of what is told: the runner is asked to hide them, and what does not go through it is redacted.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Run, say};
use crate::model::Secrets;
use crate::report::actions::{self, command};

/// What the runner is told about its log.
#[derive(Default)]
pub(in crate::run) struct Masks {
    /// With what the runner is to take commands again, while it takes none. Who holds the lock writes commands.
    stopped: Mutex<Option<String>>,
}

/// Has the runner hide values before anything could show them, and keeps them out of what is told elsewhere.
pub(in crate::run) fn hide(run: &Run, values: impl IntoIterator<Item = String>) {
    let in_job = run.config.github.is_some();
    hide_with(&run.secrets, &run.masks, in_job, values);
}

/// Does what [`hide`] does, for values that come up later, wherever that is.
pub(in crate::run) fn hiding(run: &Run) -> Arc<dyn Fn(&str) + Send + Sync> {
    let (secrets, masks) = (Arc::clone(&run.secrets), Arc::clone(&run.masks));
    let in_job = run.config.github.is_some();
    Arc::new(move |value| hide_with(&secrets, &masks, in_job, [value.to_owned()]))
}

fn hide_with(
    secrets: &Mutex<Secrets>,
    masks: &Masks,
    in_job: bool,
    values: impl IntoIterator<Item = String>,
) {
    let mut secrets = secrets.lock().unwrap_or_else(PoisonError::into_inner);
    let new = secrets.add(values);
    drop(secrets);
    if !in_job || new.is_empty() || goes_to_a_file() {
        return;
    }
    let stopped = masks.stopped.lock().unwrap_or_else(PoisonError::into_inner);
    say(&commands(&new, stopped.as_deref()));
}

/// The commands that mask lines. Where the runner takes none it takes these; they are written in one piece, so that
/// nothing of another program comes between.
fn commands(lines: &[String], stopped: Option<&str>) -> String {
    let mut commands: Vec<String> = lines.iter().map(|line| command::mask(line)).collect();
    if let Some(token) = stopped {
        commands.insert(0, command::resume(token));
        commands.push(command::stop(token));
    }
    commands.join("\n")
}

/// While it lives the runner takes no command from the log: other programs write to it.
#[must_use = "the runner takes commands again when it is dropped"]
pub(in crate::run) struct Quiet(Option<Arc<Masks>>);

/// Has the runner take no command until what this gives is dropped, but for masks. Nothing else of ours that is one may be
/// written meanwhile.
pub(in crate::run) fn quiet(run: &Run) -> Quiet {
    if run.config.github.is_none() {
        return Quiet(None);
    }
    let token = actions::delimiter();
    let mut stopped = run
        .masks
        .stopped
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    say(&command::stop(&token));
    *stopped = Some(token);
    drop(stopped);
    Quiet(Some(Arc::clone(&run.masks)))
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let Some(masks) = &self.0 else {
            return;
        };
        let mut stopped = masks.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = stopped.take() {
            say(&command::resume(&token));
        }
    }
}

/// Whether stderr is redirected to a file: no runner reads a mask there, and who reads the file would read the secret.
fn goes_to_a_file() -> bool {
    #[cfg(unix)]
    let handle = std::os::fd::AsFd::as_fd(&std::io::stderr()).try_clone_to_owned();
    #[cfg(windows)]
    let handle = std::os::windows::io::AsHandle::as_handle(&std::io::stderr()).try_clone_to_owned();
    let metadata = handle.and_then(|handle| File::from(handle).metadata());
    metadata.is_ok_and(|metadata| metadata.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_that_takes_no_commands_takes_masks() {
        let lines = ["hush-1".to_owned(), "hush-2".to_owned()];
        assert_eq!(
            commands(&lines, None),
            "::add-mask::hush-1\n::add-mask::hush-2"
        );
        assert_eq!(
            commands(&lines, Some("t0ken")),
            "::t0ken::\n::add-mask::hush-1\n::add-mask::hush-2\n::stop-commands::t0ken"
        );
    }
}
