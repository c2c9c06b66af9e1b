//! What of a registered deployment is shown in a listing.

use serde_json::Value;

use super::rows;
use crate::model::{Field, LiveDeployment, ReleaseRef};

/// A field that holds text; `None` where it is null or absent.
pub(super) fn text(live: &LiveDeployment, field: Field) -> Option<String> {
    Some(live.fields.get(&field)?.as_str()?.to_owned())
}

/// The release that its runs get; `None` where its pull steps are not ours.
pub(super) fn release(live: &LiveDeployment) -> Option<ReleaseRef> {
    rows::release_of(live.fields.get(&Field::Code)?)
}

/// Whether the deployment as a whole is paused.
pub(super) fn is_paused(live: &LiveDeployment) -> bool {
    live.fields.get(&Field::Paused) == Some(&Value::Bool(true))
}

/// Its schedules without their parameters, whose live values may come from a secret.
pub(super) fn schedules(live: &LiveDeployment) -> Option<Value> {
    let mut schedules = live.fields.get(&Field::Schedules)?.clone();
    for schedule in schedules.as_object_mut()?.values_mut() {
        if let Some(schedule) = schedule.as_object_mut() {
            schedule.remove("parameters");
        }
    }
    Some(schedules)
}
