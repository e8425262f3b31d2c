//! How much may wait for one device. What does not fit is not kept: the device is told to look for itself once there is
//! room again, because history has it all.

/// Events that may wait.
pub(super) const FRAMES: usize = 64;
/// Events up to which one that is worth nothing later is let in: those must not take the place of rows.
const PASSING: usize = FRAMES / 4;
/// Bytes that may wait.
pub(super) const BYTES: usize = 256 * 1024;

/// What waits, counted.
#[derive(Debug, Default)]
pub(super) struct Window {
    frames: usize,
    bytes: usize,
    missed: bool,
}

impl Window {
    /// Whether an event of this size may wait. From the first one that may not, none may until the window has emptied:
    /// the device pulls what it missed, and rows behind a hole would only wait there.
    pub(super) fn admit(&mut self, bytes: usize) -> bool {
        if self.missed || self.frames >= FRAMES || self.bytes + bytes > BYTES {
            self.missed = true;
            return false;
        }
        self.frames += 1;
        self.bytes += bytes;
        true
    }

    /// Whether an event that is worth nothing later may wait. One that may not is no loss.
    pub(super) fn admit_passing(&mut self, bytes: usize) -> bool {
        !self.missed && self.frames < PASSING && self.admit(bytes)
    }

    /// Something was missed elsewhere: `Sync` is due once nothing waits any more.
    pub(super) fn miss(&mut self) {
        self.missed = true;
    }

    /// An event of this size was written to the socket.
    pub(super) fn written(&mut self, bytes: usize) {
        self.frames = self.frames.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Whether `Sync` is due: something was missed and nothing waits any more. Asking opens the window, so that what is
    /// stored after the device has read is admitted again.
    pub(super) fn open(&mut self) -> bool {
        let due = self.missed && self.frames == 0;
        if due {
            self.missed = false;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_holds_so_many_frames_and_then_nothing_until_it_is_empty() {
        let mut window = Window::default();
        for _ in 0..FRAMES {
            assert!(window.admit(1));
        }
        assert!(!window.admit(1));
        window.written(1);
        assert!(!window.admit(1), "behind a hole");
        assert!(!window.open(), "something waits");
        for _ in 1..FRAMES {
            window.written(1);
        }
        assert!(window.open());
        assert!(!window.open(), "once");
        assert!(window.admit(1));
    }

    #[test]
    fn it_holds_so_many_bytes() {
        let mut window = Window::default();
        assert!(window.admit(BYTES - 1));
        assert!(window.admit(1));
        assert!(!window.admit(1));
    }

    #[test]
    fn what_is_worth_nothing_later_takes_a_part_of_it_and_is_never_missed() {
        let mut window = Window::default();
        for _ in 0..PASSING {
            assert!(window.admit_passing(1));
        }
        assert!(!window.admit_passing(1));
        assert!(window.admit(1), "rows come in all the same");
        for _ in 0..=PASSING {
            window.written(1);
        }
        assert!(!window.open(), "nothing was missed");
        window.miss();
        assert!(!window.admit_passing(1), "before the device has looked");
    }

    proptest! {
        /// A device that pulls at every `Sync` has seen every row once nothing waits any more.
        #[test]
        fn nothing_is_lost(steps in prop::collection::vec((any::<bool>(), 1usize..60_000), 0..400)) {
            let (mut window, mut queue) = (Window::default(), VecDeque::new());
            let (mut stored, mut seen, mut bytes) = (0u64, 0u64, 0usize);
            let read = |window: &mut Window, queue: &mut VecDeque<(u64, usize)>, stored: u64, seen: &mut u64| {
                if let Some((seq, size)) = queue.pop_front() {
                    if seq == *seen + 1 { *seen = seq; }
                    window.written(size);
                }
                if window.open() { *seen = stored; }
            };
            for (store, size) in steps {
                if store {
                    stored += 1;
                    if window.admit(size) { queue.push_back((stored, size)); bytes += size; }
                } else {
                    bytes -= queue.front().map_or(0, |(_, size)| *size);
                    read(&mut window, &mut queue, stored, &mut seen);
                }
                prop_assert!(queue.len() <= FRAMES && bytes <= BYTES);
            }
            for _ in 0..=FRAMES { read(&mut window, &mut queue, stored, &mut seen); }
            prop_assert_eq!(seen, stored);
        }
    }
}
