//! The stages of a plan, each by itself, over generated monorepos of 100 and 1,000 projects (three deployments and 20
//! files each): a stage that became slower, or that grows faster than its input, is seen here.
//!
//! `cargo bench --bench plan`; needs Python 3 for the generator.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use divan::Bencher;
use flowyard::discover::{self, Found, Scope, Tree};
use flowyard::model::{Applied, Desired, Live, LiveDeployment, ReleaseRef, RepoPath};
use flowyard::plan::{self, Plan};
use flowyard::read::code::{self, Shared};
use flowyard::read::{self, Settings};

/// Numbers of projects.
const SIZES: [usize; 2] = [100, 1000];

/// Runs of each, after which the whole takes about half a minute.
const SAMPLES: u32 = 30;

fn main() {
    for projects in SIZES {
        generate(projects);
    }
    divan::main();
}

/// The work tree with its ignore rules applied.
#[divan::bench(args = SIZES, sample_count = SAMPLES, sample_size = 1)]
fn walk(bencher: Bencher<'_, '_>, projects: usize) {
    let root = repository(projects);
    bencher.bench(|| tree(&root));
}

/// The projects among its files.
#[divan::bench(args = SIZES, sample_count = SAMPLES, sample_size = 1)]
fn find(bencher: Bencher<'_, '_>, projects: usize) {
    let tree = tree(&repository(projects));
    bencher.bench(|| found(&tree));
}

/// Deployment files, Python files, and the code.
#[divan::bench(args = SIZES, sample_count = SAMPLES, sample_size = 1)]
fn read(bencher: Bencher<'_, '_>, projects: usize) {
    let tree = tree(&repository(projects));
    let found = found(&tree);
    bencher.bench(|| read::desired(&tree, &found, &settings()));
}

/// The part of reading that composes releases: every file's digest, without the search for imports.
#[divan::bench(args = SIZES, sample_count = SAMPLES, sample_size = 1)]
fn code(bencher: Bencher<'_, '_>, projects: usize) {
    let tree = tree(&repository(projects));
    let requests: Vec<code::Request> = found(&tree)
        .projects
        .into_iter()
        .map(|project| code::Request::plain(project.path))
        .collect();
    let shared = Shared::new(&[], &|_| Vec::new());
    bencher.bench(|| code::trees(&tree, &requests, &shared));
}

/// Comparing three sides that agree.
#[divan::bench(args = SIZES, sample_count = SAMPLES, sample_size = 1)]
fn diff_unchanged(bencher: Bencher<'_, '_>, projects: usize) {
    let sides = Sides::agreeing(&desired(projects));
    bencher.bench(|| {
        let plan = sides.plan();
        assert!(plan.is_empty());
        plan
    });
}

/// Comparing with nothing: everything is to be created.
#[divan::bench(args = SIZES, sample_count = SAMPLES, sample_size = 1)]
fn diff_new(bencher: Bencher<'_, '_>, projects: usize) {
    let sides = Sides::new(desired(projects));
    bencher.bench(|| {
        let plan = sides.plan();
        assert_eq!(plan.counts().create, 3 * projects);
        plan
    });
}

/// What git declares, what is live, what was last applied, which releases are complete.
struct Sides {
    desired: Desired,
    live: Live,
    applied: Applied,
    complete: BTreeSet<ReleaseRef>,
}

impl Sides {
    fn new(desired: Desired) -> Self {
        Self {
            desired,
            live: Live::default(),
            applied: Applied::default(),
            complete: BTreeSet::new(),
        }
    }

    /// As they are after a deploy.
    fn agreeing(desired: &Desired) -> Self {
        let mut sides = Self::new(desired.clone());
        let plan = sides.plan();
        sides.applied = plan.next_applied(&sides.applied, |_| true);
        for project in plan.projects {
            sides.complete.insert(project.release);
            for change in project.changes {
                let made = change.registration.expect("everything is to be created");
                let live = LiveDeployment {
                    handle: change.id.to_string(),
                    fields: made.fields,
                    owner: Some(made.owner),
                };
                sides.live.deployments.insert(change.id, Arc::new(live));
            }
        }
        sides
    }

    fn plan(&self) -> Plan {
        let options = plan::Options {
            repository: "acme/flows".to_owned(),
            environment: "default".to_owned(),
            ..plan::Options::default()
        };
        plan::diff(
            &self.desired,
            &self.live,
            &self.applied,
            &self.complete,
            &options,
        )
    }
}

fn desired(projects: usize) -> Desired {
    let tree = tree(&repository(projects));
    let desired = read::desired(&tree, &found(&tree), &settings());
    assert_eq!(desired.projects.len(), projects);
    assert_eq!(desired.diagnostics, []);
    desired
}

fn tree(root: &Path) -> Tree {
    Tree::work(root).expect("the generated folder can be read")
}

fn found(tree: &Tree) -> Found {
    discover::find(tree, &Scope::default())
}

fn settings() -> Settings {
    Settings {
        shared: vec![RepoPath::new("lib")],
        ..Settings::default()
    }
}

fn repository(projects: usize) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("monorepo-{projects}"))
}

/// Generates the monorepo, unless an earlier run did.
fn generate(projects: usize) {
    let folder = repository(projects);
    let whole = folder.join(".git/HEAD");
    if whole.exists() {
        return;
    }
    // What an interrupted run left.
    let _ = std::fs::remove_dir_all(&folder);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/generate_monorepo.py");
    let status = Command::new("python3")
        .arg(script)
        .arg(&folder)
        .args([projects.to_string(), "20".to_owned()])
        .status()
        .expect("Python 3 can be started");
    assert!(status.success(), "the generator failed: {status}");
}
