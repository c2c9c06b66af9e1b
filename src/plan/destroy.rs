//! The end of an environment.

use super::orphans::orphans;
use super::{Options, Plan};
use crate::model::{Desired, Live};

/// The plan that removes all that carries our mark for the environment, as if no file declared anything; what is of others
/// or has no mark is not in it. It needs no files, so that none that is broken or gone is in its way.
pub fn destroy(live: &Live, options: &Options) -> Plan {
    Plan {
        environment: options.environment.clone(),
        orphans: orphans(&Desired::default(), live, options).0,
        destroys: true,
        prune: true,
        ..Plan::default()
    }
}
