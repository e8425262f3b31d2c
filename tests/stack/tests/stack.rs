//! A whole stack, once. It takes a gigabyte and a half of memory and a minute, so it is asked for: `SORDINO_STACK_TEST=1`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::path::{Path, PathBuf};

use sordino_stack::{Error, Event, Health, Plan, Progress, Silent, Stack, down, status, up, wipe};

const BASE_PORT: u16 = 18_300;
const SERVICES: [&str; 4] = ["postgres", "redis", "kafka-1", "cassandra-1"];

#[test]
fn a_stack_comes_up_survives_faults_and_leaves_nothing() {
    if std::env::var_os("SORDINO_STACK_TEST").is_none() {
        eprintln!("skipped: SORDINO_STACK_TEST is not set");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let _cleaner = Cleaner(dir.path().join("stack"));
    let plan = Plan::new(&dir.path().join("stack")).unwrap();
    let plan = plan.base_port(BASE_PORT);

    let interrupted = up(&plan, &mut Hasty(false));
    assert!(matches!(interrupted, Err(Error::Interrupted)));
    // What was started then runs on.
    let left = started_by_up(&plan);
    assert!((1..SERVICES.len()).contains(&left), "{left}");
    assert_eq!(health(&plan.dir), [Health::Up; 4]);
    assert_eq!(started_by_up(&plan), 0, "everything runs already");

    let stack = Stack::open(&plan.dir).unwrap();
    assert_eq!(stack.names().unwrap(), SERVICES);
    each_fault_is_seen_and_undone(&stack);

    for name in SERVICES {
        stack.kill(name).unwrap();
    }
    assert_eq!(health(&plan.dir), [Health::Down; 4]);
    assert_eq!(started_by_up(&plan), SERVICES.len());
    assert_eq!(health(&plan.dir), [Health::Up; 4]);

    let pids = SERVICES.map(|name| stack.pid(name).unwrap());
    down(&plan.dir, &mut Silent).unwrap();
    assert_eq!(health(&plan.dir), [Health::Down; 4]);
    for pid in pids {
        let running = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
        assert!(running.unwrap_or_default().is_empty(), "{pid} still runs");
    }
    down(&plan.dir, &mut Silent).unwrap();
    wipe(&plan.dir).unwrap();
    assert!(!plan.dir.exists());
}

fn each_fault_is_seen_and_undone(stack: &Stack) {
    let dir = &stack.plan().dir;
    stack.hold("redis").unwrap();
    assert_eq!(health(dir)[1], Health::Held);
    stack.resume("redis").unwrap();
    assert_eq!(health(dir), [Health::Up; 4]);

    let before = stack.pid("postgres").unwrap();
    stack.restart("postgres").unwrap();
    assert_ne!(stack.pid("postgres").unwrap(), before);

    stack.kill("redis").unwrap();
    assert_eq!(health(dir)[1], Health::Down);
    assert!(stack.kill("redis").is_err());
    stack.start("redis").unwrap();
    assert_eq!(health(dir), [Health::Up; 4]);
    assert!(stack.start("redis-2").is_err());
}

struct Started(usize);

impl Progress for Started {
    fn event(&mut self, event: &Event) {
        eprintln!("{event:?}");
        self.0 += usize::from(matches!(event, Event::Started { .. }));
    }
}

/// Presses Ctrl-C when the first process has been started.
struct Hasty(bool);

impl Progress for Hasty {
    fn event(&mut self, event: &Event) {
        self.0 |= matches!(event, Event::Started { .. });
    }

    fn interrupted(&self) -> bool {
        self.0
    }
}

fn started_by_up(plan: &Plan) -> usize {
    let mut started = Started(0);
    let addresses = up(plan, &mut started).unwrap();
    assert!(addresses.postgres.starts_with("postgres://sordino:"));
    assert_eq!(addresses.kafka, format!("127.0.0.1:{}", BASE_PORT + 10));
    assert_eq!(addresses.front, None);
    started.0
}

fn health(dir: &Path) -> Vec<Health> {
    let rows = status(dir).unwrap();
    rows.iter().map(|row| row.health).collect()
}

/// A failed test leaves nothing either.
struct Cleaner(PathBuf);

impl Drop for Cleaner {
    fn drop(&mut self) {
        let _ = down(&self.0, &mut Silent);
        let _ = wipe(&self.0);
    }
}
