//! The files that decide which packages an image gets.

use std::collections::BTreeSet;

use super::context;
use crate::discover::Tree;
use crate::model::{CodeTree, RepoPath, Requirements};

/// A requirements file with every file that resolving it reads: what `-r` and `-c` lines name, and an `uv.lock` beside a
/// `pyproject.toml`. An error names the file and what is wrong.
pub(super) fn read(tree: &Tree, file: &RepoPath) -> Result<Requirements, (RepoPath, String)> {
    let mut seen = BTreeSet::new();
    // With the file that names it.
    let mut waiting = vec![(file.clone(), file.clone())];
    let mut files = Vec::new();
    while let Some((path, by)) = waiting.pop() {
        let Some(index) = tree.position(&path) else {
            return Err((by, format!("names {path}, which does not exist")));
        };
        if !seen.insert(path.clone()) {
            continue;
        }
        files.push(context::file(tree, index, path.as_str())?);
        let folder = path.parent().unwrap_or_default();
        if path.file_name() == "pyproject.toml" {
            let lock = folder.join("uv.lock");
            waiting.extend(tree.position(&lock).map(|_| (lock, path)));
            continue;
        }
        if path.file_name() == "uv.lock" {
            continue;
        }
        let text = tree
            .read(&path)
            .map_err(|why| (path.clone(), format!("cannot be read: {why:#}")))?;
        for named in included(&String::from_utf8_lossy(&text)) {
            let Some(named_path) = folder.resolve(named) else {
                return Err((
                    path,
                    format!("names `{named}`, which is outside of the repository"),
                ));
            };
            waiting.push((named_path, path.clone()));
        }
    }
    Ok(Requirements {
        file: file.clone(),
        files: CodeTree::new(RepoPath::root(), files),
    })
}

/// What the `-r` and `-c` lines of a requirements file name; addresses are not files.
fn included(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let rest = ["--requirement", "--constraint", "-r", "-c"]
            .iter()
            .find_map(|option| line.strip_prefix(option))?;
        let name = rest.trim_start_matches(['=', ' ', '\t']);
        let name = name.split(" #").next().unwrap_or(name).trim();
        (!name.is_empty() && !name.contains("://")).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let files = files
            .iter()
            .map(|(path, text)| (RepoPath::new(*path), text.as_bytes().to_vec()));
        Tree::memory(files.collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn every_file_that_is_named_counts_once() {
        let tree = tree(&[
            (
                "a/requirements.txt",
                "-r ../base.txt\n-c  limits.txt # why\nrequests\n--constraint=limits.txt\n",
            ),
            ("base.txt", "-r a/requirements.txt\npandas\n"),
            ("a/limits.txt", "numpy<3\n-r https://example.org/x.txt\n"),
            ("a/other.txt", ""),
        ]);
        let read = read(&tree, &RepoPath::new("a/requirements.txt")).expect("readable");
        let paths: Vec<&str> = read
            .files
            .files()
            .iter()
            .map(|file| file.path.as_str())
            .collect();
        assert_eq!(paths, ["a/limits.txt", "a/requirements.txt", "base.txt"]);
    }

    #[test]
    fn a_lock_belongs_to_its_project_file() {
        let tree = tree(&[("pyproject.toml", ""), ("uv.lock", "")]);
        let read = read(&tree, &RepoPath::new("pyproject.toml")).expect("readable");
        assert_eq!(read.files.files().len(), 2);
    }

    #[test]
    fn what_is_not_there_is_told() {
        for (text, why) in [
            ("-r none.txt", "names a/none.txt, which does not exist"),
            (
                "-r ../../x",
                "names `../../x`, which is outside of the repository",
            ),
        ] {
            let tree = tree(&[("a/r.txt", text)]);
            let error = read(&tree, &RepoPath::new("a/r.txt")).expect_err("a fault");
            assert_eq!(error, (RepoPath::new("a/r.txt"), why.to_owned()));
        }
    }
}
