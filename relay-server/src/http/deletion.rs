//! The end of an account, by who opens its vault.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use sordino_protocol::{
    Code, UserId,
    http::Deletion,
    signed::{self, SignedType},
};

use super::{
    Api, ApiError, lists,
    login::array,
    request::{Body, Ids, to_the_end},
};
use crate::user::verify::verify;

/// `POST /v1/users/{user}/deletion`. Without a token: the identity key alone proves it, and its owner may have lost every device.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    Ids(user): Ids<UserId>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let Deletion {
        device,
        nonce,
        signature,
    } = body.json()?;
    let nonce = array(&nonce.0, "nonce")?;
    let signature = array(&signature.0, "signature")?;
    // Before anything is looked up for it.
    if !api.challenges.stands(&nonce, user, device, (api.now_ms)()) {
        return Err(Code::ChallengeExpired.into());
    }
    let Some(list) = api.users.newest_list(user).await? else {
        // Who asks again because the answer was lost.
        return match api.users.deleted(user).await? {
            Some(_) => Ok(StatusCode::NO_CONTENT),
            None => Err(Code::UserNotFound.into()),
        };
    };
    let signed = signed::deletion_body(&api.name, user, &nonce);
    let input = signed::input(SignedType::Deletion, &signed);
    if !verify(&list.identity_key, &input, &signature) {
        return Err(Code::BadProof.into());
    }
    // Or they would come again under the same e-mail address, or by the app's own login.
    api.must_be_enabled(user)?;
    api.redeem(&nonce, user, device).await?;
    to_the_end(async move {
        api.users.delete(user, (api.now_ms)()).await?;
        lists::announce(&api, user).await;
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
