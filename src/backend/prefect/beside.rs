//! What stands beside a deployment: its triggers and, on Prefect Cloud, its service level agreements.
//!
//! Writing them leaves the deployment itself, and so its scheduled runs, alone.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::Server;
use super::automation::resource;
use super::body::Write;
use super::http::Request;
use crate::backend::Result;
use crate::model::{Field, Fields, Refusal};

impl Server {
    /// Writes what stands beside a deployment: its triggers and service level agreements, as far as they changed.
    pub(super) async fn put_beside(
        &self,
        write: &Write<'_>,
        handle: &str,
        what: &str,
    ) -> Result<()> {
        let empty = Map::new();
        let of = |fields: Option<&Fields>, field| {
            let value = fields.and_then(|fields| fields.get(&field));
            let value = value.and_then(Value::as_object);
            value.cloned().unwrap_or_else(|| empty.clone())
        };
        for field in [Field::Triggers, Field::Slas] {
            let wanted = of(Some(&write.wanted.fields), field);
            let changes = match write.live {
                Some(_) => write.changed.contains(&field),
                None => !wanted.is_empty(),
            };
            if !changes {
                continue;
            }
            if field == Field::Triggers {
                let known = of(write.live.map(|live| &live.fields), field);
                self.put_triggers(handle, &wanted, &known, what).await?;
            } else {
                self.put_slas(handle, &wanted, what).await?;
            }
        }
        Ok(())
    }

    /// Makes a deployment have just these service level agreements. There is no request that gives them back.
    async fn put_slas(&self, handle: &str, slas: &Map<String, Value>, what: &str) -> Result<()> {
        let items = slas.iter().map(|(name, one)| {
            let mut item = one.clone();
            item["name"] = json!(name);
            item["owner_resource"] = json!(resource(handle));
            item
        });
        let path = format!("slas/apply-resource-slas/{}", resource(handle));
        let request = Request::new(Method::POST, path, what).body(items.collect());
        let sent = self.http.send(&request).await;
        sent.map(drop)
            .map_err(|fault| self.http.explain(&fault, &request))
    }

    /// What this server cannot hold.
    pub(super) fn refused(&self, has_automations: bool) -> Vec<Refusal> {
        let refusal = |field, kind: Option<&str>, why: &str, hint: &str| Refusal {
            field,
            kind: kind.map(str::to_owned),
            why: why.to_owned(),
            hint: hint.to_owned(),
        };
        let mut all = Vec::new();
        if !has_automations {
            all.push(refusal(
                Field::Triggers,
                None,
                "this server has no automations, which triggers are, or hides them from us",
                "remove `triggers`, or deploy with a key that may read and write automations",
            ));
        }
        if !self.cloud {
            all.push(refusal(
                Field::Triggers,
                Some("metric"),
                "Prefect Cloud alone has metric triggers",
                "use a trigger of type `event`, or move it into the environment that is deployed to Prefect Cloud",
            ));
            all.push(refusal(
                Field::Slas,
                None,
                "Prefect Cloud alone has service level agreements",
                "remove `sla`, or move it into the environment that is deployed to Prefect Cloud",
            ));
        }
        all
    }
}
