//! What a stop has to wait for.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;

use super::*;
use crate::backend::Question;
use crate::backend::object_store::Folder;
use crate::model::{Dialect, Digest, Field, Fields, Live, Owner};
use crate::plan::Action;

/// An orchestrator that ends no registration before it may.
struct Slow {
    begun: AtomicUsize,
    may_end: Semaphore,
}

#[async_trait]
impl Orchestrator for Slow {
    fn subject(&self) -> String {
        "slow".to_owned()
    }

    async fn dialect(&self) -> backend::Result<Dialect> {
        Ok(Dialect::Prefect3)
    }

    fn link(&self, _live: &LiveDeployment) -> Option<String> {
        None
    }

    async fn read(&self, _question: &Question) -> backend::Result<Live> {
        Ok(Live::default())
    }

    async fn register(
        &self,
        _registration: &Registration,
        _live: Option<&LiveDeployment>,
        _changed: &BTreeSet<Field>,
    ) -> backend::Result<String> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let _leave = self.may_end.acquire().await.expect("nobody closes it");
        Ok(String::new())
    }

    async fn remove(&self, _id: &DeploymentId, _live: &LiveDeployment) -> backend::Result<()> {
        Ok(())
    }
}

struct Nobody;

impl Observer for Nobody {
    fn on(&self, _event: &Event<'_>) {}
}

fn change(project: &RepoPath, name: usize) -> Change {
    let id = DeploymentId {
        flow: project.as_str().to_owned(),
        name: name.to_string(),
    };
    let registration = Registration {
        id: id.clone(),
        owner: Owner {
            repository: "acme/flows".to_owned(),
            environment: "default".to_owned(),
            project: project.clone(),
        },
        fields: Fields::new(),
    };
    Change {
        id,
        action: Action::Create,
        fields: Vec::new(),
        changed: BTreeSet::new(),
        registration: Some(registration),
        live: None,
        declared: Digest::of(b""),
        remember: None,
        begin: None,
        notes: Vec::new(),
        later: BTreeSet::new(),
    }
}

/// A project with ten deployments to register, whose code is there.
fn project(path: &str) -> ProjectPlan {
    let path = RepoPath::new(path);
    let release = ReleaseRef {
        project: path.clone(),
        digest: Digest::of(b""),
    };
    ProjectPlan {
        changes: (0..10).map(|name| change(&path, name)).collect(),
        path,
        release,
        upload: Upload::Nothing,
        reach: None,
    }
}

#[tokio::test]
async fn a_stop_waits_for_few_registrations_however_many_are_queued() {
    let plan = Plan {
        projects: ["a", "b", "c"].map(project).into(),
        ..Plan::default()
    };
    let orchestrator = Slow {
        begun: AtomicUsize::new(0),
        may_end: Semaphore::new(0),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let stop = AtomicBool::new(false);
    let work = Work {
        code: BTreeMap::new(),
        applied: &Applied::default(),
        content: &|path| anyhow::bail!("{path} is no part of it"),
        store: &Folder::open(folder.path()),
        orchestrator: &orchestrator,
        jobs: 8,
        blocked: &BTreeMap::new(),
        stop: &stop,
    };
    let stopped = async {
        stop.store(true, Ordering::Relaxed);
        orchestrator.may_end.add_permits(1);
    };
    let (outcomes, ()) = futures::join!(execute(&plan, &work, &Nobody), stopped);
    assert_eq!(orchestrator.begun.load(Ordering::Relaxed), REGISTRATIONS);
    assert_eq!(outcomes.len(), 30);
    let done = outcomes.iter().filter(|one| one.status == Status::Done);
    assert_eq!(done.count(), REGISTRATIONS);
    let left = outcomes
        .iter()
        .filter(|one| one.status == skipped("the deploy was stopped"));
    assert_eq!(left.count(), 30 - REGISTRATIONS);
}
