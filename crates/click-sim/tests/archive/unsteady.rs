//! A store of objects that often does not answer, before or after it has done what it was asked
//! for: the archive comes out without a gap, and without a file that no manifest names.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use click_engine::archive::{ArchiveError, Objects, Progress};
use click_sim::check::Dice;

use super::Stage;

/// Objects behind a bad line.
struct Unsteady {
    objects: Arc<dyn Objects>,
    dice: Mutex<Dice>,
    is_steady: AtomicBool,
    lost_answers: AtomicUsize,
}

impl Unsteady {
    fn ask<T>(
        &self,
        name: &str,
        call: impl FnOnce() -> Result<T, ArchiveError>,
    ) -> Result<T, ArchiveError> {
        let luck = self.dice.lock().unwrap().below(6);
        if self.is_steady.load(Ordering::Relaxed) || luck > 1 {
            return call();
        }
        if luck == 1 {
            call()?;
            self.lost_answers.fetch_add(1, Ordering::Relaxed);
        }
        Err(ArchiveError::Objects { name: name.to_owned(), reason: "no answer".to_owned() })
    }
}

impl Objects for Unsteady {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.ask(name, || self.objects.put(name, bytes))
    }

    fn put_new(&self, name: &str, bytes: &[u8]) -> Result<bool, ArchiveError> {
        self.ask(name, || self.objects.put_new(name, bytes))
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        self.ask(name, || self.objects.get(name))
    }

    fn length(&self, name: &str) -> Result<Option<u64>, ArchiveError> {
        self.ask(name, || self.objects.length(name))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, ArchiveError> {
        self.objects.list(folder)
    }

    fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        self.objects.remove(name)
    }
}

/// Steps while the log grows, and its clock with it: what was live is long past after an outage.
#[test]
fn a_span_that_was_begun_ends_where_it_was_to_end() {
    let mut lost_answers = 0;
    for seed in 0..25 {
        let stage = Stage::new(seed);
        let unsteady = Arc::new(Unsteady {
            objects: stage.objects.clone(),
            dice: Mutex::new(Dice::new(seed)),
            is_steady: AtomicBool::new(true),
            lost_answers: AtomicUsize::new(0),
        });
        let stage = Stage { objects: unsteady.clone(), ..stage };
        stage.log.grow_to(1);
        let mut archiver = stage.archiver(1);
        unsteady.is_steady.store(false, Ordering::Relaxed);
        for percent in 1..=100 {
            stage.log.grow_to(percent);
            for _ in 0..30 {
                match archiver.step() {
                    Ok(Progress::Worked) => {}
                    Ok(Progress::Idle) | Err(ArchiveError::Objects { .. }) => break,
                    Err(error) => panic!("seed {seed}: {error}"),
                }
            }
        }
        unsteady.is_steady.store(true, Ordering::Relaxed);
        archiver.finish().unwrap();
        let list = |dataset| stage.objects.list(dataset).unwrap();
        let there: BTreeSet<String> =
            [list("clicks"), list("verdicts")].concat().into_iter().collect();
        let archive = stage.archive();
        let files = archive.manifests().iter().flat_map(|manifest| &manifest.files);
        assert_eq!(there, files.map(|file| file.name.clone()).collect(), "seed {seed}");
        assert_eq!(stage.audit(None).differences, [], "seed {seed}");
        lost_answers += unsteady.lost_answers.load(Ordering::Relaxed);
    }
    assert!(lost_answers > 100, "{lost_answers}");
}
