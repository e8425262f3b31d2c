//! Each user's conversations, and what their devices have.

use std::collections::HashMap;

use scylla::DeserializeRow;
use sordino_protocol::{ConversationId, DeviceId, UserId};

use super::{Cassandra, session::failed};
use crate::history::{HistoryError, Mark, Progress};

type Acked = HashMap<Vec<u8>, i64>;

/// One conversation of a user.
pub(super) struct Register {
    pub(super) peer: UserId,
    last_seq: u64,
    acked: Acked,
}

impl Register {
    pub(super) fn progress(self) -> Result<Progress, HistoryError> {
        let of_device = |(device, seq): (Vec<u8>, i64)| {
            Ok((DeviceId::from_bytes(id(device)?), seq.cast_unsigned()))
        };
        Ok(Progress {
            last_seq: self.last_seq,
            acked: self
                .acked
                .into_iter()
                .map(of_device)
                .collect::<Result<_, HistoryError>>()?,
        })
    }
}

#[derive(DeserializeRow)]
struct Columns {
    conversation_id: Vec<u8>,
    peer_id: Option<Vec<u8>>,
    last_seq: Option<i64>,
    peer_acked: Option<i64>,
    acked: Option<Acked>,
}

impl Cassandra {
    /// `None`: the user has no row there.
    pub(super) async fn register(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<Register>, HistoryError> {
        let values = (
            user.as_bytes().as_slice(),
            conversation.as_bytes().as_slice(),
        );
        let now = self.now();
        let found = now
            .session
            .execute_unpaged(&now.statements.register, values);
        let found = found.await.map_err(failed)?;
        let found = found.into_rows_result().map_err(failed)?;
        let row = found.maybe_first_row::<(Option<Vec<u8>>, Option<i64>, Option<Acked>)>();
        let Some((Some(peer), Some(last_seq), acked)) = row.map_err(failed)? else {
            return Ok(None);
        };
        Ok(Some(Register {
            peer: UserId::from_bytes(id(peer)?),
            last_seq: last_seq.cast_unsigned(),
            acked: acked.unwrap_or_default(),
        }))
    }

    /// The peer and `last_seq` of a user's register.
    pub(crate) async fn register_of(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<(UserId, u64)>, HistoryError> {
        let register = self.register(user, conversation).await?;
        Ok(register.map(|register| (register.peer, register.last_seq)))
    }

    pub(super) async fn marks_after(
        &self,
        user: UserId,
        device: DeviceId,
        after: Option<ConversationId>,
        limit: usize,
    ) -> Result<Vec<Mark>, HistoryError> {
        // Every id is behind the empty one.
        let after = after.map_or(Vec::new(), |id| id.as_bytes().to_vec());
        let values = (
            user.as_bytes().as_slice(),
            after,
            i32::try_from(limit).unwrap_or(i32::MAX),
        );
        let now = self.now();
        let found = now.session.execute_unpaged(&now.statements.marks, values);
        let found = found.await.map_err(failed)?;
        let found = found.into_rows_result().map_err(failed)?;
        let mut marks = Vec::new();
        for columns in found.rows::<Columns>().map_err(failed)? {
            let columns = columns.map_err(failed)?;
            // A mark that stands alone for a moment: the peer was quicker than the second of the two registers.
            let (Some(peer), Some(last_seq)) = (columns.peer_id, columns.last_seq) else {
                continue;
            };
            let acked = columns.acked.unwrap_or_default();
            marks.push(Mark {
                conversation: ConversationId::from_bytes(id(columns.conversation_id)?),
                peer: UserId::from_bytes(id(peer)?),
                last_seq: last_seq.cast_unsigned(),
                peer_acked: columns.peer_acked.unwrap_or(0).cast_unsigned(),
                own_acked: of_device(&acked, device),
            });
        }
        Ok(marks)
    }

    /// Reads and writes without a lock: of two that rise at once both may be told, and the higher one stands.
    pub(super) async fn raise_mark(
        &self,
        user: UserId,
        device: DeviceId,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<(u64, UserId)>, HistoryError> {
        let Some(register) = self.register(user, conversation).await? else {
            return Ok(None);
        };
        // A device may not say that it has what does not exist yet: it would never be told when it does.
        let seq = seq.min(register.last_seq);
        if seq <= of_device(&register.acked, device) {
            return Ok(None);
        }
        let highest = register.acked.values().copied().max().unwrap_or(0);
        let risen = seq.cast_signed() > highest;
        if risen {
            // First: a device whose own mark stands does not say it again.
            self.raise_peer_acked(register.peer, conversation, seq)
                .await?;
        }
        self.raise_acked(user, device, conversation, seq).await?;
        Ok(risen.then_some((seq, register.peer)))
    }

    /// Raises what `peer` is told that the other person's devices have.
    pub(super) async fn raise_peer_acked(
        &self,
        peer: UserId,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<(), HistoryError> {
        let number = seq.cast_signed();
        let values = (
            number,
            number,
            peer.as_bytes().as_slice(),
            conversation.as_bytes().as_slice(),
        );
        self.put(|statements| &statements.put_peer_acked, values)
            .await
    }

    /// Raises a device's own mark.
    pub(super) async fn raise_acked(
        &self,
        user: UserId,
        device: DeviceId,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<(), HistoryError> {
        let number = seq.cast_signed();
        let values = (
            number,
            device.as_bytes().as_slice(),
            number,
            user.as_bytes().as_slice(),
            conversation.as_bytes().as_slice(),
        );
        self.put(|statements| &statements.put_acked, values).await
    }
}

fn of_device(acked: &Acked, device: DeviceId) -> u64 {
    let seq = acked.get(device.as_bytes().as_slice());
    seq.copied().unwrap_or(0).cast_unsigned()
}

fn id<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], HistoryError> {
    bytes.try_into().map_err(|_| failed("an id is damaged"))
}
