//! Compares what two revisions declare, without a server: `plan --against REF`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::parts::{complete, is_of_parts};
use super::{Options, Plan, diff_withholding, is_readable};
use crate::model::{Applied, AppliedDeployment, Desired, Live, LiveDeployment, ReleaseRef};

/// The plan from `before` to `after`, as if `before` were deployed everywhere and completely.
///
/// Nothing is drift, nothing needs a work pool to exist, and what `after` declares no more is an orphan. Where `after` is
/// narrowed, so is the plan; as nothing comes of it, it has removals too.
pub fn compare(before: &Desired, after: &Desired, options: &Options) -> Plan {
    let mut live = Live::default();
    for project in &before.projects {
        for deployment in &project.deployments {
            let mut fields = deployment.fields.clone();
            for (field, value) in &mut fields {
                if is_of_parts(*field) {
                    complete(*field, value, None);
                }
            }
            let one = LiveDeployment {
                handle: String::new(),
                fields,
                owner: Some(options.owner(&project.path)),
            };
            live.deployments
                .insert(deployment.id.clone(), Arc::new(one));
        }
    }
    let uploaded: BTreeSet<ReleaseRef> = before
        .projects
        .iter()
        .map(|project| project.release.clone())
        .collect();
    let applied = as_applied(before);
    // Nobody was asked what is registered.
    let (mut plan, _) = diff_withholding(after, &live, &applied, &uploaded, options);
    plan.prune = options.prune && is_readable(after);
    // A project that cannot be read at `before` has no past to compare with; its faults are not this change's.
    let unknown: BTreeSet<_> = before
        .projects
        .iter()
        .filter(|one| one.faulty || one.unread)
        .map(|one| &one.path)
        .collect();
    plan.orphans
        .retain(|orphan| !unknown.contains(&orphan.project));
    plan
}

/// What was declared counts as applied, so that a field that git lets go of shows as reset.
fn as_applied(desired: &Desired) -> Applied {
    let deployments = desired.projects.iter().flat_map(|project| {
        project.deployments.iter().map(|deployment| {
            let applied = AppliedDeployment::of(
                project.path.clone(),
                project.release.digest,
                &deployment.fields,
                deployment.hidden.keys().cloned().collect(),
            );
            (deployment.id.clone(), applied)
        })
    });
    Applied {
        deployments: deployments.collect(),
        ..Applied::default()
    }
}
