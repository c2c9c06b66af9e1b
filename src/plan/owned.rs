//! What is ours of what is registered.

use super::Options;
use crate::model::{Desired, Live, Owner, RepoPath};

impl Options {
    /// Our mark on what a project declares.
    pub fn owner(&self, project: &RepoPath) -> Owner {
        Owner {
            repository: self.repository.clone(),
            environment: self.environment.clone(),
            project: self.root.join(project.as_str()),
        }
    }

    /// Whether what has this mark may get ours.
    pub(super) fn may_take(&self, owner: &Owner) -> bool {
        let other = self.takes_over.as_ref();
        owner.repository == self.repository
            && (owner.environment == self.environment || Some(&owner.environment) == other)
    }

    /// The environment whose place ours takes, if something that is declared still bears its mark.
    pub fn takes_from(&self, desired: &Desired, live: &Live) -> Option<&str> {
        let other = self.takes_over.as_deref()?;
        let theirs =
            |owner: &Owner| owner.environment == other && owner.repository == self.repository;
        let projects = desired.projects.iter();
        let mut declared = projects.flat_map(|project| &project.deployments);
        declared
            .any(|one| {
                let live = live.deployments.get(&one.id);
                live.and_then(|live| live.owner.as_ref())
                    .is_some_and(theirs)
            })
            .then_some(other)
    }

    /// The project that a mark of ours names, as a path from the root; `None` where the mark is that of another repository
    /// or environment, or of what lies outside of the root.
    pub fn project_of(&self, owner: &Owner) -> Option<RepoPath> {
        let ours = owner.repository == self.repository && owner.environment == self.environment;
        let path = owner.project.below(&self.root).filter(|_| ours)?;
        Some(RepoPath::new(path))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::DeploymentId;
    use crate::model::LiveDeployment;
    use crate::plan::Orphan;
    use crate::plan::orphans::orphans;
    use crate::plan::tests::{declares, deployed, options};

    #[test]
    fn a_root_has_no_say_in_what_lies_outside_of_it() {
        let at = |root: &str| Options {
            root: RepoPath::new(root),
            ..options()
        };
        let mut live = Live::default();
        for (name, project) in [
            ("a", "team-a/p"),
            ("root of a", "team-a"),
            ("b", "team-b/p"),
            ("other", "team-ab/p"),
            ("top", "p"),
        ] {
            let one = LiveDeployment {
                owner: Some(options().owner(&RepoPath::new(project))),
                ..LiveDeployment::default()
            };
            let id = DeploymentId {
                flow: "f".to_owned(),
                name: name.to_owned(),
            };
            live.deployments.insert(id, Arc::new(one));
        }
        let gone = |root: &str| -> Vec<String> {
            let (found, _) = orphans(&Desired::default(), &live, &at(root));
            let shown = |one: &Orphan| format!("{} of {}", one.id.name, one.project);
            found.iter().map(shown).collect()
        };
        assert_eq!(gone("team-a"), ["a of p", "root of a of ."]);
        assert_eq!(gone("team-b"), ["b of p"]);
        assert_eq!(gone("team-c"), [""; 0]);
        assert_eq!(gone("").len(), 5);
        // What such a root registers has the mark of it, and is the top's own where that is deployed too.
        let desired = declares(&[]);
        let (live, _) = deployed(&desired);
        let ours = |root: &str| orphans(&Desired::default(), &live, &at(root)).0.len();
        assert_eq!([ours(""), ours("p"), ours("q")], [1, 1, 0]);
    }

    #[test]
    fn only_what_is_declared_is_taken_from_another_environment() {
        // As `prod` has it; a later environment takes its place.
        let desired = declares(&[]);
        let (live, _) = deployed(&desired);
        let later = |takes_over: Option<&str>| Options {
            environment: "later".to_owned(),
            takes_over: takes_over.map(str::to_owned),
            ..options()
        };
        let prod = later(Some("prod"));
        assert_eq!(prod.takes_from(&desired, &live), Some("prod"));
        // What is left over there, and what is not there at all.
        assert_eq!(prod.takes_from(&Desired::default(), &live), None);
        assert_eq!(prod.takes_from(&desired, &Live::default()), None);
        assert_eq!(later(Some("dev")).takes_from(&desired, &live), None);
        assert_eq!(later(None).takes_from(&desired, &live), None);
    }
}
