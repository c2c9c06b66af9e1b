//! Carries out a plan: images first ([`images`]), then releases, each with its manifest last, then registrations, then
//! removals ([`execute`]).
//!
//! A deployment is registered as soon as its project's release is complete; a failed image or release skips exactly the
//! deployments that need it. Nothing is removed when anything failed. Killed at any point, what is there is either
//! complete or invisible, and the next run goes on from it.

mod image;
mod part;
mod release;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt as _;
use tokio::sync::Semaphore;

use crate::backend::{self, Content, Orchestrator, Store};
use crate::model::{
    Applied, CodeTree, DeploymentId, LiveDeployment, Registration, ReleaseRef, RepoPath,
};
use crate::plan::{Change, ImagePlan, Plan, ProjectPlan, Upload};

pub use image::{Built, Images, images};
pub use part::items;

/// Registrations under way at the same time, which is what a stop has to wait for: as many writes as a server is sent at
/// the most, so that none of them waits for others after it was found that it may begin.
const REGISTRATIONS: usize = 4;

/// One thing that a plan does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// An image is made; its repository, and the first digits of its tag.
    Image(String),
    /// A release becomes complete.
    Release(ReleaseRef),
    /// A deployment is registered.
    Registration(DeploymentId),
    /// A deployment is removed.
    Removal(DeploymentId),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is done.
    Done,
    /// It failed, and why.
    Failed {
        /// The chain of causes, in one line.
        message: String,
        /// What to do about it, where the service told.
        hint: Option<String>,
    },
    /// It was not tried, and why.
    Skipped {
        /// A fragment: "its release failed".
        reason: String,
    },
}

/// One item and what came of it; in plan order, however the work was interleaved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The project that it belongs to.
    pub project: RepoPath,
    /// What.
    pub item: Item,
    /// How it went.
    pub status: Status,
    /// A link for people to the deployment, where the orchestrator has a UI.
    pub link: Option<String>,
}

/// What happens while a plan is carried out, for progress only; reports are made from the [`Outcome`]s.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// It begins; how much there is to do.
    Begin {
        /// Bytes of all releases to upload, including those that turn out to be there.
        bytes: u64,
        /// Files likewise.
        files: usize,
        /// Registrations and removals.
        writes: usize,
    },
    /// An image is being made.
    Building(&'a ImagePlan),
    /// A file is in the store.
    Stored {
        /// Its length.
        bytes: u64,
        /// Whether its bytes went over the wire; otherwise it was there, or the store copied it.
        sent: bool,
    },
    /// An item is over.
    Over(&'a Outcome),
    /// Everything is.
    End,
}

/// Somebody who wants to see progress.
pub trait Observer: Send + Sync {
    /// Called from many tasks at once; must be quick.
    fn on(&self, event: &Event<'_>);
}

/// What the work needs beside the plan.
pub struct Work<'a> {
    /// The code of every project, by its path.
    pub code: BTreeMap<&'a RepoPath, &'a CodeTree>,
    /// What was last applied, to find earlier releases to copy from.
    pub applied: &'a Applied,
    /// Gives the content of a file by its path in the repository.
    pub content: &'a (dyn Fn(&RepoPath) -> anyhow::Result<Content> + Sync),
    /// Where releases go.
    pub store: &'a dyn Store,
    /// Where registrations go.
    pub orchestrator: &'a dyn Orchestrator,
    /// Uploads in flight at the most.
    pub jobs: usize,
    /// The deployments that are not registered, because an image of theirs was not made; and why.
    pub blocked: &'a BTreeMap<DeploymentId, String>,
    /// Once true, nothing further is begun: the lease was lost, or the user pressed Ctrl-C.
    pub stop: &'a AtomicBool,
}

/// Carries out `plan`.
pub async fn execute(plan: &Plan, work: &Work<'_>, observer: &dyn Observer) -> Vec<Outcome> {
    let counts = plan.counts();
    observer.on(&Event::Begin {
        bytes: counts.bytes,
        files: counts.files,
        writes: counts.create + counts.update + counts.remove,
    });
    let slots = Slots {
        uploads: Semaphore::new(work.jobs.max(1)),
        registrations: Semaphore::new(REGISTRATIONS),
    };
    let mut by_project: Vec<(usize, Vec<Outcome>)> =
        futures::stream::iter(plan.projects.iter().enumerate())
            .map(|(at, project)| {
                let slots = &slots;
                async move { (at, one_project(project, work, slots, observer).await) }
            })
            .buffer_unordered(work.jobs.max(1))
            .collect()
            .await;
    by_project.sort_by_key(|(at, _)| *at);
    let mut outcomes: Vec<Outcome> = by_project
        .into_iter()
        .flat_map(|(_, outcomes)| outcomes)
        .collect();

    if plan.prune {
        let sound = work.blocked.is_empty()
            && outcomes
                .iter()
                .all(|outcome| outcome.status == Status::Done);
        for orphan in &plan.orphans {
            let status = if !sound {
                skipped("something else failed; nothing is removed then")
            } else if work.stop.load(Ordering::Relaxed) {
                skipped("the deploy was stopped")
            } else {
                status_of(work.orchestrator.remove(&orphan.id, &orphan.live).await)
            };
            let item = Item::Removal(orphan.id.clone());
            let outcome = Outcome {
                project: orphan.project.clone(),
                item,
                status,
                link: None,
            };
            observer.on(&Event::Over(&outcome));
            outcomes.push(outcome);
        }
    }
    observer.on(&Event::End);
    outcomes
}

/// What there is for all projects together.
struct Slots {
    uploads: Semaphore,
    registrations: Semaphore,
}

async fn one_project(
    project: &ProjectPlan,
    work: &Work<'_>,
    slots: &Slots,
    observer: &dyn Observer,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let over = |item, status, link| {
        let outcome = Outcome {
            project: project.path.clone(),
            item,
            status,
            link,
        };
        observer.on(&Event::Over(&outcome));
        outcome
    };
    let mut blocked = None;
    if project.upload != Upload::Nothing {
        let status = if work.stop.load(Ordering::Relaxed) {
            skipped("the deploy was stopped")
        } else {
            match release::upload(project, work, &slots.uploads, observer).await {
                Ok(()) => Status::Done,
                Err(error) => failed(&error),
            }
        };
        if status != Status::Done {
            blocked = Some("its release is not complete");
        }
        outcomes.push(over(Item::Release(project.release.clone()), status, None));
    }
    let registrations = project
        .changes
        .iter()
        .filter_map(|change| Some((change, change.registration.as_ref()?)));
    let registrations: Vec<Outcome> = futures::stream::iter(registrations)
        .map(|(change, registration)| async move {
            let (status, link) = match blocked {
                Some(reason) => (skipped(reason), None),
                None if work.blocked.contains_key(&change.id) => {
                    (skipped(&work.blocked[&change.id]), None)
                }
                None => register(registration, change, work, &slots.registrations).await,
            };
            over(Item::Registration(change.id.clone()), status, link)
        })
        // More than may begin: one that is over waits here for those before it.
        .buffered(2 * REGISTRATIONS)
        .collect()
        .await;
    outcomes.extend(registrations);
    outcomes
}

async fn register(
    registration: &Registration,
    change: &Change,
    work: &Work<'_>,
    slots: &Semaphore,
) -> (Status, Option<String>) {
    let _slot = slots.acquire().await.expect("nobody closes it");
    if work.stop.load(Ordering::Relaxed) {
        return (skipped("the deploy was stopped"), None);
    }
    let live = change.live.as_deref();
    match work
        .orchestrator
        .register(registration, live, &change.changed)
        .await
    {
        Ok(handle) => {
            let live = LiveDeployment {
                handle,
                fields: registration.fields.clone(),
                owner: Some(registration.owner.clone()),
            };
            (Status::Done, work.orchestrator.link(&live))
        }
        Err(error) => (status_of(Err(error)), None),
    }
}

fn status_of(result: backend::Result<()>) -> Status {
    match result {
        Ok(()) => Status::Done,
        Err(error) => Status::Failed {
            message: error.to_string(),
            hint: error.hint,
        },
    }
}

fn failed(error: &anyhow::Error) -> Status {
    let hint = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<backend::Error>()?.hint.clone());
    Status::Failed {
        message: format!("{error:#}"),
        hint,
    }
}

fn skipped(reason: &str) -> Status {
    Status::Skipped {
        reason: reason.to_owned(),
    }
}
