//! `flowyard.toml` as a document with places, for the sections of it that say what to deploy.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use super::code::{Area, Globs};
use super::document::{self, Node, Syntax};
use super::faults::Faults;
use super::rule::FlowRules;
use crate::discover::{self, Format, Found, Scope, Tree};
use crate::model::{Diagnostic, Place, RepoPath, nearest};

/// Where it is, from the root.
pub(super) const FILE: &str = "flowyard.toml";

/// The tree's own; `None` where it has none. What is wrong with the file as a whole is not told here: without it there is
/// no configuration.
pub(super) fn of(tree: &Tree) -> Option<Node> {
    let path = RepoPath::new(FILE);
    tree.position(&path)?;
    parse(&String::from_utf8(tree.read(&path).ok()?).ok()?)
}

/// The document of a text; `None` where it is not TOML.
pub(super) fn parse(text: &str) -> Option<Node> {
    let (document, _) = document::parse(text, Syntax::Toml).ok()?;
    Some(document)
}

/// Refuses what names nothing in the tree under `[projects]`, or in the `variables` that come before its keys: whoever writes
/// a name means something by it. What may be in a folder that is not checked out is let through.
pub(super) fn check(
    projects: Option<&Node>,
    variables: &BTreeMap<String, (String, Vec<String>)>,
    rules: &FlowRules,
    tree: &Tree,
    found: &Found,
) -> Vec<Diagnostic> {
    let path = RepoPath::new(FILE);
    let mut faults = Faults::of(&path);
    let mut check = |key: &str, names: &dyn Fn(&str) -> Verdict| {
        let fault = |place, message: String| match key {
            // Leaving out what is gone by now, or is not in every checkout, does no harm.
            "exclude" => Diagnostic::warning(place, message),
            _ => Diagnostic::error(place, message),
        };
        if let Some((variable, list)) = variables.get(key) {
            for text in list {
                if let Err((message, hint)) = names(text) {
                    let place = Place::file(path.clone());
                    faults.push(fault(place, format!("{variable}: {message}")).hint(hint));
                }
            }
            return;
        }
        let written = projects.and_then(|projects| faults.texts(projects, key));
        for (text, at) in written.unwrap_or_default() {
            if let Err((message, hint)) = names(&text) {
                faults.push(fault(faults.place(at), message).hint(hint));
            }
        }
    };
    let all = OnceCell::new();
    let find = || discover::find_with_flows(tree, &Scope::default(), &|file| rules.holds(file));
    let all = || all.get_or_init(find);
    let may_hold = |path: &RepoPath| all().absent.keys().any(|folder| folder.meets(path));
    let files = || tree.entries().iter().map(|entry| entry.path.file_name());
    // A repository begins without a project.
    if !found.projects.is_empty() || files().any(|name| Format::of(name).is_some()) {
        // What is let in and left out again is a project all the same.
        let a_project = |glob: &str| match a_project(glob, found) {
            Ok(()) => Ok(()),
            Err(_) => a_project(glob, all()),
        };
        check("include", &a_project);
        check("exclude", &a_project);
    }
    check("shared", &|written| a_folder(written, tree, &may_hold));
    let globs = Globs::default();
    check("depends-on", &|pattern| {
        a_file(pattern, &globs, tree, &may_hold)
    });
    faults.into_parts().0
}

/// What is wrong with a name, and what to do.
type Verdict = Result<(), (String, String)>;

fn a_project(glob: &str, among: &Found) -> Verdict {
    // What is no glob is told before.
    let Ok(scope) = Scope::new(&[glob], &[]) else {
        return Ok(());
    };
    let found = among.projects.iter().any(|one| scope.holds(&one.path));
    if found || among.absent.keys().any(|folder| scope.reaches(folder)) {
        return Ok(());
    }
    let hint =
        "a project is a folder with a deployment file, and globs count from the repository's root";
    Err((format!("`{glob}` matches no project"), hint.to_owned()))
}

fn a_folder(written: &str, tree: &Tree, may_hold: &dyn Fn(&RepoPath) -> bool) -> Verdict {
    let Some(path) = RepoPath::root().resolve(written) else {
        let hint = "name a folder of the repository, from its root";
        return Err((
            format!("`{written}` leads out of the repository"),
            hint.to_owned(),
        ));
    };
    if tree.is_folder(&path) || tree.position(&path).is_some() || may_hold(&path) {
        return Ok(());
    }
    let folders = folders_beside(&path, tree);
    let hint = match nearest(path.as_str(), folders.iter().map(RepoPath::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            "folders count from the repository's root, and ignored files do not count".to_owned()
        }
    };
    Err((format!("there is no folder `{written}`"), hint))
}

/// The folders as deep as `path`.
fn folders_beside(path: &RepoPath, tree: &Tree) -> BTreeSet<RepoPath> {
    let depth = path.components().count();
    let files = tree.entries().iter().map(|entry| entry.path.as_str());
    files
        .filter_map(|file| {
            let (end, _) = file.match_indices('/').nth(depth.checked_sub(1)?)?;
            Some(RepoPath::new(&file[..end]))
        })
        .collect()
}

fn a_file(
    pattern: &str,
    globs: &Globs,
    tree: &Tree,
    may_hold: &dyn Fn(&RepoPath) -> bool,
) -> Verdict {
    let hint = "patterns count from the repository's root, and ignored files do not count";
    let matches = |area: &Area| {
        let mut files = tree
            .position(&area.anchor)
            .into_iter()
            .chain(tree.below(&area.anchor));
        let matched = files.any(|index| area.matches(&tree.entries()[index].path));
        area.negated || matched || may_hold(&area.anchor)
    };
    match globs.parse(&RepoPath::root(), pattern) {
        Ok(area) if matches(&area) => Ok(()),
        Ok(_) => Err((
            format!("`{pattern}` in `depends-on` matches no file"),
            hint.to_owned(),
        )),
        Err(why) => Err((why, hint.to_owned())),
    }
}
