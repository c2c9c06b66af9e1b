//! `[projects]`, and the variables that come before it.

use std::collections::BTreeMap;

/// `[projects]`.
#[derive(Debug, Default)]
pub struct Projects {
    /// Globs on project folders; empty for all.
    pub include: Vec<String>,
    /// Globs on project folders.
    pub exclude: Vec<String>,
    /// Folders whose code joins the release of every project that imports it.
    pub shared: Vec<String>,
    /// Patterns, from the root, of files whose change reaches every project.
    pub depends_on: Vec<String>,
    /// By their keys the lists that a variable gives, which is named, in the place of the file's.
    pub variables: BTreeMap<&'static str, &'static str>,
}

impl Projects {
    /// The variable of the environment by which this run looks at other projects than the next one may; `None` where the
    /// file alone says which there are.
    pub fn narrowed_by(&self) -> Option<&'static str> {
        let mut keys = ["include", "exclude"].into_iter();
        keys.find_map(|key| self.variables.get(key).copied())
    }
}

/// The keys of `[projects]`, with the variables that come before them.
pub(super) const LISTS: [(&str, &str); 4] = [
    ("include", "FLOWYARD_PROJECTS_INCLUDE"),
    ("exclude", "FLOWYARD_PROJECTS_EXCLUDE"),
    ("shared", "FLOWYARD_PROJECTS_SHARED"),
    ("depends-on", "FLOWYARD_PROJECTS_DEPENDS_ON"),
];
