//! Which revision `auto` stands for, and which one a deploy leaves behind.

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::Run;
use super::narrow::{AUTO, Narrow, everything};
use crate::backend::Orchestrator;
use crate::cli;
use crate::connect::Backends;
use crate::discover::event::{self, Base, Event};
use crate::discover::{Git, Tree};
use crate::error::Failure;
use crate::model::{Applied, Revision, Since};
use crate::state;

/// What `--since auto` goes by.
pub(super) enum Auto {
    /// The event of the run.
    Event,
    /// What is deployed to the environment; `None` where no commit is known to be all of it.
    Deployed(Option<String>),
}

impl Auto {
    /// What it goes by in a command that asks servers. A preview is what its pull request changes, so that it goes by the
    /// event always; so does a plan for a pull request or a merge queue.
    pub(super) async fn of(
        options: &cli::Narrow,
        run: &Run,
        backends: Result<&Backends, &Failure>,
        plan: bool,
    ) -> Result<Self, Failure> {
        let github = run.config.github.as_ref();
        let event = github.and_then(|github| github.event_name.as_deref());
        let proposed =
            event.is_some_and(|name| name.starts_with("pull_request") || name == "merge_group");
        if options.since.as_deref() != Some(AUTO) || run.config.preview || plan && proposed {
            return Ok(Self::Event);
        }
        // The caller fails without them, once it has told the faults of files.
        let Ok(backends) = backends else {
            return Ok(Self::Deployed(None));
        };
        let loaded = state::load(&*backends.store, &run.config.environment).await;
        let revision = loaded.map_err(Failure::Unreachable)?.0.revision;
        let server = backends.orchestrator.subject();
        let revision = revision.filter(|revision| revision.server == server);
        Ok(Self::Deployed(revision.map(|revision| revision.commit)))
    }
}

/// The revision that `--since auto` stands for; everything counts where there is none, or it cannot be had.
pub(super) fn automatic(run: &Run, git: &Git, auto: Auto) -> anyhow::Result<Since> {
    let environment = &run.config.environment;
    let found = match auto {
        Auto::Event => of_event("--since", run, git)?,
        Auto::Deployed(Some(commit)) => Ok((commit, format!("deployed to {environment}"))),
        Auto::Deployed(None) => Err(format!(
            "no commit is known to be all that is deployed to {environment}"
        )),
    };
    let (sha, why) = match found {
        Ok(found) => found,
        Err(why) => return Ok(everything(why)),
    };
    if let Err(error) = git.fetch_commit(&sha, run.path()) {
        let why = format!("{why} cannot be had: {error:#}");
        tracing::warn!("everything counts as changed: {why}");
        return Ok(everything(why));
    }
    Ok(Since {
        revision: Some(sha),
        why: Some(why),
    })
}

/// The revision that everything is deployed as once a run that was narrowed like this has ended well; `None` where that
/// cannot be said. `before` is what was applied before it, as read under the lease.
pub(super) fn left_by(
    run: &Run,
    tree: &Tree,
    narrow: &Narrow,
    before: &Applied,
    orchestrator: &dyn Orchestrator,
) -> Option<Revision> {
    let since = narrow
        .since
        .as_ref()
        .and_then(|since| since.revision.as_deref());
    let server = orchestrator.subject();
    let from_there = |since: &str| {
        let recorded = before.revision.as_ref();
        recorded.is_some_and(|one| one.server == server && one.commit == since)
    };
    if !narrow.projects.is_empty() || !since.is_none_or(from_there) {
        return None;
    }
    let commit = match (tree.commit(), &run.git) {
        (Some(commit), _) => commit,
        (None, Some(git)) => {
            let head = git.head().ok().flatten()?.sha;
            let changes = git.changes(&head, tree, run.path()).ok()?;
            if !changes.paths.is_empty() {
                tracing::debug!(
                    "the work tree is not {head}, which is not written down as deployed"
                );
                return None;
            }
            head
        }
        (None, None) => return None,
    };
    Some(Revision { commit, server })
}

/// The commit that the event of this run is about, by all its digits, and what it is; or why there is none. Both are
/// lower-case fragments. The clone may be missing the commit.
pub(super) fn of_event(
    option: &str,
    run: &Run,
    git: &Git,
) -> anyhow::Result<Result<(String, String), String>> {
    let github = run.config.github.as_ref();
    let named = github.and_then(|github| Some((github, github.event_name.as_deref()?)));
    let Some((github, name)) = named else {
        bail!(
            "`{option} {AUTO}` goes by the event of a GitHub Actions run, and GITHUB_ACTIONS or GITHUB_EVENT_NAME is not set; \
             name a revision, such as `{option} origin/main`"
        );
    };
    let payload: Value = match &github.event_path {
        None => Value::Null,
        Some(path) => {
            let reading = || format!("read the event at {} (GITHUB_EVENT_PATH)", path.display());
            let text = std::fs::read(path).with_context(reading)?;
            serde_json::from_slice(&text).with_context(reading)?
        }
    };
    let base = event::base(&Event {
        name,
        payload: &payload,
        sha: github.sha.as_deref(),
    });
    let (sha, why) = match base {
        Base::Everything { why } => return Ok(Err(why)),
        Base::Revision { sha, why } => (Some(sha), why),
        Base::Parent { of, otherwise, why } => {
            let head = git.head()?.map(|head| head.sha);
            let parent = if head.as_ref() == Some(&of) {
                git.first_parent(&of)
            } else {
                None
            };
            (parent.or(otherwise), why)
        }
    };
    Ok(match sha {
        Some(sha) => Ok((sha, why)),
        None => Err(format!("{why} is not known")),
    })
}
