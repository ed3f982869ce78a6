//! What every place of the archive promises, held to it: a directory, a bucket of a real S3 server,
//! and a container of Azure's emulator. Google's has no server that keeps what is asked of it here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::{Arc, Barrier};

use click_engine::archive::{DiskObjects, Objects};
use click_engine::disk::{MemDisk, RealDisk};

const THREADS: usize = 16;
const NAMES: usize = 20;

fn keeps_its_promises(objects: &Arc<dyn Objects>) {
    writes_whole_and_anew(&**objects);
    lists_a_folder_in_order(&**objects);
    only_the_first_writer_succeeds(objects);
}

fn writes_whole_and_anew(objects: &dyn Objects) {
    let name = "clicks/day=2026-11-25/hour=19/p0000-0-9.parquet";
    assert_eq!((objects.get(name).unwrap(), objects.length(name).unwrap()), (None, None));
    objects.remove(name).unwrap();
    let large: Vec<u8> = (0..6_000_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    for bytes in [&large[..], b"", b"short", &large[1..]] {
        objects.put(name, bytes).unwrap();
        assert_eq!(objects.length(name).unwrap(), Some(bytes.len() as u64));
        assert!(objects.get(name).unwrap().unwrap() == bytes, "{} bytes", bytes.len());
    }
    assert!(!objects.put_new(name, b"later").unwrap(), "there is one");
    assert_eq!(objects.length(name).unwrap(), Some(large.len() as u64 - 1));
    objects.remove(name).unwrap();
    assert_eq!(objects.get(name).unwrap(), None);
    assert!(objects.put_new(name, b"again").unwrap());
    objects.remove(name).unwrap();
}

/// More names than a store tells at once.
fn lists_a_folder_in_order(objects: &dyn Objects) {
    assert_eq!(objects.list("many").unwrap(), Vec::<String>::new());
    let mut names: Vec<String> = (0..1100).map(|n| format!("many/{}/f{n}", n % 3)).collect();
    for name in &names {
        objects.put(name, b"").unwrap();
    }
    objects.put("many-more/x", b"").unwrap();
    names.sort();
    assert_eq!(objects.list("many").unwrap(), names);
    assert_eq!(objects.list("many/1").unwrap().len(), 367);
    objects.remove(&names[0]).unwrap();
    assert_eq!(objects.list("many").unwrap(), names[1..]);
}

fn only_the_first_writer_succeeds(objects: &Arc<dyn Objects>) {
    let barrier = Arc::new(Barrier::new(THREADS));
    let race = |thread: usize| {
        let (objects, barrier) = (Arc::clone(objects), Arc::clone(&barrier));
        std::thread::spawn(move || {
            let own = vec![u8::try_from(thread).unwrap(); 1000];
            let mut won = Vec::new();
            for name in 0..NAMES {
                barrier.wait();
                won.push(objects.put_new(&format!("race/{name}"), &own).unwrap());
            }
            won
        })
    };
    let racing: Vec<_> = (0..THREADS).map(race).collect();
    let won: Vec<Vec<bool>> = racing.into_iter().map(|thread| thread.join().unwrap()).collect();
    for name in 0..NAMES {
        let winners: Vec<usize> =
            won.iter().enumerate().filter(|(_, of)| of[name]).map(|(thread, _)| thread).collect();
        let [winner] = winners[..] else { panic!("name {name}: {winners:?} were first") };
        let bytes = objects.get(&format!("race/{name}")).unwrap().unwrap();
        assert!(bytes.len() == 1000 && bytes.iter().all(|b| usize::from(*b) == winner));
    }
}

#[test]
fn a_directory_keeps_its_promises() {
    let dir = tempfile::tempdir().unwrap();
    let real: Arc<dyn Objects> = Arc::new(DiskObjects::new(Arc::new(RealDisk), dir.path()));
    keeps_its_promises(&real);
    let simulated = DiskObjects::new(Arc::new(MemDisk::new(0)), Path::new("/archive"));
    let simulated: Arc<dyn Objects> = Arc::new(simulated);
    keeps_its_promises(&simulated);
}

#[cfg(feature = "full")]
mod bucket {
    use click_engine::archive::{ArchiveError, CloudObjects, Location};
    use click_sim::azure_server::AzureServer;
    use click_sim::s3_server::S3Server;

    use super::*;

    fn open(url: &str, settings: &[(String, String)]) -> Result<Arc<dyn Objects>, ArchiveError> {
        let Ok(Location::Bucket(bucket)) = url.parse() else { panic!("{url} is no bucket") };
        Ok(Arc::new(CloudObjects::open(&bucket, settings.iter().cloned())?))
    }

    #[test]
    fn a_bucket_keeps_its_promises() {
        let dir = tempfile::tempdir().unwrap();
        let Some(server) = S3Server::start(dir.path()) else { return };
        keeps_its_promises(&open(&server.url("some/where"), &server.settings()).unwrap());
        keeps_its_promises(&open(&server.url(""), &server.settings()).unwrap());
        assert!(server.folder("some/where/race/0").is_file());
    }

    #[test]
    fn a_container_keeps_its_promises() {
        let Some(server) = AzureServer::start() else { return };
        keeps_its_promises(&open(&server.url("some/where"), &server.settings()).unwrap());
        keeps_its_promises(&open(&server.url(""), &server.settings()).unwrap());
    }

    /// With one setting changed, or left out.
    fn changed(
        settings: &[(String, String)],
        name: &str,
        value: Option<&str>,
    ) -> Vec<(String, String)> {
        let mut settings = settings.to_vec();
        settings.retain(|(other, _)| other != name);
        settings.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        settings
    }

    /// The object, the call and the remedy.
    fn says(objects: &dyn Objects, remedy: &str) {
        let put = objects.put("manifest/0.json", b"x").unwrap_err().to_string();
        let get = objects.get("manifest/0.json").unwrap_err().to_string();
        let list = objects.list("manifest").unwrap_err().to_string();
        for (call, said) in [("put: ", put), ("get: ", get), ("list: ", list)] {
            let is_named = said.contains("://") && said.contains("/manifest");
            assert!(is_named && said.contains(call) && said.contains(remedy), "{said}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let Some(mut server) = S3Server::start(dir.path()) else { return };
        let (url, settings) = (server.url("a"), server.settings());
        let changed = |name: &str, value: Option<&str>| changed(&settings, name, value);
        let wrong_key = changed("AWS_SECRET_ACCESS_KEY", Some("nottesttest"));
        says(&*open(&url, &wrong_key).unwrap(), "check AWS_ACCESS_KEY_ID");
        says(&*open("s3://nobody/a", &settings).unwrap(), "there is no such bucket; create it");
        let plain = open(&url, &changed("AWS_ALLOW_HTTP", None));
        says(&*plain.unwrap(), "plain HTTP is refused unless AWS_ALLOW_HTTP is true");
        let half = open(&url, &changed("AWS_SECRET_ACCESS_KEY", None));
        let said = half.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains("check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"), "{said}");
        let objects = open(&url, &settings).unwrap();
        objects.put("manifest/0.json", b"x").unwrap();
        server.kill();
        says(&*objects, "check that the store runs, the network and AWS_ENDPOINT");
        server.bring_back();
        assert_eq!(objects.get("manifest/0.json").unwrap().unwrap(), b"x");
    }

    #[test]
    fn what_is_wrong_with_a_container_is_said_with_the_remedy() {
        let Some(mut server) = AzureServer::start() else { return };
        let (url, settings) = (server.url("a"), server.settings());
        let wrong_key = changed(&settings, "AZURE_STORAGE_ACCOUNT_KEY", Some("bm90IHRoZSBrZXk="));
        says(&*open(&url, &wrong_key).unwrap(), "check AZURE_STORAGE_ACCOUNT_NAME");
        says(&*open("az://nobody/a", &settings).unwrap(), "there is no such bucket; create it");
        let plain = open(&url, &changed(&settings, "AZURE_ALLOW_HTTP", None));
        says(&*plain.unwrap(), "plain HTTP is refused unless AZURE_ALLOW_HTTP is true");
        let objects = open(&url, &settings).unwrap();
        objects.put("manifest/0.json", b"x").unwrap();
        server.kill();
        says(&*objects, "check that the store runs, the network and AZURE_STORAGE_ENDPOINT");
    }
}
