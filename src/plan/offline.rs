//! Compares what two revisions declare, without a server: `plan --against REF`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Options, Plan, diff};
use crate::model::{Applied, Desired, Live, LiveDeployment, Owner, ReleaseRef};

/// The plan from `before` to `after`, as if `before` were deployed everywhere and completely.
///
/// Nothing is drift, nothing needs a work pool to exist, and what `after` declares no more is an orphan.
pub fn compare(before: &Desired, after: &Desired, options: &Options) -> Plan {
    let mut live = Live::default();
    for project in &before.projects {
        for deployment in &project.deployments {
            let owner = Owner {
                repository: options.repository.clone(),
                environment: options.environment.clone(),
                project: project.path.clone(),
            };
            let mut fields = deployment.fields.clone();
            if let Some(schedules) = fields.get_mut(&crate::model::Field::Schedules) {
                super::complete_schedules(schedules, None);
            }
            live.deployments.insert(
                deployment.id.clone(),
                LiveDeployment {
                    handle: String::new(),
                    fields,
                    owner: Some(owner),
                },
            );
        }
    }
    let complete: BTreeSet<ReleaseRef> = before
        .projects
        .iter()
        .map(|project| project.release.clone())
        .collect();
    // What was declared counts as applied, so that a field that git lets go of shows as reset.
    let applied = as_applied(before, &live);
    let mut plan = diff(after, &live, &applied, &complete, options);
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

fn as_applied(desired: &Desired, live: &Live) -> Applied {
    let mut applied = Applied::default();
    for project in &desired.projects {
        for deployment in &project.deployments {
            let Some(live) = live.deployments.get(&deployment.id) else {
                continue;
            };
            let fields: BTreeMap<_, _> = live
                .fields
                .iter()
                .map(|(field, value)| (*field, crate::model::fingerprint(value)))
                .collect();
            applied.deployments.insert(
                deployment.id.clone(),
                crate::model::AppliedDeployment {
                    project: project.path.clone(),
                    release: project.release.digest,
                    fields,
                },
            );
        }
    }
    applied
}
