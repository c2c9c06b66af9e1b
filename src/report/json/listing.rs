//! `"kind": "list"`, `"kind": "check"` and `"kind": "status"`.

use serde::Serialize;
use serde_json::Value;

use super::{Fault, Place, document, path};
use crate::model::{
    Deployment, DeploymentId, Desired, Diagnostic, Digest, Field, Live, LiveDeployment, Project,
};
use crate::report::{registered, shown};

#[derive(Serialize)]
struct ListDocument<'a> {
    projects: Vec<ProjectDocument<'a>>,
    diagnostics: Vec<Fault<'a>>,
}

#[derive(Serialize)]
struct ProjectDocument<'a> {
    path: &'a str,
    /// The deployment files.
    files: Vec<&'a str>,
    requirements: Option<&'a str>,
    release: Digest,
    /// Whether some of it could not be read.
    faulty: bool,
    deployments: Vec<DeploymentDocument<'a>>,
}

#[derive(Serialize)]
struct DeploymentDocument<'a> {
    id: String,
    place: Place<'a>,
    entrypoint: Option<Value>,
    paused: bool,
    work_pool_name: Option<Value>,
    work_queue_name: Option<Value>,
    tags: Option<Value>,
    /// By slug; what came from the environment is there as written.
    schedules: Option<Value>,
}

/// What git declares.
pub fn list(desired: &Desired) -> String {
    let content = ListDocument {
        projects: desired.projects.iter().map(project).collect(),
        diagnostics: Fault::all(&desired.diagnostics),
    };
    document("list", content)
}

fn project(project: &Project) -> ProjectDocument<'_> {
    ProjectDocument {
        path: path(&project.path),
        files: project.files.iter().map(path).collect(),
        requirements: project.requirements.as_ref().map(path),
        release: project.release.digest,
        faulty: project.faulty,
        deployments: project.deployments.iter().map(deployment).collect(),
    }
}

fn deployment(deployment: &Deployment) -> DeploymentDocument<'_> {
    let field = |field| shown::declared(deployment, field);
    DeploymentDocument {
        id: deployment.id.to_string(),
        place: Place::of(&deployment.place),
        entrypoint: field(Field::Entrypoint),
        paused: field(Field::Paused) == Some(Value::Bool(true)),
        work_pool_name: field(Field::WorkPool),
        work_queue_name: field(Field::WorkQueue),
        tags: field(Field::Tags),
        schedules: field(Field::Schedules),
    }
}

#[derive(Serialize)]
struct CheckDocument<'a> {
    diagnostics: Vec<Fault<'a>>,
    summary: CheckSummary,
}

#[derive(Serialize)]
struct CheckSummary {
    projects: usize,
    deployments: usize,
    errors: usize,
    warnings: usize,
}

/// What `check` found: `diagnostics`, and how much was read.
pub fn check(desired: &Desired, diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|one| one.is_error()).count();
    let content = CheckDocument {
        diagnostics: Fault::all(diagnostics),
        summary: CheckSummary {
            projects: desired.projects.len(),
            deployments: desired
                .projects
                .iter()
                .map(|project| project.deployments.len())
                .sum(),
            errors,
            warnings: diagnostics.len() - errors,
        },
    };
    document("check", content)
}

#[derive(Serialize)]
struct StatusDocument<'a> {
    deployments: Vec<StatusEntry<'a>>,
}

#[derive(Serialize)]
struct StatusEntry<'a> {
    id: String,
    /// Whether the orchestrator knows it; otherwise all below is `null`.
    registered: bool,
    project: Option<&'a str>,
    version: Option<String>,
    /// The digest of the release; `null` where the pull steps are not ours.
    release: Option<Digest>,
    paused: Option<bool>,
    work_pool_name: Option<String>,
    work_queue_name: Option<String>,
    /// By slug, without parameters: they may hold what came from a secret.
    schedules: Option<Value>,
}

/// What the orchestrator holds of `deployments`.
pub fn status(live: &Live, deployments: &[DeploymentId]) -> String {
    let entry = |id: &DeploymentId| {
        let one: Option<&LiveDeployment> = live.deployments.get(id).map(std::sync::Arc::as_ref);
        let text = |field| registered::text(one?, field);
        StatusEntry {
            id: id.to_string(),
            registered: one.is_some(),
            project: one
                .and_then(|one| one.owner.as_ref())
                .map(|owner| path(&owner.project)),
            version: text(Field::Version),
            release: one
                .and_then(registered::release)
                .map(|release| release.digest),
            paused: one.map(registered::is_paused),
            work_pool_name: text(Field::WorkPool),
            work_queue_name: text(Field::WorkQueue),
            schedules: one.and_then(registered::schedules),
        }
    };
    let content = StatusDocument {
        deployments: deployments.iter().map(entry).collect(),
    };
    document("status", content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn list_has_projects_and_faults() {
        let mut desired = sample::desired();
        desired.projects.truncate(1);
        desired.projects[0].deployments.remove(0);
        desired.projects[0].deployments[0].hidden = [(
            "schedules.nightly.cron".to_owned(),
            "{{ $CRON }}".to_owned(),
        )]
        .into();
        desired.diagnostics = sample::diagnostics().split_off(2);
        insta::assert_snapshot!(list(&desired), @r#"
        {
          "version": 1,
          "kind": "list",
          "projects": [
            {
              "path": "projects/news/load_dn",
              "files": [
                "projects/news/load_dn/daily.deployment.yaml"
              ],
              "requirements": "projects/news/load_dn/requirements.txt",
              "release": "329214b59301a2ef1f2d855f1fc13f6d2ba0df5bf1a31a947e10bfdd617ed62a",
              "faulty": false,
              "deployments": [
                {
                  "id": "load-dn/hourly",
                  "place": {
                    "path": "projects/news/load_dn/daily.deployment.yaml",
                    "line": 1,
                    "column": 1
                  },
                  "entrypoint": "load.py:load_dn",
                  "paused": false,
                  "work_pool_name": "kubernetes",
                  "work_queue_name": "high",
                  "tags": [
                    "news"
                  ],
                  "schedules": {
                    "nightly": {
                      "cron": "{{ $CRON }}",
                      "day_or": true,
                      "parameters": {},
                      "timezone": "Europe/Oslo"
                    },
                    "weekly": {
                      "parameters": {
                        "limit": 5
                      },
                      "rrule": "DTSTART:20250106T070000\nRRULE:FREQ=WEEKLY;BYDAY=MO",
                      "timezone": "Europe/Oslo"
                    }
                  }
                },
                {
                  "id": "load-dn/weekly",
                  "place": {
                    "path": "projects/news/load_dn/weekly.deployment.yaml",
                    "line": 1,
                    "column": 1
                  },
                  "entrypoint": "load.py:load_dn",
                  "paused": false,
                  "work_pool_name": null,
                  "work_queue_name": null,
                  "tags": null,
                  "schedules": null
                }
              ]
            }
          ],
          "diagnostics": [
            {
              "place": {
                "path": "projects/c",
                "line": null,
                "column": null
              },
              "severity": "warning",
              "message": "no requirements\u001b[2J\nfile",
              "hint": null,
              "related": []
            }
          ]
        }
        "#);
    }

    #[test]
    fn check_has_faults_and_counts() {
        insta::assert_snapshot!(check(&sample::desired(), &sample::diagnostics()[1..2]), @r#"
        {
          "version": 1,
          "kind": "check",
          "diagnostics": [
            {
              "place": {
                "path": "projects/a/daily.deployment.yaml",
                "line": 4,
                "column": 9
              },
              "severity": "error",
              "message": "`load-dn/daily` is declared twice",
              "hint": null,
              "related": [
                {
                  "place": {
                    "path": "projects/b/x.deployment.yaml",
                    "line": 3,
                    "column": 7
                  },
                  "role": "first declared here"
                }
              ]
            }
          ],
          "summary": {
            "projects": 3,
            "deployments": 6,
            "errors": 1,
            "warnings": 0
          }
        }
        "#);
    }

    #[test]
    fn status_has_what_is_registered_and_what_is_not() {
        let ids = ["load-dn/backfill", "load-dn/hourly"].map(sample::id);
        insta::assert_snapshot!(status(&sample::live(), &ids), @r#"
        {
          "version": 1,
          "kind": "status",
          "deployments": [
            {
              "id": "load-dn/backfill",
              "registered": false,
              "project": null,
              "version": null,
              "release": null,
              "paused": null,
              "work_pool_name": null,
              "work_queue_name": null,
              "schedules": null
            },
            {
              "id": "load-dn/hourly",
              "registered": true,
              "project": "projects/news/load_dn",
              "version": "a0ad7d2f04fb",
              "release": "a0ad7d2f04fb6a8ecc909cbe190060b869725674380a03193ee24cfce1fbabb4",
              "paused": false,
              "work_pool_name": "laptop",
              "work_queue_name": null,
              "schedules": {
                "hourly": {
                  "active": true,
                  "anchor_date": "2024-01-01T00:00:00+00:00",
                  "interval": 3600.0,
                  "timezone": "UTC"
                },
                "nightly": {
                  "active": true,
                  "cron": "0 4 * * *",
                  "day_or": true,
                  "timezone": "Europe/Oslo"
                }
              }
            }
          ]
        }
        "#);
    }
}
