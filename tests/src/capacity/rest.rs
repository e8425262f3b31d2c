//! What a message takes on disk.

use std::{fs, path::Path};

use sordino_stack::Stack;

use super::{Result, ceiling::output, failed};

/// Bytes on disk, once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stored {
    /// Segments of the topic.
    pub kafka: u64,
    /// Tables of the keyspace, flushed and compacted.
    pub cassandra: u64,
    /// Databases of users.
    pub postgres: u64,
}

/// What the first broker and the first node hold now.
///
/// # Errors
/// A directory cannot be read, `nodetool` fails.
pub fn stored(stack: &Stack) -> Result<Stored> {
    for task in ["flush", "compact"] {
        let mut tool = stack.nodetool()?;
        tool.args([task, "sordino"]);
        output(tool, "nodetool")?;
    }
    // Index files are sparse and as large as they may become.
    let segments = |path: &Path| path.extension().is_some_and(|e| e == "log");
    let topic = |path: &Path| segments(path) && path.to_string_lossy().contains("/messages-");
    let any = |_: &Path| true;
    Ok(Stored {
        kafka: size(&stack.data("kafka-1").join("log"), &topic)?,
        cassandra: size(&stack.data("cassandra-1").join("data/sordino"), &any)?,
        postgres: size(&stack.data("postgres").join("cluster/base"), &any)?,
    })
}

fn size(dir: &Path, counts: &dyn Fn(&Path) -> bool) -> Result<u64> {
    let failed = failed("measuring what is stored");
    let mut sum = 0;
    for entry in
        fs::read_dir(dir).map_err(|error| failed(&format!("{}: {error}", dir.display())))?
    {
        let entry = entry.map_err(|error| failed(&error))?;
        let path = entry.path();
        // Cassandra removes what it has compacted while we look.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            sum += size(&path, counts)?;
        } else if counts(&path) {
            sum += metadata.len();
        }
    }
    Ok(sum)
}
