//! Runs the steps of `prefect.yaml` files whose outputs a deploy has to know.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::github::Page;
use super::{Run, github};
use crate::error::Failure;
use crate::model::{
    Desired, Diagnostic, Outputs, Step, awaits_output, put_outputs, without_outputs,
};
use crate::report::progress;
use crate::sandbox::Cache;
use crate::sandbox::StepFault;
use crate::sandbox::script::{Script, run_script};
use crate::sandbox::steps::Steps;

/// Runs every step of the deployments in scope, each once, in the order of the files. Nothing is written when one fails.
pub(super) async fn run(run: &Run, page: &Page<'_>, desired: &Desired) -> Result<Outputs, Failure> {
    let deployments = || {
        desired
            .projects
            .iter()
            .flat_map(|project| &project.deployments)
    };
    let mut seen = BTreeSet::new();
    let steps: Vec<&Step> = deployments()
        .flat_map(|deployment| &deployment.steps)
        .filter(|step| seen.insert(&step.key))
        .collect();
    let mut outputs = Outputs::new();
    let prefect = Steps::new(Cache::new(&run.process), run.dialect());
    for step in steps {
        let quiet = github::quiet(run);
        let waiting = progress::spinner(&format!("running {}", without_outputs(&step.shown)));
        let result = one(step, run, &outputs, &prefect).await;
        drop((waiting, quiet));
        match result {
            Ok(output) => {
                outputs.insert(step.key.clone(), output);
            }
            Err(fault) => {
                let mut message = fault.message;
                for line in fault.output {
                    message += "\n  ";
                    message += &line;
                }
                let mut diagnostic = Diagnostic::error(step.place.clone(), message);
                if let Some(hint) = fault.hint {
                    diagnostic = diagnostic.hint(hint);
                }
                page.refuse(desired, &[diagnostic]).await?;
            }
        }
    }
    Ok(outputs)
}

/// Refuses what waits for an output that no step gave.
pub(super) async fn refuse_unknown(page: &Page<'_>, desired: &Desired) -> Result<(), Failure> {
    let mut faults = Vec::new();
    for deployment in desired.projects.iter().flat_map(|one| &one.deployments) {
        // Images are made later, and give no less than this.
        let images = deployment.images.iter();
        let images = images.map(|key| (key.clone(), json!({"image": "", "tag": ""})));
        let images: Outputs = images.collect();
        let waits = |value: &Value| {
            let mut value = value.clone();
            put_outputs(&mut value, "", &images, &mut BTreeMap::new());
            awaits_output(&value)
        };
        for (field, _) in deployment.fields.iter().filter(|(_, value)| waits(value)) {
            let place = deployment.places.get(field).unwrap_or(&deployment.place);
            let message = format!("`{}` names what no step gave", field.name());
            faults.push(Diagnostic::error(place.clone(), message));
        }
    }
    page.refuse(desired, &faults).await
}

async fn one(
    step: &Step,
    run: &Run,
    outputs: &Outputs,
    prefect: &Steps,
) -> Result<Value, StepFault> {
    let mut inputs = step.inputs.clone();
    put_outputs(&mut inputs, "", outputs, &mut BTreeMap::new());
    let fault = |message: String, hint: &str| StepFault {
        message,
        hint: Some(hint.to_owned()),
        output: Vec::new(),
    };
    if awaits_output(&inputs) {
        let message = format!(
            "the step `{}` names what no step before it gave",
            step.function
        );
        return Err(fault(
            message,
            "compare the template with what the steps print",
        ));
    }
    let folder = run.path().join(step.folder.as_str());
    match step.function.rsplit('.').next() {
        Some("run_shell_script") if step.function.starts_with("prefect.") => {
            let text = |value: &Value| {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                from_environment(&text, run)
            };
            let env = inputs["env"].as_object();
            let script = Script {
                script: text(&inputs["script"]),
                env: env
                    .into_iter()
                    .flatten()
                    .map(|(name, value)| (name.clone(), text(value)))
                    .collect(),
                expand_env_vars: inputs["expand_env_vars"] == true,
                shell: inputs["shell"] == true,
            };
            let folder = match inputs["directory"].as_str() {
                Some(directory) => folder.join(directory),
                None => folder,
            };
            let output = run_script(&script, &run.process, &folder).await?;
            Ok(json!({"stdout": output.stdout, "stderr": output.stderr}))
        }
        _ => prefect.run_step(&step.function, &inputs, &folder).await,
    }
}

/// `{{ $NAME }}` of this process; nothing where it is not set, as in Prefect.
fn from_environment(text: &str, run: &Run) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out += before;
        match after.split_once("}}") {
            Some((name, behind)) if name.trim().starts_with('$') => {
                let name = name.trim().trim_start_matches('$');
                out += run.process.get(name).map_or("", String::as_str);
                rest = behind;
            }
            _ => {
                out += "{{";
                rest = after;
            }
        }
    }
    out + rest
}
