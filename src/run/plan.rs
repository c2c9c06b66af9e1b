//! `plan`.

use anyhow::Context as _;

use super::comparison::{Comparison, errors, read, tell_unpruned};
use super::github::{Page, Wishes};
use super::narrow::Narrow;
use super::revision::Auto;
use super::{Run, against, configured, github, read_of, show};
use crate::cli;
use crate::connect::Backends;
use crate::discover::Tree;
use crate::error::Failure;
use crate::model::Desired;
use crate::plan::{self, Plan};
use crate::report;

/// Shows what a deploy would change.
pub(super) async fn plan(run: &Run, options: &cli::Plan, wishes: Wishes) -> Result<(), Failure> {
    Page::during(run, wishes, async |page| {
        show_plan(run, options, page).await
    })
    .await
}

async fn show_plan(run: &Run, options: &cli::Plan, page: &Page<'_>) -> Result<(), Failure> {
    let against = against::revision(run, options)?;
    let out = options.out.as_deref().filter(|_| against.is_none());
    let (narrow, (plan, desired, faults)) = match &against {
        Some(revision) => {
            let narrow = Narrow::of(&options.narrow, run, Auto::Event)?;
            let planned = plan_against(run, options, &narrow, revision).await?;
            (narrow, planned)
        }
        None => {
            let backends = run.connect().await;
            let auto = Auto::of(&options.narrow, run, backends.as_ref(), true).await?;
            let narrow = Narrow::of(&options.narrow, run, auto)?;
            let planned = plan_live(run, options, &narrow, backends).await?;
            (narrow, planned)
        }
    };
    let shown = github::readable(run, &plan);
    show::plan(&shown, &desired, run)?;
    let saved = out.filter(|_| faults == 0);
    let parts = match (options.shards, saved) {
        (Some(at_most), Some(_)) => plan::parts(&plan, usize::from(at_most)),
        _ => Vec::new(),
    };
    if let Some(path) = saved {
        let saved = report::json::SavedOptions {
            environment: plan.environment.clone(),
            projects: narrow.projects.clone(),
            since: narrow.revision(),
            prune: options.prune,
        };
        let text = report::json::save_plan(&plan, &desired, &saved, &parts);
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    let left_out = match faults {
        0 => errors(&desired.diagnostics, false),
        _ => 0,
    };
    let count = options.shards.and(u16::try_from(parts.len()).ok());
    github::planned(run, &shown, &desired, saved, count);
    page.planned(&shown, &desired, faults + left_out, options.check)
        .await;
    if faults > 0 {
        return Err(Failure::Faulty {
            errors: faults,
            left_out: false,
        });
    }
    let changes = options.check && !plan.is_empty();
    // The process ends here, and would only be longer about it if it took thousands of deployments apart first.
    std::mem::forget(shown);
    std::mem::forget((plan, desired));
    if left_out > 0 {
        return Err(Failure::Faulty {
            errors: left_out,
            left_out: true,
        });
    }
    if changes {
        return Err(Failure::Changes);
    }
    Ok(())
}

/// The plan from what is live, what was read for it, and how many faults forbid to deploy it. A plan of what can be
/// read is worth showing; whether all of it can be decides the exit code.
async fn plan_live(
    run: &Run,
    options: &cli::Plan,
    narrow: &Narrow,
    backends: Result<Backends, Failure>,
) -> Result<(Plan, Desired, usize), Failure> {
    let tree = run.tree_without(&[options.out.as_deref()])?;
    let desired = read(run, &tree, narrow, false, options.keep_going).await?;
    let plan_options = run.plan_options(options.prune && !options.keep_going, run.hides());
    let prune = plan_options.clone();
    let Comparison {
        desired,
        observed,
        plan,
        ..
    } = Comparison::of(
        run,
        &backends?,
        &tree,
        desired,
        plan_options,
        options.keep_going,
    )
    .await?;
    std::mem::forget(observed);
    tell_unpruned(run, &plan, &desired, &prune);
    let faults =
        errors(&desired.diagnostics, options.keep_going) + errors(&plan.diagnostics, false);
    Ok((plan, desired, faults))
}

/// The plan from what a revision declares, with the revision's own configuration; what the work tree declares, and how
/// many faults that has.
async fn plan_against(
    run: &Run,
    options: &cli::Plan,
    narrow: &Narrow,
    revision: &str,
) -> Result<(Plan, Desired, usize), Failure> {
    let mut after = read(run, &run.tree()?, narrow, true, options.keep_going).await?;
    let tree = Tree::revision(run.path(), revision, &crate::model::RepoPath::root())?;
    let mut process = run.process.clone();
    let configured = configured(&run.global, &mut process, &|name| read_of(&tree, name));
    // A change may be what repairs it.
    let theirs = match &configured {
        Ok((config, _)) => config,
        Err(error) => {
            tracing::warn!(
                "the configuration at `{revision}` cannot be read, so that this one counts for both sides: {error:#}"
            );
            &run.config
        }
    };
    let mut before = run.read(&tree, theirs, true)?;
    leave_out_unknown(&before, &mut after);
    before.name_images();
    after.name_images();
    let plan = plan::compare(&before, &after, &run.plan_options(true, false));
    let faults = errors(&after.diagnostics, options.keep_going);
    Ok((plan, after, faults))
}

/// Takes out of `after` what the other side has no files of, because they are in a submodule whose commit is not here:
/// whether anything of it changes is not known.
fn leave_out_unknown(before: &Desired, after: &mut Desired) {
    after.projects.retain(|project| {
        let mut absent = before.absent.keys();
        let within = absent.find(|folder| project.path.below(folder).is_some());
        if let Some(folder) = within {
            tracing::warn!(
                "{} is left out: it is in the submodule {folder}, whose commit of then is not here",
                project.path
            );
        }
        within.is_none()
    });
}
