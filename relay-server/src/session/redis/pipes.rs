//! Pipes between two devices that are linked, in Redis: their requests reach any node.

use std::sync::LazyLock;

use ::redis::{Script, cmd};
use async_trait::async_trait;
use bytes::Bytes;

use super::{RedisSessions, fleet::ask, keeper::millis};
use crate::link::{LIFETIME, PipeError, Pipes, Place, Side};

const PUT: u8 = 0;
const TAKEN: u8 = 1;

/// One hash per user: the channel, and a field per message.
static PUT_MESSAGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "\
if redis.call('HGET', KEYS[1], 'channel') ~= ARGV[1] then
    if ARGV[4] == '0' then
        return 2
    end
    redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[1], 'channel', ARGV[1])
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
if redis.call('HSETNX', KEYS[1], ARGV[2], ARGV[3]) == 1 or redis.call('HGET', KEYS[1], ARGV[2]) == ARGV[3] then
    return 0
end
return 1",
    )
});

#[async_trait]
impl Pipes for RedisSessions {
    async fn put(&self, place: &Place, message: Bytes) -> Result<(), PipeError> {
        let key = self.node.keys.link(place.user);
        let put: Option<u8> = ask(&self.node, async |mut redis| {
            let mut put = PUT_MESSAGE.key(key);
            put.arg(place.channel.as_bytes()).arg(field(place));
            put.arg(&*message).arg(u8::from(place.is_first()));
            put.arg(millis(LIFETIME)).invoke_async(&mut redis).await
        })
        .await;
        match put.ok_or(PipeError::Unavailable)? {
            PUT => Ok(()),
            TAKEN => Err(PipeError::Taken),
            _ => Err(PipeError::Gone),
        }
    }

    async fn get(&self, place: &Place) -> Result<Option<Bytes>, PipeError> {
        let key = self.node.keys.link(place.user);
        let found: Option<(Option<Vec<u8>>, Option<Vec<u8>>)> =
            ask(&self.node, async |mut redis| {
                let mut get = cmd("HMGET");
                get.arg(key).arg("channel").arg(field(place));
                get.query_async(&mut redis).await
            })
            .await;
        let (channel, message) = found.ok_or(PipeError::Unavailable)?;
        let same = channel.is_some_and(|channel| channel == place.channel.as_bytes());
        Ok(message.filter(|_| same).map(Bytes::from))
    }
}

fn field(place: &Place) -> String {
    match place.side {
        Side::Old => format!("old/{}", place.number),
        Side::New => format!("new/{}", place.number),
    }
}
