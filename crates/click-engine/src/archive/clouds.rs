//! The archive in a bucket: S3 and what speaks like it, Google Cloud Storage, Azure. Each call has
//! a deadline and few repetitions; whoever asked may ask again. Nothing here is kept in memory
//! between two calls but connections.
//! Must never say that an object was written before the store has confirmed it.

mod advice;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{
    BackoffConfig, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig,
};
use tokio::runtime::Runtime;

use super::ArchiveError;
use super::location::{BucketUrl, Cloud};
use super::objects::{MAX_OBJECT_BYTES, Objects};

/// Time for a call that moves nothing large, with all its repetitions.
const CALL: Duration = Duration::from_secs(30);
/// Large objects have as much more as a connection of this speed needs, bytes a second.
const SLOWEST: u64 = 128 << 10;
/// Repetitions of a request within a call.
const REPETITIONS: usize = 3;
/// Longest time between two of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Settings of connections, unless the environment has others.
const CONNECTIONS: [(&str, &str); 2] = [("connect_timeout", "5s"), ("timeout", "3600s")];

/// Objects in a bucket, below a prefix.
pub struct CloudObjects {
    runtime: Runtime,
    store: Arc<dyn ObjectStore>,
    /// Empty, or ends with a `/`.
    prefix: String,
    cloud: Cloud,
    url: String,
}

impl CloudObjects {
    /// `settings` are variables such as `AWS_ACCESS_KEY_ID`; others are ignored.
    ///
    /// # Errors
    /// `Mismatch` if they are not enough, or contradict each other.
    pub fn open(
        bucket: &BucketUrl,
        settings: impl Iterator<Item = (String, String)>,
    ) -> Result<CloudObjects, ArchiveError> {
        let (cloud, url) = (bucket.cloud, bucket.url.clone());
        let wrong = |reason: &dyn std::fmt::Display| {
            ArchiveError::Mismatch(format!("{url}: {reason}; {}", advice::settings(cloud)))
        };
        // Another one may be there already, which then stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let own = settings.filter(|(name, _)| name.starts_with(advice::variables(cloud)));
        let store = connect(cloud, &url, own).map_err(|error| wrong(&error))?;
        let key = url.splitn(4, '/').nth(3).unwrap_or_default();
        let path = Path::parse(key).map_err(|error| wrong(&error))?;
        let prefix = if key.is_empty() { String::new() } else { format!("{path}/") };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(2)
            .thread_name("object-storage")
            .enable_all()
            .build()
            .map_err(|error| wrong(&error))?;
        Ok(CloudObjects { runtime, store, prefix, cloud, url })
    }

    /// Names of ours are keys without any encoding.
    fn path(&self, name: &str) -> Result<Path, ArchiveError> {
        let path = Path::parse(format!("{}{name}", self.prefix));
        path.map_err(|error| self.failed("name", name, &error))
    }

    fn failed(&self, call: &str, name: &str, reason: &dyn std::fmt::Display) -> ArchiveError {
        ArchiveError::Objects {
            name: format!("{}/{name}", self.url),
            reason: format!("{call}: {reason}"),
        }
    }

    /// Waits for a call that moves so many bytes.
    fn wait<T>(
        &self,
        call: &str,
        name: &str,
        bytes: u64,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, ArchiveError> {
        let deadline = CALL + Duration::from_secs(bytes / SLOWEST);
        let timed = async { tokio::time::timeout(deadline, work).await };
        let Ok(done) = self.runtime.block_on(timed) else {
            let reason = format!("no answer within {} s", deadline.as_secs());
            let advice = advice::no_answer(self.cloud);
            return Err(self.failed(call, name, &format!("{reason}; {advice}")));
        };
        Ok(done)
    }

    fn refused(&self, call: &str, name: &str, error: &Error) -> ArchiveError {
        self.failed(call, name, &advice::told(self.cloud, error))
    }

    fn write(&self, name: &str, bytes: &[u8], mode: PutMode) -> Result<bool, ArchiveError> {
        let (path, size) = (self.path(name)?, bytes.len() as u64);
        let payload = PutPayload::from(bytes.to_vec());
        let put = self.store.put_opts(&path, payload, PutOptions::from(mode));
        match self.wait("put", name, size, put)? {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(self.refused("put", name, &error)),
        }
    }
}

fn connect(
    cloud: Cloud,
    url: &str,
    settings: impl Iterator<Item = (String, String)>,
) -> Result<Arc<dyn ObjectStore>, Error> {
    let connections = CONNECTIONS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = connections.into_iter().chain(settings);
    let backoff = BackoffConfig { max_backoff: LONGEST_PAUSE, ..BackoffConfig::default() };
    let retry = RetryConfig { backoff, max_retries: REPETITIONS, retry_timeout: CALL };
    /// Names that the builder does not know are none of its settings.
    macro_rules! store {
        ($builder:ty) => {{
            let builder = <$builder>::new().with_retry(retry);
            let set = settings.fold(builder, |builder, (name, value)| {
                match name.to_ascii_lowercase().parse() {
                    Ok(key) => builder.with_config(key, value),
                    Err(_) => builder,
                }
            });
            Arc::new(set.with_url(url).build()?)
        }};
    }
    Ok(match cloud {
        Cloud::S3 => store!(AmazonS3Builder),
        Cloud::Google => store!(GoogleCloudStorageBuilder),
        Cloud::Azure => store!(MicrosoftAzureBuilder),
    })
}

impl Objects for CloudObjects {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.write(name, bytes, PutMode::Overwrite).map(drop)
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<bool, ArchiveError> {
        let is_written = self.write(name, bytes, PutMode::Create)?;
        // A store may refuse the later of two writers before the earlier one is done.
        if !is_written && self.length(name)?.is_none() {
            return Err(self.failed("put", name, &"another writer of it is not done"));
        }
        Ok(is_written)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        let path = self.path(name)?;
        let found = match self.wait("get", name, 0, self.store.get(&path))? {
            Ok(found) => found,
            Err(error) if advice::is_no_object(&error) => return Ok(None),
            Err(error) => return Err(self.refused("get", name, &error)),
        };
        let size = found.meta.size;
        if size > MAX_OBJECT_BYTES {
            return Err(self.failed("get", name, &format!("{size} bytes are no object of ours")));
        }
        match self.wait("get", name, size, found.bytes())? {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) => Err(self.refused("get", name, &error)),
        }
    }

    fn length(&self, name: &str) -> Result<Option<u64>, ArchiveError> {
        let path = self.path(name)?;
        match self.wait("head", name, 0, self.store.head(&path))? {
            Ok(meta) => Ok(Some(meta.size)),
            Err(error) if advice::is_no_object(&error) => Ok(None),
            Err(error) => Err(self.refused("head", name, &error)),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        let path = self.path(folder)?;
        let listed = self.store.list(Some(&path)).map_ok(|meta| meta.location.to_string());
        // A folder may have more names than a call has time for: each page of them has its own.
        let (mut listed, mut names) = (listed, Vec::new());
        loop {
            match self.wait("list", folder, 0, listed.try_next())? {
                Ok(Some(name)) => names.extend(name.strip_prefix(&self.prefix).map(str::to_owned)),
                Ok(None) => break,
                Err(error) => return Err(self.refused("list", folder, &error)),
            }
        }
        names.sort();
        Ok(names)
    }

    fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        let path = self.path(name)?;
        match self.wait("delete", name, 0, self.store.delete(&path))? {
            Ok(()) => Ok(()),
            Err(error) if advice::is_no_object(&error) => Ok(()),
            Err(error) => Err(self.refused("delete", name, &error)),
        }
    }
}
