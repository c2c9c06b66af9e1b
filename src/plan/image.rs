//! What happens to the images that deployments need.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Options, ProjectPlan};
use crate::model::{
    Applied, Builder, DeploymentId, Desired, Digest, Field, Image, ImageState, Inputs, Place,
    Recipe, RepoPath,
};

/// One image of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePlan {
    /// Its keys among [`Desired::images`]: several where several places declare what comes to the same; never empty. It is
    /// made as the first one declares it, with the tags of all.
    pub keys: Vec<String>,
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
    for need in needs(desired, options) {
        let deployments: Vec<DeploymentId> = need.users.into_iter().collect();
        let moves = |id: &DeploymentId| match actions.get(id) {
            Some((Action::Create, _)) => true,
            Some((_, moves)) => *moves,
            None => false,
        };
        let action = match need.state.found {
            None => ImageAction::Build {
                reason: reason(&need.state.inputs, &deployments, applied),
            },
            Some(_) if deployments.iter().any(moves) => ImageAction::Reuse,
            Some(_) => ImageAction::Keep,
        };
        let named = matches!(need.image.recipe, Recipe::Named);
        plans.push(ImagePlan {
            keys: need.keys,
            repository: need.image.shown.clone(),
            tag: (!named).then(|| need.state.tag()),
            digest: need.state.found,
            builder: (!named).then_some(need.image.builder),
            action,
            deployments,
            project: need.project.clone(),
            place: need.image.place.clone(),
        });
    }
    plans
}

/// An image, and what needs it.
struct Need<'a> {
    keys: Vec<String>,
    image: &'a Image,
    state: &'a ImageState,
    project: &'a RepoPath,
    users: BTreeSet<DeploymentId>,
}

/// The images that are needed and of which something is known, by the first projects that need them. What is declared in
/// several places with the same inputs, such as equal requirements in many folders, is one.
fn needs<'a>(desired: &'a Desired, options: &'a Options) -> Vec<Need<'a>> {
    let mut needed: Vec<_> = desired.needed_images().into_iter().collect();
    needed.sort_by_key(|(key, users)| (users.first().map(|(project, _)| &project.path), *key));
    let mut needs: Vec<Need<'_>> = Vec::new();
    let mut places: BTreeMap<(&str, Builder, Digest), usize> = BTreeMap::new();
    for (key, users) in needed {
        let (Some(image), Some(state), Some((first, _))) = (
            desired.images.get(key),
            options.images.get(key),
            users.first(),
        ) else {
            continue;
        };
        let ids = users.iter().map(|(_, one)| one.id.clone());
        let name = (image.repository.as_str(), image.builder, state.tag());
        match places.entry(name) {
            Entry::Occupied(at) => {
                let need = &mut needs[*at.get()];
                need.keys.push(key.to_owned());
                need.users.extend(ids);
            }
            Entry::Vacant(place) => {
                place.insert(needs.len());
                needs.push(Need {
                    keys: vec![key.to_owned()],
                    image,
                    state,
                    project: &first.path,
                    users: ids.collect(),
                });
            }
        }
    }
    needs
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
