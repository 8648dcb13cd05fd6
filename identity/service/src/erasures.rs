//! Erasures of data subjects, as identity's log tells them, carried out on the vault of one context.
//! Owns no file: what is known is in the [`Directory`], what is done is in the vault.

use std::sync::Arc;
use std::time::Duration;

use mw_contract::{DataSubject, EventId};
use mw_log::Vault;
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::directory::Directory;
use crate::error::IdentityError;

/// How long after a failure it is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// One erasure: an event of identity, and whom it is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Erasure {
    /// Names it, so that a vault does it once.
    pub event_id: EventId,
    /// Whose text.
    pub subject: DataSubject,
}

/// Carries out every erasure that is known, also those of long ago: a backup may have brought their
/// keys back. Answers how many the vault had not done.
///
/// # Errors
/// When the vault can't be written.
pub fn apply(directory: &Directory, vault: &Vault) -> Result<usize, IdentityError> {
    let mut done = 0;
    for e in directory.erasures().iter() {
        if vault.erase(e.event_id, &e.subject)? {
            tracing::info!(subject = %e.subject, "the key of an erased data subject is destroyed");
            done += 1;
        }
    }
    Ok(done)
}

/// The same where blocking is not allowed.
///
/// # Errors
/// As [`apply`].
pub async fn carry_out(directory: &Arc<Directory>, vault: &Arc<Vault>) -> Result<usize, IdentityError> {
    let (directory, vault) = (directory.clone(), vault.clone());
    tokio::task::spawn_blocking(move || apply(&directory, &vault))
        .await
        .map_err(|_| IdentityError::Crypto("destroying keys"))?
}

/// Carries out the erasures that are known, and from then on each as soon as it is heard of. To be
/// awaited before anybody may ask the vault.
///
/// # Errors
/// When the known ones can't be carried out. One that fails later is tried until it succeeds.
pub async fn keep(directory: Arc<Directory>, vault: Arc<Vault>) -> Result<JoinHandle<()>, IdentityError> {
    let mut changes = directory.changes();
    carry_out(&directory, &vault).await?;
    Ok(tokio::spawn(async move {
        // The directory is held here, so this ends with its task.
        while changes.changed().await.is_ok() {
            while let Err(e) = carry_out(&directory, &vault).await {
                tracing::error!(error = %e, "the key of an erased data subject can't be destroyed; trying again");
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
    }))
}
