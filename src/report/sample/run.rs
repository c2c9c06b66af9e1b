//! What came of the sample plan, and faults.

use crate::apply::{Item, Outcome, Status};
use crate::model::{Diagnostic, Place, RepoPath};
use crate::plan::{self, Plan};

/// What came of the sample plan; with `failing`, one upload and one registration failed.
pub(in crate::report) fn outcomes(plan: &Plan, failing: bool) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for project in &plan.projects {
        let mut add = |item, status| {
            let link = match (&item, &status) {
                (Item::Registration(id), Status::Done) => Some(format!(
                    "http://127.0.0.1:4200/deployments/{}",
                    id.name.len()
                )),
                _ => None,
            };
            outcomes.push(Outcome {
                project: project.path.clone(),
                item,
                status,
                link,
            });
        };
        let broken = failing && project.path.as_str().starts_with("projects/x");
        if project.upload != plan::Upload::Nothing {
            let status = if broken {
                Status::Failed {
                    message:
                        "upload x.py to x: azure://acme/code: the account refuses the key\u{1b}[2J"
                            .into(),
                    hint: Some("check AZURE_STORAGE_CONNECTION_STRING".into()),
                }
            } else {
                Status::Done
            };
            add(Item::Release(project.release.clone()), status);
        }
        for change in &project.changes {
            let status = match change.action {
                plan::Action::Keep => continue,
                _ if broken => Status::Skipped { reason: "its release is not complete".into() },
                _ if failing && change.id.name == "hourly" => Status::Failed {
                    message: "Prefect at http://127.0.0.1:4200/api: register load-dn/hourly: 422 job_variables \
                              violate the pool's schema"
                        .into(),
                    hint: None,
                },
                _ => Status::Done,
            };
            add(Item::Registration(change.id.clone()), status);
        }
    }
    if plan.prune {
        for orphan in &plan.orphans {
            let status = if failing {
                Status::Skipped {
                    reason: "something else failed; nothing is removed then".into(),
                }
            } else {
                Status::Done
            };
            let item = Item::Removal(orphan.id.clone());
            outcomes.push(Outcome {
                project: orphan.project.clone(),
                item,
                status,
                link: None,
            });
        }
    }
    outcomes
}

/// Faults as a reader finds them.
pub(in crate::report) fn diagnostics() -> Vec<Diagnostic> {
    let path = RepoPath::new("projects/a/daily.deployment.yaml");
    vec![
        Diagnostic::error(Place::at(path.clone(), 2, 1), "unknown key `schedle`")
            .hint("did you mean `schedules`?"),
        Diagnostic::error(
            Place::at(path.clone(), 4, 9),
            "`load-dn/daily` is declared twice",
        )
        .related(
            Place::at(RepoPath::new("projects/b/x.deployment.yaml"), 3, 7),
            "first declared here",
        ),
        Diagnostic::warning(
            Place::file(RepoPath::new("projects/c")),
            "no requirements\u{1b}[2J\nfile",
        ),
    ]
}
