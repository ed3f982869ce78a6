//! `clickledger link`: mint signed links with the data directory's own key.

use std::io::Write;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;
use click_core::link::{
    DestinationPolicy, LinkSpec, Macros, ParsedLink, SigningKey, Target, base64url, mint,
};

use crate::keys::KeyStore;
use crate::out;

/// Print signed click links.
#[derive(Args, Debug)]
pub struct LinkArgs {
    /// Data directory, whose newest signing key signs.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the tracker is reached, such as `https://click.example`.
    #[arg(long, value_name = "URL")]
    base: String,
    /// The ad that is clicked.
    #[arg(long, value_name = "A")]
    ad: String,
    /// Where the click leads.
    #[arg(long, value_name = "URL")]
    to: String,
    /// The person or device, if known.
    #[arg(long, value_name = "U", default_value = "", hide_default_value = true)]
    user: String,
    /// What a valid click costs, in millionths of the currency.
    #[arg(long, value_name = "N")]
    price_micros: Option<u64>,
    /// What a valid click brings the publisher.
    #[arg(long, value_name = "N")]
    payout_micros: Option<u64>,
    /// Currency of price and payout [default: USD].
    #[arg(long, value_name = "C", default_value = "", hide_default_value = true)]
    currency: String,
    /// How long the link lives: a number with s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = seconds)]
    ttl: u64,
    /// The click's own id [default: random]; with --count a number is appended.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    click_id: String,
    /// Sign with the newest key of this issuer.
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    #[arg(long, default_value = "", hide_default_value = true)]
    campaign: String,
    #[arg(long, default_value = "", hide_default_value = true)]
    advertiser: String,
    #[arg(long, default_value = "", hide_default_value = true)]
    publisher: String,
    #[arg(long, default_value = "", hide_default_value = true)]
    placement: String,
    /// Print N links, a line each.
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u64,
}

/// Runs the command.
pub fn run(args: &LinkArgs) -> Result<()> {
    let (store, _) = KeyStore::open(&args.data)?;
    let (key, issuer) =
        store.minting_key()?.context("no signing key is in force; make one with key add")?;
    if let Some(wanted) = args.issuer.as_ref().filter(|wanted| **wanted != issuer) {
        bail!(
            "the newest signing key belongs to issuer '{issuer}', not '{wanted}'; \
             make one with: clickledger key add --right sign --issuer {wanted}"
        );
    }
    let base = base(&args.base)?;
    let expires = now_s()? + args.ttl;
    out::buffered(|out| {
        for number in 1..=args.count {
            let id = match (args.click_id.as_str(), args.count) {
                ("", _) => random_id()?,
                (id, 1) => id.to_owned(),
                (id, _) => format!("{id}-{number}"),
            };
            let link = one(args, &id, expires, &key)?;
            writeln!(out, "{base}{link}")?;
        }
        Ok(())
    })
}

fn one(args: &LinkArgs, click_id: &str, expires_s: u64, key: &SigningKey) -> Result<String> {
    let spec = LinkSpec {
        click_id,
        user_id: &args.user,
        ad_id: &args.ad,
        campaign_id: &args.campaign,
        advertiser_id: &args.advertiser,
        publisher_id: &args.publisher,
        placement_id: &args.placement,
        price_micros: args.price_micros,
        payout_micros: args.payout_micros,
        currency: &args.currency,
        expires_s: Some(expires_s),
        target: Target::Url(&args.to),
    };
    let link = mint(&spec, key)?;
    check_destination(&link, &args.to)
        .with_context(|| format!("--to '{}' cannot be a destination", args.to))?;
    Ok(link)
}

/// What the tracker would say to it, whatever further schemes its operator allows.
fn check_destination(link: &str, to: &str) -> Result<()> {
    let query = link.split_once('?').map_or("", |(_, query)| query);
    let schemes = [to.split(':').next().unwrap_or("").to_ascii_lowercase()];
    let policy = DestinationPolicy { extra_schemes: &schemes, allowed_hosts: None };
    ParsedLink::parse(query.as_bytes())?.destination(&policy, &Macros { click_id: "x" })?;
    Ok(())
}

/// The base without a trailing slash.
fn base(url: &str) -> Result<&str> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        bail!("--base '{url}' must begin with http:// or https://");
    }
    Ok(url.trim_end_matches('/'))
}

/// 128 random bits as text.
pub fn random_id() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("random numbers: {error}"))?;
    Ok(base64url::encode(&bytes))
}

/// Seconds since 1970.
pub fn now_s() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(since.context("the clock is before 1970; set it")?.as_secs())
}

/// Seconds.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let at = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err("use a number with s, m, h or d, such as 24h".into()),
    };
    let number: u64 = number.parse().map_err(|_| "use a number, such as 24h".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_live_have_units() {
        for (text, expected) in [("24h", 86_400), ("90", 90), ("5m", 300), ("2d", 172_800)] {
            assert_eq!(seconds(text), Ok(expected));
        }
        for text in ["", "h", "1w", "-1h", "99999999999999999999d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
