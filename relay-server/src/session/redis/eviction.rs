//! What Redis does when its memory is full.

use ::redis::cmd;

use super::RedisSessions;

impl RedisSessions {
    /// The server's `maxmemory-policy`; `None` where it cannot be asked, or does not tell. With any but `noeviction` it forgets
    /// connections that are there, and their devices hear nothing of other nodes until they are written again.
    pub async fn eviction(&self) -> Option<String> {
        let mut redis = self.node.commands().ok()?;
        let mut info = cmd("INFO");
        info.arg("memory");
        let said: String = info.query_async(&mut redis).await.ok()?;
        policy(&said).map(str::to_owned)
    }
}

/// The policy in an answer to `INFO memory`.
fn policy(info: &str) -> Option<&str> {
    let mut lines = info.lines();
    lines.find_map(|line| line.strip_prefix("maxmemory_policy:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_a_line_of_its_own() {
        let info = "# Memory\r\nmaxmemory:0\r\nmaxmemory_human:0B\r\nmaxmemory_policy:allkeys-lru\r\nmem_allocator:libc\r\n";
        assert_eq!(policy(info), Some("allkeys-lru"));
        assert_eq!(policy("maxmemory_policy:noeviction"), Some("noeviction"));
        assert_eq!(policy("# Memory\r\nmaxmemory:0\r\n"), None);
        assert_eq!(policy(""), None);
    }
}
