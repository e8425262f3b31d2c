//! The end of the account, by who opens its vault.

use std::sync::Arc;

use sordino_protocol::Code;

use super::{VaultSecret, devices::Here};
use crate::{
    engine::{Core, errands::is_deleted},
    error::Error,
};

/// Ends the account at the relay. What is on this device stays.
pub(crate) async fn delete_account(core: &Arc<Core>, secret: VaultSecret) -> Result<(), Error> {
    let _one = core.account.lock().await;
    let user = core.shared.registered()?.user;
    match delete(core, &secret).await {
        // By an earlier attempt, whose answer was lost.
        Err(error) if error.code() == Code::AccountDeleted => {}
        done => done?,
    }
    is_deleted(core, user).await
}

async fn delete(core: &Arc<Core>, secret: &VaultSecret) -> Result<(), Error> {
    let here = Here::find(core).await?;
    let identity_key = here.open_vault(core, secret).await?.contents.identity_key;
    let (user, device) = (here.user, here.device);
    core.http
        .delete_account(user, device, |relay, nonce| {
            identity_key.sign_deletion(relay, user, nonce)
        })
        .await
}
