//! One fault after another.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    Failure,
    matrix::Fault,
    people::People,
    scene::{Scene, Since},
};

/// Between two looks at the notes.
const TICK: Duration = Duration::from_millis(10);
/// Between two looks at whether all is well.
const LOOK: Duration = Duration::from_millis(200);
/// All is well when nothing was slow for so long. Longer than a lost node's partitions are nobody's.
const CALM: Duration = Duration::from_secs(7);
/// What has not recovered by then never will.
const PATIENCE: Duration = Duration::from_secs(180);

/// What became of a fault.
#[derive(Debug, Clone)]
pub struct Window {
    /// [`Fault::name`].
    pub fault: &'static str,
    /// When it began: messages from here to the next window count as its.
    pub begun: Instant,
    /// What its recovery is counted from.
    pub since: Since,
    /// When that was.
    pub origin: Instant,
    /// How long messages were slow after that; `None` if they never stopped to be.
    pub recovery: Option<Duration>,
}

/// Waits until everybody hears everybody.
///
/// # Errors
/// Somebody does not, or ended, or Ctrl-C.
pub fn warm_up(scene: &Scene, people: &mut People) -> Result<(), Failure> {
    let begun = Instant::now();
    if settle(scene, people, begun, || Ok(Some(Instant::now())))? {
        return Ok(());
    }
    Err(format!(
        "no traffic at the start: {}",
        people.mute_since(begun).join(", ")
    )
    .into())
}

/// Does a fault while people talk, and waits until all is well again.
///
/// # Errors
/// It could not be done, or a client ended, or Ctrl-C.
pub fn suffer(scene: &Scene, people: &mut People, fault: &Fault) -> Result<Window, Failure> {
    let begun = Instant::now();
    let mut done = None;
    let well = thread::scope(|scope| {
        let mut deed = Some(scope.spawn(|| (fault.inject)(scene)));
        settle(scene, people, begun, || {
            let Some(over) = deed.take_if(|deed| deed.is_finished()) else {
                return Ok(None);
            };
            done = Some(over.join().map_err(|_| "the fault failed")??);
            Ok(Some(Instant::now()))
        })
    })?;
    let (since, origin) = done.ok_or("the fault is not over")?;
    Ok(Window {
        fault: fault.name,
        begun,
        since,
        origin,
        recovery: well.then(|| recovery(people, begun, origin)),
    })
}

/// Lets everybody fall silent and waits until all that was said is heard; whether it was.
///
/// # Errors
/// A client ended, or Ctrl-C.
pub fn hush(scene: &Scene, people: &mut People) -> Result<bool, Failure> {
    people.hush()?;
    let begun = Instant::now();
    // The last of them may not have been noted yet.
    let mut empty = None;
    loop {
        scene.go_on()?;
        people.listen()?;
        if people.under_way() > 0 {
            empty = None;
        } else if empty.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(1) {
            return Ok(true);
        }
        if begun.elapsed() > PATIENCE {
            return Ok(false);
        }
        thread::sleep(TICK);
    }
}

/// Reads notes until, once `over` says since when, every pair has spoken after that and nothing was slow for a while; whether
/// it came to that in time.
fn settle(
    scene: &Scene,
    people: &mut People,
    begun: Instant,
    mut over: impl FnMut() -> Result<Option<Instant>, Failure>,
) -> Result<bool, Failure> {
    let (mut looked, mut unwell, mut since) = (begun, begun, None);
    loop {
        scene.go_on()?;
        people.listen()?;
        if looked.elapsed() > LOOK {
            looked = Instant::now();
            if people.is_anything_slow() {
                unwell = looked;
            }
            if since.is_none() {
                since = over()?;
            }
            if let Some(since) = since {
                if unwell.max(since).elapsed() > CALM && people.mute_since(since).is_empty() {
                    return Ok(true);
                }
                if since.elapsed() > PATIENCE {
                    return Ok(false);
                }
            }
        }
        thread::sleep(TICK);
    }
}

/// How long after `origin` the last message arrived that had to wait.
fn recovery(people: &People, begun: Instant, origin: Instant) -> Duration {
    let slow = people.trips().values().filter(|trip| trip.is_slow());
    let arrived = slow.filter_map(|trip| trip.heard).filter(|at| *at > begun);
    let last = arrived.max().unwrap_or(origin);
    last.saturating_duration_since(origin)
}
