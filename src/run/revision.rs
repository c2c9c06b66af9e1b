//! Which revision `auto` stands for, and which one a deploy leaves behind.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::Run;
use super::comparison::Comparison;
use super::narrow::{self, AUTO, Narrow, everything};
use crate::backend::Orchestrator;
use crate::cli;
use crate::connect::Backends;
use crate::discover::event::{self, Base, Event};
use crate::discover::{self, Git, Login, Scope, Tree};
use crate::error::Failure;
use crate::model::{DeploymentId, Desired, RepoPath, Revision, Since};
use crate::state;

/// What `--since auto` goes by.
pub(super) enum Auto {
    /// The event of the run.
    Event,
    /// The same, for a preview; with the projects that it holds already, whatever is compared with.
    Preview(BTreeMap<DeploymentId, RepoPath>),
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
        let preview = run.config.preview && options.since.is_some();
        if !preview && (options.since.as_deref() != Some(AUTO) || plan && proposed) {
            return Ok(Self::Event);
        }
        // The caller fails without them, once it has told the faults of files.
        let Ok(backends) = backends else {
            return Ok(if preview {
                Self::Event
            } else {
                Self::Deployed(None)
            });
        };
        let environment = &run.config.environment;
        if preview {
            let loaded = state::load(&*backends.store, environment).await;
            let (applied, _) = loaded.map_err(Failure::Unreachable)?;
            let held = applied.remembered();
            let held = held.map(|(id, one)| (id.clone(), one.project.clone()));
            return Ok(Self::Preview(held.collect()));
        }
        let (repository, root) = (run.repository(), run.root_in_git());
        let loaded = state::revision(&*backends.store, environment, &repository, &root).await;
        let revision = loaded.map_err(Failure::Unreachable)?;
        let server = backends.orchestrator.subject();
        let revision = revision.filter(|revision| revision.server == server);
        Ok(Self::Deployed(revision.map(|revision| revision.commit)))
    }
}

/// The revision that `--since auto` stands for; everything counts where there is none, or it cannot be had.
pub(super) fn automatic(run: &Run, git: &Git, auto: Auto) -> anyhow::Result<Since> {
    let environment = &run.config.environment;
    let found = match auto {
        Auto::Event | Auto::Preview(_) => of_event("--since", run, git)?,
        Auto::Deployed(Some(commit)) => Ok((commit, format!("deployed to {environment}"))),
        Auto::Deployed(None) => Err(format!(
            "no commit is known to be all that is deployed to {environment}"
        )),
    };
    let (sha, why) = match found {
        Ok(found) => found,
        Err(why) => {
            tracing::info!("everything counts as changed: {why}");
            return Ok(everything(why));
        }
    };
    if let Err(error) = fetch(run, git, &sha) {
        let why = format!("{why} cannot be had: {error:#}");
        tracing::warn!("everything counts as changed: {why}");
        return Ok(everything(why));
    }
    Ok(Since {
        revision: Some(sha),
        why: Some(why),
    })
}

/// Fetches a commit that a clone is missing, with the job's token where the remote gives it to nobody else.
pub(super) fn fetch(run: &Run, git: &Git, sha: &str) -> anyhow::Result<()> {
    let login = run.config.github.as_ref().and_then(|job| {
        Some(Login {
            server: &job.server_url,
            token: job.token.as_ref()?,
        })
    });
    git.fetch_commit(sha, run.path(), login)
}

/// The revision that everything is deployed as once a run that was narrowed like this, and that compared `now` under the
/// lease, has ended well; `None` where that cannot be said.
pub(super) fn left_by(
    run: &Run,
    tree: &Tree,
    narrow: &Narrow,
    now: &Comparison,
    orchestrator: &dyn Orchestrator,
) -> Option<Revision> {
    let since = narrow
        .since
        .as_ref()
        .and_then(|since| since.revision.as_deref());
    let server = orchestrator.subject();
    let (repository, root) = (run.repository(), run.root_in_git());
    let from_there = |since: &str| {
        let recorded = now.observed.applied.revision(&repository, &root);
        recorded.is_some_and(|one| one.server == server && one.commit == since)
    };
    let whole = narrow.projects.is_empty() && run.config.projects.narrowed_by().is_none();
    if !whole || !since.is_none_or(from_there) {
        return None;
    }
    // A release may need what is there, also where no project is let in.
    let scope = Scope::new(&[], &run.config.projects.exclude).unwrap_or_default();
    if let Some(folder) = discover::absent(tree, &scope).keys().next() {
        let why = format!("{folder} is neither checked out nor left out by `exclude`");
        return unknown(narrow, &why);
    }
    let commit = match (tree.commit(), &run.git) {
        (Some(commit), _) => commit,
        (None, Some(git)) => match work_is(run, git, tree, since, &now.desired) {
            Ok(Ok(commit)) => commit,
            Ok(Err(why)) => return unknown(narrow, &why),
            Err(error) => return unknown(narrow, &format!("{error:#}")),
        },
        (None, None) => return None,
    };
    Some(Revision {
        commit,
        server,
        repository,
        root,
    })
}

/// Says why no commit is written down: to those who narrow by it aloud, as their next run compares everything.
fn unknown(narrow: &Narrow, why: &str) -> Option<Revision> {
    let what = format!("no commit is written down as deployed: {why}");
    match narrow.since {
        Some(_) => tracing::warn!("{what}; the next `--since {AUTO}` compares everything"),
        None => tracing::info!("{what}"),
    }
    None
}

/// The commit whose files the work tree deploys, or why it is none's: a file of the commit is another one, or one beside
/// it reaches a project. Others, such as a saved plan or credentials of the job, are nothing that is deployed.
fn work_is(
    run: &Run,
    git: &Git,
    tree: &Tree,
    since: Option<&str>,
    desired: &Desired,
) -> anyhow::Result<Result<String, String>> {
    let Some(head) = git.head()? else {
        return Ok(Err("there is no commit yet".to_owned()));
    };
    let changes = git.changes(&head.sha, tree, run.path())?;
    let short = head.short();
    if let Some(path) = changes.before.first() {
        return Ok(Err(format!("{path} is not as it is in {short}")));
    }
    // What `desired` was narrowed to holds whatever such a file reaches, if it is new since that revision too.
    if let Some(since) = since
        && !changes.paths.is_empty()
    {
        let new = git.changes(since, tree, run.path())?.paths;
        if let Some(path) = changes.paths.difference(&new).next() {
            return Ok(Err(format!("{path} is not in {short}")));
        }
    }
    let reached = narrow::reached(desired, &changes, run, tree)?;
    let projects = desired.projects.iter().zip(reached);
    let mut reached = projects.filter_map(|(project, reach)| Some((&project.path, reach?)));
    Ok(match reached.next() {
        Some((project, _)) => Err(format!("{project} holds or needs what is not in {short}")),
        None => Ok(head.sha),
    })
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
