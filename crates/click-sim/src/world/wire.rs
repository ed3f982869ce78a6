//! The network between trackers and the log: messages are late, overtake each other, get lost, come
//! twice, and none gets through while a tracker is cut off. So do the answers.
//! Must never change a message or make one up.

use click_engine::log::{Commit, EventLog};

use super::tracker::{Letter, Promise, Tracker};
use crate::check::Dice;

/// How bad a network is, in a hundred, and how late, ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    /// Messages that get lost.
    pub lost: u64,
    /// Messages that come twice.
    pub twice: u64,
    /// Most time that a message takes.
    pub late_ms: u64,
}

impl Weather {
    /// Everything arrives, once and at once.
    pub const FAIR: Weather = Weather { lost: 0, twice: 0, late_ms: 0 };
}

/// A click that the log has, and nobody knows yet.
struct Answer {
    commit: Commit,
    letter: Letter,
}

pub(super) struct Wire {
    dice: Dice,
    /// Since the machine was started, ms: no wall clock tells how long a message takes.
    time: u64,
    weather: Weather,
    /// By tracker: whether nothing gets through.
    cut: [bool; 2],
    /// To the log, with the time of arrival.
    letters: Vec<(u64, Letter)>,
    /// In the log's queue.
    waiting: Vec<Answer>,
    /// Back to the trackers, with the time of arrival.
    answers: Vec<(u64, Letter, Promise)>,
}

impl Wire {
    pub(super) fn new(seed: u64, weather: Weather) -> Wire {
        Wire {
            dice: Dice::new(seed ^ 0x3173),
            time: 0,
            weather,
            cut: [false; 2],
            letters: Vec::new(),
            waiting: Vec::new(),
            answers: Vec::new(),
        }
    }

    pub(super) fn cut(&mut self, tracker: usize, cut: bool) {
        self.cut[tracker] = cut;
    }

    pub(super) fn time(&self) -> u64 {
        self.time
    }

    /// From now on everything arrives.
    pub(super) fn clear_up(&mut self) {
        (self.weather, self.cut) = (Weather::FAIR, [false; 2]);
    }

    /// When a message that leaves now arrives; empty if it is lost.
    fn arrivals(&mut self, tracker: usize) -> Vec<u64> {
        let Weather { lost, twice, late_ms } = self.weather;
        if self.cut[tracker] || self.dice.percent(lost) {
            return Vec::new();
        }
        let copies = 1 + usize::from(self.dice.percent(twice));
        (0..copies).map(|_| self.time + self.dice.between(0, late_ms)).collect()
    }

    pub(super) fn send(&mut self, letter: &Letter) {
        for at in self.arrivals(letter.tracker) {
            self.letters.push((at, letter.clone()));
        }
    }

    /// At `time`, what has arrived goes to the log; without one it finds nobody.
    pub(super) fn deliver(&mut self, log: Option<&dyn EventLog>, time: u64) {
        self.time = time;
        let arrived = self.letters.extract_if(.., |(at, _)| *at <= time);
        for (_, letter) in arrived {
            // What a log refuses is sent again when no answer comes.
            let taken = log.and_then(|log| log.append(letter.partition, &letter.payload).ok());
            self.waiting.extend(taken.map(|commit| Answer { commit, letter }));
        }
    }

    /// The log's answers go on their way, and those that have arrived are heard.
    pub(super) fn answer(&mut self, trackers: &mut [Tracker], promises: &mut Vec<Promise>) {
        let time = self.time;
        let settled: Vec<Answer> =
            self.waiting.extract_if(.., |answer| answer.commit.is_settled()).collect();
        for Answer { commit, letter } in settled {
            let Ok(position) = commit.wait() else { continue };
            for at in self.arrivals(letter.tracker) {
                let promise = Promise { position, payload: letter.payload.clone() };
                self.answers.push((at, letter.clone(), promise));
            }
        }
        for (_, letter, promise) in self.answers.extract_if(.., |(at, ..)| *at <= time) {
            trackers[letter.tracker].hear(&letter);
            promises.push(promise);
        }
    }

    /// The log is gone, and with it the answers to come. What has left it arrives still.
    pub(super) fn hang_up(&mut self) {
        self.waiting.clear();
    }
}
