//! What flowyard last registered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{DeploymentId, Digest, Field, Fields, RepoPath, fingerprint};

/// The third side of the comparison: what was last applied to one environment.
///
/// Empty before the first deploy, or when the state was lost: then nothing can be told to be drift, and the next
/// deploy writes it anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// By flow and name.
    pub deployments: BTreeMap<DeploymentId, AppliedDeployment>,
    /// What a deploy set out to do and has not told the end of, because it was killed, or failed: any part of it may be
    /// there. Of each deployment only the fields that were to be written.
    pub begun: BTreeMap<DeploymentId, AppliedDeployment>,
    /// The commits that what repositories have in the environment is deployed as; none of a repository or root where none
    /// is known to be.
    pub revisions: Vec<Revision>,
}

impl Applied {
    /// The commit that all of a root of a repository is deployed as.
    pub fn revision(&self, repository: &str, root: &RepoPath) -> Option<&Revision> {
        let is_it = |one: &&Revision| one.repository == repository && one.root == *root;
        self.revisions.iter().find(is_it)
    }

    /// All that may be there of what we registered, a deployment at most twice.
    pub fn remembered(&self) -> impl Iterator<Item = (&DeploymentId, &AppliedDeployment)> {
        self.deployments.iter().chain(&self.begun)
    }

    /// Adds what is known of deployments that another environment has had, as far as nothing is known of them here.
    pub fn take_over(&mut self, other: Self) {
        for (id, one) in other.begun {
            if !self.deployments.contains_key(&id) {
                self.begun.entry(id).or_insert(one);
            }
        }
        for (id, one) in other.deployments {
            self.deployments.entry(id).or_insert(one);
        }
    }

    /// Forgets the commits that a deploy of a root makes untrue: its own, and those of roots around it and inside of it.
    pub fn forget_revisions(&mut self, repository: &str, root: &RepoPath) {
        self.revisions.retain(|one| {
            let shares = one.root.below(root).is_some() || root.below(&one.root).is_some();
            one.repository != repository || !shares
        });
    }
}

/// A commit that everything below a root is deployed as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// 40 or 64 hexadecimal digits.
    pub commit: String,
    /// Where it is registered, in the orchestrator's own words: one store may outlive a server.
    pub server: String,
    /// The mark of the repository.
    pub repository: String,
    /// The root of the run, as a path in the git repository.
    pub root: RepoPath,
}

/// What we remember of one registration: digests, never values, because a value may come from a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedDeployment {
    /// The project that declared it.
    pub project: RepoPath,
    /// The digest of its release.
    pub release: Digest,
    /// The declared fields, each with the [`fingerprint`] of its value.
    pub fields: BTreeMap<Field, Digest>,
    /// The declared schedules by their slugs; `fields` knows only whether any were declared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub schedules: BTreeMap<String, AppliedPart>,
    /// The declared triggers by their names, likewise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub triggers: BTreeMap<String, AppliedPart>,
    /// The inputs of its image by their names, each with the first digits of its digest; empty where it has none of ours.
    /// They tell why an image is made anew.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub image: BTreeMap<String, String>,
    /// Dotted paths of values that came from the process's environment, so that what is live there is not shown when
    /// the files name it no more. A path that ends in `.*` stands for everything below.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hidden: BTreeSet<String>,
}

impl AppliedDeployment {
    /// What is to be remembered of declared fields.
    pub fn of(
        project: RepoPath,
        release: Digest,
        declared: &Fields,
        hidden: BTreeSet<String>,
    ) -> Self {
        let parts = |field| {
            let parts = declared.get(&field).and_then(Value::as_object);
            let parts = parts.into_iter().flatten();
            parts
                .map(|(name, one)| (name.clone(), AppliedPart::of(one)))
                .collect()
        };
        Self {
            project,
            release,
            fields: declared
                .iter()
                .map(|(field, value)| (*field, fingerprint(value)))
                .collect(),
            schedules: parts(Field::Schedules),
            triggers: parts(Field::Triggers),
            image: BTreeMap::new(),
            hidden,
        }
    }

    /// Whether a live field is as we left it; `name` looks at one schedule or trigger alone.
    pub fn holds(&self, field: Field, live: &Value, name: Option<&str>) -> bool {
        let Some(parts) = self.parts(field) else {
            let digest = self.fields.get(&field);
            return digest.is_some_and(|digest| fingerprint(live) == *digest);
        };
        let one = |name: &str| match (parts.get(name), live.get(name)) {
            (Some(applied), Some(live)) => applied.holds(live),
            (None, None) => true,
            _ => false,
        };
        match name {
            Some(name) => one(name),
            None => {
                let live = live.as_object().into_iter().flat_map(Map::keys);
                parts.keys().chain(live).all(|name| one(name))
            }
        }
    }

    /// Learns that what a deploy had `begun` to make of a field is what is live, where it is. Schedules and triggers are
    /// looked at one by one: some of them may be there.
    pub fn learn(&mut self, begun: &Self, field: Field, live: &Value) {
        let Some(digest) = begun.fields.get(&field) else {
            return;
        };
        let Some(theirs) = begun.parts(field) else {
            if begun.holds(field, live, None) {
                self.fields.insert(field, *digest);
            }
            return;
        };
        self.fields.insert(field, *digest);
        let mine = match field {
            Field::Schedules => &mut self.schedules,
            _ => &mut self.triggers,
        };
        let names: BTreeSet<String> = mine.keys().chain(theirs.keys()).cloned().collect();
        for name in names {
            // One that someone has changed since is still one that we made.
            let made = !mine.contains_key(&name) && live.get(&name).is_some();
            if made || begun.holds(field, live, Some(&name)) {
                match theirs.get(&name) {
                    Some(part) => mine.insert(name, part.clone()),
                    None => mine.remove(&name),
                };
            }
        }
    }

    /// What is remembered of a field by names; `None` where its value is one.
    fn parts(&self, field: Field) -> Option<&BTreeMap<String, AppliedPart>> {
        match field {
            Field::Schedules => Some(&self.schedules),
            Field::Triggers => Some(&self.triggers),
            _ => None,
        }
    }
}

/// What we remember of one schedule or trigger: a pause in the UI is nobody's change to what git declares, so only that
/// counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedPart {
    /// The keys that were declared.
    pub keys: BTreeSet<String>,
    /// The [`fingerprint`] of the object of these keys.
    pub digest: Digest,
}

impl AppliedPart {
    /// What is to be remembered of a declared one.
    pub fn of(declared: &Value) -> Self {
        let keys = declared
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .cloned()
            .collect();
        Self {
            keys,
            digest: fingerprint(declared),
        }
    }

    /// Whether a live one still has what was declared of it.
    pub fn holds(&self, live: &Value) -> bool {
        let declared = live
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| self.keys.contains(*key));
        let declared: Map<String, Value> = declared
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        fingerprint(&Value::Object(declared)) == self.digest
    }
}
