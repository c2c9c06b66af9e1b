//! Who makes which image.
use crate::backend::Images;
use crate::config::Config;
use std::path::Path;
use std::sync::Arc;
pub(super) fn local(_config: &Config, _folder: &Path) -> anyhow::Result<Arc<dyn Images>> {
    Ok(Arc::new(Temporary))
}
pub(super) fn remote(_config: &Config, _http: reqwest::Client) -> anyhow::Result<Arc<dyn Images>> {
    Ok(Arc::new(Temporary))
}
struct Temporary;
use crate::backend::{self, *};
use crate::model::*;
#[async_trait::async_trait]
impl Images for Temporary {
    fn subject(&self) -> String {
        "none".into()
    }
    async fn find(&self, _: &str) -> backend::Result<Option<Digest>> {
        Ok(None)
    }
    async fn pin(&self, _: &Image, _: &dyn Files) -> backend::Result<Pinned> {
        Ok(Pinned::default())
    }
    async fn build(
        &self,
        _: &Image,
        _: &Pinned,
        _: &dyn Files,
        log: &dyn BuildLog,
    ) -> backend::Result<Digest> {
        log.line("x");
        Ok(Digest::of(b"x"))
    }
}
