//! Makes the images of a plan, before anything else is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt as _;

use super::{Event, Item, Observer, Outcome, Status, skipped, status_of};
use crate::backend::{self, BuildLog, Files};
use crate::model::{DeploymentId, Desired, Digest, ImageState};
use crate::plan::{ImageAction, ImagePlan, Plan};

/// What making images needs beside the plan.
pub struct Images<'a> {
    /// The images as they are declared.
    pub desired: &'a Desired,
    /// Their pinned inputs, by their keys.
    pub states: &'a BTreeMap<String, ImageState>,
    /// What makes and keeps them.
    pub backend: &'a dyn backend::Images,
    /// The files that go into them.
    pub files: &'a dyn Files,
    /// Where what a build prints goes.
    pub log: &'a (dyn Fn(&ImagePlan) -> Box<dyn BuildLog> + Sync),
    /// Builds at the same time, at the most.
    pub jobs: usize,
    /// Once true, no further build is begun.
    pub stop: &'a AtomicBool,
}

/// What came of the images of a plan.
#[derive(Debug, Default)]
pub struct Built {
    /// One for each image that was to be made, in plan order.
    pub outcomes: Vec<Outcome>,
    /// The digests of those that were made, by their keys.
    pub digests: BTreeMap<String, Digest>,
    /// The deployments that have to wait for an image, and why.
    pub blocked: BTreeMap<DeploymentId, String>,
}

/// Makes every image that the plan has to be made.
pub async fn images(plan: &Plan, work: &Images<'_>, observer: &dyn Observer) -> Built {
    let to_make = plan
        .images
        .iter()
        .filter(|image| matches!(image.action, ImageAction::Build { .. }))
        .enumerate();
    // One that takes long keeps no other waiting.
    let mut made: Vec<_> = futures::stream::iter(to_make)
        .map(|(at, image)| async move {
            let (status, digest) = if work.stop.load(Ordering::Relaxed) {
                (skipped("the deploy was stopped"), None)
            } else {
                observer.on(&Event::Building(image));
                match one(image, work).await {
                    Ok(digest) => (Status::Done, Some(digest)),
                    Err(error) => (status_of(Err(error)), None),
                }
            };
            let outcome = Outcome {
                project: image.project.clone(),
                item: Item::Image(name(image)),
                status,
                link: None,
            };
            observer.on(&Event::Over(&outcome));
            (at, image, outcome, digest)
        })
        .buffer_unordered(work.jobs.max(1))
        .collect()
        .await;
    made.sort_unstable_by_key(|(at, ..)| *at);
    let mut built = Built::default();
    for (_, image, outcome, digest) in made {
        match digest {
            Some(digest) => {
                let keys = image.keys.iter().cloned();
                built.digests.extend(keys.map(|key| (key, digest)));
            }
            None => {
                let reason = match outcome.status {
                    Status::Failed { .. } => format!("its image {} was not made", name(image)),
                    _ => "the deploy was stopped".to_owned(),
                };
                for id in &image.deployments {
                    built.blocked.insert(id.clone(), reason.clone());
                }
            }
        }
        built.outcomes.push(outcome);
    }
    built
}

async fn one(image: &ImagePlan, work: &Images<'_>) -> backend::Result<Digest> {
    let declared = |key: &String| work.desired.images.get(key);
    let found = image.keys.first().and_then(|key| {
        let tags = image.keys.iter().filter_map(declared);
        let tags: BTreeSet<&String> = tags.flat_map(|one| &one.tags).collect();
        let mut whole = declared(key)?.clone();
        whole.tags = tags.into_iter().cloned().collect();
        Some((whole, work.states.get(key)?))
    });
    let Some((declared, state)) = found else {
        let message = format!("the image {} is not declared", image.repository);
        return Err(backend::Error::new(
            backend::Kind::Other,
            work.backend.subject(),
            message,
        ));
    };
    let log = (work.log)(image);
    work.backend
        .build(&declared, &state.pinned, work.files, &*log)
        .await
}

/// `registry.example.org/acme/flows:3f2a91c04b7e`, for people.
pub(super) fn name(image: &ImagePlan) -> String {
    match &image.tag {
        Some(tag) => format!("{}:{}", image.repository, tag.short()),
        None => image.repository.clone(),
    }
}
