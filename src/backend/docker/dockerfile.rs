//! The bases of a Dockerfile, replaced by what they were when the build was planned.

use std::collections::BTreeMap;

use super::in_full;
use crate::model::{Digest, Dockerfile};

/// The text of a Dockerfile with every base of `bases` (as written, arguments put in) named by its digest. All else stays,
/// also the numbers of the lines, which the messages of a build give.
pub(super) fn pinned(dockerfile: &Dockerfile, bases: &BTreeMap<String, Digest>) -> String {
    let mut text = dockerfile.text.clone();
    // From the end: what is replaced moves only what stands behind it.
    for base in dockerfile.named.iter().rev() {
        if let Some(digest) = bases.get(&base.name) {
            text.replace_range(base.place.clone(), &by_digest(&base.name, digest));
        }
    }
    text
}

/// A base by its digest, in full: `docker.io/library/python@sha256:…`.
pub(super) fn by_digest(base: &str, digest: &Digest) -> String {
    let name = base.split('@').next().unwrap_or(base);
    // A colon after the last slash begins a tag; one before it a port.
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let name = name[slash..]
        .find(':')
        .map_or(name, |at| &name[..slash + at]);
    format!("{}@sha256:{digest}", in_full(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CodeTree, NamedBase, RepoPath};

    #[test]
    fn bases_are_named_by_digest_and_nothing_else_moves() {
        let text = "FROM registry:5000/base:$TAG\nCOPY --from=tools@sha256:0 /a /b\nFROM left\n";
        let named = |written: &str, name: &str| {
            let start = text.find(written).expect("it is there");
            NamedBase {
                place: start..start + written.len(),
                name: name.to_owned(),
            }
        };
        let dockerfile = Dockerfile {
            file: RepoPath::new("Dockerfile"),
            text: text.to_owned(),
            context: CodeTree::default(),
            arguments: BTreeMap::new(),
            bases: Vec::new(),
            named: vec![
                named("registry:5000/base:$TAG", "registry:5000/base:1"),
                named("tools@sha256:0", "tools@sha256:0"),
                named("left", "left"),
            ],
        };
        let digest = Digest::of(b"x");
        let bases = ["registry:5000/base:1", "tools@sha256:0"];
        let bases = bases.map(|base| (base.to_owned(), digest)).into();
        let expected = "FROM registry:5000/base@sha256:D\nCOPY --from=docker.io/library/tools@sha256:D /a /b\nFROM left\n";
        let said = pinned(&dockerfile, &bases).replace(&digest.to_string(), "D");
        assert_eq!(said, expected);
    }
}
