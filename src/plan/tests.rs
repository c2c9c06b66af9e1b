//! The comparison on plain data.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::model::{CodeTree, Deployment, Owner, Place, Project};

fn id(name: &str) -> DeploymentId {
    DeploymentId {
        flow: "f".into(),
        name: name.into(),
    }
}

pub(super) fn options() -> Options {
    Options {
        repository: "acme/flows".into(),
        environment: "prod".into(),
        ..Options::default()
    }
}

/// A repository with one project whose one deployment declares these fields.
pub(super) fn declares(fields: &[(Field, Value)]) -> Desired {
    let path = RepoPath::new("p");
    let code = CodeTree::default();
    let deployment = Deployment {
        id: id("d"),
        place: Place::at(path.join("d.deployment.yaml"), 1, 1),
        places: BTreeMap::new(),
        fields: fields.iter().cloned().collect(),
        hidden: BTreeMap::new(),
        references: BTreeSet::new(),
        notes: Vec::new(),
        images: Vec::new(),
        steps: Vec::new(),
        later: BTreeMap::new(),
    };
    let project = Project {
        files: vec![path.join("d.deployment.yaml")],
        requirements: None,
        release: ReleaseRef {
            project: path.clone(),
            digest: code.digest(),
        },
        code,
        deployments: vec![deployment],
        path,
        faulty: false,
        unread: false,
        undecided: Vec::new(),
        needs: Vec::new(),
        looked: BTreeMap::new(),
        reach: None,
    };
    Desired {
        since: None,
        left_out: None,
        absent: BTreeMap::new(),
        images: BTreeMap::new(),
        projects: vec![project],
        diagnostics: Vec::new(),
    }
}

/// What a deploy of `desired` leaves behind: the server's side and ours.
pub(super) fn deployed(desired: &Desired) -> (Live, Applied) {
    deployed_over(desired, Live::default(), &Applied::default())
}

pub(super) fn deployed_over(
    desired: &Desired,
    mut live: Live,
    applied: &Applied,
) -> (Live, Applied) {
    let plan = diff(desired, &live, applied, &BTreeSet::new(), &options());
    for change in &plan.projects[0].changes {
        let Some(registration) = &change.registration else {
            continue;
        };
        let now = LiveDeployment {
            handle: "1".into(),
            fields: registration.fields.clone(),
            owner: Some(registration.owner.clone()),
        };
        live.deployments.insert(change.id.clone(), Arc::new(now));
    }
    let next = plan.next_applied(applied, |_| true);
    (live, next)
}

fn set(live: &mut Live, field: Field, value: Value) {
    registered(live).fields.insert(field, value);
}

pub(super) fn registered(live: &mut Live) -> &mut LiveDeployment {
    Arc::make_mut(live.deployments.get_mut(&id("d")).expect("registered"))
}

/// The only change, as `path: old -> new (cause)` lines.
pub(super) fn lines(desired: &Desired, live: &Live, applied: &Applied) -> Vec<String> {
    let plan = diff(desired, live, applied, &BTreeSet::new(), &options());
    let show = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
    plan.projects[0].changes[0]
        .fields
        .iter()
        .map(|one| {
            format!(
                "{}: {} -> {} {:?}",
                one.path,
                show(&one.old),
                show(&one.new),
                one.cause
            )
        })
        .collect()
}

/// The messages of a comparison.
pub(super) fn diagnostics(desired: &Desired, live: &Live) -> Vec<String> {
    let plan = diff(
        desired,
        live,
        &Applied::default(),
        &BTreeSet::new(),
        &options(),
    );
    plan.diagnostics
        .into_iter()
        .map(|one| one.message)
        .collect()
}

fn registration(plan: &Plan) -> &Registration {
    plan.projects[0].changes[0]
        .registration
        .as_ref()
        .expect("it changes")
}

fn nightly(cron: &str) -> Value {
    json!({"nightly": {"cron": cron, "timezone": "UTC", "day_or": true, "parameters": {}}})
}

#[test]
fn the_second_deploy_does_nothing() {
    let desired = declares(&[
        (Field::Parameters, json!({"n": 1})),
        (Field::Schedules, nightly("0 4 * * *")),
        (Field::Tags, json!(["a"])),
    ]);
    let first = diff(
        &desired,
        &Live::default(),
        &Applied::default(),
        &BTreeSet::new(),
        &options(),
    );
    assert_eq!(first.counts().create, 1);
    let (live, applied) = deployed(&desired);
    let second = diff(&desired, &live, &applied, &BTreeSet::new(), &options());
    assert!(second.writes_nothing(), "{second:?}");
    assert_eq!(second.counts().keep, 1);
    // State that was lost is written again, and touches no deployment.
    let lost = diff(
        &desired,
        &live,
        &Applied::default(),
        &BTreeSet::new(),
        &options(),
    );
    assert!(lost.is_empty() && !lost.writes_nothing());
}

#[test]
fn what_is_let_go_of_becomes_what_the_release_makes_of_a_new_one() {
    for (dialect, default) in [(Dialect::Prefect2, false), (Dialect::Prefect3, true)] {
        let options = Options {
            dialect,
            ..options()
        };
        let (live, applied) = deployed(&declares(&[(
            Field::EnforceParameterSchema,
            json!(!default),
        )]));
        let plan = diff(&declares(&[]), &live, &applied, &BTreeSet::new(), &options);
        let fields = &registration(&plan).fields;
        assert_eq!(fields[&Field::EnforceParameterSchema], json!(default));
    }
}

#[test]
fn one_field_changes_that_field() {
    let before = declares(&[
        (Field::Parameters, json!({"n": 1, "m": 2})),
        (Field::Tags, json!(["a"])),
    ]);
    let after = declares(&[
        (Field::Parameters, json!({"n": 5, "m": 2})),
        (Field::Tags, json!(["a"])),
    ]);
    let (live, applied) = deployed(&before);
    assert_eq!(lines(&after, &live, &applied), ["parameters.n: 1 -> 5 Git"]);
    let plan = diff(&after, &live, &applied, &BTreeSet::new(), &options());
    assert_eq!(
        plan.projects[0].changes[0].changed,
        [Field::Parameters].into()
    );
}

#[test]
fn drift_is_told_from_git() {
    let desired = declares(&[
        (Field::Tags, json!(["a"])),
        (Field::Parameters, json!({"n": 1})),
    ]);
    let (mut live, applied) = deployed(&desired);
    set(&mut live, Field::Tags, json!(["a", "by hand"]));
    assert_eq!(
        lines(&desired, &live, &applied),
        ["tags: [\"a\",\"by hand\"] -> [\"a\"] Drift"]
    );
    let after = declares(&[
        (Field::Tags, json!(["a"])),
        (Field::Parameters, json!({"n": 2})),
    ]);
    assert_eq!(
        lines(&after, &live, &applied),
        [
            "tags: [\"a\",\"by hand\"] -> [\"a\"] Drift",
            "parameters.n: 1 -> 2 Git"
        ]
    );
    // Without the third side nothing can be told to be drift.
    assert_eq!(
        lines(&desired, &live, &Applied::default()),
        ["tags: [\"a\",\"by hand\"] -> [\"a\"] Git"]
    );
}

#[test]
fn what_no_file_declares_is_left_alone() {
    let desired = declares(&[(Field::Parameters, json!({"n": 1}))]);
    let (mut live, applied) = deployed(&desired);
    set(&mut live, Field::Description, json!("by hand"));
    set(&mut live, Field::Paused, json!(true));
    assert_eq!(lines(&desired, &live, &applied), [""; 0]);
    // A change of something else keeps it in what is written.
    let after = declares(&[(Field::Parameters, json!({"n": 2}))]);
    let plan = diff(&after, &live, &applied, &BTreeSet::new(), &options());
    let fields = &registration(&plan).fields;
    assert_eq!(fields[&Field::Description], json!("by hand"));
}

#[test]
fn what_git_lets_go_of_is_reset_unless_someone_took_it_over() {
    let before = declares(&[
        (Field::Tags, json!(["a"])),
        (Field::Description, json!("text")),
    ]);
    let after = declares(&[(Field::Tags, json!(["a"]))]);
    let (mut live, applied) = deployed(&before);
    assert_eq!(
        lines(&after, &live, &applied),
        ["description: \"text\" -> null Git"]
    );
    set(&mut live, Field::Description, json!("by hand"));
    assert_eq!(lines(&after, &live, &applied), [""; 0]);
    // Once reset it is not looked at again.
    let (live, applied) = deployed(&before);
    let (mut live, applied) = deployed_over(&after, live, &applied);
    set(&mut live, Field::Description, json!("later"));
    assert_eq!(lines(&after, &live, &applied), [""; 0]);
}

#[test]
fn a_schedule_paused_on_the_server_stays_paused() {
    let desired = declares(&[(Field::Schedules, nightly("0 4 * * *"))]);
    let (mut live, applied) = deployed(&desired);
    let mut paused = nightly("0 4 * * *");
    paused["nightly"]["active"] = json!(false);
    set(&mut live, Field::Schedules, paused);
    let plan = diff(&desired, &live, &applied, &BTreeSet::new(), &options());
    assert!(plan.writes_nothing(), "{plan:?}");
    // Also when its cron changes, and that is git's doing.
    let after = declares(&[(Field::Schedules, nightly("0 5 * * *"))]);
    assert_eq!(
        lines(&after, &live, &applied),
        ["schedules.nightly.cron: \"0 4 * * *\" -> \"0 5 * * *\" Git"]
    );
    let plan = diff(&after, &live, &applied, &BTreeSet::new(), &options());
    let written = &registration(&plan).fields[&Field::Schedules];
    assert_eq!(written["nightly"]["active"], json!(false));
    // A file that says it is active wins, and the pause is drift then.
    let mut active = nightly("0 4 * * *");
    active["nightly"]["active"] = json!(true);
    let says = declares(&[(Field::Schedules, active)]);
    let (mut live, applied) = deployed(&says);
    let mut paused = live.deployments[&id("d")].fields[&Field::Schedules].clone();
    paused["nightly"]["active"] = json!(false);
    set(&mut live, Field::Schedules, paused);
    assert_eq!(
        lines(&says, &live, &applied),
        ["schedules.nightly.active: false -> true Drift"]
    );
}

#[test]
fn a_schedule_that_git_removes_is_removed() {
    let mut two = nightly("0 4 * * *");
    two["noon"] =
        json!({"cron": "0 12 * * *", "timezone": "UTC", "day_or": true, "parameters": {}});
    let (live, applied) = deployed(&declares(&[(Field::Schedules, two)]));
    let after = declares(&[(Field::Schedules, nightly("0 4 * * *"))]);
    let lines = lines(&after, &live, &applied);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("schedules.noon: {") && lines[0].ends_with("-> - Git"),
        "{lines:?}"
    );
}

#[test]
fn steps_that_a_file_spells_out_take_the_place_of_the_code() {
    let before = declares(&[(Field::Code, json!("p@1"))]);
    let steps = json!([{"prefect.deployments.steps.set_working_directory": {"directory": "/srv"}}]);
    let after = declares(&[(Field::PullSteps, steps.clone())]);
    let (live, applied) = deployed(&before);
    let plan = diff(&after, &live, &applied, &BTreeSet::new(), &options());
    let change = &plan.projects[0].changes[0];
    assert_eq!(change.changed, [Field::PullSteps].into());
    assert!(!registration(&plan).fields.contains_key(&Field::Code));
    // What we did not write reads as foreign code, and is the same then.
    let mut live = live;
    set(&mut live, Field::Code, steps);
    assert_eq!(lines(&after, &live, &applied), [""; 0]);
}

#[test]
fn pruning_is_opt_in_and_touches_only_ours() {
    let desired = declares(&[]);
    let (mut live, applied) = deployed(&desired);
    let owner = |repository: &str, environment: &str| {
        let project = RepoPath::new("gone");
        Some(Owner {
            repository: repository.into(),
            environment: environment.into(),
            project,
        })
    };
    for (name, owner) in [
        ("ours", owner("acme/flows", "prod")),
        ("other repository", owner("acme/other", "prod")),
        ("other environment", owner("acme/flows", "staging")),
        ("nobody's", None),
    ] {
        let one = LiveDeployment {
            handle: name.into(),
            fields: Fields::new(),
            owner,
        };
        live.deployments.insert(id(name), Arc::new(one));
    }
    let plan = |desired: &Desired, options: Options| {
        diff(desired, &live, &applied, &BTreeSet::new(), &options)
    };
    let names = |plan: &Plan| {
        plan.orphans
            .iter()
            .map(|one| one.id.name.clone())
            .collect::<Vec<_>>()
    };
    let shown = plan(&desired, options());
    assert_eq!(
        (names(&shown), shown.counts().remove, shown.is_empty()),
        (vec!["ours".into()], 0, true)
    );
    let pruned = plan(
        &desired,
        Options {
            prune: true,
            ..options()
        },
    );
    assert_eq!(
        (names(&pruned), pruned.counts().remove),
        (vec!["ours".into()], 1)
    );
    let mut faulty = desired.clone();
    faulty.projects[0].faulty = true;
    let partly = plan(
        &faulty,
        Options {
            prune: true,
            ..options()
        },
    );
    assert!(!partly.prune && partly.counts().remove == 0);
}

#[test]
fn what_someone_else_deployed_is_adopted_or_refused() {
    let desired = declares(&[(Field::Tags, json!(["a"]))]);
    let (mut live, _) = deployed(&desired);
    registered(&mut live).owner = None;
    assert_eq!(
        lines(&desired, &live, &Applied::default()),
        ["owner: - -> \"acme/flows prod p\" Git"]
    );
    let other = Owner {
        repository: "acme/other".into(),
        environment: "prod".into(),
        project: RepoPath::new("x"),
    };
    registered(&mut live).owner = Some(other);
    let plan = diff(
        &desired,
        &live,
        &Applied::default(),
        &BTreeSet::new(),
        &options(),
    );
    assert!(
        plan.diagnostics[0]
            .message
            .contains("already deployed by repository `acme/other`")
    );
}

#[test]
fn a_missing_pool_is_a_fault_with_the_nearest_name() {
    let desired = declares(&[
        (Field::WorkPool, json!("aks-pol")),
        (Field::WorkQueue, json!("hgih")),
    ]);
    let live = |pools: &[(&str, &str)]| Live {
        pools: Some(
            pools
                .iter()
                .map(|(pool, queue)| ((*pool).to_owned(), [(*queue).to_owned()].into()))
                .collect(),
        ),
        ..Live::default()
    };
    let faults = |live: &Live| {
        let plan = diff(
            &desired,
            live,
            &Applied::default(),
            &BTreeSet::new(),
            &options(),
        );
        plan.diagnostics
            .iter()
            .map(|one| {
                (
                    one.is_error(),
                    one.message.clone(),
                    one.hint.clone().unwrap_or_default(),
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        faults(&live(&[("aks-pool", "default")])),
        [(
            true,
            "work pool `aks-pol` does not exist".to_owned(),
            "did you mean `aks-pool`?".to_owned()
        )]
    );
    let queue = faults(&live(&[("aks-pol", "high")]));
    assert!(
        !queue[0].0 && queue[0].2.starts_with("did you mean `high`?"),
        "{queue:?}"
    );
}

#[test]
fn a_stale_plan_says_what_moved() {
    let desired = declares(&[(Field::Tags, json!(["a"]))]);
    let (mut live, applied) = deployed(&desired);
    let snapshot = |desired: &Desired, live: &Live| {
        Snapshot::of(&diff(desired, live, &applied, &BTreeSet::new(), &options()))
    };
    let saved = snapshot(&desired, &live);
    assert_eq!(moved(&saved, &snapshot(&desired, &live)), [""; 0]);
    let other = declares(&[(Field::Tags, json!(["b"]))]);
    assert_eq!(
        moved(&saved, &snapshot(&other, &live)),
        ["f/d is declared otherwise than in the plan"]
    );
    set(&mut live, Field::Tags, json!(["by hand"]));
    assert_eq!(
        moved(&saved, &snapshot(&desired, &live)),
        ["f/d has changed on the server"]
    );
    assert_eq!(
        moved(&saved, &snapshot(&desired, &Live::default())),
        ["f/d has been removed from the server"]
    );
}

#[test]
fn two_revisions_are_compared_without_a_server() {
    let before = declares(&[
        (Field::Tags, json!(["a"])),
        (Field::Schedules, nightly("0 4 * * *")),
    ]);
    let after = declares(&[(Field::Schedules, nightly("0 5 * * *"))]);
    let plan = compare(
        &before,
        &after,
        &Options {
            prune: true,
            ..options()
        },
    );
    let paths: Vec<_> = plan.projects[0].changes[0]
        .fields
        .iter()
        .map(|one| one.path.as_str())
        .collect();
    assert_eq!(paths, ["tags", "schedules.nightly.cron"]);
    assert!(compare(&before, &before, &options()).is_empty());
    let gone = compare(
        &before,
        &Desired::default(),
        &Options {
            prune: true,
            ..options()
        },
    );
    assert_eq!(gone.counts().remove, 1);
}
