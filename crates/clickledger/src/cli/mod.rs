//! The command line: what can be asked, and which function answers. Exit codes: 0 done, 1 failed or
//! a check found a difference, 2 asked for wrongly.

pub mod archive;
mod audit;
pub mod data;
mod explain;
mod import;
mod key;
pub mod layout;
pub mod link;
#[cfg(feature = "kafka")]
mod log;
mod policy;
#[cfg(feature = "kafka")]
mod post;
mod privacy;
mod progress;
mod reconcile;
mod replay;
mod resend;
mod rows;
mod shadow;
mod show;
mod store;
mod table;
mod tick;
#[cfg(feature = "kafka")]
mod topics;
pub mod verdicts;
mod verify;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{demo, load, out, serve};

/// Counts ad clicks so exactly that money can rest on them.
#[derive(Parser, Debug)]
#[command(name = "clickledger", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Demo(demo::DemoArgs),
    Serve(serve::ServeArgs),
    Import(import::ImportArgs),
    Show(show::ShowArgs),
    Store(store::StoreArgs),
    Link(link::LinkArgs),
    Key(key::KeyArgs),
    Policy(policy::PolicyArgs),
    Verify(verify::VerifyArgs),
    Load(load::LoadArgs),
    Archive(archive::ArchiveArgs),
    Audit(audit::AuditArgs),
    Explain(explain::ExplainArgs),
    Replay(replay::ReplayArgs),
    Privacy(privacy::PrivacyArgs),
    Reconcile(reconcile::ReconcileArgs),
    Resend(resend::ResendArgs),
    Tick(tick::TickArgs),
    #[cfg(feature = "kafka")]
    Log(log::LogArgs),
    #[cfg(feature = "kafka")]
    Post(post::PostArgs),
    #[cfg(feature = "kafka")]
    Topics(topics::TopicsArgs),
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli.command) {
        Ok(code) => code,
        Err(error) => {
            out::note(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Demo(args) => return demo::run(args),
        Command::Serve(args) => return serve::run(args),
        Command::Import(args) => import::run(args)?,
        Command::Show(args) => show::run(args)?,
        Command::Store(args) => store::run(args)?,
        Command::Link(args) => link::run(args)?,
        Command::Key(args) => key::run(args)?,
        Command::Policy(args) => policy::run(args)?,
        Command::Load(args) => load::run(args)?,
        Command::Verify(args) => return verify::run(args),
        Command::Archive(args) => archive::run(args)?,
        Command::Audit(args) => return audit::run(args),
        Command::Reconcile(args) => return reconcile::run(args),
        #[cfg(feature = "kafka")]
        Command::Log(args) => log::run(args)?,
        #[cfg(feature = "kafka")]
        Command::Topics(args) => return topics::run(args),
        Command::Resend(args) => resend::run(args)?,
        Command::Tick(args) => tick::run(args)?,
        #[cfg(feature = "kafka")]
        Command::Post(args) => post::run(args)?,
        Command::Explain(args) => explain::run(args)?,
        Command::Replay(args) => replay::run(args)?,
        Command::Privacy(args) => privacy::run(args)?,
    }
    Ok(ExitCode::SUCCESS)
}
