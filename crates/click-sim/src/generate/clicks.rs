//! Single clicks out of small pools of names, so that they collide.
//!
//! Must never decide when or where a click is appended, beyond the partition of its user key.

use super::GeneratorConfig;
use super::random::Random;
use crate::reference::{MAX_MICROS, PlainClick, PlainIp};

/// Makes clicks; counts the ones that have a link of their own.
pub(super) struct ClickMaker {
    links: u64,
}

impl ClickMaker {
    pub(super) fn new() -> Self {
        Self { links: 0 }
    }

    /// Any click, as a tracker receives it at `time`.
    pub(super) fn any(
        &mut self,
        random: &mut Random,
        config: &GeneratorConfig,
        time: u64,
    ) -> PlainClick {
        let mut click = self.plain(random, config, time);
        if random.percent(25) {
            click.click_id = format!("shared{}", random.below(6));
        }
        click.received_at = match random.below(20) {
            0 => time + random.below(600_000),
            1 => time.saturating_sub(random.below(7_200_000)),
            _ => time.saturating_sub(random.below(80)),
        };
        click.expires_at = match random.below(10) {
            0..6 => None,
            6 => Some(click.received_at + random.below(86_400_000)),
            7 => Some(time + random.below(60_000)),
            8 => Some(click.received_at.saturating_sub(random.below(3))),
            _ => Some(time + 86_700_000 - random.below(2)),
        };
        disturb(random, &mut click, 3);
        click
    }

    /// A click with a link of its own and no reason to be anything but valid.
    pub(super) fn plain(
        &mut self,
        random: &mut Random,
        config: &GeneratorConfig,
        time: u64,
    ) -> PlainClick {
        self.links += 1;
        let ad = random.below(config.ads);
        let mut click = PlainClick {
            click_id: format!("link{}", self.links),
            issuer: random.pick(&["", "", "", "issuer"]).to_owned(),
            user_id: user(random, config),
            ad_id: if ad == 3 { "ad,\"3\"".to_owned() } else { format!("ad{ad}") },
            campaign_id: random.pick(&["", "spring", "spring", "é"]).to_owned(),
            advertiser_id: random.pick(&["", "acme"]).to_owned(),
            publisher_id: random.pick(&["", "news", "blog,eu"]).to_owned(),
            placement_id: random.pick(&["", "top"]).to_owned(),
            currency: random.pick(&["USD", "USD", "USD", "EUR"]).to_owned(),
            price_micros: price(random),
            payout_micros: price(random),
            received_at: time,
            ad_active: random.pick(&[None, Some(true)]),
            user_agent: random.pick(&[None, Some(""), Some("Mozilla/5.0")]).map(str::to_owned),
            method: random.pick(&[None, None, Some("GET"), Some("post")]).map(str::to_owned),
            ..PlainClick::default()
        };
        set_source(random, config, &mut click);
        click
    }
}

/// Gives a click, with `percent` chance each, reasons of the stateless kind.
pub(super) fn disturb(random: &mut Random, click: &mut PlainClick, percent: u64) {
    if random.percent(percent) {
        click.method = Some(random.pick(&["HEAD", "head", "PUT"]).to_owned());
    }
    if random.percent(percent) {
        let purposes = ["prefetch", "prefetch;PRERENDER", "Preview", "other"];
        click.purpose = Some(random.pick(&purposes).to_owned());
    }
    if random.percent(percent) {
        click.ad_active = Some(false);
    }
}

/// One of the config's sources, in any of the forms that it can take.
pub(super) fn set_source(random: &mut Random, config: &GeneratorConfig, click: &mut PlainClick) {
    click.source_key = Vec::new();
    let low = random.byte() % 4;
    click.ip = match random.below(config.sources + 1) {
        0 => random.pick(&[None, Some(PlainIp::V4([192, 0, 2, 1]))]),
        1 => Some(PlainIp::V4([192, 0, 2, 1])),
        2 => {
            let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1];
            Some(PlainIp::V6(mapped))
        }
        3 => Some(PlainIp::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 0, 0, low, 0, 0, 0, 0, low])),
        4 => Some(PlainIp::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, low, 0, 0, 0, 0, 0, 0, 0, 1])),
        5 => {
            click.source_key = vec![1, 2, 3];
            random.pick(&[None, Some(PlainIp::V4([192, 0, 2, 0]))])
        }
        _ => Some(PlainIp::V4([198, 51, 100, low])),
    };
}

/// The partition that a user key gives: all copies of a link share it.
pub(crate) fn home_partition(user_key: &str, partitions: u32) -> u32 {
    let sum: u32 = user_key.bytes().map(u32::from).sum();
    sum % partitions
}

fn user(random: &mut Random, config: &GeneratorConfig) -> String {
    if random.percent(20) {
        return String::new();
    }
    format!("user{}", random.below(config.users))
}

fn price(random: &mut Random) -> u64 {
    match random.below(20) {
        0 => 0,
        1 => MAX_MICROS,
        _ => random.below(2_000_000),
    }
}
