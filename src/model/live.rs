//! What the orchestrator holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{DeploymentId, Field, Fields, Reference, RepoPath};

/// What was found at the orchestrator, as far as it was asked for.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// By flow and name; also those that are not ours.
    pub deployments: BTreeMap<DeploymentId, Arc<LiveDeployment>>,
    /// Work pools with the names of their queues; `None` where the orchestrator knows no such thing.
    pub pools: Option<BTreeMap<String, BTreeSet<String>>>,
    /// Those of the references asked for that do not exist.
    pub missing: BTreeSet<Reference>,
    /// What this orchestrator cannot hold.
    pub refused: Vec<Refusal>,
    /// Blocks of the references asked for through which code of our storage cannot be reached, each with the reason;
    /// counts only for [`Field::Storage`].
    pub elsewhere: BTreeMap<Reference, String>,
}

/// Something that an orchestrator cannot hold, wherever it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The field.
    pub field: Field,
    /// Only triggers of this type, at any depth; `None` for every value but an empty one.
    pub kind: Option<String>,
    /// Why: a lower-case fragment.
    pub why: String,
    /// What to do about it.
    pub hint: String,
}

/// One registered deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveDeployment {
    /// The orchestrator's own name for it (for Prefect a UUID); empty where there is none.
    pub handle: String,
    /// Its fields in our form: the vendor has taken out what reads back differently from how it was written.
    pub fields: Fields,
    /// Our mark; `None` where someone else registered it.
    pub owner: Option<Owner>,
}

/// The mark that says which repository and environment a registered deployment belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `owner/name` of the repository, or what the configuration says.
    pub repository: String,
    /// The environment's name; `default` without `--env`.
    pub environment: String,
    /// The project that declared it, as a path in the git repository, in which there may be several roots.
    pub project: RepoPath,
}
