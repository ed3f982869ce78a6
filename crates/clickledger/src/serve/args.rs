//! Flags of `serve`; each is a key of the configuration, put over file and environment.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::config::Layers;

/// Run everything in one process: tracker, engine, store, API and page.
///
/// Stops at SIGTERM or SIGINT once open requests are answered and everything is stored.
#[derive(Args, Debug, Default)]
pub struct ServeArgs {
    /// Where everything lives.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address and port of the tracker.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Address and port of page and API, if not the tracker's.
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<String>,
    /// Configuration file [default: clickledger.toml in the data directory, if there is one].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set any key of the configuration, such as engine.threads=2; repeatable.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// Print the effective configuration, and who set what, and end.
    #[arg(long)]
    pub print_config: bool,
    /// File with the numbers of a self-check, shown on the page.
    #[arg(long, hide = true)]
    pub self_check: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

impl ServeArgs {
    /// Defaults, file, environment and flags, in this order.
    pub fn layers(&self) -> Result<Layers> {
        let mut flags = Layers::defaults()?;
        flags.add_environment(std::env::vars())?;
        self.add_flags(&mut flags)?;
        let data = flags.table().get("data").and_then(|value| value.as_str()).unwrap_or("");
        let beside = PathBuf::from(data).join("clickledger.toml");
        let mut layers = Layers::defaults()?;
        match &self.config {
            Some(file) => layers.add_file(file)?,
            None if beside.is_file() => layers.add_file(&beside)?,
            None => {}
        }
        layers.add_environment(std::env::vars())?;
        self.add_flags(&mut layers)?;
        Ok(layers)
    }

    fn add_flags(&self, layers: &mut Layers) -> Result<()> {
        if let Some(data) = &self.data {
            layers.set_text("data", &data.to_string_lossy(), "flag --data")?;
        }
        if let Some(listen) = &self.listen {
            layers.set_text("listen", listen, "flag --listen")?;
        }
        if let Some(listen) = &self.admin_listen {
            layers.set_text("admin_listen", listen, "flag --admin-listen")?;
        }
        for (key, value) in &self.set {
            layers.set_text(key, value, &format!("flag --set {key}"))?;
        }
        Ok(())
    }
}
