//! `millwright account`: through the control socket of a running system, else on the directory at rest.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use mw_contract::AccountName;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::{AccountCommand, Common};
use crate::config;
use crate::control::{self, Request};
use crate::services::control::accounts;
use crate::services::data::Data;
use crate::services::identity::{Identity, operator};
use crate::services::meters::Meters;

/// Runs it.
pub fn run(command: AccountCommand) -> Result<ExitCode> {
    super::block_on(dispatch(command))?
}

async fn dispatch(command: AccountCommand) -> Result<ExitCode> {
    match command {
        AccountCommand::Add { account, roles, sites, customer, cell, common } => {
            let secret = new_secret()?;
            let mut payload = json!({"account": account, "roles": roles, "sites": sites, "secret": secret.text});
            for (field, value) in [("customer_id", customer), ("cell", cell)] {
                if let Some(v) = value {
                    payload[field] = json!(v);
                }
            }
            change(&common, "account.add", &account, payload, Some(&secret)).await
        }
        AccountCommand::Disable { account, reason, common } => {
            let mut payload = json!({"account": account});
            if let Some(r) = reason {
                payload["reason"] = json!(r);
            }
            change(&common, "account.disable", &account, payload, None).await
        }
        AccountCommand::Enable { account, common } => {
            change(&common, "account.enable", &account, json!({"account": account}), None).await
        }
        AccountCommand::EraseSubject { customer, account, reason, common } => {
            let mut payload = json!({});
            let fields = [("customer_id", &customer), ("account", &account), ("reason", &reason)];
            for (field, value) in fields.into_iter().filter_map(|(f, v)| Some((f, v.as_ref()?))) {
                payload[field] = json!(value);
            }
            let named = customer.map(|c| format!("customer {c}")).or(account.map(|a| format!("account {a}")));
            let named = named.unwrap_or_default();
            if !execute(&common, "account.erase-subject", &named, payload).await? {
                return Ok(ExitCode::from(1));
            }
            println!("account.erase-subject {named}: done");
            Ok(ExitCode::SUCCESS)
        }
        AccountCommand::RotateSecret { account, common } => {
            let secret = new_secret()?;
            let payload = json!({"account": account, "secret": secret.text});
            change(&common, "account.rotate-secret", &account, payload, Some(&secret)).await
        }
        AccountCommand::Grant { account, roles, sites, common } => {
            let payload = json!({"account": account, "roles": roles, "sites": sites});
            change(&common, "account.grant", &account, payload, None).await
        }
        AccountCommand::Revoke { account, roles, sites, common } => {
            let payload = json!({"account": account, "roles": roles, "sites": sites});
            change(&common, "account.revoke", &account, payload, None).await
        }
        AccountCommand::List { json, common } => list(&common, json).await,
    }
}

/// The secret of an account, and whether it must be shown because nobody else knows it.
struct NewSecret {
    text: String,
    made_here: bool,
}

/// A secret from the variable or its file, else a random one.
fn new_secret() -> Result<NewSecret> {
    Ok(match config::secret("MILLWRIGHT_NEW_SECRET", None)? {
        Some(text) => NewSecret { text, made_here: false },
        None => NewSecret { text: mw_identity::random_secret()?, made_here: true },
    })
}

async fn change(
    common: &Common,
    kind: &str,
    account: &str,
    payload: Value,
    secret: Option<&NewSecret>,
) -> Result<ExitCode> {
    AccountName::new(account).with_context(|| format!("account {account:?}"))?;
    if !execute(common, kind, &format!("account {account}"), payload).await? {
        return Ok(ExitCode::from(1));
    }
    println!("{kind} {account}: done");
    if let Some(s) = secret.filter(|s| s.made_here) {
        println!("secret: {}", s.text);
        println!("It is shown this once; a lost one is replaced by: millwright account rotate-secret {account}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends one command about `who`; says why when it is refused, and what is to be looked at when not.
async fn execute(common: &Common, kind: &str, who: &str, payload: Value) -> Result<bool> {
    let command = json!({"command_id": Uuid::now_v7(), "type": kind, "payload": payload});
    let data = config::base(common, &config::file(common)?).data;
    let reply = match control::connect(&data).await {
        Some(stream) => control::ask(stream, &Request::Execute { site: None, command }, |_| Ok(())).await?,
        None => at_rest(&data, command).await?,
    };
    let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
    if let Some(error) = reply.get("error").filter(|e| !e.is_null()) {
        let field = error["field"].as_str().map(|f| format!(" ({f})")).unwrap_or_default();
        let code = error["code"].as_str().unwrap_or("refused");
        eprintln!("millwright: {who}: {code}: {}{field}", text(&error["message"]));
        return Ok(false);
    }
    for warning in reply["warnings"].as_array().into_iter().flatten() {
        eprintln!("millwright: {who}: {}", text(&warning["message"]));
    }
    Ok(true)
}

async fn at_rest(data: &std::path::Path, command: Value) -> Result<Value> {
    let identity = open(data).await?;
    let clock = std::sync::Arc::new(mw_runtime::BusinessClock::wall());
    let (service, following) = identity.start(None, clock).await?;
    let reply = service.execute(operator()?, None, command.to_string().as_bytes()).await?;
    // The feed puts a new secret into force.
    identity.directory.wait_for(service.head().commit).await;
    identity.erase_at_rest()?;
    following.abort();
    service.shutdown().await;
    identity.log.close()?;
    Ok(serde_json::to_value(reply)?)
}

async fn open(data: &std::path::Path) -> Result<Identity> {
    if !data.join("logs/identity").exists() {
        bail!("{} has no accounts yet: start it once with `millwright up`, or check --data", data.display());
    }
    Identity::open(&Data::lock(data)?, Vec::new(), &Meters::default()).await
}

async fn list(common: &Common, as_json: bool) -> Result<ExitCode> {
    let data = config::base(common, &config::file(common)?).data;
    let all = match control::connect(&data).await {
        Some(stream) => control::ask(stream, &Request::Accounts, |_| Ok(())).await?,
        None => accounts(&open(&data).await?.directory),
    };
    if as_json {
        println!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = super::table(["account", "roles", "sites", "customer", "cell", "state"]);
    for a in all.as_array().into_iter().flatten() {
        let list = |v: &Value| {
            let items: Vec<&str> = v.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            items.join(" ")
        };
        let text = |v: &Value| v.as_str().unwrap_or("").to_owned();
        let state = if a["disabled"] == json!(true) { "disabled" } else { "enabled" };
        table.add_row([
            text(&a["account"]),
            list(&a["roles"]),
            list(&a["sites"]),
            text(&a["customer_id"]),
            text(&a["cell"]),
            state.into(),
        ]);
    }
    println!("{table}");
    Ok(ExitCode::SUCCESS)
}
