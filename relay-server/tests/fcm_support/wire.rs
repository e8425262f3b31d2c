//! What FCM and Google's OAuth read and write, as strictly as they do.

use std::collections::HashMap;

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{EMAIL, KEY_ID, PROJECT};

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    message: Message,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub token: String,
    data: Option<HashMap<String, String>>,
    android: Option<Android>,
    apns: Option<Apns>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Android {
    collapse_key: Option<String>,
    priority: Option<Priority>,
    #[serde(rename = "ttl")]
    _ttl: Option<String>,
}

#[derive(Deserialize)]
enum Priority {
    #[serde(rename = "NORMAL")]
    Normal,
    #[serde(rename = "HIGH")]
    High,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Apns {
    headers: Option<HashMap<String, String>>,
    payload: Option<Value>,
}

/// A message that FCM would take, and that wakes a device that sleeps.
pub fn message(headers: &HeaderMap, body: &[u8]) -> Result<Message, String> {
    let json = HeaderValue::from_static("application/json");
    if headers.get(header::CONTENT_TYPE) != Some(&json) {
        return Err("not JSON".to_owned());
    }
    let request: Request = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let message = request.message;
    if message.token.is_empty() {
        return Err("message.token".to_owned());
    }
    if message.data.as_ref().is_none_or(HashMap::is_empty) {
        return Err("message.data: nothing for the app to be run for".to_owned());
    }
    let reserved =
        |key: &String| key == "from" || key.starts_with("google.") || key.starts_with("gcm.");
    if message.data.iter().flat_map(HashMap::keys).any(reserved) {
        return Err("message.data: a reserved key".to_owned());
    }
    let android = message.android.as_ref();
    if !android.is_some_and(|android| {
        matches!(android.priority, Some(Priority::High)) && android.collapse_key.is_some()
    }) {
        return Err("message.android: would wait while the device dozes".to_owned());
    }
    let apns = message.apns.as_ref().ok_or("message.apns")?;
    let headers = apns.headers.as_ref().ok_or("message.apns.headers")?;
    let named = |name: &str| headers.get(name).map(String::as_str);
    // APNs refuses background notifications of priority 10.
    if named("apns-push-type") != Some("background") || named("apns-priority") != Some("5") {
        return Err("message.apns.headers".to_owned());
    }
    if apns.payload != Some(json!({ "aps": { "content-available": 1 } })) {
        return Err("message.apns.payload".to_owned());
    }
    Ok(message)
}

pub fn sent() -> Response {
    let name = format!(
        "projects/{PROJECT}/messages/0:{:016x}",
        rand::random::<u64>()
    );
    Json(json!({ "name": name })).into_response()
}

pub fn error(code: u16, status: &str, fcm: Option<&str>, after: Option<u64>) -> Response {
    let details: Vec<_> = fcm
        .iter()
        .map(|code| {
            json!({ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code })
        })
        .collect();
    failed(code, status, &details, after)
}

pub fn malformed(why: &str) -> Response {
    let violation = json!({ "field": "message", "description": why });
    let detail = json!({ "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation] });
    failed(400, "INVALID_ARGUMENT", &[detail], None)
}

fn failed(code: u16, status: &str, details: &[Value], after: Option<u64>) -> Response {
    let body = json!({ "error": { "code": code, "message": "As FCM says it.", "status": status, "details": details } });
    let code = StatusCode::from_u16(code).expect("a status");
    let mut response = (code, Json(body)).into_response();
    if let Some(after) = after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(after));
    }
    response
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    scope: String,
    iat: u64,
    exp: u64,
}

/// A JWT of the service account, for this server, for FCM, an hour at most.
pub fn assertion(
    headers: &HeaderMap,
    body: &[u8],
    public_key: &[u8],
    token_uri: &str,
) -> Result<(), String> {
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    if headers.get(header::CONTENT_TYPE) != Some(&form) {
        return Err("not a form".to_owned());
    }
    let jwt = std::str::from_utf8(body)
        .ok()
        .and_then(|body| {
            body.strip_prefix(
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=",
            )
        })
        .ok_or("not a JWT bearer grant")?;
    let kid = decode_header(jwt).map_err(|error| error.to_string())?.kid;
    if kid.as_deref() != Some(KEY_ID) {
        return Err("unknown key".to_owned());
    }
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[token_uri]);
    validation.set_issuer(&[EMAIL]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    let claims = decode::<Claims>(jwt, &DecodingKey::from_rsa_der(public_key), &validation)
        .map_err(|error| format!("Invalid JWT: {error}"))?
        .claims;
    let lifetime = claims.exp.saturating_sub(claims.iat);
    if claims.iss != EMAIL || claims.scope != SCOPE || lifetime > 3600 {
        return Err("Invalid JWT: wrong claims".to_owned());
    }
    Ok(())
}
