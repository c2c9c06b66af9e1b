//! Blocks: documents that Prefect keeps, which a deployment names and nobody reads here.

use crate::read::python::program::{Arguments, At, Eval, Fields, Kind, Machine, Value};

/// Classes whose block type has another slug than the class's name in kebab case.
const SLUGS: &[(&str, &str)] = &[
    ("GCS", "gcs"),
    ("GitHub", "github"),
    ("GitHubCredentials", "github-credentials"),
    ("GitHubRepository", "github-repository"),
    ("GitLab", "gitlab"),
    ("GitLabCredentials", "gitlab-credentials"),
    ("GitLabRepository", "gitlab-repository"),
    ("BitBucketCredentials", "bitbucket-credentials"),
    ("BitBucketRepository", "bitbucket-repository"),
    ("JSON", "json"),
    ("S3", "s3"),
    ("S3Bucket", "s3-bucket"),
    ("SMB", "smb"),
    ("VertexAICustomTrainingJob", "vertex-ai-custom-training-job"),
];

/// Whether a name is that of a class.
pub(super) fn is_class(name: &str) -> bool {
    name.chars().next().is_some_and(char::is_uppercase)
}

/// The slug of a block's type: `KubernetesJob` -> `kubernetes-job`, `ECSTask` -> `ecs-task`.
pub(super) fn slug(class: &str) -> String {
    if let Some((_, slug)) = SLUGS.iter().find(|(name, _)| *name == class) {
        return (*slug).to_owned();
    }
    let chars: Vec<char> = class.chars().collect();
    let mut slug = String::with_capacity(class.len() + 4);
    for (place, one) in chars.iter().enumerate() {
        let before = place.checked_sub(1).map(|before| chars[before]);
        let after = chars.get(place + 1);
        let starts = one.is_uppercase()
            && before.is_some_and(|before| {
                !before.is_uppercase() || after.is_some_and(|after| after.is_lowercase())
            });
        if starts {
            slug.push('-');
        }
        slug.extend(one.to_lowercase());
    }
    slug
}

/// `Class.load("name")`.
pub(super) fn loaded(
    machine: &mut Machine<'_>,
    class: &str,
    arguments: &Arguments,
    at: At,
) -> Value {
    reference(machine, &slug(class), arguments, at)
}

fn reference(machine: &mut Machine<'_>, slug: &str, arguments: &Arguments, at: At) -> Value {
    let Some(name) = arguments.get(0, "name") else {
        return Value::unknown("the block's name is not known", at);
    };
    match (&name.kind, &arguments.rest) {
        (Kind::Unknown(unknown), _) | (_, Some(unknown)) => return Value::why(unknown, at),
        (Kind::Text(_), None) => {}
        _ => return Value::unknown("the block's name is no text", at),
    }
    let (slug, name) = match name.as_text().and_then(|name| name.split_once('/')) {
        Some((slug, name)) => (slug.to_owned(), Value::text(name, at)),
        None => (slug.to_owned(), name.clone()),
    };
    let fields = vec![
        ("_slug".into(), Value::text(slug, at)),
        ("_name".into(), name),
    ];
    machine.record("block", Fields(fields), at)
}

/// A block that the file makes by itself.
pub(super) fn unsaved(machine: &mut Machine<'_>, class: &str, at: At) -> Value {
    let fields = vec![("_slug".into(), Value::text(slug(class), at))];
    machine.record("block", Fields(fields), at)
}

/// `load` of a class that derives from one of Prefect's blocks; `None` for other classes and methods.
pub(super) fn of_class(
    machine: &mut Machine<'_>,
    base: &Value,
    name: &str,
    arguments: &Arguments,
    at: At,
) -> Option<Eval> {
    let foreign = machine.foreign_bases(base);
    let is_block = foreign.iter().any(|full| full.starts_with("prefect"));
    if !is_block || !matches!(base.kind, Kind::Class(_)) || !matches!(name, "load" | "aload") {
        return None;
    }
    // Prefect makes the slug of a type without a name of its own from the class's, without hyphens.
    let slug = machine.name_of_class(base)?.to_lowercase();
    Some(Ok(reference(machine, &slug, arguments, at)))
}

pub(super) fn method(
    machine: &mut Machine<'_>,
    base: &Value,
    name: &str,
    arguments: &Arguments,
    at: At,
) -> Value {
    match name {
        "save" | "asave" => {
            if let Some(name) = arguments.get(0, "name") {
                machine.set_field(base, "_name", name.clone());
            }
            Value::none(at)
        }
        "get" => content(machine, base, at),
        _ => Value::unknown("what a block does or holds is known only to the server", at),
    }
}

pub(super) fn attribute(
    machine: &mut Machine<'_>,
    base: &Value,
    name: &str,
    at: At,
) -> Option<Value> {
    // Its methods are called, not looked at.
    let method = matches!(name, "get" | "save" | "asave");
    (!method).then(|| content(machine, base, at))
}

fn content(machine: &Machine<'_>, base: &Value, at: At) -> Value {
    let part = |field: &str| {
        let value = machine.field(base, field);
        value
            .as_ref()
            .and_then(Value::as_text)
            .unwrap_or("NAME")
            .to_owned()
    };
    let (slug, name) = (part("_slug"), part("_name"));
    Value::unknown_but(
        format!("what the block `{slug}/{name}` holds is known only to the server"),
        format!(
            "write \"{{{{ prefect.blocks.{slug}.{name} }}}}\", which Prefect puts in when a run starts"
        ),
        at,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_those_of_prefect() {
        for (class, expected) in [
            ("Azure", "azure"),
            ("KubernetesJob", "kubernetes-job"),
            ("AzureContainerInstanceJob", "azure-container-instance-job"),
            ("LocalFileSystem", "local-file-system"),
            ("RemoteFileSystem", "remote-file-system"),
            ("DockerContainer", "docker-container"),
            ("S3", "s3"),
            ("GCS", "gcs"),
            ("GitHub", "github"),
            ("ECSTask", "ecs-task"),
            ("CloudRunJob", "cloud-run-job"),
            ("Secret", "secret"),
            (
                "AzureBlobStorageCredentials",
                "azure-blob-storage-credentials",
            ),
            ("S3Bucket", "s3-bucket"),
            ("SMB", "smb"),
        ] {
            assert_eq!(slug(class), expected);
        }
    }
}
