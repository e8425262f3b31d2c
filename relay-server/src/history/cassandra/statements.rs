//! Every statement that the relay sends while it serves.
//!
//! Each write names its timestamp (a test reads them all): at wall-clock time it would shadow a register for ever. None
//! writes a null: that would be a deletion.

use scylla::{
    client::session::Session, errors::PrepareError, statement::prepared::PreparedStatement,
};

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident: $text:literal;)*) => {
        /// The prepared statements.
        pub(super) struct Statements {
            $($(#[$doc])* pub(super) $name: PreparedStatement,)*
        }

        impl Statements {
            /// In this keyspace, whose name is a plain one.
            pub(super) async fn prepare(session: &Session, keyspace: &str) -> Result<Self, PrepareError> {
                Ok(Self { $($name: prepare(session, keyspace, $text).await?,)* })
            }
        }

        #[cfg(test)]
        const TEXTS: &[&str] = &[$($text),*];
    };
}

statements! {
    put_row:
        "INSERT INTO chat_histories (conversation_id, bucket, seq, message_id, header, content_hash, content, wraps) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
    put_state:
        "UPDATE chat_histories USING TIMESTAMP ? SET state = ? WHERE conversation_id = ? AND bucket = ?";
    /// Nothing in place of what a row said.
    put_empty:
        "UPDATE chat_histories USING TIMESTAMP ? SET content = 0x, wraps = 0x \
         WHERE conversation_id = ? AND bucket = ? AND seq = ?";
    put_register:
        "INSERT INTO conversations_by_user (user_id, conversation_id, peer_id, last_seq) VALUES (?, ?, ?, ?) \
         USING TIMESTAMP ?";
    put_acked:
        "UPDATE conversations_by_user USING TIMESTAMP ? SET acked[?] = ? WHERE user_id = ? AND conversation_id = ?";
    put_peer_acked:
        "UPDATE conversations_by_user USING TIMESTAMP ? SET peer_acked = ? WHERE user_id = ? AND conversation_id = ?";
    state:
        "SELECT state FROM chat_histories WHERE conversation_id = ? AND bucket = ? LIMIT 1";
    newest:
        "SELECT state, seq, message_id, header, content_hash, content, wraps FROM chat_histories \
         WHERE conversation_id = ? AND bucket = ? ORDER BY seq DESC LIMIT ?";
    up:
        "SELECT seq, message_id, header, content_hash, content, wraps FROM chat_histories \
         WHERE conversation_id = ? AND bucket = ? AND seq >= ? AND seq <= ? ORDER BY seq ASC LIMIT ?";
    down:
        "SELECT seq, message_id, header, content_hash, content, wraps FROM chat_histories \
         WHERE conversation_id = ? AND bucket = ? AND seq < ? ORDER BY seq DESC LIMIT ?";
    marks:
        "SELECT conversation_id, peer_id, last_seq, peer_acked, acked FROM conversations_by_user \
         WHERE user_id = ? AND conversation_id > ? LIMIT ?";
    register:
        "SELECT peer_id, last_seq, acked FROM conversations_by_user WHERE user_id = ? AND conversation_id = ?";
}

const TABLES: [&str; 2] = ["chat_histories", "conversations_by_user"];

/// Each table with its keyspace: Cassandra warns of prepared statements that rest on `USE`.
fn qualified(keyspace: &str, text: &str) -> String {
    TABLES.iter().fold(text.to_owned(), |text, table| {
        text.replace(table, &format!("{keyspace}.{table}"))
    })
}

async fn prepare(
    session: &Session,
    keyspace: &str,
    text: &str,
) -> Result<PreparedStatement, PrepareError> {
    let mut statement = session.prepare(qualified(keyspace, text)).await?;
    // Rows are write-once and registers only rise: what is sent twice changes nothing.
    statement.set_is_idempotent(true);
    Ok(statement)
}

#[cfg(test)]
mod tests {
    use super::TEXTS;

    #[test]
    fn every_write_names_its_timestamp() {
        for text in TEXTS {
            let reads = text.starts_with("SELECT");
            assert!(reads || text.contains("USING TIMESTAMP ?"), "{text}");
            // A deletion would need a timestamp above all that it deletes, and none is needed.
            assert!(!text.contains("DELETE"), "{text}");
        }
    }
}
