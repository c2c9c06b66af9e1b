//! What only the comparison with the server can find wrong.

use serde_json::Value;

use super::Options;
use crate::model::{
    DEFAULT_ENVIRONMENT, Deployment, Diagnostic, Dialect, Field, Live, Owner, Reference, Refusal,
    nearest,
};

/// What only the comparison can find wrong: owners, pools, queues, blocks and variables, and what the orchestrator
/// cannot hold.
pub(super) fn against_live(
    deployment: &Deployment,
    live: &Live,
    options: &Options,
) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let place = |field| {
        deployment
            .places
            .get(&field)
            .unwrap_or(&deployment.place)
            .clone()
    };
    if let Some(owner) = live
        .deployments
        .get(&deployment.id)
        .and_then(|live| live.owner.as_ref())
        && !options.may_take(owner)
    {
        let message = format!(
            "`{}` is already deployed by repository `{}`, environment `{}`",
            deployment.id, owner.repository, owner.environment
        );
        let hint = way_out(owner, options);
        diagnostics.push(Diagnostic::error(deployment.place.clone(), message).hint(hint));
    }
    for reference in deployment
        .references
        .iter()
        .filter(|one| live.missing.contains(one))
    {
        let message = format!("{reference} does not exist on the server");
        let (at, hint) = match document(deployment, reference) {
            Some(field) => (place(field), "create it first, or correct the name"),
            None => (
                deployment.place.clone(),
                "create it first, or correct the name in the template",
            ),
        };
        diagnostics.push(Diagnostic::error(at, message).hint(hint));
    }
    for refusal in &live.refused {
        if refuses(refusal, deployment, options.dialect) {
            let one = Diagnostic::error(place(refusal.field), refusal.why.clone());
            diagnostics.push(one.hint(refusal.hint.clone()));
        }
    }
    let storage = deployment
        .fields
        .get(&Field::Storage)
        .and_then(Value::as_str);
    if let Some((kind, name)) = storage.and_then(|text| text.split_once('/')) {
        let block = Reference::Block {
            kind: kind.to_owned(),
            name: name.to_owned(),
        };
        if let Some(reason) = live.elsewhere.get(&block) {
            let hint = "name a block of the same storage, or set the storage's URL to where the block points";
            diagnostics.push(Diagnostic::error(place(Field::Storage), reason.as_str()).hint(hint));
        }
    }
    let (Some(pools), Some(pool)) = (
        &live.pools,
        deployment
            .fields
            .get(&Field::WorkPool)
            .and_then(Value::as_str),
    ) else {
        return diagnostics;
    };
    let Some(queues) = pools.get(pool) else {
        let message = format!("work pool `{pool}` does not exist");
        let hint = match nearest(pool, pools.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if pools.is_empty() => {
                "there is no work pool yet; create one with `prefect work-pool create`".to_owned()
            }
            None => format!(
                "there are: {}",
                pools.keys().cloned().collect::<Vec<_>>().join(", ")
            ),
        };
        diagnostics.push(Diagnostic::error(place(Field::WorkPool), message).hint(hint));
        return diagnostics;
    };
    if let Some(queue) = deployment
        .fields
        .get(&Field::WorkQueue)
        .and_then(Value::as_str)
        && !queues.contains(queue)
    {
        let message = format!("work queue `{queue}` does not exist in work pool `{pool}`");
        let hint = match nearest(queue, queues.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`? Prefect makes the queue otherwise"),
            None => "Prefect makes the queue when the deployment is registered".to_owned(),
        };
        diagnostics.push(Diagnostic::warning(place(Field::WorkQueue), message).hint(hint));
    }
    diagnostics
}

/// What can be done where a deployment is somebody else's.
fn way_out(owner: &Owner, options: &Options) -> String {
    let (theirs, ours) = (&owner.environment, &options.environment);
    if owner.repository != options.repository {
        let name = &owner.repository;
        return format!(
            "rename one of the two, or remove that one there first; where that is this repository by another name, set \
             `repository = \"{name}\"` in flowyard.toml"
        );
    }
    if ours == DEFAULT_ENVIRONMENT {
        return format!("deploy with `--env {theirs}`, or rename one of the two");
    }
    format!(
        "rename one of the two; where `{ours}` takes the place of `{theirs}`, add `takes-over = \"{theirs}\"` under \
         `[environments.{ours}]` in flowyard.toml"
    )
}

/// Whether a deployment declares what the orchestrator cannot hold.
fn refuses(refusal: &Refusal, deployment: &Deployment, dialect: Dialect) -> bool {
    /// A trigger, or one of those inside of it.
    fn is_of_kind(trigger: &Value, kind: &str) -> bool {
        trigger["type"] == *kind
            || trigger["triggers"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| is_of_kind(one, kind)))
    }
    let Some(value) = deployment.fields.get(&refusal.field) else {
        return false;
    };
    match &refusal.kind {
        None => *value != refusal.field.default_value(dialect),
        Some(kind) => value.as_object().is_some_and(|all| {
            all.values()
                .any(|one| is_of_kind(&one["trigger"], kind.as_str()))
        }),
    }
}

/// The field that names a block by itself, without a template.
fn document(deployment: &Deployment, reference: &Reference) -> Option<Field> {
    let Reference::Block { kind, name } = reference else {
        return None;
    };
    [Field::Storage, Field::Infrastructure]
        .into_iter()
        .find(|field| {
            let given = deployment.fields.get(field).and_then(Value::as_str);
            given.and_then(|given| given.split_once('/')) == Some((kind.as_str(), name.as_str()))
        })
}
