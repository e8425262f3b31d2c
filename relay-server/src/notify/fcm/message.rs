//! What goes through Google's hands: the same for every wake but for the token.

use serde::Serialize;
use serde_json::json;

/// Of several that wait for a device, FCM and APNs keep the last.
const COLLAPSE_KEY: &str = "sordino";

#[derive(Serialize)]
struct Body<'a> {
    message: Message<'a>,
}

#[derive(Serialize)]
struct Message<'a> {
    token: &'a str,
    #[serde(flatten)]
    rest: serde_json::Value,
}

/// A data message that says nothing, neither who nor what nor where. `HIGH` lets a dozing Android device run the app; for Apple's
/// it is a background notification, which has priority 5.
pub(super) fn wake(token: &str) -> Vec<u8> {
    let rest = json!({
        "data": { "sordino": "wake" },
        "android": { "priority": "HIGH", "collapse_key": COLLAPSE_KEY },
        "apns": {
            "headers": {
                "apns-push-type": "background",
                "apns-priority": "5",
                "apns-collapse-id": COLLAPSE_KEY,
            },
            "payload": { "aps": { "content-available": 1 } },
        },
    });
    let body = Body {
        message: Message { token, rest },
    };
    // Strings and numbers always have a form in JSON.
    serde_json::to_vec(&body).unwrap_or_default()
}
