//! Which folders of a tree are projects.

use std::collections::{BTreeMap, HashMap};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::tree::Tree;
use super::walk::FaultKind;
use crate::model::{Absent, Diagnostic, Place, RepoPath};

/// The format of a deployment file, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `*.deployment.yaml` and `*.deployment.yml`.
    Yaml,
    /// `*.deployment.toml`.
    Toml,
    /// `*.deployment.json`.
    Json,
    /// `*.deployment.py`.
    Python,
    /// `prefect.yaml`.
    PrefectYaml,
}

impl Format {
    /// The format that a file of this name has; `None` where it is no deployment file.
    pub fn of(name: &str) -> Option<Self> {
        if name == "prefect.yaml" {
            return Some(Self::PrefectYaml);
        }
        let (stem, extension) = name.rsplit_once('.')?;
        if stem.strip_suffix(".deployment")?.is_empty() {
            return None;
        }
        match extension {
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            "py" => Some(Self::Python),
            _ => None,
        }
    }
}

/// Which projects are of interest, by globs on their folders' paths.
///
/// A glob matches a folder and everything below it; `*` stays inside of one component, `**` spans them. The root's own
/// path is `.`.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// `None` for everything.
    include: Option<GlobSet>,
    /// What of each glob of `include` stands before its first wildcard, but for the root's own.
    anchors: Vec<RepoPath>,
    exclude: GlobSet,
}

impl Scope {
    /// The scope of `[projects]` in the configuration; an empty `include` is everything. An error names the glob.
    pub fn new<S: AsRef<str>>(include: &[S], exclude: &[S]) -> Result<Self, globset::Error> {
        let set = |globs: &[S]| {
            let mut set = GlobSetBuilder::new();
            for glob in globs {
                let glob = trimmed(glob.as_ref());
                set.add(GlobBuilder::new(glob).literal_separator(true).build()?);
            }
            set.build()
        };
        let folders = include.iter().map(|glob| trimmed(glob.as_ref()));
        Ok(Self {
            anchors: folders.filter(|glob| *glob != ".").map(anchor).collect(),
            include: if include.is_empty() {
                None
            } else {
                Some(set(include)?)
            },
            exclude: set(exclude)?,
        })
    }

    /// Whether a project in this folder is of interest.
    pub fn holds(&self, folder: &RepoPath) -> bool {
        let include = self.include.as_ref();
        include.is_none_or(|set| matches(set, folder)) && !matches(&self.exclude, folder)
    }

    /// Whether a project in this folder, or somewhere below it, may be of interest: of a folder that nobody can look into.
    pub fn reaches(&self, folder: &RepoPath) -> bool {
        let below = || self.anchors.iter().any(|anchor| anchor.meets(folder));
        self.holds(folder) || below() && !matches(&self.exclude, folder)
    }
}

/// A glob as it is matched: without slashes around it, the root as `.`.
fn trimmed(glob: &str) -> &str {
    match glob.trim_matches('/') {
        "" => ".",
        trimmed => trimmed.strip_prefix("./").unwrap_or(trimmed),
    }
}

/// The folder that all matches of a glob are in, or are.
fn anchor(glob: &str) -> RepoPath {
    let plain = |part: &&str| !part.contains(['*', '?', '[', '{', '\\']);
    let parts: Vec<&str> = glob.split('/').take_while(plain).collect();
    RepoPath::new(parts.join("/"))
}

/// Whether one of the globs matches the folder or one around it.
fn matches(set: &GlobSet, folder: &RepoPath) -> bool {
    if folder.is_root() {
        return set.is_match(".");
    }
    let ends = folder.as_str().match_indices('/').map(|(end, _)| end);
    ends.chain([folder.as_str().len()])
        .any(|end| set.is_match(&folder.as_str()[..end]))
}

/// A deployment file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeploymentFile {
    /// Where; a symbolic link counts too, and is followed when it is read.
    pub path: RepoPath,
    /// By its name.
    pub format: Format,
}

/// A folder that holds at least one deployment file, or flows that the configuration makes deployments of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundProject {
    /// The folder: the project's id.
    pub path: RepoPath,
    /// Its deployment files, sorted.
    pub files: Vec<DeploymentFile>,
    /// Python files whose flows the configuration makes deployments of, sorted; with `files` never both empty.
    pub flow_files: Vec<RepoPath>,
    /// The requirements file that holds for it: `requirements.txt`, else `pyproject.toml`, of the folder itself or of
    /// the nearest folder above that has one of them, up to the root; `None` where there is none.
    pub requirements: Option<RepoPath>,
}

/// The projects of a tree.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Sorted by path.
    pub projects: Vec<FoundProject>,
    /// Files that look like deployment files and are none, and what could not be read; sorted.
    pub diagnostics: Vec<Diagnostic>,
    /// Folders in scope that lack files which git has: projects there are not known.
    pub absent: BTreeMap<RepoPath, Absent>,
}

const REQUIREMENTS: &str = "requirements.txt";
const PYPROJECT: &str = "pyproject.toml";

/// Whether a file of this name declares requirements.
pub(super) fn is_requirements(name: &str) -> bool {
    name == REQUIREMENTS || name == PYPROJECT
}

/// Finds the projects of a tree by their deployment files alone; see [`find_with_flows`].
pub fn find(tree: &Tree, scope: &Scope) -> Found {
    find_with_flows(tree, scope, &|_| false)
}

/// Finds the projects of a tree. A folder with `{{` in its path is a template, and no project.
///
/// `takes_flows` tells the Python files whose flows need no deployment file: they belong to the nearest folder at or
/// above them that holds a deployment file, or make their own folder a project.
pub fn find_with_flows(
    tree: &Tree,
    scope: &Scope,
    takes_flows: &dyn Fn(&RepoPath) -> bool,
) -> Found {
    let mut folders: BTreeMap<RepoPath, Vec<DeploymentFile>> = BTreeMap::new();
    let mut flow_files: Vec<&RepoPath> = Vec::new();
    let mut requirements: HashMap<&str, &RepoPath> = HashMap::new();
    let mut diagnostics = faults(tree);
    for entry in tree.entries() {
        let path = &entry.path;
        let (folder, name) = path
            .as_str()
            .rsplit_once('/')
            .unwrap_or(("", path.as_str()));
        if is_requirements(name) {
            let known = requirements.entry(folder).or_insert(path);
            if name == REQUIREMENTS {
                *known = path;
            }
            continue;
        }
        if folder.contains("{{") {
            continue;
        }
        let counts = || scope.holds(&RepoPath::new(folder));
        if let Some(format) = Format::of(name) {
            if counts() {
                let files = folders.entry(RepoPath::new(folder)).or_default();
                let path = path.clone();
                files.push(DeploymentFile { path, format });
            }
        } else if name.ends_with(".py") && takes_flows(path) {
            flow_files.push(path);
        } else if let Some(hint) = near_miss(name)
            && counts()
        {
            let place = Place::file(path.clone());
            diagnostics.push(
                Diagnostic::warning(place, "looks like a deployment file and is not read as one")
                    .hint(hint),
            );
        }
    }
    diagnostics.sort();
    let mut with_flows: BTreeMap<RepoPath, Vec<RepoPath>> = BTreeMap::new();
    for file in flow_files {
        let own = file.parent().unwrap_or_default();
        let above = std::iter::successors(Some(own.clone()), RepoPath::parent);
        let folder = above
            .into_iter()
            .find(|folder| folders.contains_key(folder))
            .unwrap_or(own);
        if scope.holds(&folder) {
            with_flows.entry(folder).or_default().push(file.clone());
        }
    }
    for folder in with_flows.keys() {
        folders.entry(folder.clone()).or_default();
    }
    let projects = folders.into_iter().map(|(path, files)| FoundProject {
        requirements: nearest(&path, &requirements),
        flow_files: with_flows.remove(&path).unwrap_or_default(),
        path,
        files,
    });
    Found {
        projects: projects.collect(),
        diagnostics,
        absent: absent(tree, scope),
    }
}

/// The requirements file of a folder or of the nearest one above.
fn nearest(folder: &RepoPath, known: &HashMap<&str, &RepoPath>) -> Option<RepoPath> {
    let mut folder = Some(folder.clone());
    while let Some(path) = folder {
        if let Some(found) = known.get(path.as_str()) {
            return Some((*found).clone());
        }
        folder = path.parent();
    }
    None
}

/// What to do about a name that someone may have meant as a deployment file's.
fn near_miss(name: &str) -> Option<&'static str> {
    // Most names are ruled out here.
    if !name.contains("eploy") && !name.contains("EPLOY") && name != "prefect.yml" {
        return None;
    }
    if name == "prefect.yml" {
        return Some("Prefect reads `prefect.yaml` only: rename it");
    }
    let lower = name.to_ascii_lowercase();
    let singular = lower.replace(".deployments.", ".deployment.");
    if Format::of(&singular).is_some() {
        return Some("name it `NAME.deployment.yaml` (or .yml, .toml, .json), in lower case");
    }
    if lower.starts_with('.') && Format::of(&format!("x{lower}")).is_some() {
        return Some("give it a name in front: `NAME.deployment.yaml`");
    }
    None
}

/// The folders in this scope that lack files which git has.
pub fn absent(tree: &Tree, scope: &Scope) -> BTreeMap<RepoPath, Absent> {
    let faults = tree.faults().iter().filter_map(|fault| {
        let why = match fault.kind {
            FaultKind::Absent(why) => why,
            FaultKind::Submodule => Absent::Submodule,
            _ => return None,
        };
        let counts = scope.reaches(&fault.path);
        counts.then(|| (fault.path.clone(), why))
    });
    faults.collect()
}

/// What of a tree's faults concerns the finding of projects; the rest is told where it is in a release.
fn faults(tree: &Tree) -> Vec<Diagnostic> {
    let tell = |fault: &super::walk::Fault| {
        let place = Place::file(fault.path.clone());
        let name = fault.path.file_name();
        Some(match &fault.kind {
            FaultKind::Unreadable(why) => {
                Diagnostic::error(place, format!("cannot be read: {why}"))
            }
            FaultKind::Index(why) => Diagnostic::warning(
                Place::file(RepoPath::root()),
                format!("git's index cannot be read: {why}"),
            )
            .hint("tracked files that a .gitignore matches are left out"),
            FaultKind::Pattern(line, why) => Diagnostic::warning(
                Place::at(fault.path.clone(), *line, 1),
                format!("the line is no pattern and is passed over: {why}"),
            ),
            FaultKind::Hidden => {
                Diagnostic::warning(place, "ignored by a .prefectignore: it is not read")
                    .hint("if it shall be read, add a line with `!` and its name there")
            }
            FaultKind::NotUtf8 if Format::of(name).is_some() => {
                Diagnostic::error(place, "the name is not UTF-8").hint("rename it")
            }
            FaultKind::NotUtf8
            | FaultKind::Special
            | FaultKind::Submodule
            | FaultKind::Absent(_) => return None,
        })
    };
    tree.faults().iter().filter_map(tell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_name() {
        for (name, format) in [
            ("a.deployment.yaml", Some(Format::Yaml)),
            ("a.b.deployment.yml", Some(Format::Yaml)),
            ("a.deployment.toml", Some(Format::Toml)),
            ("a.deployment.json", Some(Format::Json)),
            ("a.deployment.py", Some(Format::Python)),
            ("prefect.yaml", Some(Format::PrefectYaml)),
            ("prefect.yml", None),
            (".deployment.yaml", None),
            ("deployment.yaml", None),
            ("a.deployment.yaml.bak", None),
            ("a.deployment", None),
        ] {
            assert_eq!(Format::of(name), format, "{name}");
        }
    }

    #[test]
    fn near_misses_are_few() {
        for name in [
            "prefect.yml",
            "a.deployments.yaml",
            "a.Deployment.YAML",
            ".deployment.toml",
        ] {
            assert!(near_miss(name).is_some(), "{name}");
        }
        for name in [
            "deployment.yaml",
            "a.deployment.md",
            "deploy.py",
            "my-deployment.yaml",
        ] {
            assert!(near_miss(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_scope_takes_folders_with_what_is_below() {
        let holds = |include: &[&str], exclude: &[&str], path: &str| {
            let scope = Scope::new(include, exclude).expect("globs");
            scope.holds(&RepoPath::new(path))
        };
        assert!(holds(&[], &[], "a/b"));
        assert!(holds(&[], &[], "."));
        assert!(holds(&["projects/*"], &[], "projects/a/b"));
        assert!(!holds(&["projects/*"], &[], "projects"));
        assert!(holds(&["./projects/"], &[], "projects"));
        assert!(!holds(&["projects"], &["**/old"], "projects/old/x"));
        assert!(holds(&["."], &[], ""));
        assert!(!holds(&["."], &[], "a"));
        assert!(Scope::new(&["a[z-b]"], &[]).is_err());
    }

    #[test]
    fn a_scope_reaches_into_folders_that_may_hold_what_it_takes() {
        for (include, exclude, folder, expected) in [
            (&[][..], &[][..], "vendor/flows", true),
            (&["projects/**"], &[], "vendor/flows", false),
            (&["projects/*/x"], &[], "projects", true),
            (&["projects/*/x"], &[], "projects/a/b", true),
            (&["vendor/flows/a"], &[], "vendor/flows", true),
            (&["**/flows"], &[], "vendor", true),
            (&["."], &[], "vendor", false),
            (&["."], &[], "", true),
            (&["projects"], &[], "", true),
            (&[], &["vendor/**"], "vendor/flows", false),
            (&["vendor/*"], &["vendor/flows"], "vendor/flows", false),
            // The folder itself may be a project.
            (&[], &["vendor/**"], "vendor", true),
        ] {
            let scope = Scope::new(include, exclude).expect("globs");
            let reaches = scope.reaches(&RepoPath::new(folder));
            assert_eq!(reaches, expected, "{include:?} {exclude:?} {folder}");
        }
    }
}
