//! What flowyard registers from files of Prefect's own formats, against what Prefect registers from the same files.
//!
//! Every case of `tests/corpus` is deployed to a real server twice: by Prefect's own command, and by flowyard. Every field
//! of every deployment is compared, and every difference has to be one of [`INTENDED`].

mod prefect_yaml;
mod python;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::services::prefect::{Api, Major, Server};

/// A difference that is meant.
pub(crate) struct Intended {
    /// The field of the deployment, as the server names it.
    field: &'static str,
    /// Whether the two values differ in just this way.
    holds: fn(prefect: &Value, ours: &Value, case: &Value) -> bool,
    /// Why.
    reason: &'static str,
}

/// Every intended difference; `tests/corpus/README.md` has the same table.
const INTENDED: &[Intended] = &[
    Intended {
        field: "labels",
        holds: |_, ours, _| ours.get("flowyard.repository").is_some(),
        reason: "our mark, by which a later deploy knows what it may remove",
    },
    Intended {
        field: "version",
        holds: |_, ours, case| case["version"].is_null() && ours.as_str().map(str::len) == Some(12),
        reason: "where the file gives none: the digest of the release instead of a hash of the flow's file",
    },
    Intended {
        field: "pull_steps",
        holds: |_, ours, _| ours.to_string().contains("shutil.copytree"),
        reason: "where the file gives none: the release, instead of the folder of the machine that deployed",
    },
    Intended {
        field: "schedules.slug",
        holds: |prefect, ours, _| prefect.is_null() && ours.is_string(),
        reason: "every schedule gets a stable name, so that a pause made in the UI outlives an edit",
    },
    Intended {
        field: "schedules.anchor_date",
        holds: |_, ours, _| ours.is_string(),
        reason: "where the file gives none: a fixed one; Prefect takes the moment of the deploy, which moves every run",
    },
    Intended {
        field: "tags",
        holds: |prefect, ours, _| sorted(prefect).is_subset(&sorted(ours)),
        reason: "sorted, each once; Prefect loses a tag that is nothing but the output of a step",
    },
    Intended {
        field: "description",
        holds: |prefect, ours, _| *prefect == "None" && ours.is_null(),
        reason: "none, where neither the file nor the flow has one; Prefect registers the text `None`",
    },
    Intended {
        field: "templates",
        holds: |prefect, ours, _| {
            ours.to_string().contains("{{ prefect.variables.")
                && !prefect.to_string().contains("{{ prefect.variables.")
        },
        reason: "variables stay templates that the worker resolves, so that a changed variable needs no deploy",
    },
];

fn sorted(tags: &Value) -> BTreeSet<String> {
    let tags = tags.as_array().into_iter().flatten();
    tags.map(ToString::to_string).collect()
}

/// Where the cases are.
fn corpus(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(kind)
}

/// The fields of a deployment that somebody declares or sees, with schedules as a sorted list.
const FIELDS: [&str; 24] = [
    "name",
    "description",
    "version",
    "tags",
    "parameters",
    "parameter_openapi_schema",
    "enforce_parameter_schema",
    "paused",
    "work_pool_name",
    "work_queue_name",
    "job_variables",
    "concurrency_limit",
    "concurrency_options",
    "entrypoint",
    "path",
    "pull_steps",
    "labels",
    "flow_tags",
    "flow_labels",
    "schedules",
    "automations",
    "infra_overrides",
    "storage",
    "infrastructure",
];

/// All deployments of a server by `flow/name`, in a form without ids and times; then removes them with their flows.
async fn take(server: &Server) -> BTreeMap<String, Value> {
    let api = server.api();
    let deployments = api.deployments().await;
    let flows = api.post("/flows/filter", json!({})).await;
    let flows: BTreeMap<&str, &Value> = flows
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|flow| Some((flow["id"].as_str()?, flow)))
        .collect();
    let mut taken = BTreeMap::new();
    for (name, one) in deployments {
        let mut shown = json!({});
        for field in FIELDS {
            shown[field] = one[field].clone();
        }
        shown["concurrency_limit"] = one["global_concurrency_limit"]["limit"].clone();
        if let Some(labels) = shown["labels"].as_object_mut() {
            labels.retain(|key, _| !key.starts_with("prefect."));
        }
        let mut schedules: Vec<Value> = one["schedules"].as_array().into_iter().flatten().map(|schedule| {
            json!({
                "schedule": schedule["schedule"], "active": schedule["active"], "slug": schedule["slug"],
                "parameters": schedule["parameters"], "max_scheduled_runs": schedule["max_scheduled_runs"],
            })
        }).collect();
        schedules.sort_by_key(|one| {
            one["schedule"]["cron"].to_string()
                + &one["schedule"]["interval"].to_string()
                + &one["schedule"]["rrule"].to_string()
        });
        shown["schedules"] = Value::Array(schedules);
        let flow = flows[one["flow_id"].as_str().expect("an id")];
        (shown["flow_tags"], shown["flow_labels"]) = (flow["tags"].clone(), flow["labels"].clone());
        if server.major() == Major::Three {
            shown["automations"] = automations(&api, &one).await;
        }
        for key in ["storage", "infrastructure"] {
            if let Some(id) = one[format!("{key}_document_id")].as_str() {
                let block = api.get(&format!("/block_documents/{id}")).await;
                let kind = block["block_type"]["slug"].as_str().unwrap_or_default();
                let name = block["name"].as_str().unwrap_or("(anonymous)");
                shown[key] = json!(format!("{kind}/{name}"));
            }
        }
        taken.insert(name, shown);
        remove(&api, server.major(), &one).await;
    }
    for id in flows.into_keys() {
        api.call(reqwest::Method::DELETE, &format!("/flows/{id}"), None)
            .await;
    }
    taken
}

/// The automations of a deployment, sorted and without ids and times; which of its lists are sets, Prefect's client
/// does not tell, so all lists of texts are sorted.
async fn automations(api: &Api, deployment: &Value) -> Value {
    fn plain(value: &mut Value) {
        match value {
            Value::Object(map) => {
                for key in ["id", "created", "updated", "deployment_id"] {
                    map.remove(key);
                }
                map.values_mut().for_each(plain);
            }
            Value::Array(items) => {
                items.iter_mut().for_each(plain);
                if items.iter().all(Value::is_string) {
                    items.sort_by_key(ToString::to_string);
                }
            }
            _ => {}
        }
    }
    let id = deployment["id"].as_str().expect("an id");
    let path = format!("/automations/related-to/prefect.deployment.{id}");
    let mut all = api.get(&path).await;
    plain(&mut all);
    let list = all.as_array_mut().expect("a list");
    list.sort_by_key(|one| one["name"].to_string());
    all
}

async fn remove(api: &Api, major: Major, deployment: &Value) {
    let id = deployment["id"].as_str().expect("an id");
    if major == Major::Three {
        let path = format!("/automations/owned-by/prefect.deployment.{id}");
        api.call(reqwest::Method::DELETE, &path, None).await;
    }
    api.call(reqwest::Method::DELETE, &format!("/deployments/{id}"), None)
        .await;
}

/// Compares both sides of a case; gives what is not intended, and notes which intended differences were seen.
fn compare(
    case: &str,
    prefect: &BTreeMap<String, Value>,
    ours: &BTreeMap<String, Value>,
    more: &'static [Intended],
    seen: &mut BTreeSet<&'static str>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let names: BTreeSet<&String> = prefect.keys().chain(ours.keys()).collect();
    for name in names {
        let (Some(theirs), Some(own)) = (prefect.get(name), ours.get(name)) else {
            let by = if ours.contains_key(name) {
                "flowyard"
            } else {
                "Prefect"
            };
            wrong.push(format!("{case}: {name} is registered by {by} alone"));
            continue;
        };
        // Prefect resolves nothing of what the file does not say, so its own side tells what was declared.
        let declared = json!({"version": declared_version(theirs)});
        let mut check = |field: &str, theirs: &Value, own: &Value| {
            if flowyard::model::same(theirs, own) {
                return;
            }
            let intended = INTENDED.iter().chain(more).find(|one| {
                (one.field == field || one.field == "templates")
                    && (one.holds)(theirs, own, &declared)
            });
            match intended {
                Some(one) => {
                    seen.insert(one.field);
                }
                None => wrong.push(format!(
                    "{case}: {name}: {field}: Prefect {theirs}, flowyard {own}"
                )),
            }
        };
        for field in FIELDS {
            if field != "schedules" {
                check(field, &theirs[field], &own[field]);
                continue;
            }
            let (theirs, own) = (theirs[field].as_array(), own[field].as_array());
            let (theirs, own) = (theirs.expect("a list"), own.expect("a list"));
            if theirs.len() != own.len() {
                check(field, &json!(theirs), &json!(own));
                continue;
            }
            for (a, b) in theirs.iter().zip(own) {
                for key in ["active", "slug", "parameters", "max_scheduled_runs"] {
                    check(&format!("schedules.{key}"), &a[key], &b[key]);
                }
                for key in [
                    "cron",
                    "interval",
                    "rrule",
                    "timezone",
                    "day_or",
                    "anchor_date",
                ] {
                    check(
                        &format!("schedules.{key}"),
                        &a["schedule"][key],
                        &b["schedule"][key],
                    );
                }
            }
        }
    }
    wrong
}

/// The version that a file gives: Prefect's default is the MD5 of the flow's file, 32 digits, or null.
fn declared_version(theirs: &Value) -> Value {
    let version = &theirs["version"];
    let default = version
        .as_str()
        .is_some_and(|text| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if default {
        Value::Null
    } else {
        version.clone()
    }
}

#[test]
fn the_table_of_differences_is_written_down() {
    let text = std::fs::read_to_string(corpus("README.md")).expect("the corpus has a page");
    let missing: Vec<String> = INTENDED
        .iter()
        .chain(python::INTENDED)
        .chain(python::INTENDED_2)
        .map(|one| format!("| `{}` | {} |", one.field, one.reason))
        .filter(|row| !text.contains(row.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "missing in tests/corpus/README.md:\n{}",
        missing.join("\n")
    );
}
