//! What FCM's answers mean. <https://firebase.google.com/docs/cloud-messaging/error-codes>

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;

use crate::notify::provider::Outcome;

/// After `QUOTA_EXCEEDED` without a time of its own.
const QUOTA_WAIT: Duration = Duration::from_secs(60);
const FCM_ERROR: &str = "type.googleapis.com/google.firebase.fcm.v1.FcmError";

/// What an answer comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Outcome(Outcome),
    /// The access token is not taken.
    Unauthenticated,
}

#[derive(Deserialize)]
struct Sent {
    name: String,
}

#[derive(Deserialize)]
struct Failed {
    error: Error,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    status: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(rename = "@type", default)]
    kind: String,
    #[serde(rename = "errorCode", default)]
    code: String,
}

impl Answer {
    pub(super) fn of(status: StatusCode, after: Option<Duration>, body: &[u8]) -> Self {
        let error = serde_json::from_slice::<Failed>(body).ok();
        let code = error.as_ref().and_then(fcm_code);
        let outcome = match (status, code) {
            (StatusCode::OK, _) if is_sent(body) => Outcome::Sent,
            // A page of some proxy: FCM has not seen it.
            (StatusCode::OK, _) => Outcome::Later(after),
            // The only word by which a token is dead. `INVALID_ARGUMENT` is also said of a token that never was one, but as
            // well of a message that is wrong: a faulty release must not cost everybody their token.
            (StatusCode::NOT_FOUND, Some("UNREGISTERED")) => Outcome::Dead,
            (StatusCode::UNAUTHORIZED, Some("THIRD_PARTY_AUTH_ERROR")) => refused(status, &error),
            (StatusCode::UNAUTHORIZED, _) => return Self::Unauthenticated,
            (StatusCode::TOO_MANY_REQUESTS, _) => Outcome::Later(after.or(Some(QUOTA_WAIT))),
            (status, _) if status.is_server_error() => Outcome::Later(after),
            (StatusCode::REQUEST_TIMEOUT, _) => Outcome::Later(after),
            _ => refused(status, &error),
        };
        Self::Outcome(outcome)
    }
}

fn is_sent(body: &[u8]) -> bool {
    serde_json::from_slice::<Sent>(body).is_ok_and(|sent| !sent.name.is_empty())
}

fn fcm_code(failed: &Failed) -> Option<&str> {
    let details = &failed.error.details;
    let detail = details.iter().find(|detail| detail.kind == FCM_ERROR)?;
    Some(&detail.code)
}

/// Of Google's words only those that are codes: the message of an error may quote what was sent.
fn refused(status: StatusCode, failed: &Option<Failed>) -> Outcome {
    let code = failed.as_ref().and_then(|failed| {
        fcm_code(failed)
            .or(Some(&failed.error.status))
            .filter(|code| {
                code.len() <= 40 && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
            })
    });
    let code = code.unwrap_or("an answer that is not FCM's");
    Outcome::Refused(format!("{} {code}", status.as_u16()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, after: Option<u64>, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        Answer::of(status, after.map(Duration::from_secs), body.as_bytes())
    }

    fn error(status: &str, code: Option<&str>) -> String {
        let detail = |code| serde_json::json!([{ "@type": FCM_ERROR, "errorCode": code }]);
        let details = code.map_or(serde_json::json!([]), detail);
        serde_json::json!({ "error": { "code": 1, "message": "m", "status": status, "details": details } })
            .to_string()
    }

    fn outcome(answer: Answer) -> Outcome {
        match answer {
            Answer::Outcome(outcome) => outcome,
            Answer::Unauthenticated => panic!("unauthenticated"),
        }
    }

    #[test]
    fn a_token_is_dead_by_one_word_only() {
        let unregistered = error("NOT_FOUND", Some("UNREGISTERED"));
        assert_eq!(outcome(of(404, None, &unregistered)), Outcome::Dead);
        for (status, body) in [
            (404, error("NOT_FOUND", None)),
            (404, "<html>not found</html>".to_owned()),
            (404, String::new()),
            (400, unregistered.clone()),
            (403, unregistered.clone()),
            (500, unregistered.clone()),
            (200, unregistered),
            (403, error("PERMISSION_DENIED", Some("SENDER_ID_MISMATCH"))),
            (400, error("INVALID_ARGUMENT", Some("INVALID_ARGUMENT"))),
            (404, error("NOT_FOUND", Some("unregistered"))),
        ] {
            assert_ne!(
                outcome(of(status, None, &body)),
                Outcome::Dead,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn what_may_pass_is_tried_again_when_it_is_said() {
        let quota = error("RESOURCE_EXHAUSTED", Some("QUOTA_EXCEEDED"));
        let seconds = |s| Outcome::Later(Some(Duration::from_secs(s)));
        assert_eq!(outcome(of(429, Some(7), &quota)), seconds(7));
        assert_eq!(outcome(of(429, None, &quota)), seconds(60));
        let unavailable = error("UNAVAILABLE", Some("UNAVAILABLE"));
        assert_eq!(outcome(of(503, Some(3), &unavailable)), seconds(3));
        assert_eq!(outcome(of(503, None, &unavailable)), Outcome::Later(None));
        assert_eq!(outcome(of(500, None, "garbage")), Outcome::Later(None));
        assert_eq!(outcome(of(200, None, "garbage")), Outcome::Later(None));
        assert_eq!(
            outcome(of(200, None, "{\"name\":\"\"}")),
            Outcome::Later(None)
        );
        assert_eq!(outcome(of(200, None, "{\"name\":\"m\"}")), Outcome::Sent);
    }

    #[test]
    fn configuration_is_told_apart_and_nothing_is_quoted() {
        assert_eq!(
            of(401, None, &error("UNAUTHENTICATED", None)),
            Answer::Unauthenticated
        );
        assert_eq!(of(401, None, "garbage"), Answer::Unauthenticated);
        let refused = |status, body: &str| outcome(of(status, None, body));
        let says = |text: &str| Outcome::Refused(text.to_owned());
        let third = error("UNAUTHENTICATED", Some("THIRD_PARTY_AUTH_ERROR"));
        assert_eq!(refused(401, &third), says("401 THIRD_PARTY_AUTH_ERROR"));
        let mismatch = error("PERMISSION_DENIED", Some("SENDER_ID_MISMATCH"));
        assert_eq!(refused(403, &mismatch), says("403 SENDER_ID_MISMATCH"));
        assert_eq!(
            refused(403, &error("PERMISSION_DENIED", None)),
            says("403 PERMISSION_DENIED")
        );
        let odd = error("the token abc is wrong", None);
        assert_eq!(refused(400, &odd), says("400 an answer that is not FCM's"));
    }
}
