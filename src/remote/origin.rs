//! Where a source is asked: a server by its URL, or an object store. Whoever asks need not know which.

use std::sync::Arc;

use super::fetch::{Answer, DownloadError, Fetcher, Wanted};
use super::object::Object;
use crate::bundle::{BundleUrl, RemoteSource, SourceUrl};
use crate::service::Tokens;

#[derive(Debug)]
pub(super) enum Origin {
    Server { url: SourceUrl, tokens: Tokens },
    Object(Object),
}

impl Origin {
    pub(super) fn new(source: &Arc<RemoteSource>) -> Self {
        match &source.url {
            BundleUrl::Server(url) => Self::Server {
                url: url.clone(),
                tokens: Tokens::default(),
            },
            BundleUrl::Object(url) => Self::Object(Object::new(url.clone(), source)),
        }
    }

    /// Asks for a bundle.
    pub(super) async fn fetch(
        &mut self,
        source: &RemoteSource,
        fetcher: &Arc<Fetcher>,
        wanted: Wanted<'_>,
    ) -> Result<Answer, DownloadError> {
        match self {
            Self::Server { url, tokens } => fetcher.fetch(source, url, tokens, wanted).await,
            Self::Object(object) => object.fetch(fetcher, wanted.etag).await,
        }
    }
}
