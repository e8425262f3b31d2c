//! Pipes of a single process.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use async_trait::async_trait;
use bytes::Bytes;
use sordino_protocol::{ChannelId, UserId};

use super::{LIFETIME, PipeError, Pipes, Place, Side};

/// Pipes at a time: with every message of the greatest length 48 MiB.
const PIPES: usize = 512;

struct Pipe {
    channel: ChannelId,
    ends: Instant,
    messages: HashMap<(Side, u8), Bytes>,
}

/// The pipes of a relay that is alone.
#[derive(Default)]
pub struct MemoryPipes(Mutex<HashMap<UserId, Pipe>>);

impl MemoryPipes {
    fn pipes(&self) -> MutexGuard<'_, HashMap<UserId, Pipe>> {
        // A map is whole between any two steps here, whatever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Pipes for MemoryPipes {
    async fn put(&self, place: &Place, message: Bytes) -> Result<(), PipeError> {
        let now = Instant::now();
        let mut pipes = self.pipes();
        let known = pipes.get(&place.user);
        let goes_on = known.is_some_and(|pipe| pipe.channel == place.channel && now < pipe.ends);
        if !goes_on {
            if !place.is_first() {
                return Err(PipeError::Gone);
            }
            if pipes.len() >= PIPES {
                pipes.retain(|_, pipe| now < pipe.ends);
            }
            if pipes.len() >= PIPES && !pipes.contains_key(&place.user) {
                return Err(PipeError::Unavailable);
            }
            let pipe = Pipe {
                channel: place.channel,
                ends: now + LIFETIME,
                messages: HashMap::new(),
            };
            pipes.insert(place.user, pipe);
        }
        let pipe = pipes.get_mut(&place.user).ok_or(PipeError::Gone)?;
        let at = (place.side, place.number);
        let stands = pipe.messages.entry(at).or_insert_with(|| message.clone());
        match *stands == message {
            true => Ok(()),
            false => Err(PipeError::Taken),
        }
    }

    async fn get(&self, place: &Place) -> Result<Option<Bytes>, PipeError> {
        let pipes = self.pipes();
        let pipe = pipes.get(&place.user);
        let pipe = pipe.filter(|pipe| pipe.channel == place.channel && Instant::now() < pipe.ends);
        Ok(pipe.and_then(|pipe| pipe.messages.get(&(place.side, place.number)).cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::conformance;

    #[tokio::test]
    async fn they_do_what_all_pipes_must() {
        let pipes = MemoryPipes::default();
        conformance::all(&pipes, &pipes).await;
    }

    #[tokio::test]
    async fn a_pipe_ends_and_makes_room() {
        let pipes = MemoryPipes::default();
        let key = || Bytes::from_static(b"key");
        let of = |user: u128| Place {
            user: UserId::from_bytes(user.to_be_bytes()),
            ..conformance::place(Side::Old, 0)
        };
        for user in 0..PIPES as u128 {
            pipes.put(&of(user), key()).await.unwrap();
        }
        let late = of(1_000_000);
        let full = pipes.put(&late, key()).await;
        assert_eq!(full, Err(PipeError::Unavailable));
        // One who has a pipe may begin another.
        let mut another = of(0);
        another.channel = ChannelId::from_bytes([77; 16]);
        assert_eq!(pipes.put(&another, key()).await, Ok(()));

        let one = of(3);
        pipes.pipes().get_mut(&one.user).unwrap().ends = Instant::now();
        assert_eq!(pipes.get(&one).await, Ok(None));
        let next = Place {
            side: Side::New,
            ..one
        };
        assert_eq!(pipes.put(&next, Bytes::new()).await, Err(PipeError::Gone));
        assert_eq!(pipes.put(&late, key()).await, Ok(()));
    }
}
