//! The steps of a `prefect.yaml`: what they mean for what is registered, without running one.

use std::collections::BTreeMap;

use super::super::document::{Content, Node, Position};
use super::super::faults::Faults;
use super::super::template;

/// What a step would give to the templates after it.
#[derive(Clone, Debug)]
enum Output {
    /// A text, maybe with templates that are resolved later.
    Known(String),
    /// Only running the step would tell: its text, for people.
    Unknown(String),
}

/// The outputs of the steps so far: `id.key`, and `key` alone for the last step that gave it.
#[derive(Debug, Default)]
pub(super) struct Outputs(BTreeMap<String, Output>);

impl Outputs {
    fn give(
        &mut self,
        id: Option<&str>,
        outputs: impl IntoIterator<Item = (&'static str, Output)>,
    ) {
        for (key, output) in outputs {
            if let Some(id) = id {
                self.0.insert(format!("{id}.{key}"), output.clone());
            }
            self.0.insert(key.to_owned(), output);
        }
    }

    /// The text with the outputs that it names; `None` where it names none. What is not known is a fault.
    pub(super) fn fill(&self, text: &str, at: Position, faults: &mut Faults<'_>) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut named = false;
        let filled = template::fill(text, |name| {
            let output = self.0.get(name)?;
            named = true;
            match output {
                Output::Known(text) => Some(text.clone()),
                Output::Unknown(step) => {
                    faults
                        .error(at, format!("`{name}` is known only when {step} runs"))
                        .hint("write the value itself, or hand it over as an environment variable: {{ $NAME }}");
                    // Told once is enough: nothing is left of the template.
                    Some(String::new())
                }
            }
        });
        named.then_some(filled)
    }
}

/// The steps of one deployment.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// What templates can name of those before the registration.
    pub(super) outputs: Outputs,
    /// What was decided, for the plan.
    pub(super) notes: Vec<String>,
    /// Whether one of them uploads the code.
    pushes: bool,
}

/// A step that Prefect ships, by the last part of its name.
fn shipped(name: &str) -> Option<&str> {
    let (module, function) = name.rsplit_once('.')?;
    let package = module.split('.').next().unwrap_or_default();
    matches!(
        package,
        "prefect" | "prefect_docker" | "prefect_azure" | "prefect_aws" | "prefect_gcp"
    )
    .then_some(function)
}

/// The name and inputs of one step of a list; `requires` and `id` are among the inputs.
fn step_of<'n>(step: &'n Node, faults: &mut Faults<'_>) -> Option<(&'n str, &'n Node)> {
    match step.entries() {
        Some([only]) if only.value.entries().is_some() || only.value.is_null() => {
            Some((&only.key, &only.value))
        }
        _ => {
            faults
                .error(step.at, "a step is a mapping of its name to its inputs")
                .hint("- prefect.deployments.steps.run_shell_script: {id: commit, script: git rev-parse HEAD}");
            None
        }
    }
}

/// The items of a list of steps; none where it is null.
fn items<'n>(list: &'n Node, key: &str, faults: &mut Faults<'_>) -> &'n [Node] {
    match &list.content {
        Content::List(items) => items,
        _ if list.is_null() => &[],
        _ => {
            let message = format!("`{key}` is a list of steps, not {}", list.kind());
            faults.error(list.at, message);
            &[]
        }
    }
}

impl Steps {
    /// Takes in the steps of `build` or `push`.
    pub(super) fn before(&mut self, list: &Node, key: &str, faults: &mut Faults<'_>) {
        for item in items(list, key, faults) {
            let Some((name, inputs)) = step_of(item, faults) else {
                continue;
            };
            let id = inputs.get("id").and_then(Node::as_str);
            match shipped(name) {
                Some("run_shell_script") => self.script(id, inputs, faults),
                Some("build_docker_image") => self.image(id, inputs, faults),
                Some("push_docker_image") => {
                    let given = self.texts(inputs, ["image_name", "tag"], faults);
                    self.outputs.give(id, given);
                }
                Some("push_to_azure_blob_storage" | "push_to_s3" | "push_to_gcs") => {
                    self.pushes = true;
                    let given = self.texts(inputs, ["container", "bucket", "folder"], faults);
                    self.outputs.give(id, given);
                    self.note(
                        "the code goes to flowyard's storage, not to where the push step says",
                    );
                }
                Some(
                    "git_clone"
                    | "git_clone_project"
                    | "set_working_directory"
                    | "pip_install_requirements",
                ) => {}
                _ => {
                    faults
                        .error(item.at, format!("flowyard does not know the step `{name}`"))
                        .hint("remove it, or run it before flowyard and hand its result over as an environment variable");
                }
            }
        }
    }

    /// The pull steps to register; `None` where the release takes their place.
    pub(super) fn pull(&mut self, list: &Node, faults: &mut Faults<'_>) -> Option<Node> {
        let steps = items(list, "pull", faults);
        let mut fetches = None;
        for item in steps {
            let Some((name, _)) = step_of(item, faults) else {
                continue;
            };
            match shipped(name) {
                Some("pull_from_azure_blob_storage" | "pull_from_s3" | "pull_from_gcs") => {
                    fetches = Some(item.at);
                }
                Some(
                    "build_docker_image"
                    | "push_docker_image"
                    | "push_to_azure_blob_storage"
                    | "push_to_s3"
                    | "push_to_gcs",
                ) => {
                    faults.error(item.at, format!("`{name}` is no pull step"));
                }
                _ => {}
            }
        }
        match (fetches, steps.len()) {
            (_, 0) => None,
            (Some(_), 1) if self.pushes => {
                self.note("its pull step is replaced by the one of the release");
                None
            }
            (Some(at), _) if self.pushes => {
                faults
                    .error(
                        at,
                        "pull steps beside the one that fetches the pushed code are not supported",
                    )
                    .hint("keep that one alone, or deploy without a push step");
                None
            }
            _ => Some(list.clone()),
        }
    }

    /// What a script prints, where that needs no running.
    fn script(&mut self, id: Option<&str>, inputs: &Node, faults: &mut Faults<'_>) {
        let Some((script, _)) = faults.text(inputs, "script") else {
            faults.error(inputs.at, "a script has no `script`");
            return;
        };
        let words: Vec<&str> = script.split_whitespace().collect();
        let stdout = match words.as_slice() {
            ["git", "rev-parse", "--short", "HEAD"] => {
                Output::Known("{{ flowyard.git.short_sha }}".to_owned())
            }
            ["git", "rev-parse", "HEAD"] => Output::Known("{{ flowyard.git.sha }}".to_owned()),
            ["git", "branch", "--show-current"] | ["git", "rev-parse", "--abbrev-ref", "HEAD"] => {
                Output::Known("{{ flowyard.git.branch }}".to_owned())
            }
            ["echo", text] if text.chars().all(is_plain) => Output::Known((*text).to_owned()),
            _ => Output::Unknown(format!("the script `{}`", script.trim())),
        };
        if matches!(stdout, Output::Unknown(_)) {
            self.note(&format!("the script `{}` is not run", script.trim()));
        }
        let stderr = match &stdout {
            Output::Known(_) => Output::Known(String::new()),
            unknown @ Output::Unknown(_) => unknown.clone(),
        };
        self.outputs
            .give(id, [("stdout", stdout), ("stderr", stderr)]);
    }

    fn image(&mut self, id: Option<&str>, inputs: &Node, faults: &mut Faults<'_>) {
        let Some(name) = self.text(inputs, "image_name", faults) else {
            faults.error(inputs.at, "an image has no `image_name`");
            return;
        };
        // Without a tag Prefect takes the time of the build.
        let (tag, image) = match self.text(inputs, "tag", faults) {
            Some(tag) => {
                let image = format!("{name}:{tag}");
                self.note(&format!(
                    "the image {image} is not built by flowyard yet: build and push it before"
                ));
                (Output::Known(tag), Output::Known(image))
            }
            None => {
                let step = format!("the build of the image `{name}`, which has no `tag`,");
                (Output::Unknown(step.clone()), Output::Unknown(step))
            }
        };
        let built = Output::Unknown(format!("the build of the image `{name}`"));
        self.outputs.give(
            id,
            [
                ("image_name", Output::Known(name)),
                ("tag", tag),
                ("image", image),
                ("image_id", built),
            ],
        );
    }

    /// A text input, with the outputs of the steps before it.
    fn text(&self, inputs: &Node, key: &str, faults: &mut Faults<'_>) -> Option<String> {
        let (text, at) = faults.text(inputs, key)?;
        Some(self.outputs.fill(&text, at, faults).unwrap_or(text))
    }

    /// The text inputs of these names that are there.
    fn texts<const N: usize>(
        &self,
        inputs: &Node,
        keys: [&'static str; N],
        faults: &mut Faults<'_>,
    ) -> Vec<(&'static str, Output)> {
        keys.into_iter()
            .filter_map(|key| Some((key, Output::Known(self.text(inputs, key, faults)?))))
            .collect()
    }

    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
}

/// A character that means nothing to the reader of a script's line.
fn is_plain(one: char) -> bool {
    one.is_alphanumeric() || "._-/:+=".contains(one)
}
