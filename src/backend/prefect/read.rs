//! Reading what is registered, in few requests and side by side.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::future::try_join_all;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::http::Request;
use super::{Server, lock, normal, two, wire};
use crate::backend::{Question, Result};
use crate::model::{DeploymentId, Dialect, Field, Live, LiveDeployment, Reference};

/// Items of a page; more is refused.
const PAGE: usize = 200;
/// Pages that are asked for at once after the first.
const AHEAD: usize = 4;
/// Names in one filter, of deployments as of flows.
const NAMES: usize = 100;

/// Work pools, each with the names of its queues.
type Pools = BTreeMap<String, BTreeSet<String>>;

impl Server {
    pub(super) async fn read_all(&self, question: &Question) -> Result<Live> {
        let (mut deployments, triggers, pools, blocks, variables) = tokio::try_join!(
            self.deployments(question.deployments.as_ref()),
            self.triggers(),
            self.pools(),
            self.blocks(&question.references),
            self.missing_variables(&question.references),
        )?;
        let refused = self.refused(triggers.is_some());
        if let Some(mut triggers) = triggers {
            for live in deployments.values_mut() {
                let live = Arc::make_mut(live);
                let own = triggers.remove(&live.handle);
                let own = own.unwrap_or_else(|| Field::Triggers.default_value(Dialect::Prefect3));
                live.fields.insert(Field::Triggers, own);
            }
        }
        let mut missing = variables;
        missing.extend(
            question
                .references
                .iter()
                .filter(|one| matches!(one, Reference::Block { .. }))
                .cloned(),
        );
        for reference in blocks.iter().filter_map(wire::Block::reference) {
            missing.remove(&reference);
        }
        Ok(Live {
            deployments,
            pools: Some(pools),
            missing,
            refused,
            elsewhere: two::elsewhere(&blocks, &self.pull),
        })
    }

    async fn deployments(
        &self,
        ids: Option<&BTreeSet<DeploymentId>>,
    ) -> Result<BTreeMap<DeploymentId, Arc<LiveDeployment>>> {
        let filters = match ids {
            None => vec![json!({})],
            Some(ids) => chunks(ids),
        };
        let pages = filters.into_iter().map(|mut filter| {
            // Names are not unique across flows, so that pages sorted by name may overlap and leave gaps. Sorted by
            // creation, one that is made meanwhile only pushes others to the next page, where they come again.
            filter["sort"] = json!("CREATED_DESC");
            self.pages::<wire::Deployment>("deployments/filter", filter, "reading deployments")
        });
        let found: HashMap<String, wire::Deployment> = try_join_all(pages)
            .await?
            .into_iter()
            .flatten()
            .map(|deployment| (deployment.id.clone(), deployment))
            .collect();

        let dialect = self.version().await?.dialect();
        let flows = self.flows_of(&found).await?;
        let blocks = match dialect {
            Dialect::Prefect2 => self.blocks_of(found.values()).await?,
            Dialect::Prefect3 => two::Blocks::new(),
        };
        let mut live = BTreeMap::new();
        for deployment in found.into_values() {
            // A flow that is gone took its deployments with it.
            let Some(flow) = flows.get(&deployment.flow_id) else {
                continue;
            };
            let id = DeploymentId {
                flow: flow.clone(),
                name: deployment.name.clone(),
            };
            if ids.is_some_and(|ids| !ids.contains(&id)) {
                continue;
            }
            if dialect == Dialect::Prefect2 {
                let deployment = two::live(&deployment, &self.pull, &blocks);
                live.insert(id, Arc::new(deployment));
                continue;
            }
            let fields = normal::fields(&deployment, &self.pull);
            let owner = normal::owner(&deployment.labels);
            lock(&self.labels).insert(deployment.id.clone(), deployment.labels);
            let handle = deployment.id;
            live.insert(
                id,
                Arc::new(LiveDeployment {
                    handle,
                    fields,
                    owner,
                }),
            );
        }
        Ok(live)
    }

    /// The names of the flows of `deployments`, by id. What is learnt is kept, so that no known flow is posted again.
    async fn flows_of(
        &self,
        deployments: &HashMap<String, wire::Deployment>,
    ) -> Result<HashMap<String, String>> {
        let ids: BTreeSet<&str> = deployments
            .values()
            .map(|deployment| deployment.flow_id.as_str())
            .collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        let pages = ids.chunks(PAGE).map(|ids| {
            let filter = json!({"flows": {"id": {"any_": ids}}});
            self.pages::<wire::Flow>("flows/filter", filter, "reading flows")
        });
        let flows: Vec<wire::Flow> = try_join_all(pages).await?.into_iter().flatten().collect();
        let mut known = lock(&self.flows);
        for flow in &flows {
            // Fails where the flow is known already, by the same id.
            let _ = known
                .entry(flow.name.clone())
                .or_default()
                .set(flow.id.clone());
        }
        Ok(flows.into_iter().map(|flow| (flow.id, flow.name)).collect())
    }

    async fn pools(&self) -> Result<Pools> {
        let what = "reading work pools";
        let (pools, queues) = tokio::try_join!(
            self.pages::<wire::Named>("work_pools/filter", json!({}), what),
            self.pages::<wire::Queue>("work_queues/filter", json!({}), what),
        )?;
        let mut found: Pools = pools
            .into_iter()
            .map(|pool| (pool.name, BTreeSet::new()))
            .collect();
        if self.version().await?.dialect() == Dialect::Prefect2 {
            // Made with the first deployment that needs it.
            found.entry(two::DEFAULT_POOL.to_owned()).or_default();
        }
        for queue in queues {
            let pool = queue
                .work_pool_name
                .as_ref()
                .and_then(|name| found.get_mut(name));
            if let Some(queues) = pool {
                queues.insert(queue.name);
            }
        }
        Ok(found)
    }

    /// Those of the blocks asked for that are there, and perhaps others.
    async fn blocks(&self, references: &BTreeSet<Reference>) -> Result<Vec<wire::Block>> {
        let wanted: Vec<(&String, &String)> = references
            .iter()
            .filter_map(|reference| match reference {
                Reference::Block { kind, name } => Some((kind, name)),
                Reference::Variable { .. } => None,
            })
            .collect();
        let pages = wanted.chunks(NAMES).map(|chunk| {
            let kinds: BTreeSet<_> = chunk.iter().map(|(kind, _)| kind).collect();
            let names: BTreeSet<_> = chunk.iter().map(|(_, name)| name).collect();
            let filter = json!({
                "block_documents": {"name": {"any_": names}},
                "block_types": {"slug": {"any_": kinds}},
                "include_secrets": false,
            });
            self.pages::<wire::Block>("block_documents/filter", filter, "looking for blocks")
        });
        Ok(try_join_all(pages).await?.into_iter().flatten().collect())
    }

    async fn missing_variables(
        &self,
        references: &BTreeSet<Reference>,
    ) -> Result<BTreeSet<Reference>> {
        let mut missing: BTreeSet<Reference> = references
            .iter()
            .filter(|reference| matches!(reference, Reference::Variable { .. }))
            .cloned()
            .collect();
        let names: Vec<&String> = references
            .iter()
            .filter_map(|reference| match reference {
                Reference::Variable { name } => Some(name),
                Reference::Block { .. } => None,
            })
            .collect();
        let pages = names.chunks(NAMES).map(|names| {
            let filter = json!({"variables": {"name": {"any_": names}}});
            self.pages::<wire::Named>("variables/filter", filter, "looking for variables")
        });
        for variable in try_join_all(pages).await?.into_iter().flatten() {
            missing.remove(&Reference::Variable {
                name: variable.name,
            });
        }
        Ok(missing)
    }

    /// Everything that `filter` finds, possibly with repetitions: one page, and further ones a few at a time.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        filter: Value,
        what: &str,
    ) -> Result<Vec<T>> {
        let page = |offset: usize| {
            let mut body = filter.clone();
            body["limit"] = json!(PAGE);
            body["offset"] = json!(offset);
            let request = Request::new(Method::POST, path, what).body(body);
            async move { self.http.ask::<Vec<T>>(&request).await }
        };
        let mut all = page(0).await?;
        let mut full = all.len() >= PAGE;
        let mut offset = PAGE;
        while full {
            let more = try_join_all((0..AHEAD).map(|index| page(offset + index * PAGE))).await?;
            offset += AHEAD * PAGE;
            full = more.iter().all(|page| page.len() >= PAGE);
            all.extend(more.into_iter().flatten());
        }
        Ok(all)
    }
}

/// Filters that find all of `ids`, and perhaps other deployments of the same names.
fn chunks(ids: &BTreeSet<DeploymentId>) -> Vec<Value> {
    let ids: Vec<&DeploymentId> = ids.iter().collect();
    ids.chunks(NAMES)
        .map(|chunk| {
            let flows: BTreeSet<&str> = chunk.iter().map(|id| id.flow.as_str()).collect();
            let names: BTreeSet<&str> = chunk.iter().map(|id| id.name.as_str()).collect();
            json!({"flows": {"name": {"any_": flows}}, "deployments": {"name": {"any_": names}}})
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_cut_to_size() {
        let ids = (0..250)
            .map(|index| DeploymentId {
                flow: format!("f{}", index % 3),
                name: format!("d{index}"),
            })
            .collect();
        let filters = chunks(&ids);
        assert_eq!(filters.len(), 3);
        let names: usize = filters
            .iter()
            .map(|f| {
                f["deployments"]["name"]["any_"]
                    .as_array()
                    .expect("names")
                    .len()
            })
            .sum();
        assert_eq!(names, 250);
        assert!(chunks(&BTreeSet::new()).is_empty());
    }
}
