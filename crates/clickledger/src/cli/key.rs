//! `clickledger key`: make, list and revoke keys. A running server takes a change up by itself.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};

use crate::keys::{KeyInfo, KeyStore, Right};
use crate::out;

/// Keys: sign (links), edge (speaks for visitors in batches), admin (page and API).
#[derive(Args, Debug)]
pub struct KeyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Make a key; its secret is shown this once.
    Add(AddArgs),
    /// List all keys, without secrets.
    List {
        /// Data directory.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
    /// Put a key out of force for good.
    Revoke {
        /// Data directory.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// The key's id.
        id: String,
    },
}

#[derive(Args, Debug)]
struct AddArgs {
    /// Data directory.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[arg(long, value_enum)]
    right: RightArg,
    /// Who owns the key.
    #[arg(long, default_value = "default")]
    issuer: String,
    /// Edge: clicks without the visitor's address are taken.
    #[arg(long)]
    ip_optional: bool,
    /// Sign: no placement links.
    #[arg(long)]
    no_placement: bool,
    /// Sign: links may lead to these hosts alone (host or host:port, repeatable).
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RightArg {
    Sign,
    Edge,
    Admin,
}

/// Runs the command.
pub fn run(args: &KeyArgs) -> Result<()> {
    match &args.action {
        Action::Add(args) => add(args),
        Action::List { data } => {
            let (store, _) = KeyStore::open(data)?;
            store.list()?.iter().for_each(|key| out::line(describe(key)));
            Ok(())
        }
        Action::Revoke { data, id } => {
            let (store, _) = KeyStore::open(data)?;
            store.revoke(id)?;
            out::line(format_args!("{id} revoked"));
            Ok(())
        }
    }
}

fn add(args: &AddArgs) -> Result<()> {
    let (store, _) = KeyStore::open(&args.data)?;
    let grant = match args.right {
        RightArg::Sign => Right::Sign {
            link: true,
            placement: !args.no_placement,
            hosts: (!args.host.is_empty()).then(|| args.host.clone()),
        },
        RightArg::Edge => Right::Edge { ip_optional: args.ip_optional },
        RightArg::Admin => Right::Admin,
    };
    let key = store.create(&args.issuer, grant)?;
    out::note(format_args!("key {}; this secret is not shown again:", key.id));
    out::line(key.secret);
    Ok(())
}

fn describe(key: &KeyInfo) -> String {
    let right = match &key.grant {
        Right::Sign { link, placement, hosts } => {
            let hosts = hosts.as_ref().map_or_else(|| "any host".into(), |list| list.join(" "));
            format!("sign link={link} placement={placement} {hosts}")
        }
        Right::Edge { ip_optional } => format!("edge ip_optional={ip_optional}"),
        Right::Admin => "admin".to_owned(),
    };
    let state = key.revoked_at.map_or("in force", |_| "revoked");
    format!("{:6} {:10} {:16} {right}", key.id, state, key.issuer)
}
