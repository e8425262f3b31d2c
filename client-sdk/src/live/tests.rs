use proptest::prelude::*;

use super::*;

fn with(items: &[(u8, u8)]) -> Arc<Source<(u8, u8)>> {
    let source = Source::new();
    set(&source, items);
    source
}

fn set(source: &Source<(u8, u8)>, items: &[(u8, u8)]) {
    source.set(items.to_vec(), |item| item.0);
}

#[tokio::test]
async fn first_the_whole_list_then_what_changes() {
    let source = with(&[(1, 0)]);
    let mut list = source.read();
    assert_eq!(list.next().await, Some(ListDiff::Reset(vec![(1, 0)])));
    set(&source, &[(1, 0), (2, 0)]);
    set(&source, &[(1, 1), (2, 0)]);
    set(&source, &[(2, 0)]);
    assert_eq!(list.next().await, Some(ListDiff::Insert(1, (2, 0))));
    assert_eq!(list.next().await, Some(ListDiff::Update(0, (1, 1))));
    assert_eq!(list.next().await, Some(ListDiff::Remove(0)));
    source.end();
    assert_eq!(list.next().await, None);
    assert_eq!(list.next().await, None);
}

#[tokio::test]
async fn a_reader_that_waits_is_woken_and_one_that_gave_up_loses_nothing() {
    let source = with(&[]);
    let mut list = source.read();
    list.next().await;
    {
        let waiting = list.next();
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        set(&source, &[(1, 0)]);
    }
    assert_eq!(list.next().await, Some(ListDiff::Insert(0, (1, 0))));
    let reading = tokio::spawn(async move { list.next().await });
    set(&source, &[]);
    assert_eq!(reading.await.expect("read"), Some(ListDiff::Remove(0)));
}

#[tokio::test]
async fn a_slow_reader_holds_a_bounded_number_of_changes() {
    let source = with(&[]);
    let mut list = source.read();
    list.next().await;
    for n in 0..=WAITING {
        set(&source, &[(1, (n % 2) as u8)]);
    }
    assert!(list.reader.lock().diffs.len() <= WAITING);
    assert_eq!(list.next().await, Some(ListDiff::Reset(vec![(1, 0)])));
    set(&source, &[(1, 1)]);
    assert_eq!(list.next().await, Some(ListDiff::Update(0, (1, 1))));
}

#[tokio::test]
async fn readers_wait_for_the_first_items() {
    let source = Source::new();
    let mut list = source.read();
    {
        let waiting = list.next();
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        set(&source, &[]);
        assert_eq!(waiting.await, Some(ListDiff::Reset(vec![])));
    }
    let never = Source::<(u8, u8)>::new();
    never.end();
    assert_eq!(never.read().next().await, None);
}

/// Everything from 90 on waits for its place.
fn put(source: &Source<(u8, u8)>, item: (u8, u8)) {
    let is_final = |item: &(u8, u8)| item.1 < 90;
    source.place(item, |other| other.0 == item.0, is_final, |item| item.1);
}

#[test]
fn what_waits_for_its_place_does_not_hide_what_has_one() {
    let source = with(&[(1, 90), (2, 91)]);
    for change in [(3, 10), (1, 11), (4, 12), (2, 13), (5, 9)] {
        put(&source, change);
    }
    assert_eq!(source.lock().items, [(3, 10), (1, 11), (4, 12), (2, 13)]);
}

#[tokio::test]
async fn an_ordered_list_keeps_its_order() {
    // (id, order)
    let source = with(&[(1, 10), (2, 20)]);
    let place = |item| put(&source, item);
    let mut list = source.read();
    let mut read = Vec::new();
    for change in [(3, 30), (4, 25), (3, 22), (5, 5), (1, 10), (1, 40)] {
        place(change);
    }
    source.prepend(vec![(6, 6), (7, 7)]);
    while let Some(Some(diff)) = futures_util::FutureExt::now_or_never(list.next()) {
        diff.apply(&mut read);
    }
    assert_eq!(read, [(6, 6), (7, 7), (2, 20), (3, 22), (4, 25), (1, 40)]);
    assert_eq!(read, source.lock().items);
    place((2, 50));
    let mut again = source.read();
    assert_eq!(
        again.next().await,
        Some(ListDiff::Reset(source.lock().items.clone()))
    );
    while let Some(Some(diff)) = futures_util::FutureExt::now_or_never(list.next()) {
        diff.apply(&mut read);
    }
    assert_eq!(read, source.lock().items);
}

#[tokio::test]
async fn an_item_that_changes_its_place_is_never_missing() {
    // Two own messages that wait, and the relay gives each its place; between them another's comes.
    let source = with(&[(1, 10), (2, 90), (3, 91)]);
    let mut list = source.read();
    list.next().await;
    put(&source, (2, 11));
    assert_eq!(list.next().await, Some(ListDiff::Update(1, (2, 11))));
    put(&source, (4, 13));
    assert_eq!(list.next().await, Some(ListDiff::Insert(2, (4, 13))));
    put(&source, (3, 12));
    let moved = ListDiff::Move {
        from: 3,
        to: 2,
        item: (3, 12),
    };
    assert_eq!(list.next().await, Some(moved));
    put(&source, (3, 12));
    set(&source, &[(3, 20), (1, 10), (2, 11), (4, 13)]);
    let moved = ListDiff::Move {
        from: 2,
        to: 0,
        item: (3, 20),
    };
    assert_eq!(list.next().await, Some(moved));
}

#[test]
fn readers_that_are_gone_are_forgotten() {
    let source = with(&[(1, 0)]);
    let list = source.read();
    assert!(source.is_read());
    drop(list);
    assert!(!source.is_read());
    let _list = source.read();
    assert_eq!(source.lock().readers.len(), 1);
}

proptest! {
    #[test]
    fn changes_turn_one_list_into_the_other(
        old in prop::collection::hash_map(0u8..12, 0u8..3, 0..12),
        new in prop::collection::hash_map(0u8..12, 0u8..3, 0..12),
    ) {
        // A hash map's order is arbitrary: the lists share items in different orders.
        let old: Vec<_> = old.into_iter().collect();
        let new: Vec<_> = new.into_iter().collect();
        let mut list = old.clone();
        for diff in differences(&old, &new, |item| item.0) {
            diff.apply(&mut list);
        }
        prop_assert_eq!(list, new);
    }
}
