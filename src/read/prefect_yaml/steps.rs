//! The steps of `build` and `push`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::outputs::Outputs;
use crate::model::{Place, RepoPath, Step, fingerprint};
use crate::read::document::{Entry, Node};
use crate::read::faults::Faults;
use crate::read::image::Build;

/// The module of Prefect's own steps.
const PREFECT: &str = "prefect.deployments.steps.";

/// A step's name as it is now: Prefect 2 had others before 2.10.14.
pub(super) fn current(written: &str) -> String {
    let name = written
        .replace(".projects.steps.", ".deployments.steps.")
        .replace(".git_clone_project", ".git_clone")
        .replace(".push_project_to_", ".push_to_")
        .replace(".pull_project_from_", ".pull_from_");
    for inner in ["pull.", "utility."] {
        if let Some(own) = name.strip_prefix(&format!("{PREFECT}{inner}")) {
            return format!("{PREFECT}{own}");
        }
    }
    name
}

/// What the steps of one deployment come to.
pub(super) struct Steps<'a> {
    file: &'a RepoPath,
    run_steps: bool,
    /// The images that they build.
    pub(super) images: Vec<Build>,
    /// The steps that a deploy has to run, in their order.
    pub(super) pending: Vec<Step>,
    /// Where they push the code to: `s3` and the like.
    pub(super) pushed: Vec<String>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(file: &'a RepoPath, run_steps: bool) -> Self {
        Self {
            file,
            run_steps,
            images: Vec::new(),
            pending: Vec::new(),
            pushed: Vec::new(),
        }
    }

    /// Takes the next step.
    pub(super) fn take(
        &mut self,
        step: &Entry,
        outputs: &mut Outputs,
        notes: &mut Vec<String>,
        faults: &mut Faults<'_>,
    ) {
        let mut inputs = step.value.clone();
        inputs.for_each_scalar(&mut |scalar| outputs.put(scalar, faults));
        let id = faults.text(&inputs, "id").map(|(id, _)| id);
        let id = id.as_deref();
        let name = step.key.rsplit('.').next().unwrap_or_default();
        let module = &step.key[..step.key.len() - name.len()];
        match (module, name) {
            (PREFECT, "run_shell_script") => self.script(step, &inputs, id, outputs, faults),
            ("prefect_docker.deployments.steps.", "build_docker_image") => {
                self.image(step, &inputs, id, outputs, faults);
            }
            ("prefect_docker.deployments.steps.", "push_docker_image") => {
                let given =
                    ["image_name", "tag", "additional_tags"].map(|key| (key, value(&inputs, key)));
                let mut given = object(given);
                if let (Some(name), Some(tag)) = (given.get("image_name"), given.get("tag")) {
                    let image = format!("{}:{}", text(name), text(tag));
                    given.insert("image".to_owned(), image.into());
                }
                outputs.add(id, given);
            }
            (
                "prefect_azure.deployments.steps."
                | "prefect_aws.deployments.steps."
                | "prefect_gcp.deployments.steps.",
                "push_to_azure_blob_storage" | "push_to_s3" | "push_to_gcs",
            ) => {
                let given = ["container", "bucket", "folder"].map(|key| (key, value(&inputs, key)));
                let given = object(given);
                let place = given.get("container").or_else(|| given.get("bucket"));
                let place = place.map(|place| format!(" to `{}`", text(place)));
                notes.push(format!(
                    "`{name}`{} is not run: the code goes to flowyard's own storage",
                    place.unwrap_or_default()
                ));
                let kind = name.trim_start_matches("push_to_").to_owned();
                self.pushed.push(kind);
                outputs.add(id, given);
            }
            (PREFECT, "set_working_directory" | "pip_install_requirements") if !self.run_steps => {
                notes.push(format!("`{name}` is not run at deploy"));
            }
            _ if self.run_steps => {
                let key = self.pend(step, &inputs, step.key.clone(), faults);
                outputs.add_open(id, format!("flowyard.step.{key}"));
            }
            _ => {
                faults
                    .error(step.at, format!("the step `{}` is not known", step.key))
                    .hint("with --run-steps a deploy runs it in Prefect's own Python");
            }
        }
    }

    fn script(
        &mut self,
        step: &Entry,
        inputs: &Node,
        id: Option<&str>,
        outputs: &mut Outputs,
        faults: &mut Faults<'_>,
    ) {
        faults.unknown_keys(
            inputs.entries().unwrap_or_default(),
            &[
                "script",
                "id",
                "requires",
                "directory",
                "env",
                "stream_output",
                "expand_env_vars",
                "shell",
            ],
            "`run_shell_script`",
        );
        let Some((script, _)) = faults.text(inputs, "script") else {
            faults.error(step.at, "`run_shell_script` has no `script`");
            return;
        };
        let plain = value(inputs, "directory").is_none();
        if let Some(answer) = answer(&script).filter(|_| plain) {
            outputs.add(
                id,
                object([("stdout", Some(answer)), ("stderr", Some("".into()))]),
            );
            return;
        }
        let lines: Vec<&str> = script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let key = self.pend(step, inputs, lines.join("; "), faults);
        let later = |key_of: &str| {
            Some(Value::from(format!(
                "{{{{ flowyard.step.{key}.{key_of} }}}}"
            )))
        };
        outputs.add(
            id,
            object([("stdout", later("stdout")), ("stderr", later("stderr"))]),
        );
    }

    fn image(
        &mut self,
        step: &Entry,
        inputs: &Node,
        id: Option<&str>,
        outputs: &mut Outputs,
        faults: &mut Faults<'_>,
    ) {
        let Some((repository, _)) = faults.text(inputs, "image_name") else {
            faults.error(step.at, "`build_docker_image` has no `image_name`");
            return;
        };
        let given = faults.text(inputs, "tag").map(|(tag, _)| tag);
        let key = self.key(step, &inputs.to_value());
        let later = |name: &str| format!("{{{{ flowyard.step.{key}.{name} }}}}");
        // Without one Prefect takes the time of the build; ours is the digest of what is built.
        let tag = given.clone().unwrap_or_else(|| later("tag"));
        let build = |key: &str| value(inputs, key).map(|value| text(&value));
        let arguments = inputs.get("buildargs").or_else(|| inputs.get("build_args"));
        let arguments = arguments.and_then(Node::entries).unwrap_or_default().iter();
        let additional = faults.texts(inputs, "additional_tags").unwrap_or_default();
        self.images.push(Build {
            repository: repository.clone(),
            shown: repository.clone(),
            tag: given,
            additional_tags: additional.into_iter().map(|(tag, _)| tag).collect(),
            dockerfile: build("dockerfile").unwrap_or_else(|| "Dockerfile".to_owned()),
            context: build("path").unwrap_or_else(|| ".".to_owned()),
            arguments: arguments
                .map(|entry| (entry.key.clone(), text(&entry.value.to_value())))
                .collect(),
            platform: build("platform"),
            place: faults.place(step.at),
            key: key.clone(),
        });
        outputs.add(
            id,
            object([
                ("image_name", Some(repository.into())),
                ("tag", Some(tag.into())),
                ("image", Some(later("image").into())),
                ("additional_tags", value(inputs, "additional_tags")),
            ]),
        );
    }

    /// What a step is called in templates: the same step of several deployments of a file has one name.
    fn key(&self, step: &Entry, inputs: &Value) -> String {
        fingerprint(&json!([self.file.as_str(), step.key, inputs])).short()
    }

    /// Notes a step that a deploy has to run; gives what it is called in templates.
    fn pend(&mut self, step: &Entry, inputs: &Node, shown: String, faults: &Faults<'_>) -> String {
        let inputs = inputs.to_value();
        let folder = self.file.parent().unwrap_or_default();
        let key = self.key(step, &inputs);
        let place: Place = faults.place(step.at);
        self.pending.push(Step {
            key: key.clone(),
            function: step.key.clone(),
            inputs,
            folder,
            shown,
            place,
        });
        key
    }
}

/// The output of a script that only asks git, or says words, as a template or as it is.
fn answer(script: &str) -> Option<Value> {
    let words: Vec<&str> = script.split_whitespace().collect();
    let plain = |word: &&str| {
        word.chars()
            .all(|one| one.is_alphanumeric() || matches!(one, '-' | '_' | '.' | '/' | ':'))
    };
    let text = match words.as_slice() {
        ["git", "rev-parse", "HEAD"] => "{{ flowyard.git.sha }}".to_owned(),
        ["git", "rev-parse", "--short", "HEAD"] => "{{ flowyard.git.short_sha }}".to_owned(),
        ["git", "rev-parse", "--abbrev-ref", "HEAD"] | ["git", "branch", "--show-current"] => {
            "{{ flowyard.git.branch }}".to_owned()
        }
        ["echo", said @ ..]
            if script.trim().lines().count() == 1 && !said.is_empty() && said.iter().all(plain) =>
        {
            said.join(" ")
        }
        _ => return None,
    };
    Some(text.into())
}

/// An input that is there and not null.
fn value(inputs: &Node, key: &str) -> Option<Value> {
    let node = inputs.get(key).filter(|node| !node.is_null())?;
    Some(node.to_value())
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn object<const N: usize>(pairs: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let known: BTreeMap<&str, Value> = pairs
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
    known
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_before_are_those_of_now() {
        for (before, now) in [
            (
                "prefect.projects.steps.git_clone_project",
                "prefect.deployments.steps.git_clone",
            ),
            (
                "prefect.deployments.steps.pull.git_clone",
                "prefect.deployments.steps.git_clone",
            ),
            (
                "prefect.deployments.steps.utility.run_shell_script",
                "prefect.deployments.steps.run_shell_script",
            ),
            (
                "prefect_aws.projects.steps.push_project_to_s3",
                "prefect_aws.deployments.steps.push_to_s3",
            ),
            (
                "prefect_docker.projects.steps.build_docker_image",
                "prefect_docker.deployments.steps.build_docker_image",
            ),
            ("acme.steps.notify", "acme.steps.notify"),
        ] {
            assert_eq!(current(before), now);
        }
    }

    #[test]
    fn only_what_nobody_can_misread_is_answered() {
        for (script, said) in [
            (
                "git rev-parse --short HEAD\n",
                "{{ flowyard.git.short_sha }}",
            ),
            ("git  rev-parse HEAD", "{{ flowyard.git.sha }}"),
            ("git branch --show-current", "{{ flowyard.git.branch }}"),
            ("echo v1.2 beta", "v1.2 beta"),
        ] {
            assert_eq!(answer(script), Some(said.into()), "{script}");
        }
        for script in [
            "echo $HOME",
            "echo 'a  b'",
            "echo a\nrm -rf x",
            "date",
            "git rev-parse HEAD; rm x",
            "echo",
            "echo {{ $TAG }}",
        ] {
            assert_eq!(answer(script), None, "{script}");
        }
    }
}
