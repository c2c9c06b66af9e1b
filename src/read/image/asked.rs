//! What a deployment says of its image: the key `image` of a deployment file, and the steps of a `prefect.yaml`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::Builder;
use crate::read::document::{Content, Node, Position};
use crate::read::faults::{Faults, present};

/// The image of a deployment, before its project's code is known.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::read) enum Asked {
    /// Nothing is said: what the configuration makes of its project.
    Unsaid,
    /// `image: false`, or one named by itself, which is left as it is.
    None,
    /// `image: true`, or a mapping.
    Built(Box<Wish>),
}

/// A mapping `image`; what is not in it comes from `[image]` in the configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::read) struct Wish {
    /// Where it stands.
    pub(super) at: Position,
    pub(super) repository: Option<Name>,
    /// An image that is not built here.
    pub(super) name: Option<Name>,
    pub(super) base: Option<String>,
    pub(super) builder: Option<Builder>,
    pub(super) platforms: Vec<String>,
    pub(super) python: Option<String>,
    pub(super) code: Option<bool>,
    /// Where the code lies in the image, an absolute path.
    pub(super) folder: Option<String>,
    /// Tags beside the digest of its inputs.
    pub(super) tags: Vec<String>,
    pub(super) user: Option<String>,
    pub(super) environment: BTreeMap<String, String>,
    /// From the project's folder.
    pub(super) dockerfile: Option<(String, Position)>,
    /// Likewise.
    pub(super) context: Option<(String, Position)>,
    pub(super) arguments: BTreeMap<String, String>,
}

/// The name of a repository or an image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name {
    /// What it is.
    pub(super) value: String,
    /// What people are shown of it: as written where it holds a value of the process's environment.
    pub(super) shown: String,
}

impl Name {
    /// One that everybody may read.
    pub(super) fn open(value: &str) -> Self {
        Self {
            value: value.to_owned(),
            shown: value.to_owned(),
        }
    }
}

const KEYS: &[&str] = &[
    "repository",
    "name",
    "base",
    "builder",
    "platforms",
    "python",
    "code",
    "folder",
    "tags",
    "user",
    "environment",
    "dockerfile",
    "context",
    "arguments",
];

/// Reads the key `image`; a text is not for here: it names an image that is left as it is.
pub(in crate::read) fn read(deployment: &Node, faults: &mut Faults<'_>) -> Asked {
    let Some(node) = present(deployment, "image") else {
        return Asked::Unsaid;
    };
    let entries = match &node.content {
        Content::Scalar(Value::Bool(true)) => {
            return Asked::Built(Box::new(Wish {
                at: node.at,
                ..Wish::default()
            }));
        }
        Content::Scalar(Value::Bool(false) | Value::String(_)) => return Asked::None,
        Content::Map(entries) => entries,
        Content::Scalar(_) | Content::List(_) => {
            let kind = node.kind();
            faults
                .error(
                    node.at,
                    format!("`image` is a text, a mapping, true or false, not {kind}"),
                )
                .hint("a text names an image, `image: \"repository:tag\"`; a mapping says how one is built");
            return Asked::None;
        }
    };
    faults.unknown_keys(entries, KEYS, "`image`");
    let text = |key: &str, faults: &mut Faults<'_>| faults.text(node, key).map(|(text, _)| text);
    let texts = |key: &str, faults: &mut Faults<'_>| -> Vec<String> {
        let texts = faults.texts(node, key).unwrap_or_default();
        texts.into_iter().map(|(text, _)| text).collect()
    };
    let name = |key: &str, faults: &mut Faults<'_>| {
        let (value, _) = faults.text(node, key)?;
        let written = node.get(key).and_then(|one| one.hidden.clone());
        let shown = written.unwrap_or_else(|| value.clone());
        Some(Name { value, shown })
    };
    let builder = faults.text(node, "builder");
    let folder = faults.text(node, "folder");
    let wish = Wish {
        at: node.at,
        repository: name("repository", faults),
        name: name("name", faults),
        base: text("base", faults),
        builder: builder.and_then(|(name, at)| match Builder::parse(&name) {
            Ok(builder) => Some(builder),
            Err(hint) => {
                faults
                    .error(at, format!("`{name}` builds no images"))
                    .hint(hint);
                None
            }
        }),
        platforms: texts("platforms", faults),
        python: text("python", faults),
        code: faults.boolean(node, "code"),
        folder: folder.and_then(|(folder, at)| {
            if is_folder(&folder) {
                return Some(folder);
            }
            faults
                .error(at, format!("`{folder}` is no folder of an image"))
                .hint("say where the code lies from the image's root on, such as /srv/app");
            None
        }),
        tags: texts("tags", faults),
        user: text("user", faults),
        environment: variables(node, "environment", faults),
        dockerfile: faults.text(node, "dockerfile"),
        context: faults.text(node, "context"),
        arguments: variables(node, "arguments", faults),
    };
    let both = |faults: &mut Faults<'_>, one: &str, other: &str| {
        faults
            .error(node.at, format!("`image` has both `{one}` and `{other}`"))
            .hint("keep one of them");
    };
    match &wish {
        Wish {
            base: Some(_),
            dockerfile: Some(_),
            ..
        } => both(faults, "base", "dockerfile"),
        Wish {
            name: Some(_),
            base: Some(_),
            ..
        } => both(faults, "name", "base"),
        Wish {
            name: Some(_),
            dockerfile: Some(_),
            ..
        } => both(faults, "name", "dockerfile"),
        _ => {}
    }
    Asked::Built(Box::new(wish))
}

/// Whether a path names a folder in an image: from its root on, not all of it, and without ways around.
fn is_folder(path: &str) -> bool {
    let mut parts = path.trim_matches('/').split('/');
    path.starts_with('/') && parts.all(|part| !matches!(part, "" | "." | ".."))
}

fn variables(node: &Node, key: &str, faults: &mut Faults<'_>) -> BTreeMap<String, String> {
    let Some(map) = faults.mapping(node, key) else {
        return BTreeMap::new();
    };
    let mut variables = BTreeMap::new();
    for entry in map.entries().unwrap_or_default() {
        match entry.value.text() {
            Some(text) => {
                variables.insert(entry.key.clone(), text);
            }
            None => {
                let message = format!("`{}` is a text, not {}", entry.key, entry.value.kind());
                faults.error(entry.value.at, message);
            }
        }
    }
    variables
}
