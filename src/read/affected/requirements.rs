//! Which files and folders of the repository decide about the packages that a project gets.
//!
//! Followed are, from a `requirements.txt`, the lines `-r`, `-c` and `-e` and every other path of the repository; from a
//! `pyproject.toml` the path dependencies of the
//! [dependency specifiers](https://packaging.python.org/en/latest/specifications/dependency-specifiers/), of
//! [uv](https://docs.astral.sh/uv/concepts/projects/dependencies/#dependency-sources) with its workspaces, of
//! [Poetry](https://python-poetry.org/docs/dependency-specification/#path-dependencies), the files that setuptools takes
//! dependencies from, and the lock files beside it.

use std::collections::{BTreeMap, BTreeSet};

use globset::GlobBuilder;
use toml::{Table, Value};

use crate::discover::{Changes, Tree};
use crate::model::RepoPath;

/// A file or folder that decides about packages.
#[derive(Debug)]
pub(super) struct Needed {
    pub(super) path: RepoPath,
    /// Whether it is a package's folder, of which everything counts.
    pub(super) folder: bool,
    /// The place, in the list that it is in, of the file that names it.
    pub(super) from: Option<usize>,
}

/// The lock files that stand beside a `pyproject.toml`.
const LOCKS: &[&str] = &["uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"];

/// Reads requirements, for any number of projects.
pub(super) struct Reader<'a> {
    tree: &'a Tree,
    changes: &'a Changes,
    workspaces: BTreeMap<RepoPath, Workspace>,
}

/// A workspace of uv.
struct Workspace {
    root: RepoPath,
    /// The folders of its members by their packages' normalized names.
    members: BTreeMap<String, RepoPath>,
    /// `tool.uv.sources` of its root, which holds for every member.
    sources: Table,
}

impl<'a> Reader<'a> {
    /// Finds the workspaces of a tree.
    pub(super) fn new(tree: &'a Tree, changes: &'a Changes) -> Self {
        let files = tree.entries().iter().map(|entry| &entry.path);
        let files = files.filter(|path| path.file_name() == "pyproject.toml");
        let projects: BTreeMap<RepoPath, Table> = files
            .filter_map(|path| Some((path.parent()?, parse(tree, path)?)))
            .collect();
        let workspaces = projects.iter().filter_map(|(root, project)| {
            let workspace = at(project, &["tool", "uv", "workspace"])?.as_table()?;
            let globs = |key: &str| -> Vec<_> {
                let globs = texts(workspace.get(key));
                let globs = globs.iter().map(|glob| glob.trim_matches('/'));
                globs
                    .filter_map(|glob| GlobBuilder::new(glob).literal_separator(true).build().ok())
                    .map(|glob| glob.compile_matcher())
                    .collect()
            };
            let (members, exclude) = (globs("members"), globs("exclude"));
            let is_member = |folder: &RepoPath| {
                folder.below(root).is_some_and(|below| {
                    below.is_empty()
                        || (members.iter().any(|glob| glob.is_match(below))
                            && !exclude.iter().any(|glob| glob.is_match(below)))
                })
            };
            let members = projects.iter().filter(|(folder, _)| is_member(folder));
            let named = members.filter_map(|(folder, member)| {
                let name = at(member, &["project", "name"])?.as_str()?;
                Some((normalized(name), folder.clone()))
            });
            let sources = at(project, &["tool", "uv", "sources"]).and_then(Value::as_table);
            let workspace = Workspace {
                root: root.clone(),
                members: named.collect(),
                sources: sources.cloned().unwrap_or_default(),
            };
            Some((root.clone(), workspace))
        });
        let workspaces = workspaces.collect();
        Self {
            tree,
            changes,
            workspaces,
        }
    }

    /// Everything that decides about the packages that these requirements files of a project name, each once; those
    /// files first.
    pub(super) fn needed(&self, project: &RepoPath, files: &[RepoPath]) -> Vec<Needed> {
        let mut list = List {
            all: Vec::new(),
            seen: BTreeSet::new(),
        };
        for file in files {
            list.add(file.clone(), false, None);
        }
        let mut next = 0;
        while let Some(one) = list.all.get(next) {
            let (path, folder) = (one.path.clone(), one.folder);
            if folder {
                for name in ["pyproject.toml", "setup.py", "setup.cfg"] {
                    list.add(path.join(name), false, Some(next));
                }
            } else if path.file_name() == "pyproject.toml" {
                self.pyproject(&path, next, &mut list);
            } else if is_lines(path.file_name())
                && let Ok(text) = self.tree.read(&path)
            {
                let text = String::from_utf8_lossy(&text);
                self.lines(&text, project, &path, next, &mut list);
            }
            next += 1;
        }
        list.all
    }

    fn lines(&self, text: &str, project: &RepoPath, file: &RepoPath, from: usize, list: &mut List) {
        let folder = file.parent().unwrap_or_default();
        let text = text.replace("\\\n", " ").replace("\\\r\n", " ");
        for line in text.lines() {
            let line = line.trim();
            let line = line.split(" #").next().unwrap_or(line).trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let option = |names: &[&str]| {
                let rest = names.iter().find_map(|name| line.strip_prefix(name))?;
                Some(rest.trim_start_matches(['=', ' ', '\t']).trim())
            };
            if let Some(named) = option(&["--requirement", "--constraint", "-r", "-c"]) {
                // These count from the file, packages from where pip runs.
                if let Some(path) = folder
                    .resolve(unquoted(named))
                    .filter(|_| !named.contains("://"))
                {
                    list.add(path, false, Some(from));
                }
                continue;
            }
            let named = option(&["--editable", "-e"]);
            if named.is_none() && line.starts_with('-') {
                continue;
            }
            if let Some(path) = local(named.unwrap_or(line), named.is_some()) {
                self.package(&path, &[&folder, project, &RepoPath::root()], from, list);
            }
        }
    }

    /// Adds the folder (or archive) of a package, by the first of the folders that has it.
    fn package(&self, written: &str, from_folders: &[&RepoPath], from: usize, list: &mut List) {
        let paths = from_folders.iter().filter_map(|one| one.resolve(written));
        for path in paths {
            if self.tree.position(&path).is_some() {
                return list.add(path, false, Some(from));
            }
            let mut gone = self.changes.before.iter();
            if self.tree.is_folder(&path) || gone.any(|one| one.below(&path).is_some()) {
                return list.add(path, true, Some(from));
            }
        }
    }

    fn pyproject(&self, file: &RepoPath, from: usize, list: &mut List) {
        let folder = file.parent().unwrap_or_default();
        for lock in LOCKS {
            list.add(folder.join(lock), false, Some(from));
        }
        let Some(project) = parse(self.tree, file) else {
            return;
        };
        let mut around = Some(folder.clone());
        let mut workspace = None;
        while let Some(root) = around {
            if let Some(found) = self.workspaces.get(&root)
                && (root == folder || found.members.values().any(|member| *member == folder))
            {
                workspace = Some(found);
                list.add(root.join("pyproject.toml"), false, Some(from));
                break;
            }
            around = root.parent();
        }
        let dependencies = dependencies(&project);
        for text in &dependencies {
            if let Some(path) = local(text, false) {
                self.package(&path, &[&folder], from, list);
            }
        }
        let wanted: BTreeSet<String> = dependencies.iter().map(|one| name_of(one)).collect();
        let own = at(&project, &["tool", "uv", "sources"]).and_then(Value::as_table);
        let own = own.into_iter().flatten().map(|one| (&folder, one));
        // What a member says itself comes before what its workspace says.
        let mut sources: BTreeMap<&String, (&RepoPath, &Value)> = BTreeMap::new();
        let inherited = workspace.iter().flat_map(|found| {
            let sources = found.sources.iter();
            sources.map(|one| (&found.root, one))
        });
        for (base, (name, source)) in inherited.chain(own) {
            sources.insert(name, (base, source));
        }
        sources.retain(|name, _| wanted.contains(&normalized(name)));
        for (name, (base, source)) in sources {
            for source in several(source) {
                let member = source.get("workspace").and_then(Value::as_bool) == Some(true);
                if let Some(path) = source.get("path").and_then(Value::as_str) {
                    self.package(path, &[base], from, list);
                } else if member
                    && let Some(folder) =
                        workspace.and_then(|found| found.members.get(&normalized(name)))
                {
                    list.add(folder.clone(), true, Some(from));
                }
            }
        }
        for path in poetry(&project) {
            self.package(path, &[&folder], from, list);
        }
        let dynamic = at(&project, &["tool", "setuptools", "dynamic"]).and_then(Value::as_table);
        for named in dynamic.map(dynamic_files).unwrap_or_default() {
            list.add(folder.join(&named), false, Some(from));
        }
    }
}

struct List {
    all: Vec<Needed>,
    seen: BTreeSet<(RepoPath, bool)>,
}

impl List {
    fn add(&mut self, path: RepoPath, folder: bool, from: Option<usize>) {
        if self.seen.insert((path.clone(), folder)) {
            self.all.push(Needed { path, folder, from });
        }
    }
}

/// Whether a file of this name is lines of requirements.
fn is_lines(name: &str) -> bool {
    std::path::Path::new(name)
        .extension()
        .is_some_and(|end| end == "txt" || end == "in")
}

fn parse(tree: &Tree, file: &RepoPath) -> Option<Table> {
    tree.position(file)?;
    let text = String::from_utf8(tree.read(file).ok()?).ok()?;
    text.parse().ok()
}

fn at<'t>(table: &'t Table, keys: &[&str]) -> Option<&'t Value> {
    let (first, rest) = keys.split_first()?;
    rest.iter()
        .try_fold(table.get(*first)?, |value, key| value.get(*key))
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

/// The texts of all lists of a table.
fn texts_of_all(value: Option<&Value>) -> Vec<String> {
    let table = value.and_then(Value::as_table);
    table
        .into_iter()
        .flat_map(Table::values)
        .flat_map(|one| texts(Some(one)))
        .collect()
}

/// The dependency specifiers of a project, those of its extras and groups among them.
fn dependencies(project: &Table) -> Vec<String> {
    let mut all = texts(at(project, &["project", "dependencies"]));
    all.extend(texts(at(project, &["tool", "uv", "dev-dependencies"])));
    for keys in [
        &["project", "optional-dependencies"][..],
        &["dependency-groups"],
        &["tool", "pdm", "dev-dependencies"],
    ] {
        all.extend(texts_of_all(at(project, keys)));
    }
    all
}

/// The path dependencies of Poetry.
fn poetry(project: &Table) -> Vec<&str> {
    let Some(poetry) = at(project, &["tool", "poetry"]) else {
        return Vec::new();
    };
    let groups = poetry.get("group").and_then(Value::as_table);
    let groups = groups.into_iter().flat_map(Table::values);
    let tables = groups
        .filter_map(|group| group.get("dependencies"))
        .chain(poetry.get("dependencies"))
        .chain(poetry.get("dev-dependencies"))
        .filter_map(Value::as_table);
    let values = tables.flat_map(Table::values).flat_map(several);
    values
        .filter_map(|value| value.get("path")?.as_str())
        .collect()
}

/// The items of a list; a value that is none, alone.
fn several(value: &Value) -> &[Value] {
    value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// The files that setuptools takes dependencies from.
fn dynamic_files(dynamic: &Table) -> Vec<String> {
    let file = |value: &Value| texts(value.get("file"));
    let mut files = dynamic.get("dependencies").map(file).unwrap_or_default();
    let optional = dynamic
        .get("optional-dependencies")
        .and_then(Value::as_table);
    files.extend(optional.into_iter().flat_map(Table::values).flat_map(file));
    files
}

/// The path in a requirement, if it has one: `../lib[extra] ; marker`, `lib @ file:../lib`, `file:///${PROJECT_ROOT}/lib`.
/// A single name is one only where it has to be a path, as after `-e`.
fn local(requirement: &str, has_to_be: bool) -> Option<String> {
    let requirement = requirement.trim();
    let rest = requirement.strip_prefix("-e ").unwrap_or(requirement);
    let direct = rest.split_once('@').filter(|(name, _)| {
        let name = name.trim().split('[').next().unwrap_or_default();
        !name.is_empty() && !name.contains(['/', ':', ' '])
    });
    let (address, direct) = match direct {
        Some((_, address)) => (address.trim(), true),
        None => (rest, false),
    };
    let address = unquoted(address);
    let end = address.find([';', ' ', '\t']).unwrap_or(address.len());
    let address = address[..end].split('#').next().unwrap_or_default();
    let (path, named) = if let Some(path) = address.strip_prefix("file:") {
        (path.strip_prefix("//").unwrap_or(path), true)
    } else if let Some(path) = address.strip_prefix("{root:uri}") {
        (path, true)
    } else {
        (address, false)
    };
    let rooted = path.trim_start_matches('/');
    let path = match rooted.strip_prefix("${PROJECT_ROOT}") {
        Some(path) => path,
        // Another absolute path is none of the repository.
        None if path.starts_with('/') && !address.starts_with("{root:uri}") => return None,
        None => path,
    };
    let path = path
        .trim_start_matches('/')
        .split('[')
        .next()
        .unwrap_or_default();
    if path.contains("://") || path.starts_with("git+") {
        return None;
    }
    let is_path = named || has_to_be || (!direct && (path.starts_with('.') || path.contains('/')));
    (is_path && !path.is_empty()).then(|| path.to_owned())
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

/// The normalized name of the package that a requirement asks for.
fn name_of(requirement: &str) -> String {
    let requirement = requirement.trim();
    let part = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.');
    let end = requirement
        .find(|one: char| !part(one))
        .unwrap_or(requirement.len());
    normalized(&requirement[..end])
}

/// A package's name in the [form in which names are compared](https://packaging.python.org/en/latest/specifications/name-normalization/).
fn normalized(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for one in name.chars() {
        if !matches!(one, '-' | '_' | '.') {
            out.extend(one.to_lowercase());
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_requirements() {
        for (text, has_to_be, path) in [
            ("../lib", false, Some("../lib")),
            ("./lib[all] ; python_version > '3'", false, Some("./lib")),
            ("lib", true, Some("lib")),
            ("lib", false, None),
            ("lib>=1", false, None),
            ("lib @ file:../lib", false, Some("../lib")),
            (
                "lib[x]@file:///${PROJECT_ROOT}/../lib",
                false,
                Some("../lib"),
            ),
            (
                "-e file:///${PROJECT_ROOT}/../lib#egg=lib",
                false,
                Some("../lib"),
            ),
            ("lib @ {root:uri}/../lib", false, Some("../lib")),
            (
                "wheels/lib-1.0-py3-none-any.whl",
                false,
                Some("wheels/lib-1.0-py3-none-any.whl"),
            ),
            ("lib @ https://example.org/a/lib.whl", false, None),
            ("git+https://example.org/a/lib@main", true, None),
            ("git+ssh://git@example.org/a/lib", true, None),
            ("file:///opt/lib", false, None),
            ("https://example.org/x.whl", false, None),
            ("'../my lib'", true, Some("../my")),
        ] {
            assert_eq!(local(text, has_to_be).as_deref(), path, "{text}");
        }
    }

    #[test]
    fn names_are_compared_normalized() {
        assert_eq!(name_of("My_Lib.Core[x]>=1"), "my-lib-core");
        assert_eq!(normalized("a-_-b"), "a-b");
    }
}
