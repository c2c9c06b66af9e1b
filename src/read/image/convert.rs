//! The images of `prefect.yaml` steps as a deployment file declares them.

use serde_json::Value;

use super::{Build, Defaults, PREFECT_BASE, auto_folder};
use crate::model::RepoPath;
use crate::read::document::{Content, Entry, Node, Position};
use crate::read::draft::Draft;
use crate::read::faults::Faults;

/// Puts the image that a draft's file builds into its key `image`. A file with several images, or with a value that only a
/// build gives, is a fault: no deployment file says that.
pub(in crate::read) fn declare(
    draft: &mut Draft,
    file: &RepoPath,
    defaults: &Defaults,
    faults: &mut Faults<'_>,
) {
    let builds = std::mem::take(&mut draft.images);
    let Some(build) = builds.first() else {
        return;
    };
    let at = draft.node.at;
    if !defaults.build {
        for build in &builds {
            let image = build.literal().unwrap_or_else(|| build.repository.clone());
            replace(&mut draft.node, &template(build, "image"), &image);
        }
        return;
    }
    if builds.len() > 1 {
        faults
            .error(
                at,
                "a deployment file declares one image, this one builds several",
            )
            .hint("keep the prefect.yaml, or build the others elsewhere");
        return;
    }
    let Content::Map(entries) = &mut draft.node.content else {
        return;
    };
    let own = [Some(template(build, "image")), build.literal()];
    let runs_in_it = |value: &Node| own.iter().flatten().any(|one| value.as_str() == Some(one));
    for entry in entries.iter_mut() {
        let variables = match (entry.key.as_str(), &mut entry.value.content) {
            ("work_pool", Content::Map(pool)) => pool
                .iter_mut()
                .find(|entry| entry.key == "job_variables")
                .map(|entry| &mut entry.value.content),
            ("job_variables", content) => Some(content),
            _ => None,
        };
        if let Some(Content::Map(variables)) = variables {
            variables.retain(|entry| !(entry.key == "image" && runs_in_it(&entry.value)));
        }
    }
    entries.push(Entry {
        key: "image".to_owned(),
        at,
        value: mapping(build, file, defaults, at),
    });
    replace(
        &mut draft.node,
        &template(build, "image"),
        "{{ flowyard.image }}",
    );
    let tag = template(build, "tag");
    let mut waits = None;
    draft.node.for_each_scalar(&mut |scalar| {
        if scalar.as_str().is_some_and(|text| text.contains(&tag)) {
            waits = Some(scalar.at);
        }
    });
    if let Some(at) = waits {
        faults
            .error(at, "only the build tells the image's tag")
            .hint("give the step a `tag`, or name the image by {{ flowyard.image }}");
    }
}

/// The key `image` for what a step builds.
fn mapping(build: &Build, file: &RepoPath, defaults: &Defaults, at: Position) -> Node {
    let text = |text: &str| Node::scalar(at, Value::from(text));
    let list = |texts: Vec<&String>| {
        Node::new(
            at,
            Content::List(texts.into_iter().map(|one| text(one)).collect()),
        )
    };
    let mut entries = Vec::new();
    let mut put = |key: &str, value: Node| {
        entries.push(Entry {
            key: key.to_owned(),
            at,
            value,
        });
    };
    put("repository", text(&build.repository));
    if build.dockerfile == "auto" {
        let project = file.parent().unwrap_or_default();
        for (key, value) in automatic(&project, defaults) {
            put(key, Node::scalar(at, value));
        }
    } else {
        put("dockerfile", text(&build.dockerfile));
        put("context", text(&build.context));
    }
    let arguments = build.arguments.iter().map(|(name, value)| Entry {
        key: name.clone(),
        at,
        value: text(value),
    });
    let arguments: Vec<Entry> = arguments.collect();
    if !arguments.is_empty() {
        put("arguments", Node::new(at, Content::Map(arguments)));
    }
    if let Some(platform) = &build.platform {
        put("platforms", list(vec![platform]));
    }
    let tags: Vec<&String> = build.tag.iter().chain(&build.additional_tags).collect();
    if !tags.is_empty() {
        put("tags", list(tags));
    }
    Node::new(at, Content::Map(entries))
}

/// The keys of `image` for the Dockerfile that Prefect makes up where there is none: its own image, the project's packages
/// and its code.
pub(in crate::read) fn automatic(
    project: &RepoPath,
    defaults: &Defaults,
) -> Vec<(&'static str, Value)> {
    let base = defaults.base.is_none();
    let base = base.then(|| ("base", Value::from(PREFECT_BASE)));
    let code = [
        ("code", true.into()),
        ("folder", auto_folder(project).into()),
    ];
    base.into_iter().chain(code).collect()
}

fn template(build: &Build, name: &str) -> String {
    format!("{{{{ flowyard.step.{}.{name} }}}}", build.key)
}

fn replace(node: &mut Node, old: &str, new: &str) {
    node.for_each_scalar(&mut |scalar| {
        if let Some(text) = scalar.as_str().filter(|text| text.contains(old)) {
            scalar.content = Content::Scalar(text.replace(old, new).into());
        }
    });
}
