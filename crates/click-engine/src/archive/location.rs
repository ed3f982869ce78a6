//! Where an archive is, as people write it: a directory, or the URL of a bucket.
//! Must never take a URL for the name of a directory.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::ArchiveError;
use super::objects::{DiskObjects, Objects};
use crate::disk::Disk;

const FORMS: &str = "write a directory, file:///DIR, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or \
                     az://CONTAINER/PREFIX";

/// A place for an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory.
    Dir(PathBuf),
    /// A folder in a bucket of a cloud.
    Bucket(BucketUrl),
}

/// Such as `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    pub(super) cloud: Cloud,
    pub(super) url: String,
}

/// Whose object storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon's S3, and all that speak like it.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Location, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            let named = !text.is_empty();
            return named.then(|| Location::Dir(text.into())).ok_or_else(|| FORMS.to_owned());
        };
        let cloud = match scheme {
            "file" if rest.starts_with('/') => return Ok(Location::Dir(rest.into())),
            "s3" => Cloud::S3,
            "gs" => Cloud::Google,
            "az" => Cloud::Azure,
            _ => return Err(format!("'{text}' is no place for an archive; {FORMS}")),
        };
        if rest.is_empty() || rest.starts_with('/') {
            return Err(format!("'{text}' names no bucket; {FORMS}"));
        }
        if !cfg!(feature = "clouds") {
            return Err(format!(
                "'{text}' needs cloud storage, which this program was built without; build it with \
                 `cargo build --release -p clickledger --features clouds`"
            ));
        }
        Ok(Location::Bucket(BucketUrl { cloud, url: text.trim_end_matches('/').to_owned() }))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Dir(dir) => dir.display().fmt(f),
            Location::Bucket(BucketUrl { url, .. }) => f.write_str(url),
        }
    }
}

impl Location {
    /// A directory that is not absolute, taken as one below `root`.
    #[must_use]
    pub fn below(self, root: &Path) -> Location {
        match self {
            Location::Dir(dir) => Location::Dir(root.join(dir)),
            bucket @ Location::Bucket(_) => bucket,
        }
    }

    /// The objects there; credentials of a cloud are taken from the environment. Asks nobody yet.
    ///
    /// # Errors
    /// If the environment has not what the cloud needs.
    pub fn open(&self, disk: Arc<dyn Disk>) -> Result<Arc<dyn Objects>, ArchiveError> {
        match self {
            Location::Dir(dir) => Ok(Arc::new(DiskObjects::new(disk, dir))),
            Location::Bucket(bucket) => bucket.open(),
        }
    }
}

impl BucketUrl {
    #[cfg(feature = "clouds")]
    fn open(&self) -> Result<Arc<dyn Objects>, ArchiveError> {
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let settings = std::env::vars_os().filter_map(unicode);
        Ok(Arc::new(super::clouds::CloudObjects::open(self, settings)?))
    }

    #[cfg(not(feature = "clouds"))]
    fn open(&self) -> Result<Arc<dyn Objects>, ArchiveError> {
        let reason = "this program was built without cloud storage".to_owned();
        Err(ArchiveError::Objects { name: self.url.clone(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_directories() {
        for (text, dir) in [("archive", "/data/archive"), ("/a/b", "/a/b"), ("file:///a/b", "/a/b")]
        {
            let location = Location::from_str(text).unwrap().below(Path::new("/data"));
            assert_eq!(location, Location::Dir(dir.into()), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_forms() {
        for text in ["", "file://a", "s3://", "s3:///prefix", "ftp://host/a", "https://host/a"] {
            let error = Location::from_str(text).unwrap_err();
            assert!(error.contains("gs://BUCKET/PREFIX"), "{text}: {error}");
        }
    }

    #[test]
    fn a_bucket_is_one_where_clouds_are_built_in() {
        let (parsed, url) = (Location::from_str("s3://bucket/a/"), "s3://bucket/a");
        if cfg!(feature = "clouds") {
            assert_eq!(parsed.unwrap().below(Path::new("/data")).to_string(), url);
        } else {
            assert!(parsed.unwrap_err().contains("--features clouds"));
        }
    }
}
