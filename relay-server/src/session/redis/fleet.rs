//! What all nodes count together, in Redis: token buckets, and names that are used once.

use std::{sync::LazyLock, time::Duration};

use ::redis::{Script, cmd};
use async_trait::async_trait;
use tokio::time::timeout;

use super::{RedisSessions, keeper::millis, node::Node};
use crate::ops::{
    fleet::{Bucket, Fleet, Share},
    rates::Wait,
};

/// Questions under way. One more is not asked.
pub(super) const QUESTIONS: usize = 64;

/// A bucket as one number, the time at which it is full again (GCRA). By the clock of Redis: nodes need not agree on
/// theirs. Returns the milliseconds to wait, 0 where the tokens were taken.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "\
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local each, burst, tokens = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + each * tokens
local wait = full - each * burst - now
if wait > 0 then
    return math.ceil(wait)
end
if full > now then
    redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', math.ceil(full - now))
end
return 0",
    )
});

#[async_trait]
impl Fleet for RedisSessions {
    async fn take(&self, bucket: Bucket, share: Share, tokens: u32) -> Option<Result<(), Wait>> {
        let each = share.within.as_secs_f64() * 1000.0 / f64::from(share.tokens.max(1));
        let key = self.node.keys.rate(&bucket.name());
        let wait: u64 = ask(&self.node, async |mut redis| {
            let mut take = TAKE.key(key);
            take.arg(each).arg(share.burst).arg(tokens);
            take.invoke_async(&mut redis).await
        })
        .await?;
        Some(match wait {
            0 => Ok(()),
            wait => Err(Wait(Duration::from_millis(wait))),
        })
    }

    async fn once(&self, name: &[u8], time: Duration) -> Option<bool> {
        let key = self.node.keys.once(&hex::encode(name));
        let set: Option<String> = ask(&self.node, async |mut redis| {
            let mut set = cmd("SET");
            set.arg(key).arg(1).arg("NX").arg("PX").arg(millis(time));
            set.query_async(&mut redis).await
        })
        .await?;
        Some(set.is_some())
    }
}

/// Asks within [`super::Timings::question`], or not at all.
pub(super) async fn ask<T, F>(
    node: &Node,
    question: impl FnOnce(::redis::aio::MultiplexedConnection) -> F,
) -> Option<T>
where
    F: Future<Output = ::redis::RedisResult<T>>,
{
    let unasked = metrics::counter!("sordino_fleet_unasked_total");
    let Ok(_turn) = node.questions.try_acquire() else {
        // Too many at once is no word about Redis.
        unasked.increment(1);
        return None;
    };
    let answer = match node.commands() {
        Ok(redis) => timeout(node.timings.question, question(redis)).await.ok(),
        Err(_) => None,
    };
    let answer = answer.and_then(Result::ok);
    if answer.is_none() {
        unasked.increment(1);
    }
    node.says_fleet(answer.is_some());
    answer
}
