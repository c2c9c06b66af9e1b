//! Asks the backends what is live. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::backend::{self, Files, Images, Kind, Orchestrator, Question, Store, Tag};
use crate::model::{
    Applied, DeploymentId, Desired, Diagnostic, Image, ImageState, Inputs, Live, Manifest, Pinned,
    Recipe, ReleaseRef,
};
use crate::state;

/// With more projects than this, one listing of all manifests is cheaper than one for each project.
const FEW_PROJECTS: usize = 16;

/// What is live, what was last applied, and which releases are complete.
#[derive(Debug, Default)]
pub struct Observed {
    /// At the orchestrator.
    pub live: Live,
    /// What we last registered.
    pub applied: Applied,
    /// The version of `applied` in the store; `None` before the first deploy.
    pub tag: Option<Tag>,
    /// The releases whose manifests are in the store.
    pub complete: BTreeSet<ReleaseRef>,
}

/// With more images than this, the rest waits.
const IMAGES_AT_ONCE: usize = 8;

/// Pins the inputs of every image that `desired` needs, and asks whether it is there already: what is known of the images,
/// by their keys, and the faults of those that cannot be, as their bases or packages do not exist.
///
/// A registry that cannot be reached or refuses us is such a fault too where it is to `keep_going`, otherwise an error.
pub async fn images(
    images: &dyn Images,
    desired: &Desired,
    files: &dyn Files,
    keep_going: bool,
) -> anyhow::Result<(BTreeMap<String, ImageState>, BTreeMap<String, Diagnostic>)> {
    let needed = desired.needed_images().into_keys();
    let needed = needed.filter_map(|key| Some((key.to_owned(), desired.images.get(key)?)));
    let asked = futures::stream::iter(needed).map(|(key, image)| async move {
        let state = one_image(images, image, files).await;
        (key, image, state)
    });
    let (mut states, mut faults) = (BTreeMap::new(), BTreeMap::new());
    let mut asked = asked.buffer_unordered(IMAGES_AT_ONCE);
    while let Some((key, image, state)) = asked.next().await {
        match state {
            Ok(state) => {
                states.insert(key, state);
            }
            Err(error) if keep_going || matches!(error.kind, Kind::NotFound | Kind::Other) => {
                let mut fault = Diagnostic::error(image.place.clone(), error.to_string());
                fault.hint = error.hint;
                faults.insert(key, fault);
            }
            Err(error) => return Err(error).context("ask for the images"),
        }
    }
    Ok((states, faults))
}

async fn one_image(
    images: &dyn Images,
    image: &Image,
    files: &dyn Files,
) -> backend::Result<ImageState> {
    if matches!(image.recipe, Recipe::Named) {
        let found = images.resolve(&image.repository).await?;
        let Some(digest) = found else {
            let message = format!("the image {} does not exist", image.shown);
            let error = backend::Error::new(Kind::NotFound, images.subject(), message);
            return Err(error.hint("build and push it before, or correct its name"));
        };
        return Ok(ImageState {
            pinned: Pinned::default(),
            inputs: Inputs::from([("name".to_owned(), digest)]),
            found,
        });
    }
    let pinned = images.pin(image, files).await?;
    let inputs = image.inputs(&pinned);
    let tag = Image::identity(&inputs);
    let found = images.find(&format!("{}:{tag}", image.repository)).await?;
    Ok(ImageState {
        pinned,
        inputs,
        found,
    })
}

/// Reads everything that a plan for `desired` needs, at once.
///
/// What `takes_over` names is another environment, of whose deployments what was last applied counts too. In a narrowed run
/// the orchestrator is asked only for the deployments that `desired` declares, and for those that we remember of what it is
/// narrowed to; otherwise for all, so that what is declared nowhere any more is found.
pub async fn live(
    store: &dyn Store,
    orchestrator: &dyn Orchestrator,
    desired: &Desired,
    environment: &str,
    takes_over: Option<&str>,
) -> anyhow::Result<Observed> {
    let deployments = || {
        desired
            .projects
            .iter()
            .flat_map(|project| &project.deployments)
    };
    let read = async |of: Option<BTreeSet<DeploymentId>>| {
        let question = Question {
            deployments: of,
            references: deployments()
                .flat_map(|one| one.references.iter().cloned())
                .collect(),
        };
        let live = orchestrator.read(&question).await;
        live.context("read what is registered")
    };
    let load = applied(store, environment, takes_over);
    let registered = async {
        if desired.left_out.is_none() {
            return tokio::try_join!(read(None), load);
        }
        let (applied, tag) = load.await?;
        let remembered = applied.remembered();
        let remembered = remembered.filter(|(_, one)| desired.means(&one.project));
        let declared = deployments().map(|one| one.id.clone());
        let of = declared.chain(remembered.map(|(id, _)| id.clone()));
        let live = read(Some(of.collect())).await?;
        Ok((live, (applied, tag)))
    };
    let ((live, (applied, tag)), complete) =
        tokio::try_join!(registered, complete(store, desired))?;
    Ok(Observed {
        live,
        applied,
        tag,
        complete,
    })
}

/// What was last applied to an environment, or to the one whose place it takes.
async fn applied(
    store: &dyn Store,
    environment: &str,
    takes_over: Option<&str>,
) -> anyhow::Result<(Applied, Option<Tag>)> {
    let (mut applied, tag) = state::load(store, environment).await?;
    if let Some(other) = takes_over {
        applied.take_over(state::load(store, other).await?.0);
    }
    Ok((applied, tag))
}

async fn complete(store: &dyn Store, desired: &Desired) -> anyhow::Result<BTreeSet<ReleaseRef>> {
    let prefixes: Vec<String> = if desired.projects.len() > FEW_PROJECTS {
        vec![Manifest::PREFIX.to_owned()]
    } else {
        desired
            .projects
            .iter()
            .map(|project| project.release.manifest_key())
            .collect()
    };
    let lists: Vec<_> = futures::stream::iter(prefixes)
        .map(|prefix| async move { store.list(&prefix).await })
        .buffered(FEW_PROJECTS)
        .try_collect()
        .await
        .context("list the releases that are stored")?;
    Ok(lists
        .into_iter()
        .flatten()
        .filter_map(|entry| ReleaseRef::of_manifest_key(&entry.key))
        .collect())
}
