//! A bundle that is an object of an object store. `object_store` knows how each kind's requests are signed;
//! who asks is found by `access`, and every request it makes goes through `connection`, which has our
//! bounds and rules. It tries nothing twice: when there is another attempt is left to `poll`.

mod access;
mod connection;
mod stores;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use object_store::{Error, GetOptions, ObjectStore};
use tokio::task::JoinSet;

use super::fetch::{Answer, DownloadError, Fetcher, kept_etag};
use crate::bundle::{ObjectUrl, RemoteSource};
use crate::fetch::{FetchError, blocking, within};
use access::Access;

/// What a store answers that does not take the one who asks: S3 has 400 for a token that has ended.
const NOT_TAKEN: [u16; 3] = [400, 401, 403];

/// One object.
pub(super) struct Object {
    url: ObjectUrl,
    source: Arc<RemoteSource>,
    /// The store, and by whom it is asked. It keeps tokens until shortly before they end.
    held: Option<(Access, Arc<dyn ObjectStore>)>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Object({})", self.url)
    }
}

impl Object {
    pub(super) fn new(url: ObjectUrl, source: &Arc<RemoteSource>) -> Self {
        Self {
            url,
            source: Arc::clone(source),
            held: None,
        }
    }

    /// Asks for anything else than what has this tag. Rule: a token that the store does not take is not
    /// used again.
    pub(super) async fn fetch(
        &mut self,
        fetcher: &Arc<Fetcher>,
        etag: Option<&str>,
    ) -> Result<Answer, DownloadError> {
        let limit = self.source.timeout.0;
        let fetched = within(limit, self.get(fetcher, etag)).await;
        let status = fetched.as_ref().err().and_then(DownloadError::status);
        if status.is_some_and(|status| NOT_TAKEN.contains(&status)) {
            self.held = None;
        }
        fetched
    }

    async fn get(
        &mut self,
        fetcher: &Arc<Fetcher>,
        etag: Option<&str>,
    ) -> Result<Answer, DownloadError> {
        let store = self.store(fetcher).await?;
        let options = GetOptions {
            if_none_match: etag.map(str::to_owned),
            ..GetOptions::default()
        };
        let path = self.url.path.clone();
        // Rule: a panic on an answer that the library did not expect ends this attempt, not the source.
        let mut task = JoinSet::new();
        task.spawn(async move { read(&*store, &path, options).await });
        let done = task.join_next().await;
        match done {
            Some(Ok(Ok((archive, etag)))) => Ok(Answer {
                archive: Some(archive.into()),
                etag: kept_etag(etag.as_deref()),
                can_wait: None,
            }),
            Some(Ok(Err(Error::NotModified { .. }))) => Ok(Answer {
                archive: None,
                etag: None,
                can_wait: None,
            }),
            Some(Ok(Err(error))) => Err(connection::cause(&error)),
            Some(Err(_)) | None => {
                Err(FetchError::Local("the request failed with a panic".to_owned()).into())
            }
        }
    }

    /// The store as it is asked now. Rule: files are read for each request, so that one that was replaced
    /// is used.
    async fn store(&mut self, fetcher: &Arc<Fetcher>) -> Result<Arc<dyn ObjectStore>, FetchError> {
        let (source, kind) = (Arc::clone(&self.source), self.url.kind);
        let variable = |name: &str| std::env::var(name).ok();
        let access = blocking(move || access::find(&source, kind, &variable)).await?;
        match &self.held {
            Some((held, store)) if *held == access => Ok(Arc::clone(store)),
            _ => {
                let store = stores::make(&self.url, &self.source, &access, fetcher)?;
                self.held = Some((access, Arc::clone(&store)));
                Ok(store)
            }
        }
    }
}

/// The whole object and its tag.
async fn read(
    store: &dyn ObjectStore,
    path: &object_store::path::Path,
    options: GetOptions,
) -> Result<(Bytes, Option<String>), Error> {
    let got = store.get_opts(path, options).await?;
    let etag = got.meta.e_tag.clone();
    Ok((got.bytes().await?, etag))
}
