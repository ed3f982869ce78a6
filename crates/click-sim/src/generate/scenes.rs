//! What happens in a generated log: short scenes, each aimed at one rule's threshold, set in
//! between and on top of each other.
//!
//! Must never append a record itself, but for the header; `log` does that when it is due.

use super::GeneratorConfig;
use super::clicks::{ClickMaker, disturb, set_source};
use super::log::{LogWriter, Planned};
use super::random::Random;
use crate::reference::{
    DOUBLE_CLICK_MEMORY_MS, MINUTE_MS, PlainClick, PlainHeader, PlainLayout, PlainPayload,
    PlainPolicy, PlainRecord, SKEW_MS,
};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

pub(super) struct Director {
    config: GeneratorConfig,
    random: Random,
    clicks: ClickMaker,
    log: LogWriter,
    now: u64,
    /// The thresholds to aim at: those of the newest good policy.
    limits: PlainPolicy,
    policies: u64,
}

impl Director {
    pub(super) fn new(config: GeneratorConfig, mut random: Random) -> Self {
        let limits = PlainPolicy::default();
        let log = LogWriter::new(config.clone(), limits.horizon_ms);
        let now = start(&mut random);
        Self { config, random, clicks: ClickMaker::new(), log, now, limits, policies: 0 }
    }

    pub(super) fn record(mut self) -> Vec<PlainRecord> {
        let generation = self.random.pick(&[1, 2, 7]);
        let header = PlainHeader { sent_at: None, log_id: [9; 16], generation };
        self.log.append(0, self.now, PlainPayload::Header(header));
        while self.log.records.len() < self.config.records {
            self.cutovers();
            self.scene();
            self.now += self.pause();
            self.log.run_until(&mut self.random, self.now);
        }
        self.log.finish(&mut self.random)
    }

    fn cutovers(&mut self) {
        let written = self.log.records.len();
        while self.config.cutovers.first().is_some_and(|(after, _)| *after <= written) {
            let (_, partitions) = self.config.cutovers.remove(0);
            self.cutover(partitions);
        }
    }

    /// The log moves to other partitions; about then clicks are sent to old and new ones.
    fn cutover(&mut self, partitions: u32) {
        let before = self.log.partitions();
        let layout = self.log.add_part(partitions);
        let exact = self.random.percent(50);
        let mut said = vec![(0, layout.clone())];
        for _ in 0..self.random.below(3) {
            said.push(self.odd_layout(&layout));
        }
        for (partition, layout) in said {
            let payload = PlainPayload::Layout(layout);
            self.log.plan(self.now, Planned::Other { partition, payload, exact });
        }
        for _ in 0..self.random.between(0, 8) {
            let time = self.random.around(self.now);
            let click = self.clicks.plain(&mut self.random, &self.config, time);
            let (click, exact) = (Box::new(click), self.random.percent(50));
            let added = self.random.below(u64::from(partitions));
            let old = self.log.partition(&mut self.random);
            let new = before + u32::try_from(added).unwrap_or(0);
            let partition = self.random.pick(&[old, new, new]);
            self.log.plan(time, Planned::Fresh { partition, click, exact });
        }
    }

    /// A layout record that changes nothing: the same again, or one that does not follow.
    fn odd_layout(&mut self, layout: &PlainLayout) -> (u32, PlainLayout) {
        let (mut odd, mut partition) = (layout.clone(), 0);
        match self.random.below(6) {
            0 => {}
            1 => partition = self.log.partition(&mut self.random),
            2 => odd.log_id = [8; 16],
            3 => odd.number += self.random.pick(&[1, 2]),
            4 => odd.parts.push(("rival".to_owned(), 1)),
            _ => odd.parts[0].1 += 1,
        }
        (partition, odd)
    }

    fn scene(&mut self) {
        match self.random.below(40) {
            0..10 => self.passer_by(),
            10..14 => self.copies_of_a_link(),
            14..19 => self.double_clicks(),
            19..21 => self.burst(),
            21 => self.stream(),
            22..24 => self.stale(),
            24..27 => self.late(),
            27..30 => self.expiring(),
            30 => self.policy(),
            31 | 32 => self.heartbeat(),
            33 => self.remembered_double_click(),
            34 => self.log.restart_a_tracker(&mut self.random),
            35 => self.garbage(),
            _ => self.ticks(),
        }
    }

    fn pause(&mut self) -> u64 {
        let longest = match self.random.below(100) {
            0..40 => 300,
            40..70 => 3_000,
            70..85 => MINUTE_MS,
            85..95 => 15 * MINUTE_MS,
            95..99 => 6 * HOUR_MS,
            _ => 5 * DAY_MS,
        };
        self.random.below(longest)
    }

    fn passer_by(&mut self) {
        let click = self.clicks.any(&mut self.random, &self.config, self.now);
        self.plan(self.now, click, false);
    }

    /// A link used again, and again: a moment later, and around H after the first.
    fn copies_of_a_link(&mut self) {
        let click = self.clicks.plain(&mut self.random, &self.config, self.now);
        self.plan(self.now, click.clone(), true);
        for _ in 0..self.random.between(1, 4) {
            let gap = self.span();
            let mut copy = click.clone();
            copy.received_at = self.now + gap;
            disturb(&mut self.random, &mut copy, 5);
            self.plan(self.now + gap, copy, true);
        }
    }

    /// A length of time around one of the thresholds, or of no meaning.
    fn span(&mut self) -> u64 {
        let meant = [
            self.limits.horizon_ms,
            self.limits.horizon_ms,
            self.limits.double_click_ms,
            self.limits.double_click_ms,
            DOUBLE_CLICK_MEMORY_MS,
            self.limits.link_lifetime_ms,
            self.limits.spool_limit_ms,
        ];
        match self.random.below(4) {
            0 => self.random.below(3),
            1 => self.random.below(2 * MINUTE_MS),
            _ => {
                let meant = self.random.pick(&meant);
                self.random.around(meant)
            }
        }
    }

    /// One user on one ad with several links.
    fn double_clicks(&mut self) {
        let first = self.clicks.plain(&mut self.random, &self.config, self.now);
        let mut received = self.now;
        let mut time = self.now;
        for _ in 0..self.random.between(2, 5) {
            let mut click = self.clicks.plain(&mut self.random, &self.config, time);
            click.user_id.clone_from(&first.user_id);
            click.ad_id.clone_from(&first.ad_id);
            click.received_at = received.min(time);
            self.plan(time, click, true);
            let step = self.random.pick(&[0, 1_000, self.limits.double_click_ms]);
            received = self.random.around(received + step);
            let wait = self.random.pick(&[0, 0, 10, DOUBLE_CLICK_MEMORY_MS]);
            time = self.random.around(time.max(received) + wait).max(time);
        }
    }

    /// A second click received with the first, in the log when that is about to be forgotten.
    fn remembered_double_click(&mut self) {
        let first = self.clicks.plain(&mut self.random, &self.config, self.now);
        let time = self.random.around(self.now + DOUBLE_CLICK_MEMORY_MS);
        let mut second = self.clicks.plain(&mut self.random, &self.config, time);
        second.user_id.clone_from(&first.user_id);
        second.ad_id.clone_from(&first.ad_id);
        second.received_at = self.now + self.random.below(3);
        self.plan(self.now, first, true);
        self.plan(time, second, true);
    }

    /// About as many clicks of one source as make a burst, within about a second.
    fn burst(&mut self) {
        let enough = u64::from(self.limits.burst_clicks) + 1;
        let count = self.random.between(enough.saturating_sub(2).max(2), enough + 2);
        let spans = [0, 500, 998, 999, 1_000, 1_001];
        let (fold_span, click_span) = (self.random.pick(&spans), self.random.pick(&spans));
        let base = self.burst_start();
        let waited = self.random.pick(&[0, 0, 1, 2_000, 40_000]);
        let received = base.saturating_sub(waited);
        let source = self.clicks.plain(&mut self.random, &self.config, base);
        for i in 0..count {
            let time = base + i * fold_span / (count - 1);
            let mut click = self.clicks.plain(&mut self.random, &self.config, time);
            click.received_at = received + i * click_span / (count - 1);
            self.seen_from(&source, &mut click);
            self.plan(time, click, true);
        }
    }

    /// Now, or such that the burst straddles an instant of the grid or the end of a minute.
    fn burst_start(&mut self) -> u64 {
        let grid = self.random.pick(&[1, 1, 1_000, MINUTE_MS]);
        let instant = (self.now + 1_000).next_multiple_of(grid);
        instant - self.random.below(1_000)
    }

    /// One source at a rate about the threshold, for a while.
    fn stream(&mut self) {
        let enough = u64::from(self.limits.burst_clicks) + 1;
        let step = 1_000 / enough;
        let source = self.clicks.plain(&mut self.random, &self.config, self.now);
        let mut time = self.now;
        for _ in 0..self.random.between(enough, 3 * enough).min(60) {
            let mut click = self.clicks.plain(&mut self.random, &self.config, time);
            self.seen_from(&source, &mut click);
            self.plan(time, click, true);
            time += self.random.between(step.saturating_sub(20), step + 20);
        }
    }

    /// Most clicks come from `source`, and some of them do not count or count otherwise.
    fn seen_from(&mut self, source: &PlainClick, click: &mut PlainClick) {
        if self.random.percent(10) {
            set_source(&mut self.random, &self.config, click);
        } else {
            click.ip = source.ip;
            click.source_key.clone_from(&source.source_key);
        }
        if self.random.percent(5) {
            click.click_id.clone_from(&source.click_id);
        }
        disturb(&mut self.random, click, 3);
    }

    /// Received now, in the log around S later.
    fn stale(&mut self) {
        let click = self.clicks.plain(&mut self.random, &self.config, self.now);
        let time = self.random.around(self.now + self.limits.spool_limit_ms);
        self.plan(time.max(self.now), click, true);
    }

    /// Received now, in the log around the instant from which its minute is closed.
    fn late(&mut self) {
        for _ in 0..self.random.between(1, 3) {
            let click = self.clicks.plain(&mut self.random, &self.config, self.now);
            let end = (click.received_at / MINUTE_MS + 1) * MINUTE_MS;
            let time = self.random.around(end + self.limits.seal_after_ms);
            self.plan(time.max(self.now), click, true);
        }
    }

    /// Around both ends of what `expires_at` may be.
    fn expiring(&mut self) {
        let mut click = self.clicks.plain(&mut self.random, &self.config, self.now);
        let waited = self.random.pick(&[0, 0, 1, 5_000]);
        let ahead = self.random.pick(&[0, 0, 1, 5_000]);
        click.received_at = (self.now + ahead).saturating_sub(waited);
        let longest = self.limits.link_lifetime_ms + SKEW_MS;
        let ends = [click.received_at, click.received_at.min(self.now) + longest];
        let end = self.random.pick(&ends);
        click.expires_at = Some(self.random.around(end));
        self.plan(self.now, click, true);
    }

    fn heartbeat(&mut self) {
        let (partition, payload) = self.log.heartbeat(&mut self.random);
        self.log.plan(self.now, Planned::Other { partition, payload, exact: false });
    }

    /// Bytes that no decoder of Protocol Buffers takes: wire type 7, or an endless varint.
    fn garbage(&mut self) {
        let partition = self.log.partition(&mut self.random);
        let (first, length) = self.random.pick(&[(0x07, 1), (0x07, 40), (0xff, 12)]);
        let payload = PlainPayload::Undecodable(vec![first; length]);
        self.log.plan(self.now, Planned::Other { partition, payload, exact: false });
    }

    fn ticks(&mut self) {
        let all = self.random.percent(50);
        let one = self.log.partition(&mut self.random);
        for partition in (0..self.log.partitions()).filter(|p| all || *p == one) {
            let payload = PlainPayload::Tick { sent_at: None };
            self.log.plan(self.now, Planned::Other { partition, payload, exact: false });
        }
    }

    fn policy(&mut self) {
        let policy = self.good_policy();
        let elsewhere = self.random.percent(10);
        let partition = if elsewhere { self.log.partition(&mut self.random) } else { 0 };
        if self.random.percent(20) {
            let mut spoilt = policy.clone();
            spoil(&mut self.random, &mut spoilt);
            self.plan_policy(partition, spoilt);
            return;
        }
        if partition == 0 {
            self.limits = policy.clone();
            self.log.horizon_ms = policy.horizon_ms;
        }
        if self.random.percent(25) {
            // Another one that comes into force at the same instant.
            let rival = self.good_policy();
            self.plan_policy(0, PlainPolicy { effective_from: policy.effective_from, ..rival });
        }
        let effective = policy.effective_from.max(self.now + MINUTE_MS);
        self.plan_policy(partition, policy);
        for _ in 0..self.random.between(0, 8) {
            self.at_a_change(effective);
        }
    }

    fn plan_policy(&mut self, partition: u32, policy: PlainPolicy) {
        let payload = PlainPayload::Policy(policy);
        self.log.plan(self.now, Planned::Other { partition, payload, exact: true });
    }

    /// A click in the log about when a policy changes, or received about then.
    fn at_a_change(&mut self, effective: u64) {
        let change = self.random.around(effective);
        let mut click = self.clicks.plain(&mut self.random, &self.config, change);
        let waits = [0, 1_000, self.limits.spool_limit_ms, self.limits.seal_after_ms + MINUTE_MS];
        let wait = self.random.pick(&waits);
        let wait = self.random.around(wait);
        let early = self.random.percent(50);
        click.received_at = if early { change.saturating_sub(wait) } else { change };
        let time = if early { change } else { change + wait };
        self.plan(time, click, true);
    }

    fn good_policy(&mut self) -> PlainPolicy {
        self.policies += 1;
        let random = &mut self.random;
        let link_lifetime_ms = random.pick(&[0, 1_000, 30_000, 90_000, DAY_MS]);
        let spool_limit_ms = random.pick(&[0, 1_000, 61_000, 180_000, HOUR_MS, 3 * DAY_MS]);
        let least = link_lifetime_ms + spool_limit_ms + SKEW_MS;
        let minute_end = (self.now + MINUTE_MS).next_multiple_of(MINUTE_MS);
        let effective = [0, self.now, self.now + MINUTE_MS, minute_end, minute_end + MINUTE_MS];
        let effective = random.pick(&effective);
        PlainPolicy {
            sent_at: None,
            id: format!("policy{}", self.policies),
            effective_from: random.around(effective),
            link_lifetime_ms,
            spool_limit_ms,
            horizon_ms: least + random.pick(&[0, 0, 1, 60_000, DAY_MS]),
            seal_after_ms: random.pick(&[0, 1, 1_000, MINUTE_MS, 90_000, 15 * MINUTE_MS]),
            double_click_ms: random.pick(&[0, 1, 1_000, 30_000, 30_000, 60_000]),
            burst_clicks: random.pick(&[1, 2, 3, 5, 9, 10, 10, 11, 20]),
        }
    }

    /// Mostly where the user key says, now and then somewhere else.
    fn plan(&mut self, time: u64, click: PlainClick, exact: bool) {
        let partition = if self.random.percent(10) {
            self.log.partition(&mut self.random)
        } else {
            let key = if click.user_id.is_empty() { &click.click_id } else { &click.user_id };
            self.log.home(&mut self.random, key)
        };
        let click = Box::new(click);
        self.log.plan(time, Planned::Fresh { partition, click, exact });
    }
}

/// Breaks one of the limits of SPEC §8.
fn spoil(random: &mut Random, policy: &mut PlainPolicy) {
    match random.below(4) {
        0 => policy.horizon_ms = policy.link_lifetime_ms + policy.spool_limit_ms + SKEW_MS - 1,
        1 => policy.horizon_ms = 30 * DAY_MS + 1,
        2 => policy.burst_clicks = random.pick(&[0, 101, u32::MAX]),
        _ => policy.seal_after_ms = 30 * DAY_MS + 1,
    }
}

/// Some day, just before the end of a minute, or at the very beginning of time.
fn start(random: &mut Random) -> u64 {
    let day = 1_700_000_000_000 + random.below(DAY_MS);
    match random.below(12) {
        0 => random.between(1, 100_000),
        1..4 => day.next_multiple_of(MINUTE_MS) - random.below(2_000),
        _ => day,
    }
}
