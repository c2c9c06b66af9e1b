//! Which shared folders a Python file imports from.

use memchr::memmem::Finder;

use crate::discover::Tree;
use crate::model::RepoPath;

/// Folders (or single modules) of the repository that projects import from absolutely, as from the root.
pub struct Shared<'a> {
    folders: Vec<Folder>,
    imports: &'a Imports,
}

/// Reads the absolute dotted names that a Python file imports: `a.b` for `import a.b`, and for `from a import b`.
/// Relative imports are left out; so is everything where the file cannot be parsed.
pub type Imports = dyn Fn(&str) -> Vec<String> + Sync;

/// A Python file above this length, in bytes, is not searched for imports: it is generated data, not code.
pub(super) const LONGEST_SEARCHED: u64 = 16 << 20;

struct Folder {
    path: RepoPath,
    /// As an import names it: `libs.common`.
    dotted: String,
    /// Its first and its last component: no import of it goes without them.
    first: Finder<'static>,
    last: Finder<'static>,
}

impl<'a> Shared<'a> {
    /// The shared folders of the configuration, and how to read imports. No folders: nothing is searched.
    pub fn new(folders: &[RepoPath], imports: &'a Imports) -> Self {
        let folders = folders.iter().map(|path| {
            let module = path.as_str().strip_suffix(".py").unwrap_or(path.as_str());
            let first = module.split('/').next().unwrap_or(module);
            let last = module.rsplit('/').next().unwrap_or(module);
            Folder {
                path: path.clone(),
                dotted: module.replace('/', "."),
                first: Finder::new(first.as_bytes()).into_owned(),
                last: Finder::new(last.as_bytes()).into_owned(),
            }
        });
        Self {
            folders: folders.collect(),
            imports,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.folders.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.folders.len()
    }

    pub(super) fn path(&self, index: usize) -> &RepoPath {
        &self.folders[index].path
    }

    /// The indices of the shared folders that a Python file imports from.
    ///
    /// Most files never name one, and only the others are parsed. A folder or module of the same name beside the file
    /// stands in front of the shared one, as on Python's path.
    pub(super) fn imported(&self, tree: &Tree, path: &RepoPath, content: &[u8]) -> Box<[u16]> {
        let named = |folder: &&(u16, &Folder)| {
            holds_word(content, &folder.1.first) && holds_word(content, &folder.1.last)
        };
        let candidates: Vec<_> = (0..).zip(&self.folders).filter(|it| named(&it)).collect();
        if candidates.is_empty() {
            return Box::default();
        }
        let names = (self.imports)(&String::from_utf8_lossy(content));
        let beside = path.parent().unwrap_or_default();
        let imported = candidates.into_iter().filter(|(_, folder)| {
            names.iter().any(|name| {
                name.strip_prefix(folder.dotted.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            }) && !shadowed(tree, &beside, folder)
        });
        imported.map(|(index, _)| index).collect()
    }

    /// Whether what is in `folder` stands in front of a shared folder on Python's path.
    pub(super) fn is_shadowed(&self, tree: &Tree, folder: &RepoPath, index: usize) -> bool {
        shadowed(tree, folder, &self.folders[index])
    }
}

fn shadowed(tree: &Tree, beside: &RepoPath, folder: &Folder) -> bool {
    if beside.is_root() {
        return false;
    }
    let first = String::from_utf8_lossy(folder.first.needle());
    let own = beside.join(&first);
    // The shared folder itself, found from a folder above it, stands in front of nothing.
    if folder.path.below(&own).is_some() {
        return false;
    }
    tree.is_folder(&own)
        || tree
            .position(&beside.join(&format!("{first}.py")))
            .is_some()
}

/// Whether a word stands in the text with no letter, digit or underscore on either side.
fn holds_word(text: &[u8], word: &Finder<'_>) -> bool {
    let is_part = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii())
    };
    word.find_iter(text).any(|start| {
        let before = start.checked_sub(1).and_then(|before| text.get(before));
        !is_part(before) && !is_part(text.get(start + word.needle().len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_alone() {
        let lib = Finder::new("lib");
        assert!(holds_word(b"import lib", &lib));
        assert!(holds_word(b"from lib.x import y", &lib));
        assert!(holds_word(b"import urllib\nimport lib", &lib));
        assert!(!holds_word(b"import urllib, pathlib, libs, lib_x", &lib));
        assert!(!holds_word("import élib".as_bytes(), &lib));
    }
}
