//! The image of a registered deployment: one that is named, or one that Prefect's client would build before it registers.
//!
//! `flow.deploy(image=…)` builds unless `build=False`: by the Dockerfile that a `DockerImage` names, else by one that it
//! makes up ([`DockerImage`](https://docs.prefect.io/v3/how-to-guides/deployment_infra/docker)).

use super::node::Nodes;
use crate::model::RepoPath;
use crate::read::document::{Content, Entry, Node, Position};
use crate::read::image::{self, Defaults};
use crate::read::python::program::{At, Value};

/// The key of an image that is built, in what a file registered when it was run.
pub(super) const BUILT: &str = "_built_image";

/// What a `DockerImage` is given. A text is one of its name alone.
pub(super) struct Docker {
    at: Position,
    /// `registry.example.org/acme/flows`, with its tag where it stands there.
    name: Node,
    tag: Option<Node>,
    /// As written; `None` for one that Prefect makes up.
    dockerfile: Option<String>,
    /// `--build-arg`, a mapping.
    arguments: Option<Node>,
    platform: Option<Node>,
}

impl Docker {
    /// The value of the argument `image`; `None` after a fault.
    pub(super) fn of(value: &Value, used: At, nodes: &mut Nodes<'_, '_, '_, '_>) -> Option<Self> {
        let at = nodes.position(value.at, used);
        let machine = nodes.machine();
        if machine.record_kind(value) != Some("image") {
            let name = nodes.node(value, used, "`image`")?;
            return Some(Self::of_name(name, at));
        }
        let mut take = |field: &str| -> Option<Option<Node>> {
            let given = machine.field(value, field);
            match given.filter(|given| !given.is_none()) {
                None => Some(None),
                Some(given) => {
                    let what = format!("the image's {field}");
                    nodes.node(&given, used, &what).map(Some)
                }
            }
        };
        let (name, tag, dockerfile) = (take("name")?, take("tag")?, take("dockerfile")?);
        let (arguments, platform) = (take("buildargs")?, take("platform")?);
        let Some(name) = name else {
            nodes.fault(at, "DockerImage() has no `name`".to_owned(), "give it one");
            return None;
        };
        let dockerfile = dockerfile.and_then(|node| node.as_str().map(str::to_owned));
        Some(Self {
            tag,
            dockerfile: dockerfile.filter(|file| file != "auto"),
            arguments,
            platform,
            ..Self::of_name(name, at)
        })
    }

    /// What was captured below [`BUILT`]; `None` without a name.
    pub(super) fn captured(node: &Node) -> Option<Self> {
        let take = |key: &str| node.get(key).filter(|one| !one.is_null()).cloned();
        let dockerfile = take("dockerfile").and_then(|one| one.as_str().map(str::to_owned));
        Some(Self {
            tag: take("tag"),
            dockerfile: dockerfile.filter(|file| file != "auto"),
            arguments: take("buildargs"),
            platform: take("platform"),
            ..Self::of_name(take("name")?, node.at)
        })
    }

    fn of_name(name: Node, at: Position) -> Self {
        Self {
            at,
            name,
            tag: None,
            dockerfile: None,
            arguments: None,
            platform: None,
        }
    }

    /// `name:tag`, for an image that is there.
    pub(super) fn named(self) -> Node {
        let Some(tag) = &self.tag else {
            return self.name;
        };
        let part = |node: &Node| node.as_str().unwrap_or_default().to_owned();
        let text = format!("{}:{}", part(&self.name), part(tag));
        Node {
            hidden: self.name.hidden,
            ..Node::scalar(self.at, text.into())
        }
    }

    /// What a deployment file says of it: the key `image` as a mapping, or the name of what is built elsewhere.
    ///
    /// `find` is the repository's file of a path as it is written. The context of a Dockerfile in the project is the
    /// project, of any other one the repository: that is where the file has to be run for its path to be right.
    pub(super) fn asked(
        self,
        project: &RepoPath,
        defaults: &Defaults,
        find: &dyn Fn(&str) -> Option<RepoPath>,
    ) -> Node {
        let written = self.name.as_str().unwrap_or_default().to_owned();
        // A digest is there already.
        if !defaults.build || written.contains('@') {
            return self.named();
        }
        let at = self.at;
        // A colon after the last slash begins a tag, one before it a port.
        let name = written.rfind('/').map_or(0, |slash| slash + 1);
        let colon = written[name..].find(':').map(|colon| name + colon);
        let (repository, tag) = match colon {
            Some(colon) => (&written[..colon], Some(&written[colon + 1..])),
            None => (written.as_str(), None),
        };
        let tag = self
            .tag
            .or_else(|| Some(Node::scalar(at, tag?.to_owned().into())));
        let repository = Node {
            hidden: self.name.hidden,
            ..Node::scalar(at, repository.into())
        };
        let mut image = vec![("repository", repository)];
        match &self.dockerfile {
            Some(written) => {
                let (file, context) = from_project(project, written, find);
                image.push(("dockerfile", Node::scalar(at, file.into())));
                image.push(("context", Node::scalar(at, context.into())));
            }
            None => {
                let keys = image::automatic(project, defaults);
                let keys = keys.into_iter();
                image.extend(keys.map(|(key, value)| (key, Node::scalar(at, value))));
            }
        }
        image.extend(self.arguments.map(|arguments| ("arguments", arguments)));
        let list = |one: Node| Node::new(at, Content::List(vec![one]));
        image.extend(self.platform.map(|one| ("platforms", list(one))));
        image.extend(tag.map(|one| ("tags", list(one))));
        let entries = image.into_iter().map(|(key, value)| Entry {
            key: key.to_owned(),
            at,
            value,
        });
        Node::new(at, Content::Map(entries.collect()))
    }
}

/// A Dockerfile and its context, both from the project's folder.
fn from_project(
    project: &RepoPath,
    written: &str,
    find: &dyn Fn(&str) -> Option<RepoPath>,
) -> (String, String) {
    let Some(file) = find(written) else {
        // What is not there is told where images are read.
        return (written.to_owned(), ".".to_owned());
    };
    if let Some(inside) = file.below(project) {
        return (inside.to_owned(), ".".to_owned());
    }
    let up = vec![".."; project.components().count()].join("/");
    (format!("{up}/{file}"), up)
}
