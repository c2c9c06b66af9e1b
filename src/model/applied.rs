//! What flowyard last registered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{DeploymentId, Digest, Field, RepoPath};

/// The third side of the comparison: what was last applied to one environment.
///
/// Empty before the first deploy, or when the state was lost: then nothing can be told to be drift, and the next
/// deploy writes it anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// By flow and name.
    pub deployments: BTreeMap<DeploymentId, AppliedDeployment>,
}

/// What we remember of one registration: digests, never values, because a value may come from a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedDeployment {
    /// The project that declared it.
    pub project: RepoPath,
    /// The digest of its release.
    pub release: Digest,
    /// The declared fields, each with the [`fingerprint`](super::fingerprint) of its value.
    pub fields: BTreeMap<Field, Digest>,
    /// Dotted paths of values that came from the process's environment, so that what is live there is not shown when
    /// the files name it no more. A path that ends in `.*` stands for everything below.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hidden: BTreeSet<String>,
}
