//! How the changes that a run is narrowed to reach its projects, as lines.

use super::value;
use crate::plan::Plan;

/// What a narrowed run compares with, and the chain of each project.
pub(super) struct Reached {
    /// What was compared with; escaped.
    pub(super) heading: String,
    /// `projects/load_dn ← lib/rss.py ← lib/http.py`; escaped, by project. None where everything counts as changed.
    pub(super) chains: Vec<String>,
}

/// `None` where the plan's run was not narrowed to what changed.
pub(super) fn of(plan: &Plan) -> Option<Reached> {
    let since = plan.since.as_ref()?;
    let why = since.why.as_deref();
    let Some(revision) = &since.revision else {
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        return Some(Reached {
            heading: value::text(&format!("everything counts as changed{why}")),
            chains: Vec::new(),
        });
    };
    let chains: Vec<String> = plan
        .projects
        .iter()
        .map(|project| {
            value::text(&match &project.reach {
                Some(reach) => format!("{} ← {reach}", project.path),
                None => format!("{}, which the preview holds already", project.path),
            })
        })
        .collect();
    let hexadecimal = revision.len() >= 40 && revision.bytes().all(|one| one.is_ascii_hexdigit());
    let shown = if hexadecimal {
        &revision[..12]
    } else {
        revision
    };
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    let reached = plan.projects.iter().any(|one| one.reach.is_some());
    let begin = match (reached, plan.orphans.is_empty()) {
        (true, _) => "reached",
        (false, true) => "no project is reached",
        (false, false) => "no project that is left is reached",
    };
    Some(Reached {
        heading: value::text(&format!("{begin} by the changes since {shown}{why}")),
        chains,
    })
}
