//! Planted bugs: each is switched on, and the checks have to find it.

#[cfg(not(feature = "planted"))]
pub(crate) fn run(_: u64, _: bool) -> Result<bool, String> {
    Err("this build has no planted bugs: cargo xtask planted builds one that has".into())
}

#[cfg(feature = "planted")]
pub(crate) use planted::run;

#[cfg(feature = "planted")]
mod planted {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::{Sender, channel};
    use std::time::{Duration, Instant};

    use click_core::planted::{Bug, plant};
    use click_sim::check::{Dice, Style, World};
    use click_sim::generate::{GeneratorConfig, generate};
    use click_sim::world::{ClusterPlan, Plan, misplaced, play};

    use crate::results::{self, Kind, Saved};

    /// Whether something is wrong with a seed.
    type Hunter = fn(u64) -> bool;

    /// Who found a bug, with which seed.
    struct Found {
        by: &'static str,
        seed: u64,
    }

    /// Hunts every bug for at most `seconds`; whether all were found.
    pub(crate) fn run(seconds: u64, save: bool) -> Result<bool, String> {
        let mut saved = Vec::new();
        let mut missed = 0;
        let (begun, commit) = (Instant::now(), results::commit()?);
        for (bug, what) in Bug::ALL {
            plant(Some(*bug));
            let start = Instant::now();
            let found = hunt(Duration::from_secs(seconds));
            plant(None);
            let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            let name = format!("{bug:?}");
            match found {
                Some(Found { by, seed }) => {
                    println!("killed  {name:<26} {:>6} ms  {by}, seed {seed}: {what}", millis);
                    saved.push((name, millis));
                }
                None => {
                    missed += 1;
                    println!("MISSED  {name:<26} {:>6} ms  {what}", millis);
                }
            }
        }
        let trials = Bug::ALL.len() as u64;
        println!("{} of {trials} killed", saved.len());
        if save {
            results::save(&Saved {
                kind: Kind::Planted,
                commit,
                from: 0,
                trials,
                failed: missed,
                seconds: begun.elapsed().as_secs_f64(),
                details: saved,
            })?;
        }
        Ok(missed == 0)
    }

    fn hunt(limit: Duration) -> Option<Found> {
        let over = Arc::new(AtomicBool::new(false));
        let (tell, hear) = channel();
        let hunters: [(&'static str, Hunter); 4] = [
            ("machine", machine_fails),
            ("cluster", cluster_fails),
            ("fold", fold_fails),
            ("misplaced records", records_are_taken_anywhere),
        ];
        let threads: Vec<_> = hunters
            .into_iter()
            .map(|(by, fails)| {
                let (over, tell) = (over.clone(), tell.clone());
                std::thread::spawn(move || look(by, fails, &over, &tell))
            })
            .collect();
        let found = hear.recv_timeout(limit).ok();
        over.store(true, Ordering::Relaxed);
        // A hunter between two seeds ends soon.
        threads.into_iter().for_each(|thread| drop(thread.join()));
        found
    }

    fn look(by: &'static str, fails: Hunter, over: &AtomicBool, tell: &Sender<Found>) {
        for seed in 0.. {
            if over.load(Ordering::Relaxed) {
                return;
            }
            if fails(seed) {
                // Whoever is second speaks to nobody.
                let _ = tell.send(Found { by, seed });
                return;
            }
        }
    }

    /// A story of the simulated machine.
    fn machine_fails(seed: u64) -> bool {
        play(&Plan::from_seed(seed)).is_err()
    }

    /// A story of trackers in front of a cluster.
    fn cluster_fails(seed: u64) -> bool {
        // Told by few seeds, and the machine's hunter needs the core.
        std::thread::sleep(Duration::from_millis(seed.min(50)));
        play(&ClusterPlan::from_seed(seed)).is_err()
    }

    /// Records of a log that stand in each other's places.
    fn records_are_taken_anywhere(seed: u64) -> bool {
        // Soon done, and told by few seeds.
        std::thread::sleep(Duration::from_millis(seed.min(50)));
        misplaced(seed).is_err()
    }

    /// The fold alone, on a generated log, in any way to fold it.
    fn fold_fails(seed: u64) -> bool {
        let fold = || {
            let mut config = GeneratorConfig::from_seed(seed);
            if seed % 4 == 3 {
                config = config.with_cutovers(seed);
            }
            let world = World::new(&generate(&config, seed), config.partitions);
            let mut dice = Dice::new(seed ^ 0xf01d);
            let style = Style::any(&mut dice);
            world.check(&style, dice.number());
        };
        catch_unwind(AssertUnwindSafe(fold)).is_err()
    }
}
