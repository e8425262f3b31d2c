//! What a load balancer is told.

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::*;

#[tokio::test]
async fn a_store_that_does_not_answer_is_said_before_the_one_who_asks_gives_up() {
    let relay = Relay::new().await;
    let (status, _) = relay.get("/readyz").await;
    assert_eq!(status, StatusCode::NO_CONTENT);

    let file = relay.dir.path().join("users.sqlite");
    let options = SqliteConnectOptions::new().filename(file);
    let mut other = SqliteConnection::connect_with(&options)
        .await
        .expect("opened");
    let held = other.begin_with("BEGIN IMMEDIATE").await.expect("locked");
    let (status, body) = relay.get("/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    // The store itself would say something else, and much later.
    assert_eq!(body["detail"], json!("a store does not answer"));
    assert_eq!(relay.get("/healthz").await.0, StatusCode::NO_CONTENT);

    held.rollback().await.expect("given back");
    let given_back = async { while relay.get("/readyz").await.0 != StatusCode::NO_CONTENT {} };
    let within = std::time::Duration::from_secs(30);
    tokio::time::timeout(within, given_back)
        .await
        .expect("ready");
}
