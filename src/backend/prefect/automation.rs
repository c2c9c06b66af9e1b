//! Triggers, which are automations with the run of one deployment as their action.
//!
//! No answer of the server says whom an automation belongs to: `owner_resource` is written and never read, and one that
//! was made by hand for a deployment looks the same. So all that run a deployment are read as its triggers, by name, and
//! the plan looks only at the names that git declares or that were last applied. Of several of one name the oldest
//! counts; others are nobody's, unless they are like it in everything: a POST whose answer was lost and that was sent
//! again makes such a copy. It is looked for then, and with every other change of the deployment's triggers.

use std::collections::{BTreeMap, HashMap};

use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::http::Request;
use super::{Server, encode, wire};
use crate::backend::{Kind, Result};
use crate::model::same;

/// The lists of an event trigger that are sets for the server, which gives them in any order.
const SETS: [&str; 3] = ["after", "expect", "for_each"];

/// By name, each with at least one, the oldest first.
type Groups = BTreeMap<String, Vec<wire::Automation>>;

impl Server {
    /// The triggers of every deployment that has some, by its handle, in one request for two hundred automations; `None`
    /// where there are no automations for us.
    pub(super) async fn triggers(&self) -> Result<Option<HashMap<String, Value>>> {
        let filter = json!({"sort": "CREATED_DESC"});
        let all = self
            .pages::<wire::Automation>("automations/filter", filter, "reading automations")
            .await;
        let all = match all {
            Ok(all) => all,
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Denied) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut by_handle: HashMap<String, Vec<wire::Automation>> = HashMap::new();
        for automation in all {
            if let Some(handle) = runs(&automation) {
                by_handle
                    .entry(handle.to_owned())
                    .or_default()
                    .push(automation);
            }
        }
        let value = |(handle, all)| (handle, value(&by_name(all)));
        Ok(Some(by_handle.into_iter().map(value).collect()))
    }

    /// Makes a deployment have the triggers `wanted`. Those of `known` that are not wanted go; all others stay.
    pub(super) async fn put_triggers(
        &self,
        handle: &str,
        wanted: &Map<String, Value>,
        known: &Map<String, Value>,
        what: &str,
    ) -> Result<()> {
        let there = self.automations(handle, what).await?;
        for (name, group) in &there {
            if known.contains_key(name) && !wanted.contains_key(name) {
                self.write(Method::DELETE, &group[0].id, None, what).await?;
            }
        }
        let ours = |name: &str| known.contains_key(name) || wanted.contains_key(name);
        self.remove_copies(&there, ours, what).await?;
        let mut repeated = false;
        for (name, wanted) in wanted {
            let now = there.get(name).map(|group| &group[0]);
            let gone = match now {
                Some(now) => !self.update(now, handle, name, wanted, what).await?,
                None => true,
            };
            if gone {
                let mut body = body(handle, name, wanted);
                body["owner_resource"] = json!(resource(handle));
                let request = Request::new(Method::POST, "automations/", what).body(body);
                repeated |= self.http.make(&request).await?;
            }
        }
        if repeated {
            // Whatever landed while its answer got lost would start each run twice.
            let there = self.automations(handle, what).await?;
            self.remove_copies(&there, ours, what).await?;
        }
        Ok(())
    }

    /// The automations that run a deployment.
    async fn automations(&self, handle: &str, what: &str) -> Result<Groups> {
        let path = format!("automations/related-to/{}", resource(handle));
        let request = Request::new(Method::GET, path, what);
        let mut all: Vec<wire::Automation> = self.http.ask(&request).await?;
        all.retain(|one| runs(one) == Some(handle));
        Ok(by_name(all))
    }

    /// Removes what is like the first of its name in everything.
    async fn remove_copies(
        &self,
        there: &Groups,
        ours: impl Fn(&str) -> bool,
        what: &str,
    ) -> Result<()> {
        for (_, group) in there.iter().filter(|(name, _)| ours(name)) {
            let first = normal(&group[0]);
            for one in &group[1..] {
                if same(&normal(one), &first) {
                    self.write(Method::DELETE, &one.id, None, what).await?;
                }
            }
        }
        Ok(())
    }

    /// Brings one up to date; `false` where it is gone meanwhile.
    async fn update(
        &self,
        now: &wire::Automation,
        handle: &str,
        name: &str,
        wanted: &Value,
        what: &str,
    ) -> Result<bool> {
        let found = normal(now);
        if same(&found, wanted) {
            return Ok(true);
        }
        let mut switched = found;
        switched["enabled"] = wanted["enabled"].clone();
        // A PUT would make the server forget the events that it has counted so far.
        if same(&switched, wanted) {
            let body = json!({"enabled": wanted["enabled"]});
            return self.write(Method::PATCH, &now.id, Some(body), what).await;
        }
        let body = body(handle, name, wanted);
        self.write(Method::PUT, &now.id, Some(body), what).await
    }

    /// Sends a write for one automation; `false` where it is gone meanwhile.
    async fn write(
        &self,
        method: Method,
        id: &str,
        body: Option<Value>,
        what: &str,
    ) -> Result<bool> {
        let mut request = Request::new(method, format!("automations/{}", encode(id)), what);
        request.body = body;
        match self.http.send(&request).await {
            Ok(_) => Ok(true),
            Err(fault) if fault.code() == Some(StatusCode::NOT_FOUND) => Ok(false),
            Err(fault) => Err(self.http.explain(&fault, &request)),
        }
    }

    /// Removes the automations that a deployment owns: ours, and those of Prefect's own command. Removing the deployment
    /// leaves them behind.
    pub(super) async fn remove_owned(&self, handle: &str, what: &str) -> Result<()> {
        let path = format!("automations/owned-by/{}", resource(handle));
        let request = Request::new(Method::DELETE, path, what);
        match self.http.send(&request).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.code() == Some(StatusCode::NOT_FOUND) => Ok(()),
            Err(fault) => Err(self.http.explain(&fault, &request)),
        }
    }
}

/// How an automation's owner is named.
pub(super) fn resource(handle: &str) -> String {
    format!("prefect.deployment.{}", encode(handle))
}

/// The deployment that an automation runs; `None` where it does something else.
fn runs(automation: &wire::Automation) -> Option<&str> {
    let action = automation.actions.iter().find(|action| {
        action.get("type") == Some(&json!("run-deployment"))
            && action.get("source") == Some(&json!("selected"))
    })?;
    action.get("deployment_id")?.as_str()
}

/// Groups of a name, each with the oldest first.
fn by_name(mut all: Vec<wire::Automation>) -> Groups {
    all.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
    // Pages overlap where something is made meanwhile.
    all.dedup_by(|a, b| a.id == b.id);
    let mut groups = Groups::new();
    for one in all {
        groups.entry(one.name.clone()).or_default().push(one);
    }
    groups
}

/// The triggers of one deployment in our form.
fn value(groups: &Groups) -> Value {
    let one = |(name, group): (&String, &Vec<wire::Automation>)| {
        let mut value = normal(&group[0]);
        let alike = group.iter().filter(|one| same(&normal(one), &value));
        let copies = alike.count();
        if copies > 1 {
            // Declared by nobody, so that the plan has something to put right.
            value["copies"] = json!(copies);
        }
        (name.clone(), value)
    };
    Value::Object(groups.iter().map(one).collect())
}

/// One automation in our form.
fn normal(automation: &wire::Automation) -> Value {
    let mut value = json!({
        "enabled": automation.enabled,
        "description": automation.description,
        "trigger": normal_trigger(&automation.trigger),
    });
    let action = automation.actions.first();
    let of = |key: &str| action.and_then(|action| action.get(key));
    for key in ["parameters", "job_variables"] {
        value[key] = of(key).cloned().unwrap_or_default();
    }
    if let Some(after) = of("schedule_after")
        && after.as_f64() != Some(0.0)
        && !after.is_null()
    {
        value["schedule_after"] = after.clone();
    }
    if automation.actions.len() != 1 || of("type") != Some(&json!("run-deployment")) {
        // Whoever added one did it in the UI: shown, and different from all that we would write.
        value["actions"] = json!(automation.actions);
    }
    value
}

/// A trigger without ids, its sets sorted.
fn normal_trigger(trigger: &Value) -> Value {
    let Value::Object(trigger) = trigger else {
        return trigger.clone();
    };
    let part = |(key, value): (&String, &Value)| {
        let value = match value {
            Value::Array(items) if key == "triggers" => items.iter().map(normal_trigger).collect(),
            Value::Array(items) if SETS.contains(&key.as_str()) => {
                let mut items = items.clone();
                items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
                items.into()
            }
            other => other.clone(),
        };
        (key.clone(), value)
    };
    let parts = trigger.iter().filter(|(key, _)| *key != "id").map(part);
    Value::Object(parts.collect())
}

/// The body of a PUT; a POST names the owner as well. What is not sent stays.
fn body(handle: &str, name: &str, wanted: &Value) -> Value {
    let mut action = json!({
        "type": "run-deployment",
        "source": "selected",
        "deployment_id": handle,
        "parameters": wanted["parameters"],
        "job_variables": wanted["job_variables"],
    });
    // Older servers do not know it.
    if let Some(after) = wanted.get("schedule_after") {
        action["schedule_after"] = after.clone();
    }
    json!({
        "name": name,
        "description": wanted["description"],
        "enabled": wanted["enabled"],
        "trigger": wanted["trigger"],
        "actions": [action],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn automation(id: &str, name: &str, changes: &Value) -> wire::Automation {
        let mut whole = json!({
            "id": id, "name": name, "created": "2026-01-01T00:00:00Z", "enabled": true, "description": "",
            "trigger": {"id": "T", "type": "compound", "triggers": [{"id": "U", "type": "event", "expect": ["b", "a"]}]},
            "actions": [{"type": "run-deployment", "source": "selected", "deployment_id": "D", "schedule_after": 0.0}],
        });
        for (key, value) in changes.as_object().expect("an object") {
            whole[key] = value.clone();
        }
        serde_json::from_value(whole).expect("an automation")
    }

    #[test]
    fn what_the_server_adds_is_taken_away() {
        assert_eq!(
            normal(&automation("A", "x", &json!({}))),
            json!({"enabled": true, "description": "", "parameters": null, "job_variables": null,
                   "trigger": {"type": "compound", "triggers": [{"type": "event", "expect": ["a", "b"]}]}})
        );
    }

    #[test]
    fn the_oldest_counts_and_its_copies_show() {
        let older = json!({"created": "2025-01-01T00:00:00Z", "enabled": false});
        let all = vec![
            automation("C", "x", &json!({})),
            automation("B", "x", &older),
            automation("A", "x", &json!({})),
            automation("B", "x", &older),
        ];
        let found = value(&by_name(all));
        assert_eq!(found["x"]["enabled"], json!(false));
        assert_eq!(found["x"].get("copies"), None);
        let all = ["A", "B"].map(|id| automation(id, "x", &json!({})));
        assert_eq!(value(&by_name(all.into()))["x"]["copies"], json!(2));
    }

    #[test]
    fn a_second_action_is_a_difference() {
        let two = json!({"actions": [
            {"type": "send-notification"},
            {"type": "run-deployment", "source": "selected", "deployment_id": "D"},
        ]});
        let one = automation("A", "x", &two);
        assert_eq!(runs(&one), Some("D"));
        assert!(normal(&one).get("actions").is_some());
        let other = json!({"actions": [{"type": "run-deployment", "source": "inferred"}]});
        assert_eq!(runs(&automation("A", "x", &other)), None);
    }
}
