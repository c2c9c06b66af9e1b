//! Overrides of an infrastructure block as the job variables of a work pool.

use serde_json::Value;

use crate::model::{nearest, shell_quoted};
use crate::read::configuration::FILE;
use crate::read::document::{Content, Entry, Node, Position};
use crate::read::faults::Faults;

/// What the infrastructure blocks of Prefect 2 and the workers that came after them both know by the same name.
struct Kind {
    /// The block type's slug.
    block: &'static str,
    /// The type of the work pool that came after it.
    pool: &'static str,
    /// Fields of the block that are variables of such a pool.
    same: &'static [&'static str],
    /// Fields of the block that are none.
    only_here: &'static [&'static str],
}

/// From the blocks' classes in Prefect 2.20 and its integrations, and the `default_base_job_configuration` that Prefect 3's
/// server has of each type of worker (`/api/collections/views/aggregate-worker-metadata`).
const KINDS: &[Kind] = &[
    Kind {
        block: "process",
        pool: "process",
        same: &[
            "command",
            "env",
            "labels",
            "name",
            "stream_output",
            "working_dir",
        ],
        only_here: &[],
    },
    Kind {
        block: "docker-container",
        pool: "docker",
        same: &[
            "auto_remove",
            "command",
            "env",
            "image",
            "image_pull_policy",
            "labels",
            "mem_limit",
            "memswap_limit",
            "name",
            "network_mode",
            "networks",
            "privileged",
            "stream_output",
            "volumes",
        ],
        only_here: &["image_registry"],
    },
    Kind {
        block: "kubernetes-job",
        pool: "kubernetes",
        same: &[
            "cluster_config",
            "command",
            "env",
            "finished_job_ttl",
            "image",
            "image_pull_policy",
            "job_watch_timeout_seconds",
            "labels",
            "name",
            "namespace",
            "pod_watch_timeout_seconds",
            "service_account_name",
            "stream_output",
        ],
        only_here: &["customizations", "job"],
    },
    Kind {
        block: "azure-container-instance-job",
        pool: "azure-container-instance",
        same: &[
            "aci_credentials",
            "command",
            "cpu",
            "dns_servers",
            "entrypoint",
            "env",
            "gpu_count",
            "gpu_sku",
            "identities",
            "image",
            "image_registry",
            "labels",
            "memory",
            "name",
            "resource_group_name",
            "stream_output",
            "subnet_ids",
            "subscription_id",
            "task_start_timeout_seconds",
            "task_watch_poll_interval",
        ],
        only_here: &["keep_container_group"],
    },
    Kind {
        block: "ecs-task",
        pool: "ecs",
        same: &[
            "auto_deregister_task_definition",
            "aws_credentials",
            "cloudwatch_logs_options",
            "cluster",
            "command",
            "configure_cloudwatch_logs",
            "cpu",
            "env",
            "execution_role_arn",
            "family",
            "image",
            "labels",
            "launch_type",
            "memory",
            "name",
            "stream_output",
            "task_definition_arn",
            "task_role_arn",
            "task_start_timeout_seconds",
            "task_watch_poll_interval",
            "vpc_id",
        ],
        only_here: &["task_customizations", "task_definition"],
    },
    Kind {
        block: "cloud-run-job",
        pool: "cloud-run",
        same: &[
            "command",
            "cpu",
            "credentials",
            "env",
            "image",
            "keep_job",
            "labels",
            "name",
            "region",
            "timeout",
            "vpc_connector_name",
        ],
        // The block has a number and a unit, the worker one text.
        only_here: &["args", "max_retries", "memory", "memory_unit"],
    },
    Kind {
        block: "vertex-ai-custom-training-job",
        pool: "vertex-ai",
        same: &[
            "accelerator_count",
            "accelerator_type",
            "boot_disk_size_gb",
            "boot_disk_type",
            "command",
            "credentials",
            "env",
            "image",
            "job_watch_poll_interval",
            "labels",
            "machine_type",
            "name",
            "network",
            "region",
            "reserved_ip_ranges",
        ],
        only_here: &["maximum_run_time", "service_account"],
    },
];

/// What overrides are held against.
pub(super) struct Rules<'a> {
    /// The slug of the block's type; `None` where the deployment names a work pool by itself.
    pub(super) kind: Option<&'a str>,
    /// The block, `TYPE/NAME`.
    pub(super) block: Option<&'a str>,
    /// Those that its entry drops.
    pub(super) dropped: &'a [String],
}

/// The overrides as job variables: `env.FOO` is `FOO` inside of `env`, as Prefect 2's agents put it into the block. What
/// has no counterpart is a fault.
pub(super) fn nested(
    overrides: &Node,
    rules: &Rules<'_>,
    notes: &mut Vec<String>,
    faults: &mut Faults<'_>,
) -> Node {
    let kind = rules
        .kind
        .and_then(|kind| KINDS.iter().find(|known| known.block == kind));
    let mut variables = Vec::new();
    for entry in overrides.entries().unwrap_or_default() {
        let path: Vec<&str> = entry.key.split('.').collect();
        let dropped = |one: &String| {
            let rest = entry.key.strip_prefix(one.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if rules.dropped.iter().any(dropped) {
            notes.push(format!(
                "`{}` of `infra_overrides` is dropped, as {FILE} says",
                entry.key
            ));
            continue;
        }
        if let Some(kind) = kind
            && !kind.same.contains(&path[0])
        {
            no_counterpart(entry, path[0], kind, rules, faults);
            continue;
        }
        let value = match path.as_slice() {
            ["command"] => command(&entry.value),
            _ => entry.value.clone(),
        };
        if let Err(taken) = put(&mut variables, &path, entry.at, value) {
            let message = format!("`{}` goes into `{taken}`, which is no mapping", entry.key);
            faults.error(entry.at, message);
        }
    }
    if let (Some(unknown), None) = (rules.kind, kind) {
        notes.push(format!(
            "overrides of `{unknown}` are passed on under their names: its type is none of Prefect's own"
        ));
    }
    Node::new(overrides.at, Content::Map(variables))
}

fn no_counterpart(
    entry: &Entry,
    name: &str,
    kind: &Kind,
    rules: &Rules<'_>,
    faults: &mut Faults<'_>,
) {
    let only_here = kind.only_here.contains(&name);
    let known = || kind.same.iter().chain(kind.only_here).copied();
    let (message, hint) = match nearest(name, known()).filter(|_| !only_here) {
        Some(near) => (
            format!("a `{}` block has no field `{name}`", kind.block),
            format!("did you mean `{near}`?"),
        ),
        None => {
            let header = match rules.block {
                Some(block) => format!("`[legacy.infrastructure.{}]`", super::quoted(block)),
                None => "`[legacy.infrastructure]`".to_owned(),
            };
            (
                format!(
                    "`{name}` of `infra_overrides` has no counterpart among the variables of a {} work pool",
                    kind.pool
                ),
                format!(
                    "let the pool's base job template say it, and write in {FILE} under {header}: drop-overrides = [{}]",
                    super::quoted(name)
                ),
            )
        }
    };
    faults.error(entry.at, message).hint(hint);
}

/// Puts a value where its path leads; the path of what is in the way where that is no mapping.
fn put(variables: &mut Vec<Entry>, path: &[&str], at: Position, value: Node) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else {
        return Ok(());
    };
    let place = match variables.iter().position(|entry| entry.key == *first) {
        Some(place) => place,
        None => {
            variables.push(Entry {
                key: (*first).to_owned(),
                at,
                value: Node::new(at, Content::Map(Vec::new())),
            });
            variables.len() - 1
        }
    };
    let entry = &mut variables[place];
    if rest.is_empty() {
        entry.value = value;
        entry.at = at;
        return Ok(());
    }
    match &mut entry.value.content {
        Content::Map(inside) => {
            put(inside, rest, at, value).map_err(|taken| format!("{first}.{taken}"))
        }
        _ => Err((*first).to_owned()),
    }
}

/// A block has a command as the list of its words, a worker as one line of a shell.
fn command(node: &Node) -> Node {
    let Content::List(words) = &node.content else {
        return node.clone();
    };
    let Some(texts) = words.iter().map(Node::as_str).collect::<Option<Vec<_>>>() else {
        return node.clone();
    };
    let line = |texts: &[&str]| -> Value {
        let words: Vec<String> = texts.iter().map(|word| shell_quoted(word)).collect();
        words.join(" ").into()
    };
    let mut command = Node::scalar(node.at, line(&texts));
    if words.iter().any(|word| word.hidden.is_some()) {
        let written = words.iter().zip(&texts);
        let written: Vec<&str> = written
            .map(|(word, text)| word.hidden.as_deref().unwrap_or(text))
            .collect();
        command.hidden = Some(written.join(" "));
    }
    command
}
