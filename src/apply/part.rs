//! What there is to do in a part of a plan.

use std::collections::BTreeSet;

use super::{Item, image};
use crate::model::{DeploymentId, RepoPath};
use crate::plan::{Action, ImageAction, Part, Plan, Upload};

/// The items of a part, each with its project, in the order of [`Outcome`](super::Outcome)s: images, then releases and
/// registrations by project, then removals.
pub fn items(plan: &Plan, part: &Part) -> Vec<(RepoPath, Item)> {
    let deployments: BTreeSet<&DeploymentId> = part.deployments.iter().collect();
    let projects: BTreeSet<&RepoPath> = part.projects.iter().collect();
    let removals: BTreeSet<&DeploymentId> = part.removals.iter().collect();
    let mut items = Vec::new();
    for image in &plan.images {
        let made = matches!(image.action, ImageAction::Build { .. });
        if made && image.deployments.iter().any(|id| deployments.contains(id)) {
            items.push((image.project.clone(), Item::Image(image::name(image))));
        }
    }
    for project in plan
        .projects
        .iter()
        .filter(|one| projects.contains(&one.path))
    {
        let mut add = |item| items.push((project.path.clone(), item));
        if project.upload != Upload::Nothing {
            add(Item::Release(project.release.clone()));
        }
        for change in project
            .changes
            .iter()
            .filter(|one| one.action != Action::Keep)
        {
            add(Item::Registration(change.id.clone()));
        }
    }
    for orphan in plan.orphans.iter().filter(|one| removals.contains(&one.id)) {
        items.push((orphan.project.clone(), Item::Removal(orphan.id.clone())));
    }
    items
}
