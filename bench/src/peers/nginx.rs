//! nginx: one worker process that answers every path with an empty GIF, with and without an access
//! log. Nothing is durable there: the log is written unbuffered, but never flushed to the disk.

use crate::process::{Running, SERVER_CORE, find, free_port, pinned, wait_for_port};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Stdio;

/// A running nginx.
pub struct Nginx {
    running: Running,
    /// Port without an access log.
    pub port_quiet: u16,
    /// Port with an unbuffered access log.
    pub port_logging: u16,
}

impl Nginx {
    /// Starts it on the servers' core, with its files in `dir`.
    pub fn start(dir: &Path) -> Result<Nginx> {
        let program = find("nginx").context("no nginx on this machine")?;
        let (port_quiet, port_logging) = (free_port()?, free_port()?);
        let config = dir.join("nginx.conf");
        std::fs::write(&config, text(dir, port_quiet, port_logging))?;
        let mut command = pinned(SERVER_CORE, &program);
        command.arg("-p").arg(dir).arg("-c").arg(&config);
        command.arg("-e").arg(dir.join("error.log")).stdout(Stdio::null());
        let running = Running::start(&mut command)?;
        wait_for_port(port_quiet)?;
        wait_for_port(port_logging)?;
        Ok(Nginx { running, port_quiet, port_logging })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }
}

fn text(dir: &Path, port_quiet: u16, port_logging: u16) -> String {
    let dir = dir.display();
    format!(
        "daemon off; master_process off; worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  keepalive_requests 1000000000;
  keepalive_timeout 600;
  server {{
    listen 127.0.0.1:{port_quiet};
    location / {{ empty_gif; access_log off; }}
  }}
  server {{
    listen 127.0.0.1:{port_logging};
    location / {{ empty_gif; access_log {dir}/access.log combined; }}
  }}
}}
"
    )
}
