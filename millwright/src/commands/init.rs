//! `millwright init`: what services in processes of their own need before their first start.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::cli::InitArgs;
use crate::services::SERVICES;
use crate::tls;

/// Runs it.
pub fn run(args: &InitArgs) -> Result<ExitCode> {
    let owner = args.owner.as_deref().map(owner).transpose()?;
    let secrets = args.dir.join("secrets");
    std::fs::create_dir_all(&secrets).with_context(|| format!("{}", secrets.display()))?;
    if args.dir.join("ca.pem").exists() {
        println!("certificates: there already, left as they are");
    } else {
        tls::make_for_stack(&args.dir, &args.hosts)?;
        println!("certificates: made for broker and query-api; clients trust {}", args.dir.join("ca.pem").display());
    }
    for name in SERVICES {
        let path = secrets.join(name);
        if !path.exists() {
            tls::write_private(&path, &format!("{}\n", mw_identity::random_secret()?))?;
        }
    }
    println!("secrets: {} services in {}", SERVICES.len(), secrets.display());
    if let Some((uid, gid)) = owner {
        let files = ["broker.pem", "broker.key", "query-api.pem", "query-api.key", "ca.pem", "secrets"];
        let all = files.iter().map(|f| args.dir.join(f)).chain(SERVICES.iter().map(|s| secrets.join(s)));
        for path in all {
            give(&path, uid, gid)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn give(path: &Path, uid: u32, gid: u32) -> Result<()> {
    std::os::unix::fs::chown(path, Some(uid), Some(gid)).with_context(|| format!("--owner: {}", path.display()))
}

fn owner(text: &str) -> Result<(u32, u32)> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, text));
    let number = |t: &str| t.parse().with_context(|| format!("--owner {text}: write it as UID or UID:GID"));
    Ok((number(uid)?, number(gid)?))
}
