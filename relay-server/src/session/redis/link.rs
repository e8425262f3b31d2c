//! Two connections to Redis, one for commands and one for the node's channel, that live and die together: whatever is
//! lost with one is found again by beginning anew with both.

use std::sync::Arc;

use ::redis::{
    AsyncConnectionConfig, Client, PushInfo, PushKind, RedisResult, Value,
    aio::MultiplexedConnection,
};
use tokio_util::sync::CancellationToken;

use super::node::Node;

/// The connections, with a subscription to the node's channel where the node listens.
pub(super) struct Link {
    /// One of the connections ended.
    pub(super) lost: CancellationToken,
    /// Dropped, it closes.
    _channel: Option<MultiplexedConnection>,
}

impl Link {
    /// Connects and subscribes. From then on the node hears its channel and has its commands.
    pub(super) async fn open(node: &Arc<Node>, client: &Client) -> RedisResult<Self> {
        let lost = CancellationToken::new();
        // Weak: the node holds connections, and these hold what they push to.
        let (hears, lost_here) = (Arc::downgrade(node), lost.clone());
        let push = move |push: PushInfo| -> Result<(), ()> {
            match (push.kind, push.data.into_iter().nth(1)) {
                (PushKind::Disconnection, _) => lost_here.cancel(),
                (PushKind::Message, Some(Value::BulkString(message))) => {
                    if let Some(node) = hears.upgrade() {
                        node.hear(message);
                    }
                }
                _ => {}
            }
            Ok(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(node.timings.connect))
            .set_response_timeout(Some(node.timings.answer))
            .set_push_sender(push);
        let connect = || client.get_multiplexed_async_connection_with_config(&config);
        let channel = match node.listens {
            true => {
                let mut channel = connect().await?;
                channel.subscribe(&node.keys.own_node).await?;
                Some(channel)
            }
            false => None,
        };
        node.connect(connect().await?);
        Ok(Self {
            lost,
            _channel: channel,
        })
    }
}
