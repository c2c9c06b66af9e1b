//! Deployments as a program registers them.

use std::rc::Rc;

use crate::read::python::program::{At, Fields, Unknown};

/// A deployment that was registered, with its arguments as they were then.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) fields: Fields,
    /// The call that registered it.
    pub(super) at: At,
    /// Why it is perhaps not registered at all.
    pub(super) doubt: Option<Rc<Unknown>>,
}

/// The calls that make a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// `Deployment(…)` of Prefect 2.
    Deployment,
    /// `Deployment.build_from_flow(…)` of Prefect 2.
    BuildFromFlow,
    /// `flow.deploy(…)`
    Deploy,
    /// `flow.to_deployment(…)`
    ToDeployment,
    /// `flow.serve(…)`, and `serve(…)` of any other.
    Serve,
    /// `RunnerDeployment.from_flow(…)`
    FromFlow,
    /// `RunnerDeployment.from_entrypoint(…)`, and the class itself.
    FromEntrypoint,
    /// `RunnerDeployment.from_storage(…)`
    FromStorage,
}

impl Call {
    /// As it stands in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::BuildFromFlow => "build_from_flow",
            Self::Deploy => "deploy",
            Self::ToDeployment => "to_deployment",
            Self::Serve => "serve",
            Self::FromFlow => "from_flow",
            Self::FromEntrypoint => "from_entrypoint",
            Self::FromStorage => "from_storage",
        }
    }

    /// The parameters that may stand without their name.
    pub(super) fn positional(self) -> &'static [&'static str] {
        match self {
            Self::Deployment => &[],
            Self::BuildFromFlow => &[
                "flow",
                "name",
                "output",
                "skip_upload",
                "ignore_file",
                "apply",
                "load_existing",
            ],
            Self::Deploy => &[
                "name",
                "work_pool_name",
                "image",
                "build",
                "push",
                "work_queue_name",
                "job_variables",
                "interval",
                "cron",
                "rrule",
                "paused",
                "schedule",
                "schedules",
                "concurrency_limit",
            ],
            Self::ToDeployment => &[
                "name",
                "interval",
                "cron",
                "rrule",
                "paused",
                "schedule",
                "schedules",
                "concurrency_limit",
            ],
            Self::Serve => &[
                "name",
                "interval",
                "cron",
                "rrule",
                "paused",
                "schedule",
                "schedules",
                "global_limit",
            ],
            Self::FromFlow => &[
                "flow",
                "name",
                "interval",
                "cron",
                "rrule",
                "paused",
                "schedule",
                "schedules",
                "concurrency_limit",
            ],
            Self::FromEntrypoint => &[
                "entrypoint",
                "name",
                "flow_name",
                "interval",
                "cron",
                "rrule",
                "paused",
                "schedule",
                "schedules",
                "concurrency_limit",
            ],
            Self::FromStorage => &[
                "storage",
                "entrypoint",
                "name",
                "flow_name",
                "interval",
                "cron",
                "rrule",
            ],
        }
    }
}
