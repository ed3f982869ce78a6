//! Where a tracker at another site is: `http://HOST:PORT` or `https://HOST:PORT`.

use std::str::FromStr;

use anyhow::{Result, bail};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherSite {
    pub is_https: bool,
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
}

impl FromStr for OtherSite {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<OtherSite> {
        let parsed = text.parse::<axum::http::Uri>().ok();
        let parts = parsed.as_ref().and_then(|uri| {
            let plain = uri.path() == "/" && uri.query().is_none();
            let host = uri.host().filter(|host| plain && !host.is_empty())?;
            let user = uri.authority()?.as_str().contains('@');
            (!user).then_some((uri.scheme_str()?, host, uri.port_u16()?))
        });
        let (is_https, host, port) = match parts {
            Some(("http", host, port)) => (false, host, port),
            Some(("https", host, port)) => (true, host, port),
            Some(_) | None => {
                bail!("'{text}' is no http://HOST:PORT or https://HOST:PORT without more")
            }
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(OtherSite { is_https, host, port })
    }
}

impl OtherSite {
    /// `HOST:PORT`, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_a_scheme_a_host_and_a_port() {
        let of =
            |text: &str| text.parse::<OtherSite>().map(|site| (site.is_https, site.authority()));
        assert_eq!(of("http://b.example:8080").unwrap(), (false, "b.example:8080".into()));
        assert_eq!(of("https://10.0.0.2:8443/").unwrap(), (true, "10.0.0.2:8443".into()));
        assert_eq!(of("http://[::1]:80").unwrap(), (false, "[::1]:80".into()));
        for bad in [
            "b.example:8080",
            "http://b.example",
            "http://:8080",
            "ftp://b.example:8080",
            "http://b.example:8080/path",
            "http://b.example:8080/?q",
            "http://me:pass@b.example:8080",
            "http://b.example:99999",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
