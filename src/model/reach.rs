//! How a change reaches a project.

use std::collections::BTreeSet;
use std::fmt;

use super::{DeploymentId, RepoPath};

/// The shortest way from a project to a file that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The files on the way, from the project's side; the last one is what changed. Files of the project itself are left
    /// out, except for the last. Never empty.
    pub links: Vec<Link>,
}

/// One step from a project, or from a file that it needs, to another file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The file; for [`By::Project`] a project's folder.
    pub path: RepoPath,
    /// Why the one before it needs it.
    pub by: By,
}

/// Why a project needs a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// It is in the project's folder.
    Folder,
    /// A Python file imports it.
    Import,
    /// A `.deployment.py` of the project reads it.
    Read,
    /// A requirements file names it, or the folder of a package that it is in.
    Requirements,
    /// The Dockerfile of an image, or what that copies.
    Image,
    /// The project's release holds it, or `code.include` names it.
    Code,
    /// `depends_on` names it.
    DependsOn,
    /// `depends_on` names this other project.
    Project,
    /// It configures every project.
    Configuration,
}

impl By {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::Import => "import",
            Self::Read => "read",
            Self::Requirements => "requirements",
            Self::Image => "image",
            Self::Code => "code",
            Self::DependsOn => "depends_on",
            Self::Project => "project",
            Self::Configuration => "configuration",
        }
    }
}

/// `lib/rss.py ← lib/http.py`: who needs what.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, link) in self.links.iter().enumerate() {
            if index > 0 {
                f.write_str(" ← ")?;
            }
            write!(f, "{}", link.path)?;
        }
        Ok(())
    }
}

/// What a narrowed run compares with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// The revision as given, or as the event of the run names it; `None` where everything counts as changed.
    pub revision: Option<String>,
    /// Why it is this one, where nobody named it: a lower-case fragment, such as `the branch before this push`.
    pub why: Option<String>,
}

/// What a narrowed run leaves out, as far as it decides what is declared nowhere any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// The deployments of the projects that are left out.
    pub declared: BTreeSet<DeploymentId>,
    /// Folders that are meant and are no projects, but may have been; `None` for all that are none.
    pub gone: Option<BTreeSet<RepoPath>>,
}

/// Files elsewhere that a deployment says it needs: patterns as written, relative to the project's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The patterns; the last one that matches a file decides, and one that begins with `!` takes back.
    pub patterns: Vec<String>,
    /// [`By::Code`] for `code.include`, [`By::DependsOn`] for `depends_on`.
    pub by: By,
}
