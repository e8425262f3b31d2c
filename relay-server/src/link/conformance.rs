//! What all pipes must do, whichever node is asked.

use bytes::Bytes;
use sordino_protocol::{ChannelId, UserId};

use super::{PipeError, Pipes, Place, Side};

pub(crate) fn place(side: Side, number: u8) -> Place {
    Place {
        user: UserId::from_bytes([1; 16]),
        channel: ChannelId::from_bytes([2; 16]),
        side,
        number,
    }
}

pub(crate) async fn all(one: &dyn Pipes, other: &dyn Pipes) {
    let (key, hello) = (
        Bytes::from_static(b"\0key"),
        Bytes::from_static(b"hello\xff"),
    );
    let (old, new) = (place(Side::Old, 0), place(Side::New, 0));
    assert_eq!(one.get(&old).await, Ok(None), "nothing yet");
    let early = one.put(&new, hello.clone()).await;
    assert_eq!(early, Err(PipeError::Gone), "the old device begins");

    one.put(&old, key.clone()).await.unwrap();
    assert_eq!(other.get(&old).await, Ok(Some(key.clone())));
    assert_eq!(other.get(&new).await, Ok(None));
    other.put(&new, hello.clone()).await.unwrap();
    assert_eq!(one.get(&new).await, Ok(Some(hello.clone())));
    other.put(&place(Side::New, 1), Bytes::new()).await.unwrap();
    assert_eq!(one.get(&place(Side::New, 1)).await, Ok(Some(Bytes::new())));

    // An answer may have been lost.
    assert_eq!(other.put(&new, hello.clone()).await, Ok(()));
    let changed = other.put(&new, key.clone()).await;
    assert_eq!(changed, Err(PipeError::Taken));
    assert_eq!(one.get(&new).await, Ok(Some(hello.clone())), "once");

    let stranger = Place {
        user: UserId::from_bytes([9; 16]),
        ..old
    };
    assert_eq!(one.get(&stranger).await, Ok(None), "another user's");
    let not_there = one
        .put(
            &Place {
                number: 1,
                ..stranger
            },
            hello.clone(),
        )
        .await;
    assert_eq!(not_there, Err(PipeError::Gone));

    // Another pipe of the same user takes its place.
    let next = Place {
        channel: ChannelId::from_bytes([3; 16]),
        ..old
    };
    other.put(&next, key.clone()).await.unwrap();
    assert_eq!(one.get(&old).await, Ok(None));
    let late = one.put(&place(Side::New, 2), hello).await;
    assert_eq!(late, Err(PipeError::Gone));
    assert_eq!(
        one.get(&Place {
            side: Side::New,
            ..next
        })
        .await,
        Ok(None),
        "empty"
    );
    assert_eq!(one.get(&next).await, Ok(Some(key)));
}
