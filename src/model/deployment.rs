//! What git declares.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    CodeTree, Diagnostic, Field, Fields, Image, ImageState, LeftOut, Need, Outputs, Place, Reach,
    ReleaseRef, RepoPath, Since, Step, put_outputs,
};

/// A deployment's identity, `flow/name`; neither part holds a `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeploymentId {
    /// The flow's name, from its decorator.
    pub flow: String,
    /// The deployment's name.
    pub name: String,
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.flow, self.name)
    }
}

impl Serialize for DeploymentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DeploymentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (flow, name) = text
            .split_once('/')
            .ok_or_else(|| serde::de::Error::custom("not `flow/name`"))?;
        Ok(Self {
            flow: flow.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// One declared deployment, ready to be compared.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// `flow/name`, unique in the repository.
    pub id: DeploymentId,
    /// Where it is declared: the file and the place of its first key.
    pub place: Place,
    /// Where each declared field stands, for faults that show only later (a work pool that does not exist).
    pub places: BTreeMap<Field, Place>,
    /// The declared fields, and those that we always set (code, entrypoint, version, parameter schema).
    pub fields: Fields,
    /// Dotted paths below `fields` whose value came from the process's environment and is never shown:
    /// `job_variables.env.TOKEN` -> the text as written.
    pub hidden: BTreeMap<String, String>,
    /// Blocks and variables of the orchestrator that its values name.
    pub references: BTreeSet<Reference>,
    /// What was decided about it that no file says, such as from where its entrypoint counts; shown with its plan.
    /// Lower-case fragments.
    pub notes: Vec<String>,
    /// The images that are made for it, by their keys among [`Desired::images`]. `{{ flowyard.step.KEY.image }}` stands in
    /// the fields for one whose digest is not known yet.
    pub images: Vec<String>,
    /// The steps that a deploy has to run for it first, in their order.
    pub steps: Vec<Step>,
    /// Dotted paths below `fields` whose value comes from the output of one of `steps` -> the step's key. The value may
    /// not be known yet; see [`Step`].
    pub later: BTreeMap<String, String>,
}

/// The major release of Prefect that a deployment is registered with: what a file may say, and what comes of it,
/// differs between them.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Dialect {
    /// Prefect 2.
    Prefect2,
    /// Prefect 3.
    #[default]
    Prefect3,
}

/// A folder that holds at least one deployment file.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its path from the root; the project's id.
    pub path: RepoPath,
    /// The deployment files in it, sorted.
    pub files: Vec<RepoPath>,
    /// The requirements file that holds for it: its own, or the nearest parent's.
    pub requirements: Option<RepoPath>,
    /// Its code as it would be released.
    pub code: CodeTree,
    /// The name of the release that `code` becomes.
    pub release: ReleaseRef,
    /// Its deployments, sorted by id; empty where all its files are faulty.
    pub deployments: Vec<Deployment>,
    /// Whether some of it has errors: its deployments are then not complete.
    pub faulty: bool,
    /// Whether it has files of a format that is not read yet: what they declare is not known.
    pub unread: bool,
    /// Its `.deployment.py` files that have to be run to know what they declare, sorted; each has a fault too.
    pub undecided: Vec<RepoPath>,
    /// What it says it needs from elsewhere: `code.include` and `depends_on` of each of its deployments, those
    /// that say the same once.
    pub needs: Vec<Need>,
    /// The files that its deployment files looked at, there or not, and the folders that they listed, which are true.
    pub looked: BTreeMap<RepoPath, bool>,
    /// How a change reaches it, in a run that is narrowed to what changed; `None` in others.
    pub reach: Option<Reach>,
}

/// Everything that git declares, as far as it could be read.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// Sorted by path.
    pub projects: Vec<Project>,
    /// The images that its deployments need, by [`Image::key`].
    pub images: BTreeMap<String, Image>,
    /// All faults of all files, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
    /// What the run is narrowed by; `None` where it is not narrowed to what changed.
    pub since: Option<Since>,
    /// What is not here although git declares it; `None` where all of it is here.
    pub left_out: Option<LeftOut>,
    /// Folders that may hold projects of interest and in which git has files that were not there to be read: what they
    /// declare is not known.
    pub absent: BTreeMap<RepoPath, Absent>,
}

/// Why files that git has are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Absent {
    /// The checkout is sparse.
    Sparse,
    /// They are in another repository: the folder is a submodule.
    Submodule,
}

impl Absent {
    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Sparse => {
                "the checkout is sparse; `git sparse-checkout disable` brings everything"
            }
            Self::Submodule => {
                "`git submodule update --init` brings a submodule, as `submodules: true` of actions/checkout does"
            }
        }
    }
}

impl Desired {
    /// Whether what is registered for a project and declared nowhere concerns this run.
    pub fn means(&self, project: &RepoPath) -> bool {
        let Some(left_out) = &self.left_out else {
            return true;
        };
        let gone = &left_out.gone;
        let kept = self.projects.binary_search_by(|one| one.path.cmp(project));
        kept.is_ok() || gone.as_ref().is_none_or(|gone| gone.contains(project))
    }

    /// Why not all that git has of a project was there to be read; `None` where all of it was.
    pub fn absence(&self, project: &RepoPath) -> Option<Absent> {
        let mut absent = self.absent.iter();
        absent.find_map(|(path, why)| path.meets(project).then_some(*why))
    }

    /// The keys of the images that its deployments need, with those deployments and their projects; in a narrowed run not
    /// every image that was read is needed.
    pub fn needed_images(&self) -> BTreeMap<&str, Vec<(&Project, &Deployment)>> {
        let mut needed: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for project in &self.projects {
            for deployment in &project.deployments {
                for key in &deployment.images {
                    let users = needed.entry(key.as_str()).or_default();
                    users.push((project, deployment));
                }
            }
        }
        needed
    }

    /// Puts words for every image into the fields of the deployments that need it, for a comparison of two revisions: what
    /// changes when an input does.
    pub fn name_images(&mut self) {
        let named = self.images.iter().map(|(key, image)| {
            let inputs = key.trim_start_matches("image-");
            let text = format!("{}, inputs {inputs}", image.shown);
            (
                key.clone(),
                serde_json::json!({"image": text, "tag": inputs}),
            )
        });
        let outputs = named.collect();
        self.put(&outputs);
    }

    /// Puts what is known of images into the fields of the deployments that need them.
    pub fn put_images(&mut self, states: &BTreeMap<String, ImageState>) {
        let mut outputs = Outputs::new();
        for (key, state) in states {
            let mut output = serde_json::json!({"tag": state.tag().to_string()});
            if let (Some(image), Some(digest)) = (self.images.get(key), &state.found) {
                output["image"] = image.by_digest(digest).into();
            }
            outputs.insert(key.clone(), output);
        }
        self.put(&outputs);
    }

    fn put(&mut self, outputs: &Outputs) {
        let deployments = self
            .projects
            .iter_mut()
            .flat_map(|one| &mut one.deployments);
        for deployment in deployments.filter(|one| !one.images.is_empty()) {
            for (field, value) in &mut deployment.fields {
                put_outputs(value, field.name(), outputs, &mut deployment.later);
            }
        }
    }
}

/// Something at the orchestrator that a value names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// `{{ prefect.blocks.TYPE.NAME }}`.
    Block {
        /// The block type's slug, such as `azure-blob-storage-credentials`.
        kind: String,
        /// The document's name.
        name: String,
    },
    /// `{{ prefect.variables.NAME }}`.
    Variable {
        /// The variable's name.
        name: String,
    },
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block { kind, name } => write!(f, "block {kind}/{name}"),
            Self::Variable { name } => write!(f, "variable {name}"),
        }
    }
}
