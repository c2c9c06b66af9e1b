//! Composes the code release of each project: which files, under which paths, with which content.
//!
//! A release holds everything below the project's folder that the tree's rules leave (see [`discover`](crate::discover)),
//! plus what `code.include` adds, the shared folders that its Python files import from, and what the caller adds (an
//! entrypoint's file elsewhere), minus what `code.exclude` names. Left out everywhere: deployment files, because to
//! change a schedule is not to change the code (but not one that the caller adds, because it holds a flow too), and
//! ignore files, because they tell what to leave out and are not run.
//! Requirements files stay in.
//!
//! As soon as one file is outside of the project's folder, all paths are relative to the repository's root, so that
//! what can be imported from the root here can be imported from the release's root on the worker.

mod hashes;
mod pattern;
mod shared;

use rayon::prelude::*;

pub use self::shared::{Imports, Shared};

use self::hashes::Hashes;
pub(in crate::read) use self::pattern::{Area, Globs, takes};
use self::shared::LONGEST_SEARCHED;
use crate::discover::{EntryKind, FaultKind, Format, LinkFault, Tree};
use crate::model::{CodeFile, CodeTree, Diagnostic, FileMode, Place, RepoPath};

/// What the files of a project say about its code.
#[derive(Clone, Debug)]
pub struct Request {
    /// The project's folder.
    pub project: RepoPath,
    /// `code.include`: what to add. A pattern that matches nothing is a fault.
    pub include: Vec<Pattern>,
    /// `code.exclude`: what to leave out, wherever it comes from; the last matching pattern decides, and one that
    /// starts with `!` keeps.
    pub exclude: Vec<Pattern>,
    /// `depends_on`: what is needed and not part of the code. A pattern that matches nothing is a fault.
    pub depends_on: Vec<Pattern>,
    /// Files and folders to be added by name, and who names them.
    pub extra: Vec<(RepoPath, Place)>,
}

impl Request {
    /// A project that adds nothing and excludes nothing.
    pub fn plain(project: RepoPath) -> Self {
        Self {
            project,
            include: Vec::new(),
            exclude: Vec::new(),
            depends_on: Vec::new(),
            extra: Vec::new(),
        }
    }
}

/// A pattern as a person wrote it: the syntax of a line in `.gitignore`, relative to the project's folder, or to the
/// repository's root with a leading `/`; `..` leads up; a folder means everything below it.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// Composes the releases of all projects, in the order of the requests, each with its faults, sorted.
///
/// Each file is read once, in parallel, however many projects hold it. A file that cannot be part of a release (a
/// symbolic link out of it, a name that is not UTF-8 …) is a fault and left out.
pub fn trees(
    tree: &Tree,
    requests: &[Request],
    shared: &Shared<'_>,
) -> Vec<(CodeTree, Vec<Diagnostic>)> {
    let globs = Globs::default();
    let selections: Vec<Selection> = requests
        .par_iter()
        .map(|request| Selection::of(tree, request, &globs))
        .collect();
    let hashes = Hashes::new(tree, shared);
    hashes.fill(&union(
        tree,
        selections.iter().flat_map(|selection| &selection.files),
    ));
    let folders = SharedFolders::read(tree, shared, &hashes, &selections);
    requests
        .par_iter()
        .zip(selections)
        .map(|(request, mut selection)| {
            folders.add_to(&mut selection, tree, shared, &hashes, &request.project);
            selection.compose(tree, &request.project, shared, &hashes)
        })
        .collect()
}

/// The places, each once and in order, of all `indices`.
fn union<'a>(tree: &Tree, indices: impl Iterator<Item = &'a usize>) -> Vec<usize> {
    let mut wanted = vec![false; tree.entries().len()];
    for &index in indices {
        wanted[index] = true;
    }
    let places = wanted.iter().enumerate();
    places
        .filter_map(|(index, wanted)| wanted.then_some(index))
        .collect()
}

/// The files of one project's release.
struct Selection {
    /// Their places among the tree's entries, sorted, each once.
    files: Vec<usize>,
    /// Where they were taken from: faults there are faults of the release.
    areas: Vec<Area>,
    exclude: Vec<Area>,
    diagnostics: Vec<Diagnostic>,
}

impl Selection {
    fn of(tree: &Tree, request: &Request, globs: &Globs) -> Self {
        let mut diagnostics = Vec::new();
        let mut exclude = Vec::new();
        for pattern in &request.exclude {
            match globs.parse(&request.project, &pattern.text) {
                Ok(area) => exclude.push(area),
                Err(why) => diagnostics.push(fault(pattern, why)),
            }
        }
        let mut selection = Self {
            files: Vec::new(),
            areas: Vec::new(),
            exclude,
            diagnostics,
        };
        selection.add(tree, Area::all(request.project.clone()));
        for pattern in &request.include {
            match globs.parse(&request.project, &pattern.text) {
                Ok(area) if area.negated => selection.diagnostics.push(
                    fault(pattern, "`!` has no meaning in `code.include`".into())
                        .hint("write the pattern without `!` in `code.exclude`"),
                ),
                Ok(area) => {
                    if !selection.add(tree, area) {
                        let message = format!("`{}` matches no file", pattern.text);
                        let hint = "patterns are relative to the project's folder (`/x` to the repository's root), \
                                    and ignored files cannot be included";
                        selection
                            .diagnostics
                            .push(fault(pattern, message).hint(hint));
                    }
                }
                Err(why) => selection.diagnostics.push(fault(pattern, why)),
            }
        }
        for pattern in &request.depends_on {
            let found = globs.parse(&request.project, &pattern.text).map(|area| {
                let entries = tree.entries();
                let anchor = tree.position(&area.anchor).into_iter();
                let mut files = anchor.chain(tree.below(&area.anchor));
                area.negated || files.any(|index| area.matches(&entries[index].path))
            });
            let hint = "patterns are relative to the project's folder (`/x` to the repository's root), and ignored \
                        files do not count";
            match found {
                Ok(true) => {}
                Ok(false) => {
                    let message = format!("`{}` in `depends_on` matches no file", pattern.text);
                    selection
                        .diagnostics
                        .push(fault(pattern, message).hint(hint));
                }
                Err(why) => selection.diagnostics.push(fault(pattern, why)),
            }
        }
        for (path, place) in &request.extra {
            if !selection.add_all(tree, Area::all(path.clone()), true) {
                let message = format!("{path} is not there or is ignored");
                selection
                    .diagnostics
                    .push(Diagnostic::error(place.clone(), message));
            }
        }
        selection.tidy();
        selection
    }

    /// Adds what an area holds, as far as it belongs to releases; says whether it holds anything.
    fn add(&mut self, tree: &Tree, area: Area) -> bool {
        self.add_all(tree, area, false)
    }

    /// Adds it, also what does not belong to releases where it is `named`.
    fn add_all(&mut self, tree: &Tree, area: Area, named: bool) -> bool {
        let entries = tree.entries();
        let mut found = tree
            .faults_below(&area.anchor)
            .any(|fault| area.matches(&fault.path));
        for index in tree
            .position(&area.anchor)
            .into_iter()
            .chain(tree.below(&area.anchor))
        {
            let path = &entries[index].path;
            if !area.matches(path) {
                continue;
            }
            found = true;
            if (named || belongs(path)) && !takes(&self.exclude, path) {
                self.files.push(index);
            }
        }
        self.areas.push(area);
        found
    }

    fn tidy(&mut self) {
        if !self.files.is_sorted_by(|a, b| a < b) {
            self.files.sort_unstable();
            self.files.dedup();
        }
    }

    fn compose(
        mut self,
        tree: &Tree,
        project: &RepoPath,
        shared: &Shared<'_>,
        hashes: &Hashes<'_>,
    ) -> (CodeTree, Vec<Diagnostic>) {
        let entries = tree.entries();
        let own = tree.below(project);
        let outside = self.files.iter().any(|index| !own.contains(index));
        let base = if outside {
            RepoPath::root()
        } else {
            project.clone()
        };
        let mut files = Vec::with_capacity(self.files.len());
        for &index in &self.files {
            let entry = &entries[index];
            let error =
                |message: String| Diagnostic::error(Place::file(entry.path.clone()), message);
            if let Some(message) = unstorable(&entry.path) {
                let hint = "rename it, or ignore it in a .prefectignore";
                self.diagnostics.push(error(message.to_owned()).hint(hint));
                continue;
            }
            let target = match self.follow(tree, index) {
                Ok(target) => target,
                Err((message, hint)) => {
                    self.diagnostics.push(error(message).hint(hint));
                    continue;
                }
            };
            let EntryKind::File { length, mode } = entries[target].kind else {
                continue;
            };
            let Some(hashed) = hashes.get(target) else {
                continue;
            };
            match hashed {
                Ok(hashed) => files.push(code_file(entry.path.below(&base), hashed, mode)),
                Err(why) => self
                    .diagnostics
                    .push(error(format!("cannot be read: {why}"))),
            }
            if !shared.is_empty()
                && length > LONGEST_SEARCHED
                && entry.path.as_str().ends_with(".py")
            {
                let message = "too long to be searched for imports of shared folders";
                let place = Place::file(entry.path.clone());
                self.diagnostics.push(
                    Diagnostic::warning(place, message)
                        .hint("name those folders in `code.include`"),
                );
            }
        }
        self.tell_faults(tree);
        self.diagnostics.sort();
        self.diagnostics.dedup();
        (CodeTree::new(base, files), self.diagnostics)
    }

    /// The regular file of this release that the entry at `index` is, or leads to; otherwise what is wrong with the
    /// link, and what to do.
    fn follow(&self, tree: &Tree, index: usize) -> Result<usize, (String, String)> {
        let or_exclude = "or leave the link out with `code.exclude`";
        match tree.follow(index) {
            Ok(target) if target == index || self.files.binary_search(&target).is_ok() => {
                Ok(target)
            }
            Ok(target) => {
                let path = &tree.entries()[target].path;
                Err((
                    format!("the symbolic link leads to {path}, which is not in this release"),
                    format!("add `/{path}` to `code.include`, {or_exclude}"),
                ))
            }
            Err(fault @ LinkFault::Folder(_)) => Err((
                fault.to_string(),
                format!("name the folder itself in `code.include`, {or_exclude}"),
            )),
            Err(fault) => Err((
                fault.to_string(),
                format!("let it lead to a file of the project, {or_exclude}"),
            )),
        }
    }

    /// Tells what lies in the release's areas and cannot be released.
    fn tell_faults(&mut self, tree: &Tree) {
        for area in &self.areas {
            for fault in tree.faults_below(&area.anchor) {
                let (message, hint) = match fault.kind {
                    // Whether it is missed cannot be told.
                    FaultKind::Absent(why)
                        if area.matches(&fault.path) && !takes(&self.exclude, &fault.path) =>
                    {
                        let place = Place::file(fault.path.clone());
                        let message = "git has files in it that are not checked out: the release is without them";
                        let warning = Diagnostic::warning(place, message).hint(why.hint());
                        self.diagnostics.push(warning);
                        continue;
                    }
                    FaultKind::NotUtf8 => {
                        ("the name or the link's target is not UTF-8", "rename it")
                    }
                    FaultKind::Special => ("a device, pipe or socket", "remove it"),
                    FaultKind::Submodule => (
                        "a submodule whose commit of then is not here",
                        "compare a work tree in which it is checked out",
                    ),
                    // These concern more than one release: `discover::find` tells them.
                    FaultKind::Unreadable(_)
                    | FaultKind::Absent(_)
                    | FaultKind::Hidden
                    | FaultKind::Pattern(..)
                    | FaultKind::Index(_) => continue,
                };
                if area.matches(&fault.path) && !takes(&self.exclude, &fault.path) {
                    let place = Place::file(fault.path.clone());
                    let hint = format!("{hint}, or ignore it in a .prefectignore");
                    self.diagnostics
                        .push(Diagnostic::error(place, message).hint(hint));
                }
            }
        }
    }
}

fn code_file(path: Option<&str>, hashed: &hashes::Hashed, mode: FileMode) -> CodeFile {
    CodeFile {
        path: path.unwrap_or_default().to_owned(),
        length: hashed.length,
        sha256: hashed.sha256,
        mode,
    }
}

fn fault(pattern: &Pattern, message: String) -> Diagnostic {
    Diagnostic::error(pattern.place.clone(), message)
}

/// Why no storage takes a file of this name: what some of them would change or misread, all refuse.
fn unstorable(path: &RepoPath) -> Option<&'static str> {
    if path.as_str().contains(char::is_control) {
        Some("the name holds a control character, which no storage takes")
    } else if path.as_str().contains('\\') {
        Some("the name holds a backslash, which no storage takes")
    } else {
        None
    }
}

/// Whether a file belongs to releases at all.
fn belongs(path: &RepoPath) -> bool {
    let name = path.file_name();
    Format::of(name).is_none() && name != ".gitignore" && name != ".prefectignore"
}

/// The shared folders that any project needs, with what they need themselves.
struct SharedFolders {
    /// For each shared folder: itself and those that it imports from, directly or not; sorted.
    closure: Vec<Vec<usize>>,
}

impl SharedFolders {
    /// Reads the shared folders that are imported from, and those that they import from, until no more come.
    fn read(
        tree: &Tree,
        shared: &Shared<'_>,
        hashes: &Hashes<'_>,
        selections: &[Selection],
    ) -> Self {
        let count = shared.len();
        let mut direct = vec![Vec::new(); count];
        let mut seen = vec![false; count];
        let files = selections.iter().flat_map(|selection| &selection.files);
        let mut waiting = if count == 0 {
            Vec::new()
        } else {
            imported(hashes, files)
        };
        while !waiting.is_empty() {
            waiting.retain(|&folder| !std::mem::replace(&mut seen[folder], true));
            let areas: Vec<_> = waiting
                .iter()
                .map(|&folder| files_of(tree, shared.path(folder)))
                .collect();
            hashes.fill(&union(tree, areas.iter().flatten()));
            for (&folder, area) in waiting.iter().zip(&areas) {
                direct[folder] = imported(hashes, area.iter());
            }
            waiting = waiting
                .iter()
                .flat_map(|&folder| direct[folder].clone())
                .collect();
        }
        let closure = (0..count).map(|folder| {
            let mut reached = vec![false; count];
            let mut waiting = vec![folder];
            while let Some(next) = waiting.pop() {
                if !std::mem::replace(&mut reached[next], true) {
                    waiting.extend(&direct[next]);
                }
            }
            (0..count).filter(|&folder| reached[folder]).collect()
        });
        Self {
            closure: closure.collect(),
        }
    }

    /// Adds to a release the shared folders that its files need.
    fn add_to(
        &self,
        selection: &mut Selection,
        tree: &Tree,
        shared: &Shared<'_>,
        hashes: &Hashes<'_>,
        project: &RepoPath,
    ) {
        if shared.is_empty() {
            return;
        }
        let mut needed: Vec<usize> = imported(hashes, selection.files.iter())
            .into_iter()
            .filter(|&folder| !shared.is_shadowed(tree, project, folder))
            .flat_map(|folder| self.closure[folder].iter().copied())
            .collect();
        needed.sort_unstable();
        needed.dedup();
        for folder in needed {
            let path = shared.path(folder);
            selection.add(tree, Area::all(path.clone()));
            for package in packages_above(tree, path) {
                selection.add(tree, Area::all(tree.entries()[package].path.clone()));
            }
        }
        selection.tidy();
    }
}

/// The shared folders that any of these files imports from, sorted, each once.
fn imported<'a>(hashes: &Hashes<'_>, files: impl Iterator<Item = &'a usize>) -> Vec<usize> {
    let known = files.filter_map(|&index| hashes.get(index)?.ok());
    let mut folders: Vec<usize> = known
        .flat_map(|hashed| hashed.imported.iter().map(|&folder| usize::from(folder)))
        .collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}

/// The files that a shared folder brings: all below it, and the `__init__.py` of the packages that it is in.
fn files_of(tree: &Tree, path: &RepoPath) -> Vec<usize> {
    let own = tree.position(path).into_iter().chain(tree.below(path));
    let own = own.filter(|&index| belongs(&tree.entries()[index].path));
    own.chain(packages_above(tree, path)).collect()
}

/// The `__init__.py` of each folder above a path, below the root: to import a package runs those of all above it.
fn packages_above(tree: &Tree, path: &RepoPath) -> Vec<usize> {
    let mut found = Vec::new();
    let mut folder = path.parent();
    while let Some(path) = folder.filter(|path| !path.is_root()) {
        found.extend(tree.position(&path.join("__init__.py")));
        folder = path.parent();
    }
    found
}
