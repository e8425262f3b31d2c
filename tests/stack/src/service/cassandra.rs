//! Cassandra: history, states of conversations, what each user has seen.
use std::{ffi::OsString, net::SocketAddr, time::Duration};

use super::{certificate, settle, words};
use crate::{
    Error, Plan, classpath::CASSANDRA, packages::JAVA, place::Place, probe::Probe,
    process::Process, up::Context,
};

/// What Java 17 must open for it, as in its own start script.
const EXPORTS: &str = "
    java.base/jdk.internal.misc java.base/jdk.internal.ref java.base/sun.nio.ch java.base/java.lang.ref
    java.base/jdk.internal.util java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry
    java.rmi/sun.rmi.server java.rmi/sun.rmi.transport.tcp java.sql/java.sql";
const OPENS: &str = "
    java.base/java.lang java.base/java.lang.module java.base/java.io java.base/java.nio java.base/java.util
    java.base/java.util.concurrent java.base/java.util.concurrent.atomic java.base/sun.nio.ch
    java.base/jdk.internal.loader java.base/jdk.internal.ref java.base/jdk.internal.reflect
    java.base/jdk.internal.math java.base/jdk.internal.module java.base/jdk.internal.util.jar
    jdk.management/com.sun.management.internal";
const MACHINE: &str = "-Xss512k -XX:MaxDirectMemorySize=256m -XX:+ExitOnOutOfMemoryError -Djdk.attach.allowAttachSelf=true
    -Dcassandra.superuser_setup_delay_ms=0 -Dcassandra-foreground=yes -Dcassandra.skip_wait_for_gossip_to_settle=0 -Dcassandra.consistent.rangemovement=false";
const TEMPLATE: &str = include_str!("../../../../deploy/cassandra/cassandra.yaml");
const RACK: &str = include_str!("../../../../deploy/cassandra/cassandra-rackdc.properties");
const RACK_FILE: &str = "cassandra-rackdc.properties";
/// For a small machine that others need as well.
const SMALL: &str = "\
auto_snapshot: false
memtable_heap_space: 128MiB
memtable_offheap_space: 128MiB
file_cache_size: 64MiB
";
/// A write waits until the commit log is synced, with a thread: their number, 32 unless said, bounds how many one sync takes.
const SYNCED: &str = "\
commitlog_sync_group_window: 10ms
concurrent_writes: 256
";
const LOGGING: &str = r#"<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%date{ISO8601} %-5level [%thread] %msg \(%logger{0}\)%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
  <logger name="org.apache.cassandra" level="INFO"/>
</configuration>
"#;
const LOGGING_FILE: &str = "cassandra-logback.xml";

pub(crate) fn name(n: u16) -> String {
    format!("cassandra-{n}")
}

/// Each node has a loopback address of its own, with the same ports.
pub(crate) fn address(plan: &Plan, n: u16) -> SocketAddr {
    at(plan, 20, n)
}

/// Where relay nodes look for it: the driver finds the other nodes at the port that it knows of the first.
pub(crate) fn reached(plan: &Plan, n: u16) -> SocketAddr {
    at(plan, if plan.detour { 56 } else { 20 }, n)
}

fn at(plan: &Plan, offset: u16, n: u16) -> SocketAddr {
    let mut address = plan.address(offset);
    let last = u8::try_from(n).unwrap_or(u8::MAX);
    address.set_ip([127, 0, 0, last].into());
    address
}

pub(crate) fn storage(plan: &Plan, n: u16) -> SocketAddr {
    at(plan, 21, n)
}

/// For `nodetool`. On 127.0.0.1 for every node, so each has a port of its own.
pub(crate) fn jmx(plan: &Plan, n: u16) -> SocketAddr {
    plan.address(22 + n)
}

pub(crate) fn addresses(plan: &Plan) -> Vec<SocketAddr> {
    (1..=plan.nodes).map(|n| address(plan, n)).collect()
}

pub(crate) fn process(plan: &Plan, n: u16) -> Result<Process, Error> {
    Ok(Process {
        name: name(n),
        program: JAVA.path()?,
        args: args(plan, n),
        before: |_| Ok(()),
        user: None,
        address: address(plan, n),
        health: address(plan, n),
        probe: Probe::Cassandra,
        ready_within: Duration::from_secs(180),
    })
}

/// Starts the nodes, one after another: two that join at once may take the same part of the ring.
pub(crate) fn bring_up(plan: &Plan, context: &Context<'_>) -> Result<(), Error> {
    CASSANDRA.ensure(context)?;
    let place = &context.place;
    place.write(&place.etc(LOGGING_FILE), LOGGING.as_bytes())?;
    place.write(&place.etc(RACK_FILE), RACK.as_bytes())?;
    for n in 1..=plan.nodes {
        place.write(&settings_file(place, n), settings(plan, n)?.as_bytes())?;
    }
    (1..=plan.nodes).try_for_each(|n| process(plan, n)?.ensure(context))
}

fn settings_file(place: &Place, n: u16) -> std::path::PathBuf {
    place.etc(&format!("{}.yaml", name(n)))
}

/// The operators' file with the stack's addresses. Where passwords are asked for, TLS is still only there for who wants it.
fn settings(plan: &Plan, n: u16) -> Result<String, Error> {
    let own = address(plan, n);
    let text = |text: &str| Some(text.to_owned());
    let mut values = vec![
        ("listen_address", Some(own.ip().to_string())),
        ("rpc_address", Some(own.ip().to_string())),
        ("native_transport_port", Some(own.port().to_string())),
        ("storage_port", Some(storage(plan, n).port().to_string())),
        ("- seeds", Some(format!("\"{}\"", storage(plan, 1)))),
        // All of it where `cassandra.storagedir` says.
        ("data_file_directories", None),
        ("commitlog_directory", None),
        ("saved_caches_directory", None),
        ("hints_directory", None),
    ];
    if plan.secure {
        let certificate = certificate::file(&plan.place()).display().to_string();
        values.extend([("optional", text("true")), ("keystore", Some(certificate))]);
    } else {
        values.extend([
            ("authenticator", text("AllowAllAuthenticator")),
            ("authorizer", text("AllowAllAuthorizer")),
            ("enabled", text("false")),
        ]);
    }
    let mut more = SMALL.to_owned();
    if !plan.loaded {
        values.extend([
            ("commitlog_sync", text("group")),
            ("commitlog_sync_period", None),
        ]);
        more += SYNCED;
    }
    Ok(settle("cassandra/cassandra.yaml", TEMPLATE, ": ", &values)? + &more)
}

fn args(plan: &Plan, n: u16) -> Vec<OsString> {
    let place = plan.place();
    let (heap, collector, ring_delay) = match plan.nodes {
        // With 512 it ran out of memory after one and a half million messages at full load. Threads that collect while everything
        // stands still wait for cores that everybody wants: with G1 it stood for 200 to 500 ms each time.
        1 if plan.loaded => (2048, "-XX:+UseShenandoahGC", 1),
        1 => (512, "-XX:+UseG1GC", 1),
        // Three on two cores: a collector without threads of its own. The others' gossip takes a moment to arrive.
        _ => (400, "-XX:+UseSerialGC", 2000),
    };
    let mut args: Vec<_> = words(MACHINE).collect();
    args.extend(words(&format!(
        "-Xms{heap}m -Xmx{heap}m {collector} -Dcassandra.ring_delay_ms={ring_delay} -Dcassandra.jmx.local.port={}",
        jmx(plan, n).port()
    )));
    args.extend(openings());
    let paths = [
        ("cassandra.config=file://", settings_file(&place, n)),
        ("cassandra.storagedir=", place.data(&name(n))),
        ("cassandra.logdir=", place.data(&name(n))),
        ("logback.configurationFile=", place.etc(LOGGING_FILE)),
        ("cassandra-rackdc.properties=file://", place.etc(RACK_FILE)),
    ];
    args.extend(paths.map(|(property, path)| {
        let mut arg = OsString::from(format!("-D{property}"));
        arg.push(path);
        arg
    }));
    args.extend(["-cp".into(), CASSANDRA.argument()]);
    args.push("org.apache.cassandra.service.CassandraDaemon".into());
    args
}

fn openings() -> impl Iterator<Item = OsString> {
    let openings = [("--add-exports", EXPORTS), ("--add-opens", OPENS)];
    openings.into_iter().flat_map(|(option, packages)| {
        words(packages).flat_map(move |mut package| {
            package.push("=ALL-UNNAMED");
            [option.into(), package]
        })
    })
}

/// What the machine of one of its tools needs.
pub(crate) fn tool_args() -> impl Iterator<Item = OsString> {
    openings().chain(words("-Xmx128m"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_second_node_asks_the_first() {
        let plan = Plan {
            nodes: 3,
            ..Plan::new(Path::new("/stack")).unwrap()
        };
        let settings = settings(&plan, 2).unwrap();
        assert!(settings.contains("listen_address: 127.0.0.2\n"));
        assert!(settings.contains("\n      - seeds: \"127.0.0.1:17321\"\n"));
        assert!(!settings.contains("10.0.0.4"));
        let args = args(&plan, 2);
        for expected in [
            "-Dcassandra.config=file:///stack/etc/cassandra-2.yaml",
            "-Dcassandra.storagedir=/stack/data/cassandra-2",
            "-Dcassandra.jmx.local.port=17324",
            "-Dcassandra.ring_delay_ms=2000",
            "java.base/sun.nio.ch=ALL-UNNAMED",
        ] {
            assert!(args.contains(&expected.into()), "{expected}");
        }
    }
}
