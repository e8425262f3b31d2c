//! Whom people have blocked, in PostgreSQL.

use sordino_protocol::UserId;
use sqlx::PgPool;

use super::{attempt::Stop, listener};
use crate::user::{Block, BlockTag, UserError, rows};

/// Keeps a decision, unless a later one is kept.
pub(super) async fn put(pool: &PgPool, user: UserId, block: &Block) -> Result<(), Stop> {
    let id = user.as_bytes().as_slice();
    let mut tx = pool.begin().await?;
    // One writer at a time: of two that see the last room one would be too many.
    sqlx::query("SELECT 1 FROM users WHERE user_id = $1 AND deleted_ms IS NULL FOR NO KEY UPDATE")
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(UserError::NotFound)?;
    let known: Option<i32> =
        sqlx::query_scalar("SELECT 1 FROM blocks WHERE user_id = $1 AND tag = $2")
            .bind(id)
            .bind(block.tag.as_slice())
            .fetch_optional(&mut *tx)
            .await?;
    if known.is_none() {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM blocks WHERE user_id = $1")
            .bind(id)
            .fetch_one(&mut *tx)
            .await?;
        if !rows::has_room_for_block(count) {
            // What was lifted longest ago makes room.
            let forgotten = sqlx::query(
                "DELETE FROM blocks WHERE user_id = $1 AND tag IN (SELECT tag FROM blocks \
                 WHERE user_id = $1 AND NOT blocked ORDER BY decided_ms LIMIT 1)",
            )
            .bind(id)
            .execute(&mut *tx)
            .await?;
            if forgotten.rows_affected() == 0 {
                return Err(UserError::TooManyBlocks.into());
            }
        }
    }
    sqlx::query(
        "INSERT INTO blocks (user_id, tag, blocked, decided_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (user_id, tag) DO UPDATE SET blocked = excluded.blocked, decided_ms = excluded.decided_ms \
         WHERE (excluded.decided_ms, excluded.blocked) > (blocks.decided_ms, blocks.blocked)",
    )
    .bind(id)
    .bind(block.tag.as_slice())
    .bind(block.blocked)
    .bind(rows::stored_ms(block.decided_ms))
    .execute(&mut *tx)
    .await?;
    listener::notify(&mut tx, user).await?;
    Ok(tx.commit().await?)
}

/// The tags of those who are blocked, ascending.
pub(super) async fn of(pool: &PgPool, user: UserId) -> Result<Vec<BlockTag>, UserError> {
    let tags: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT tag FROM blocks WHERE user_id = $1 AND blocked ORDER BY tag")
            .bind(user.as_bytes().as_slice())
            .fetch_all(pool)
            .await?;
    tags.into_iter().map(rows::block_tag).collect()
}
