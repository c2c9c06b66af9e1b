//! What is registered and declared nowhere any more.

use std::collections::{BTreeMap, BTreeSet};

use super::{Options, Orphan};
use crate::model::{Absent, DeploymentId, Desired, Diagnostic, Live, Place, Project, RepoPath};

/// Whether it is known of every project what git declares.
pub(super) fn is_readable(desired: &Desired) -> bool {
    let unread = |project: &Project| project.faulty || project.unread;
    // What is not checked out may hold anything, such as what a deployment was moved to.
    desired.absent.is_empty() && !desired.projects.iter().any(unread)
}

/// What is registered as ours and declared nowhere, and why more than that is left alone.
pub(super) fn orphans(
    desired: &Desired,
    live: &Live,
    options: &Options,
) -> (Vec<Orphan>, Vec<Diagnostic>) {
    let declared: BTreeSet<&DeploymentId> = desired
        .projects
        .iter()
        .flat_map(|project| &project.deployments)
        .map(|deployment| &deployment.id)
        .chain(desired.left_out.iter().flat_map(|one| &one.declared))
        .collect();
    // What a faulty project declares is not known, so nothing of it counts as gone.
    let faulty: BTreeMap<&RepoPath, bool> = desired
        .projects
        .iter()
        .map(|project| (&project.path, project.faulty || project.unread))
        .collect();
    let mut absent: BTreeMap<Absent, BTreeMap<RepoPath, usize>> = BTreeMap::new();
    let mut orphans = Vec::new();
    for (id, deployment) in &live.deployments {
        let counts = options
            .removals
            .as_ref()
            .is_none_or(|some| some.contains(id));
        let owner = deployment.owner.as_ref().filter(|_| counts);
        let Some(project) = owner.and_then(|owner| options.project_of(owner)) else {
            continue;
        };
        let unknown = faulty.get(&project).copied().unwrap_or(false);
        if declared.contains(id) || unknown || options.hides || !desired.means(&project) {
            continue;
        }
        if let Some(why) = desired.absence(&project) {
            *absent.entry(why).or_default().entry(project).or_default() += 1;
            continue;
        }
        orphans.push(Orphan {
            id: id.clone(),
            project,
            live: deployment.clone(),
        });
    }
    let withheld = absent
        .iter()
        .map(|(why, projects)| withheld(*why, projects));
    (orphans, withheld.collect())
}

/// Says of how many deployments, by their projects, it is not known whether they are gone. A sparse checkout of a large
/// repository may lack thousands.
fn withheld(why: Absent, projects: &BTreeMap<RepoPath, usize>) -> Diagnostic {
    let count: usize = projects.values().sum();
    let mut paths = projects.keys();
    let (place, what, whose) = match (paths.next(), paths.next()) {
        (Some(project), None) if count == 1 => {
            let what = "a deployment is registered for it".to_owned();
            (project.clone(), what, "it")
        }
        (Some(project), None) => {
            let what = format!("{count} deployments are registered for it");
            (project.clone(), what, "it")
        }
        _ => {
            let projects = projects.len();
            let what = format!("{count} deployments of {projects} projects are registered");
            (RepoPath::root(), what, "them")
        }
    };
    let message = format!("{what} and left alone: not all that git has of {whose} is checked out");
    Diagnostic::warning(Place::file(place), message).hint(why.hint())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::model::{Applied, LeftOut, LiveDeployment, Owner};
    use crate::plan::tests::declares;
    use crate::plan::{Plan, diff};

    /// The project `p` declares `f/d`; `f/gone` and `f/moved` are registered for the projects `old` and `p`, and declared no
    /// more.
    fn plan(change: impl FnOnce(&mut Desired)) -> Plan {
        let mut desired = declares(&[]);
        let mut live = Live::default();
        for (name, project) in [("d", "p"), ("gone", "old"), ("moved", "p")] {
            let one = LiveDeployment {
                owner: Some(Owner {
                    repository: "acme/flows".into(),
                    environment: "prod".into(),
                    project: RepoPath::new(project),
                }),
                ..LiveDeployment::default()
            };
            live.deployments.insert(id(name), Arc::new(one));
        }
        change(&mut desired);
        let options = Options {
            repository: "acme/flows".into(),
            environment: "prod".into(),
            prune: true,
            ..Options::default()
        };
        let applied = Applied::default();
        diff(&desired, &live, &applied, &BTreeSet::new(), &options)
    }

    fn id(name: &str) -> DeploymentId {
        DeploymentId {
            flow: "f".into(),
            name: name.into(),
        }
    }

    fn names(plan: &Plan) -> Vec<&str> {
        let orphans = plan.orphans.iter();
        orphans.map(|one| one.id.name.as_str()).collect()
    }

    #[test]
    fn a_narrowed_plan_has_what_it_is_narrowed_to_and_removes_nothing() {
        let narrowed = |keeps: bool, elsewhere: &[&str], gone: Option<&[&str]>| {
            plan(|desired| {
                if !keeps {
                    desired.projects.clear();
                }
                let gone = gone.map(|gone| gone.iter().map(|path| RepoPath::new(*path)).collect());
                desired.left_out = Some(LeftOut {
                    declared: elsewhere.iter().map(|name| id(name)).collect(),
                    gone,
                });
            })
        };
        for (keeps, elsewhere, gone, expected) in [
            (true, &[][..], Some(&["other"][..]), vec!["moved"]),
            (true, &["moved"], Some(&["other"]), vec![]),
            (true, &[], Some(&["old"]), vec!["gone", "moved"]),
            (true, &[], None, vec!["gone", "moved"]),
            (false, &["d"], Some(&["old"]), vec!["gone"]),
            (false, &["d", "moved"], None, vec!["gone"]),
        ] {
            let plan = narrowed(keeps, elsewhere, gone);
            assert_eq!(names(&plan), expected, "{keeps} {elsewhere:?} {gone:?}");
            assert!(!plan.prune && plan.counts().remove == 0);
        }
    }

    #[test]
    fn what_is_not_checked_out_may_declare_it() {
        for (path, why, expected, prunes) in [
            ("old/flows", Absent::Sparse, vec!["moved"], false),
            ("older", Absent::Sparse, vec!["gone", "moved"], false),
            ("old", Absent::Submodule, vec!["moved"], false),
            ("p/vendor", Absent::Submodule, vec!["gone"], false),
            ("older", Absent::Submodule, vec!["gone", "moved"], false),
        ] {
            let plan = plan(|desired| {
                desired.absent.insert(RepoPath::new(path), why);
            });
            assert_eq!((names(&plan), plan.prune), (expected, prunes), "{path}");
            let told = plan.diagnostics.iter().map(|one| one.place.path.as_str());
            let expected = match path {
                "older" => None,
                "p/vendor" => Some("p"),
                _ => Some("old"),
            };
            assert_eq!(told.collect::<Vec<_>>(), Vec::from_iter(expected));
        }
    }
}
