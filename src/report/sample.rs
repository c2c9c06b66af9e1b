//! A plan with something of everything, made by the real comparison from plain data.

mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::model::{
    Applied, AppliedDeployment, By, CodeFile, CodeTree, Deployment, DeploymentId, Desired, Digest,
    Field, Fields, FileMode, Link, Live, LiveDeployment, Owner, Place, Project, Reach, ReleaseRef,
    RepoPath, Since,
};
use crate::plan::{self, Plan};

pub(super) use run::{diagnostics, outcomes};

pub(super) fn id(text: &str) -> DeploymentId {
    let (flow, name) = text.split_once('/').expect("a test writes flow/name");
    DeploymentId {
        flow: flow.to_owned(),
        name: name.to_owned(),
    }
}

fn fields<const N: usize>(of: [(Field, Value); N]) -> Fields {
    Fields::from(of)
}

fn deployment(id_text: &str, path: &str, declared: Fields) -> Deployment {
    Deployment {
        id: id(id_text),
        place: Place::at(RepoPath::new(path), 1, 1),
        places: BTreeMap::new(),
        fields: declared,
        hidden: BTreeMap::new(),
        references: BTreeSet::new(),
        notes: match id_text {
            "load-dn/backfill" => {
                vec!["the entrypoint counts from the repository's root".to_owned()]
            }
            _ => Vec::new(),
        },
        images: Vec::new(),
        steps: Vec::new(),
        later: BTreeMap::new(),
    }
}

/// A project whose code is `files` files of `content`; its deployments get the fields that are always set.
fn project(path: &str, content: &str, files: usize, deployments: Vec<Deployment>) -> Project {
    let path = RepoPath::new(path);
    let code = CodeTree::new(
        path.clone(),
        (0..files)
            .map(|at| CodeFile {
                path: format!("{at}.py"),
                length: content.len() as u64 * 250,
                sha256: Digest::of(content.as_bytes()),
                mode: FileMode::Regular,
            })
            .collect(),
    );
    let release = ReleaseRef {
        project: path.clone(),
        digest: code.digest(),
    };
    let deployments = deployments
        .into_iter()
        .map(|mut one| {
            let name = format!("{}@{}", path.as_str(), release.digest);
            one.fields.entry(Field::Code).or_insert(json!(name));
            one.fields
                .entry(Field::Version)
                .or_insert(json!(release.digest.short()));
            one
        })
        .collect();
    Project {
        files: vec![path.join("daily.deployment.yaml")],
        requirements: Some(path.join("requirements.txt")),
        path,
        code,
        release,
        deployments,
        faulty: false,
        unread: false,
        undecided: Vec::new(),
        needs: Vec::new(),
        looked: BTreeMap::new(),
        reach: None,
    }
}

fn schema(properties: Value, required: Value) -> Value {
    let mut schema = json!({"title": "Parameters", "type": "object"});
    schema["properties"] = properties;
    schema["required"] = required;
    schema
}

fn before() -> Desired {
    let limit = json!({"position": 0, "title": "limit", "type": "integer", "default": 50});
    let old = json!({"position": 1, "title": "old", "type": "string"});
    let hourly = fields([
        (Field::Entrypoint, json!("load.py:load_dn")),
        (
            Field::Parameters,
            json!({"limit": 50, "query": "select ".repeat(20) + "a"}),
        ),
        (
            Field::ParameterSchema,
            schema(json!({"limit": limit, "old": old}), json!(["old"])),
        ),
        (Field::Tags, json!(["news"])),
        (
            Field::Schedules,
            json!({
                "nightly": {"cron": "0 4 * * *", "timezone": "Europe/Oslo", "day_or": true, "parameters": {},
                            "active": true},
                "hourly": {"interval": 3600.0, "anchor_date": "2024-01-01T00:00:00+00:00", "timezone": "UTC",
                           "parameters": {}, "active": true},
            }),
        ),
        (Field::WorkPool, json!("kubernetes")),
        (
            Field::JobVariables,
            json!({"env": {"TOKEN": "old-secret", "DSN": "gone-secret"}}),
        ),
    ]);
    let weekly = fields([(Field::Entrypoint, json!("load.py:load_dn"))]);
    let kept = fields([
        (Field::Entrypoint, json!("dbt.py:run")),
        (Field::WorkPool, json!("kubernetes")),
    ]);
    Desired {
        since: None,
        left_out: None,
        absent: BTreeMap::new(),
        images: BTreeMap::new(),
        projects: vec![
            project(
                "projects/news/load_dn",
                "before",
                7,
                vec![
                    deployment(
                        "load-dn/hourly",
                        "projects/news/load_dn/daily.deployment.yaml",
                        hourly,
                    ),
                    deployment(
                        "load-dn/weekly",
                        "projects/news/load_dn/weekly.deployment.yaml",
                        weekly,
                    ),
                ],
            ),
            project(
                "projects/warehouse/dbt",
                "same",
                3,
                vec![
                    deployment(
                        "dbt/a",
                        "projects/warehouse/dbt/daily.deployment.yaml",
                        kept.clone(),
                    ),
                    deployment(
                        "dbt/b",
                        "projects/warehouse/dbt/daily.deployment.yaml",
                        kept,
                    ),
                ],
            ),
            project(
                "projects/old",
                "old",
                1,
                vec![deployment(
                    "old/one",
                    "projects/old/daily.deployment.yaml",
                    fields([(Field::Entrypoint, json!("old.py:main"))]),
                )],
            ),
        ],
        diagnostics: Vec::new(),
    }
}

/// What git declares: one project with new code, one untouched, one new, and one that means harm.
pub(super) fn desired() -> Desired {
    let mut desired = before();
    desired.projects.pop();
    let limit = json!({"position": 0, "title": "limit", "type": "integer", "default": 80});
    let day = json!({"position": 1, "title": "day", "anyOf": [{"type": "string", "format": "date"}, {"type": "null"}],
                     "default": null});
    let source =
        json!({"position": 2, "title": "source", "type": "array", "items": {"type": "string"}});
    let mut hourly = deployment(
        "load-dn/hourly",
        "projects/news/load_dn/daily.deployment.yaml",
        fields([
            (Field::Entrypoint, json!("load.py:load_dn")),
            (
                Field::Parameters,
                json!({"limit": 80, "query": "select ".repeat(20) + "b"}),
            ),
            (
                Field::ParameterSchema,
                schema(
                    json!({"limit": limit, "day": day, "source": source}),
                    json!(["source"]),
                ),
            ),
            (Field::Tags, json!(["news"])),
            (
                Field::Schedules,
                json!({
                    "nightly": {"cron": "0 5 * * *", "timezone": "Europe/Oslo", "day_or": true, "parameters": {}},
                    "weekly": {"rrule": "DTSTART:20250106T070000\nRRULE:FREQ=WEEKLY;BYDAY=MO",
                               "timezone": "Europe/Oslo", "parameters": {"limit": 5}},
                }),
            ),
            (Field::WorkPool, json!("kubernetes")),
            (Field::WorkQueue, json!("high")),
            (Field::JobVariables, json!({"env": {"TOKEN": "new-secret"}})),
        ]),
    );
    hourly.hidden = BTreeMap::from([("job_variables.env.TOKEN".into(), "{{ $DN_TOKEN }}".into())]);
    let backfill = fields([
        (Field::Entrypoint, json!("load.py:load_dn")),
        (Field::Description, Value::Null),
        (Field::Tags, json!(["backfill", "news"])),
        (
            Field::Parameters,
            json!({"limit": 10_000, "since": "2024-01-01"}),
        ),
        (
            Field::ParameterSchema,
            schema(json!({"limit": {"type": "integer"}}), json!([])),
        ),
        (Field::EnforceParameterSchema, json!(true)),
        (
            Field::Schedules,
            json!({"nightly": {"cron": "0 4 * * *", "timezone": "Europe/Oslo", "day_or": true, "parameters": {}},
                   "often": {"interval": 5400.0, "anchor_date": "2024-01-01T00:00:00+00:00", "timezone": "UTC",
                             "parameters": {}, "active": false}}),
        ),
        (Field::WorkPool, json!("kubernetes")),
        (Field::WorkQueue, json!("low")),
        (Field::JobVariables, json!({})),
        (Field::ConcurrencyLimit, json!(1)),
        (Field::CollisionStrategy, json!("CANCEL_NEW")),
    ]);
    let weekly = fields([(Field::Entrypoint, json!("load.py:load_dn"))]);
    desired.projects[0] = project(
        "projects/news/load_dn",
        "after!",
        8,
        vec![
            deployment(
                "load-dn/backfill",
                "projects/news/load_dn/backfill.deployment.yaml",
                backfill,
            ),
            hourly,
            deployment(
                "load-dn/weekly",
                "projects/news/load_dn/weekly.deployment.yaml",
                weekly,
            ),
        ],
    );
    desired.projects.push(project(
        "projects/x`</details>|@all\u{1b}[31m",
        "evil",
        1,
        vec![deployment(
            "x```/</details>\n::error::|@all\u{1b}[2J",
            "projects/x/x.deployment.yaml",
            fields([
                (Field::Entrypoint, json!("x.py:main")),
                (
                    Field::Description,
                    json!("```\n</details> <img src=x> @everyone | `a` \u{1b}]0;t\u{7}\u{202e}x"),
                ),
            ]),
        )],
    ));
    desired
}

/// A registered deployment, to be changed.
pub(super) fn registered<'a>(live: &'a mut Live, id: &DeploymentId) -> &'a mut LiveDeployment {
    Arc::make_mut(live.deployments.get_mut(id).expect("it is there"))
}

/// What `before` left on the server; someone has since paused a deployment and moved another.
pub(super) fn live() -> Live {
    let mut live = Live::default();
    for project in before().projects {
        for one in project.deployments {
            let owner = Owner {
                repository: "acme/data".into(),
                environment: "prod".into(),
                project: project.path.clone(),
            };
            let deployment = LiveDeployment {
                handle: one.id.to_string(),
                fields: one.fields,
                owner: Some(owner),
            };
            live.deployments.insert(one.id, Arc::new(deployment));
        }
    }
    let hourly = registered(&mut live, &id("load-dn/hourly"));
    hourly.fields.insert(Field::Tags, json!(["manual", "news"]));
    hourly.fields.insert(Field::WorkPool, json!("laptop"));
    live
}

fn applied() -> Applied {
    let mut applied = Applied::default();
    for project in before().projects {
        for one in project.deployments {
            let remembered = AppliedDeployment::of(
                project.path.clone(),
                project.release.digest,
                &one.fields,
                one.hidden.keys().cloned().collect(),
            );
            applied.deployments.insert(one.id, remembered);
        }
    }
    applied
}

fn options(prune: bool) -> plan::Options {
    plan::Options {
        repository: "acme/data".into(),
        environment: "prod".into(),
        prune,
        ..plan::Options::default()
    }
}

/// The plan from [`live`] to [`desired`].
pub(super) fn plan(prune: bool) -> Plan {
    let complete = BTreeSet::from([desired().projects[1].release.clone()]);
    plan::diff(&desired(), &live(), &applied(), &complete, &options(prune))
}

/// A plan narrowed to what changed, of which all is as declared.
pub(super) fn narrowed_plan() -> Plan {
    let mut plan = empty_plan();
    plan.projects.truncate(2);
    plan.since = Some(Since {
        revision: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        why: Some("main before this push".to_owned()),
    });
    let chains: [&[(&str, By)]; 2] = [
        &[("lib/rss.py", By::Import), ("lib/http.py", By::Import)],
        &[("odd\n::error::x/`a`.py", By::Folder)],
    ];
    for (project, chain) in plan.projects.iter_mut().zip(chains) {
        let link = |(path, by): &(&str, By)| Link {
            path: RepoPath::new(*path),
            by: *by,
        };
        project.reach = Some(Reach {
            links: chain.iter().map(link).collect(),
        });
    }
    plan
}

/// What a run is narrowed by that could not tell what changed.
pub(super) fn everything() -> Option<Since> {
    Some(Since {
        revision: None,
        why: Some("this is the first push of its branch".to_owned()),
    })
}

/// The plan of a second deploy in a row: nothing changes.
pub(super) fn empty_plan() -> Plan {
    let before = before();
    let complete = before
        .projects
        .iter()
        .map(|one| one.release.clone())
        .collect();
    let mut live = live();
    for project in &before.projects {
        for one in &project.deployments {
            registered(&mut live, &one.id).fields = one.fields.clone();
        }
    }
    plan::diff(&before, &live, &applied(), &complete, &options(false))
}

/// Output as a file would get it: without colours, and proven to be without other escapes.
pub(super) fn plain(write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).expect("a vector takes everything");
    let text = String::from_utf8(out).expect("reports are UTF-8");
    // Colours alone, unlike what `anstream` strips: any other escape must fail below.
    let colours = regex::Regex::new("\u{1b}\\[[0-9;]*m").expect("it compiles");
    let text = colours.replace_all(&text, "").into_owned();
    assert!(
        text.chars().all(|char| char == '\n' || !char.is_control()),
        "{text:?}"
    );
    text
}

/// The change of one deployment from `old`, as it is live and was last applied, to `new`.
pub(super) fn change(field: Field, old: Value, new: Value) -> plan::Change {
    let desired = |value| Desired {
        left_out: None,
        absent: BTreeMap::new(),
        since: None,
        images: BTreeMap::new(),
        projects: vec![project(
            "p",
            "same",
            1,
            vec![deployment(
                "f/d",
                "p/d.deployment.yaml",
                fields([(field, value)]),
            )],
        )],
        diagnostics: Vec::new(),
    };
    let mut plan = plan::compare(&desired(old), &desired(new), &options(false));
    plan.projects.remove(0).changes.remove(0)
}

/// The rows of a change as text, each with its sign.
pub(super) fn rows(change: &plan::Change) -> String {
    let line = |row: super::rows::Row| format!("{:?} {}\n", row.sign, row.text(0));
    super::rows::of_change(change)
        .into_iter()
        .map(line)
        .collect()
}
