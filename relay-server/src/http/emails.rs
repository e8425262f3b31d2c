//! Where the operator may reach people. The relay knows it by their word alone, and shows it to nobody else.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{Extensions, HeaderMap, Method, StatusCode, Uri},
};
use sordino_protocol::{Code, UserId, http::OwnEmail};

use super::{
    Api, ApiError,
    caller::Caller,
    passwords::count_guess,
    request::{Body, Ids},
};
use crate::{auth::password::name_id, config::Emails, user::Email};

/// `GET /v1/users/{user}/email`
pub(super) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Ids(user): Ids<UserId>,
) -> Result<Json<OwnEmail>, ApiError> {
    caller.must_be_user(user)?;
    let email = api.users.email(user).await?;
    Ok(Json(OwnEmail { email }))
}

/// `PUT /v1/users/{user}/email`
#[expect(
    clippy::too_many_arguments,
    reason = "axum gives each part of a request"
)]
pub(super) async fn replace(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Ids(user): Ids<UserId>,
    extensions: Extensions,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    caller.must_be_user(user)?;
    caller
        .must_have_signed(&api, (&method, &uri, &headers), &body)
        .await?;
    let OwnEmail { email } = body.json()?;
    let email = api.emails.taken(email.as_deref())?;
    if email.is_some() {
        // The answer says whether somebody has it: as rare as tries of a password. No user name has a space.
        let of = name_id(&format!("email of {user}"));
        count_guess(&api, &extensions, of).await?;
    }
    api.users.put_email(user, email.as_ref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl Emails {
    /// The address that somebody has brought, if the operator takes any.
    pub(super) fn taken(self, brought: Option<&str>) -> Result<Option<Email>, ApiError> {
        let bad = |what| ApiError::new(Code::BadRequest, what);
        match (self, brought) {
            (Self::Required, None) => Err(Code::EmailNeeded.into()),
            (_, None) => Ok(None),
            (Self::Off, Some(_)) => Err(bad("email: this relay takes none; leave it out")),
            (_, Some(typed)) => {
                let email = Email::parse(typed);
                email
                    .map(Some)
                    .ok_or_else(|| bad("email: not an address such as name@example.org"))
            }
        }
    }
}
