//! What happens to the images that deployments need.

use std::collections::BTreeMap;

use super::{Action, Options, ProjectPlan};
use crate::model::{
    Applied, Builder, DeploymentId, Desired, Digest, Field, ImageState, Inputs, Place, Recipe,
    RepoPath,
};

/// One image of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePlan {
    /// Its key among [`Desired::images`].
    pub key: String,
    /// The repository as people are shown it; with a tag or digest for one that is not made here.
    pub repository: String,
    /// The digest of its inputs, and so its tag; `None` where nothing is known of them, offline.
    pub tag: Option<Digest>,
    /// The digest of its manifest; `None` where it has to be made.
    pub digest: Option<Digest>,
    /// Who makes it; `None` where nobody does: it is only named.
    pub builder: Option<Builder>,
    /// Make it, or take it as it is.
    pub action: ImageAction,
    /// The deployments that need it, sorted.
    pub deployments: Vec<DeploymentId>,
    /// The first project that needs it.
    pub project: RepoPath,
    /// Where a file asks for it.
    pub place: Place,
}

/// What happens to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageAction {
    /// The registry does not have it.
    Build {
        /// Why, a fragment: `requirements and code changed`.
        reason: String,
    },
    /// The registry has it, and a deployment that needs it does not run in it yet.
    Reuse,
    /// The registry has it, and everything that needs it runs in it.
    Keep,
}

/// The images of a plan whose projects are known.
pub(super) fn plans(
    desired: &Desired,
    projects: &[ProjectPlan],
    applied: &Applied,
    options: &Options,
) -> Vec<ImagePlan> {
    let actions: BTreeMap<&DeploymentId, (Action, bool)> = projects
        .iter()
        .flat_map(|project| &project.changes)
        .map(|change| {
            let moves = change
                .fields
                .iter()
                .any(|field| field.path.starts_with(Field::JobVariables.name()));
            (&change.id, (change.action, moves))
        })
        .collect();
    let mut plans = Vec::new();
    for (key, users) in desired.needed_images() {
        let (Some(image), Some((first, _))) = (desired.images.get(key), users.first()) else {
            continue;
        };
        let state = options.images.get(key);
        let mut deployments: Vec<DeploymentId> =
            users.iter().map(|(_, one)| one.id.clone()).collect();
        deployments.sort();
        let moves = |id: &DeploymentId| match actions.get(id) {
            Some((Action::Create, _)) => true,
            Some((_, moves)) => *moves,
            None => false,
        };
        let action = match state {
            None => continue,
            Some(ImageState {
                found: None,
                inputs,
                ..
            }) => ImageAction::Build {
                reason: reason(inputs, &deployments, applied),
            },
            Some(_) if deployments.iter().any(moves) => ImageAction::Reuse,
            Some(_) => ImageAction::Keep,
        };
        let named = matches!(image.recipe, Recipe::Named);
        plans.push(ImagePlan {
            key: key.to_owned(),
            repository: image.shown.clone(),
            tag: state.filter(|_| !named).map(ImageState::tag),
            digest: state.and_then(|state| state.found),
            builder: (!named).then_some(image.builder),
            action,
            deployments,
            project: first.path.clone(),
            place: image.place.clone(),
        });
    }
    plans.sort_by(|a, b| (&a.project, &a.key).cmp(&(&b.project, &b.key)));
    plans
}

/// Why an image has to be made: what of its inputs is not as it was at the last deploy.
fn reason(inputs: &Inputs, deployments: &[DeploymentId], applied: &Applied) -> String {
    let before = deployments
        .iter()
        .filter_map(|id| Some(&applied.deployments.get(id)?.image))
        .find(|image| !image.is_empty());
    let Some(before) = before else {
        return "new".to_owned();
    };
    let now = remembered(inputs);
    let names = before.keys().chain(now.keys());
    let mut changed: Vec<&str> = names
        .filter(|name| before.get(*name) != now.get(*name))
        .map(String::as_str)
        .collect();
    changed.sort_unstable();
    changed.dedup();
    match changed.as_slice() {
        [] => "the registry does not have it any more".to_owned(),
        [one] => format!("{one} changed"),
        [most @ .., last] => format!("{} and {last} changed", most.join(", ")),
    }
}

/// What is remembered of an image's inputs.
pub(super) fn remembered(inputs: &Inputs) -> BTreeMap<String, String> {
    let short = |(name, digest): (&String, &Digest)| (name.clone(), digest.short());
    inputs.iter().map(short).collect()
}
