//! Parts of a plan, for several machines at once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Action, ImageAction, Plan, ProjectPlan, Upload};
use crate::model::{DeploymentId, RepoPath};

/// What one machine does of a plan: the images, releases and registrations of some projects, and perhaps what is removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The projects, in the order of the plan.
    pub projects: Vec<RepoPath>,
    /// Their deployments, also those that stay as they are.
    pub deployments: Vec<DeploymentId>,
    /// The keys of the images that it makes.
    pub images: Vec<String>,
    /// What it removes: all that is to be removed, or nothing.
    pub removals: Vec<DeploymentId>,
}

/// What an image to be made counts, in registrations. It takes minutes where a registration takes parts of a second.
const IMAGE: u64 = 1000;

/// What a release to be uploaded counts, and each megabyte of it beside.
const UPLOAD: u64 = 10;
const MEGABYTE: u64 = 1 << 20;

/// Projects that one machine has to take together, and how much work they are.
struct Group {
    projects: Vec<usize>,
    weight: u64,
}

/// Parts a plan into `at_most` parts of about the same weight, fewer where there is less to do; none where there is
/// nothing. The same plan always gives the same parts.
///
/// Projects that need the same image to be made are in one part, so that it is made once and nobody waits for another
/// machine. Projects of which nothing changes are in none.
pub fn parts(plan: &Plan, at_most: usize) -> Vec<Part> {
    let (mut groups, idle): (Vec<Group>, Vec<Group>) =
        groups(plan).into_iter().partition(|group| group.weight > 0);
    let removals = if plan.prune { plan.orphans.len() } else { 0 };
    let count = groups.len().max(usize::from(removals > 0)).min(at_most);
    if count == 0 {
        return Vec::new();
    }
    // The heaviest first, each to whoever has least: no part is more than a third above the best that there is.
    groups.sort_by_key(|group| (Reverse(group.weight), group.projects[0]));
    let mut shares: Vec<(u64, BTreeSet<usize>)> = vec![(0, BTreeSet::new()); count];
    for group in groups {
        let at = lightest(&shares);
        shares[at].0 += group.weight;
        shares[at].1.extend(group.projects);
    }
    let removing = lightest(&shares);
    shares[removing].0 += removals as u64;
    // Of these only our own state has to be written.
    let at = lightest(&shares);
    let forgotten = |one: &usize| {
        let mut changes = plan.projects[*one].changes.iter();
        changes.any(|change| change.remember.is_some())
    };
    let idle = idle.into_iter().flat_map(|group| group.projects);
    shares[at].1.extend(idle.filter(forgotten));

    let mut parts: Vec<Part> = shares.iter().map(|(_, one)| part(plan, one)).collect();
    if removals > 0 {
        parts[removing].removals = plan.orphans.iter().map(|one| one.id.clone()).collect();
    }
    parts
}

fn lightest(shares: &[(u64, BTreeSet<usize>)]) -> usize {
    let weights = shares.iter().enumerate().map(|(at, share)| (share.0, at));
    weights.min().map_or(0, |(_, at)| at)
}

fn part(plan: &Plan, projects: &BTreeSet<usize>) -> Part {
    let projects = || projects.iter().map(|at| &plan.projects[*at]);
    let changes = projects().flat_map(|project| &project.changes);
    let deployments: Vec<DeploymentId> = changes.map(|change| change.id.clone()).collect();
    let known: BTreeSet<&DeploymentId> = deployments.iter().collect();
    let own = |image: &&super::ImagePlan| {
        is_made(image) && image.deployments.iter().any(|id| known.contains(id))
    };
    Part {
        projects: projects().map(|project| project.path.clone()).collect(),
        images: plan
            .images
            .iter()
            .filter(own)
            .flat_map(|one| one.keys.iter().cloned())
            .collect(),
        deployments,
        removals: Vec::new(),
    }
}

/// The projects, joined by the images that they need to be made.
fn groups(plan: &Plan) -> Vec<Group> {
    let place: BTreeMap<&DeploymentId, usize> = plan
        .projects
        .iter()
        .enumerate()
        .flat_map(|(at, project)| project.changes.iter().map(move |one| (&one.id, at)))
        .collect();
    // The group of each project is named by the first project in it.
    let mut group: Vec<usize> = (0..plan.projects.len()).collect();
    let mut images = vec![0; plan.projects.len()];
    for image in plan.images.iter().filter(|image| is_made(image)) {
        let users = image.deployments.iter().filter_map(|id| place.get(id));
        let joined: BTreeSet<usize> = users.map(|user| group[*user]).collect();
        let Some(first) = joined.first().copied() else {
            continue;
        };
        for one in group.iter_mut().filter(|one| joined.contains(one)) {
            *one = first;
        }
        // Whichever of them: they stay together.
        images[first] += 1;
    }
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    for (at, project) in plan.projects.iter().enumerate() {
        let entry = groups.entry(group[at]).or_insert(Group {
            projects: Vec::new(),
            weight: 0,
        });
        entry.projects.push(at);
        entry.weight += weight(project) + images[at] * IMAGE;
    }
    groups.into_values().collect()
}

fn is_made(image: &super::ImagePlan) -> bool {
    matches!(image.action, ImageAction::Build { .. })
}

/// How much work a project is beside its images.
fn weight(project: &ProjectPlan) -> u64 {
    let upload = match project.upload {
        Upload::Nothing => 0,
        Upload::Needed { bytes, .. } => UPLOAD + bytes / MEGABYTE,
    };
    let writes = project.changes.iter();
    // What a step gives may change a deployment that is as declared so far.
    let writes = writes.filter(|one| one.action != Action::Keep || !one.later.is_empty());
    upload + writes.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Digest, Place, ReleaseRef};
    use crate::plan::{Change, ImagePlan, Orphan};

    fn id(project: usize, name: usize) -> DeploymentId {
        DeploymentId {
            flow: format!("f{project}"),
            name: name.to_string(),
        }
    }

    /// Projects `p0`, `p1` … with so many deployments to create, all of them without an upload.
    fn plan(deployments: &[usize]) -> Plan {
        let project = |(at, count): (usize, &usize)| {
            let path = RepoPath::new(format!("p{at}"));
            let change = |name| Change {
                id: id(at, name),
                action: Action::Create,
                fields: Vec::new(),
                changed: BTreeSet::new(),
                registration: None,
                live: None,
                declared: Digest::of(b"declared"),
                remember: None,
                begin: None,
                notes: Vec::new(),
                later: BTreeSet::new(),
            };
            ProjectPlan {
                release: ReleaseRef {
                    project: path.clone(),
                    digest: Digest::of(b"code"),
                },
                path,
                upload: Upload::Nothing,
                changes: (0..*count).map(change).collect(),
                reach: None,
            }
        };
        Plan {
            projects: deployments.iter().enumerate().map(project).collect(),
            ..Plan::default()
        }
    }

    fn image(key: &str, users: &[usize]) -> ImagePlan {
        ImagePlan {
            keys: vec![key.to_owned()],
            repository: "acme/flows".to_owned(),
            tag: None,
            digest: None,
            builder: None,
            action: ImageAction::Build {
                reason: "new".to_owned(),
            },
            deployments: users.iter().map(|user| id(*user, 0)).collect(),
            project: RepoPath::new(format!("p{}", users[0])),
            place: Place::file(RepoPath::new("x")),
        }
    }

    fn shown(plan: &Plan, at_most: usize) -> Vec<String> {
        let parts = parts(plan, at_most);
        let line = |part: &Part| {
            let projects: Vec<&str> = part.projects.iter().map(RepoPath::as_str).collect();
            let more = part.images.iter().cloned();
            let removals = part.removals.iter().map(|id| format!("-{id}"));
            let more: Vec<String> = more.chain(removals).collect();
            format!("{} {}", projects.join(" "), more.join(" "))
                .trim()
                .to_owned()
        };
        parts.iter().map(line).collect()
    }

    #[test]
    fn the_weight_is_balanced_and_nothing_is_lost_or_done_twice() {
        assert_eq!(shown(&plan(&[5, 1, 1, 3, 2]), 2), ["p0 p1", "p2 p3 p4"]);
        assert_eq!(shown(&plan(&[1, 1]), 5), ["p0", "p1"]);
        assert_eq!(shown(&plan(&[]), 3), [""; 0]);
        for count in 1..40 {
            let deployments: Vec<usize> = (0..30).map(|at| 1 + at * 7 % 11).collect();
            let plan = plan(&deployments);
            let parts = parts(&plan, count);
            assert_eq!(parts.len(), count.min(30));
            let mut all: Vec<&DeploymentId> =
                parts.iter().flat_map(|one| &one.deployments).collect();
            all.sort();
            let mut wanted: Vec<&DeploymentId> = plan
                .projects
                .iter()
                .flat_map(|one| &one.changes)
                .map(|one| &one.id)
                .collect();
            wanted.sort();
            assert_eq!(all, wanted);
            assert_eq!(parts, super::parts(&plan, count), "the same again");
        }
    }

    #[test]
    fn projects_that_need_an_image_stay_together_and_it_weighs_more_than_registrations() {
        let mut all = plan(&[1, 40, 1, 1, 1]);
        all.images = vec![image("a", &[0, 3]), image("b", &[3, 4]), image("c", &[2])];
        assert_eq!(shown(&all, 3), ["p0 p3 p4 a b", "p2 c", "p1"]);
        assert_eq!(shown(&all, 2), ["p0 p3 p4 a b", "p1 p2 c"]);
        // One that is there binds nobody.
        for image in &mut all.images {
            image.action = ImageAction::Reuse;
        }
        assert_eq!(shown(&all, 5).len(), 5);
    }

    #[test]
    fn an_upload_counts_by_its_size() {
        let mut all = plan(&[1, 1, 30]);
        all.projects[0].upload = Upload::Needed {
            files: 3,
            bytes: 100 * MEGABYTE,
        };
        assert_eq!(shown(&all, 2), ["p0", "p1 p2"]);
    }

    #[test]
    fn removals_are_of_one_part_and_what_does_not_change_of_none() {
        let mut all = plan(&[2, 1, 1]);
        all.projects[2].changes[0].action = Action::Keep;
        let orphan = |name: &str| Orphan {
            id: DeploymentId {
                flow: "old".into(),
                name: name.into(),
            },
            project: RepoPath::new("gone"),
            live: std::sync::Arc::new(crate::model::LiveDeployment {
                handle: String::new(),
                fields: BTreeMap::new(),
                owner: None,
            }),
        };
        all.orphans = vec![orphan("a"), orphan("b")];
        assert_eq!(shown(&all, 9), ["p0", "p1"], "they are only shown");
        all.prune = true;
        assert_eq!(shown(&all, 9), ["p0", "p1 -old/a -old/b"]);
        assert_eq!(shown(&all, 1), ["p0 p1 -old/a -old/b"]);
        all.projects.clear();
        assert_eq!(shown(&all, 3), ["-old/a -old/b"]);
        all.prune = false;
        assert_eq!(shown(&all, 3), [""; 0]);
    }
}
