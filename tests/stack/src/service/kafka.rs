//! Kafka in KRaft mode: each process is broker and controller in one. It holds the log of all messages.
use std::{ffi::OsString, fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

use super::{certificate, relay, settle, words};
use crate::{
    Error, Plan,
    classpath::KAFKA,
    packages::JAVA,
    place::Place,
    probe::Probe,
    process::{Process, run},
    up::Context,
};

const TEMPLATE: &str = include_str!("../../../../deploy/kafka/server.properties");
const LOGGING: &str = r#"<Configuration status="WARN">
  <Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %p %m (%c{1})%n"/></Console></Appenders>
  <Loggers><Root level="INFO"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"#;
const LOGGING_FILE: &str = "kafka-log4j2.xml";

/// Who relay nodes are to it, where they have to say.
pub(crate) const USER: &str = "relay";

pub(crate) fn name(n: u16) -> String {
    format!("kafka-{n}")
}

pub(crate) fn broker(plan: &Plan, n: u16) -> SocketAddr {
    plan.address(9 + n)
}

pub(crate) fn controller(plan: &Plan, n: u16) -> SocketAddr {
    plan.address(14 + n)
}

/// The listener of relay nodes that do not come straight: who comes here is told of the port that they know.
pub(crate) fn detour(plan: &Plan, n: u16) -> SocketAddr {
    plan.address(56 + n)
}

/// Where relay nodes look for it.
pub(crate) fn reached(plan: &Plan, n: u16) -> SocketAddr {
    match plan.detour {
        true => plan.address(52 + n),
        false if plan.secure => detour(plan, n),
        false => broker(plan, n),
    }
}

/// For a client's `bootstrap.servers`.
pub(crate) fn servers(plan: &Plan) -> String {
    list((1..=plan.brokers).map(|n| broker(plan, n).to_string()))
}

/// The same for relay nodes.
pub(crate) fn servers_reached(plan: &Plan) -> String {
    list((1..=plan.brokers).map(|n| reached(plan, n).to_string()))
}

pub(crate) fn process(plan: &Plan, n: u16) -> Result<Process, Error> {
    let place = plan.place();
    let mut logging = OsString::from("-Dlog4j2.configurationFile=");
    logging.push(place.etc(LOGGING_FILE));
    let mut args: Vec<_> = words("-Xms256m -Xmx512m -XX:+ExitOnOutOfMemoryError").collect();
    args.extend([
        logging,
        "-cp".into(),
        KAFKA.argument(),
        "kafka.Kafka".into(),
    ]);
    args.push(properties_file(&place, n).into());
    Ok(Process {
        name: name(n),
        program: JAVA.path()?,
        args,
        before: |_| Ok(()),
        user: None,
        address: broker(plan, n),
        health: broker(plan, n),
        probe: Probe::Kafka { broker: n },
        ready_within: Duration::from_secs(120),
    })
}

/// Starts the brokers, all at once: each needs the others.
pub(crate) fn bring_up(plan: &Plan, context: &Context<'_>) -> Result<(), Error> {
    KAFKA.ensure(context)?;
    let place = &context.place;
    place.write(&place.etc(LOGGING_FILE), LOGGING.as_bytes())?;
    for n in 1..=plan.brokers {
        place.write(&properties_file(place, n), properties(plan, n)?.as_bytes())?;
    }
    let made = place.etc("kafka.made");
    if !made.exists() {
        context.prepare("formatting Kafka's storage")?;
        format_storage(plan, place)?;
        place.write(&made, b"")?;
    }
    context.all((1..=plan.brokers).map(|n| process(plan, n)))?;
    let granted = place.etc("kafka.granted");
    if plan.secure && !granted.exists() {
        context.prepare("granting the relay nodes what they may do in Kafka")?;
        grant(plan)?;
        place.write(&granted, b"")?;
    }
    Ok(())
}

/// What the relay nodes may do, as docs/operations.md has it.
fn grant(plan: &Plan) -> Result<(), Error> {
    let groups = ["--group", "delivery", "--group", "notify"];
    for (resources, operations) in [
        (
            &["--topic", "messages"][..],
            &["Create", "Describe", "DescribeConfigs", "Read", "Write"][..],
        ),
        (&groups, &["Read", "Describe"]),
    ] {
        let mut acls = tool("org.apache.kafka.tools.AclCommand")?;
        acls.args(["--bootstrap-server", &servers(plan), "--add"]);
        acls.args(["--allow-principal", &format!("User:{USER}")]);
        acls.args(resources);
        for operation in operations {
            acls.args(["--operation", operation]);
        }
        run(&mut acls, "granting what relay nodes may do in Kafka")?;
    }
    Ok(())
}

fn properties_file(place: &Place, n: u16) -> std::path::PathBuf {
    place.etc(&format!("{}.properties", name(n)))
}

/// The operators' file with the stack's addresses. Tests and tools come by BROKERS, and so do relay nodes that need neither TLS
/// nor a detour.
fn properties(plan: &Plan, n: u16) -> Result<String, Error> {
    let place = plan.place();
    let (client, control) = (broker(plan, n), controller(plan, n));
    let mut listeners = format!("BROKERS://{client},CONTROLLER://{control}");
    let mut advertised = listeners.clone();
    if plan.detour || plan.secure {
        listeners += &format!(",RELAYS://{}", detour(plan, n));
        advertised += &format!(",RELAYS://{}", reached(plan, n));
    }
    let quorum = list((1..=plan.brokers).map(|n| controller(plan, n).to_string()));
    let logs = place.data(&name(n)).join("log").display().to_string();
    let mut values = vec![
        ("node.id", Some(n.to_string())),
        ("listeners", Some(listeners)),
        ("advertised.listeners", Some(advertised)),
        ("controller.quorum.bootstrap.servers", Some(quorum)),
        ("log.dirs", Some(logs)),
    ];
    if plan.secure {
        let certificate = certificate::file(&place).display().to_string();
        values.push(("ssl.keystore.location", Some(certificate)));
    } else {
        let map = "RELAYS:PLAINTEXT,CONTROLLER:PLAINTEXT,BROKERS:PLAINTEXT";
        values.push(("listener.security.protocol.map", Some(map.to_owned())));
        values.extend(SECURITY.map(|key| (key, None)));
    }
    if plan.brokers == 1 {
        values.extend(REPLICATION.map(|key| (key, Some("1".to_owned()))));
    }
    settle("kafka/server.properties", TEMPLATE, "=", &values)
}

/// What a stack without passwords leaves out.
const SECURITY: [&str; 6] = [
    "ssl.keystore.type",
    "ssl.keystore.location",
    "listener.name.relays.sasl.enabled.mechanisms",
    "listener.name.relays.scram-sha-512.sasl.jaas.config",
    "authorizer.class.name",
    "super.users",
];
/// What one broker cannot do thrice.
const REPLICATION: [&str; 5] = [
    "default.replication.factor",
    "min.insync.replicas",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "transaction.state.log.min.isr",
];

/// Gives every broker the cluster's id, and three of them each other's addresses.
fn format_storage(plan: &Plan, place: &Place) -> Result<(), Error> {
    let cluster = uuid();
    let mut quorum = vec!["--standalone".to_owned()];
    if plan.brokers > 1 {
        let voter = |n| format!("{n}@{}:{}", controller(plan, n), uuid());
        quorum = vec![
            "--initial-controllers".to_owned(),
            list((1..=plan.brokers).map(voter)),
        ];
    }
    if plan.secure {
        let password = relay::password(place)?;
        quorum.push("--add-scram".to_owned());
        quorum.push(format!("SCRAM-SHA-512=[name={USER},password={password}]"));
    }
    for n in 1..=plan.brokers {
        let logs = place.data(&name(n)).join("log");
        if logs.exists() {
            // Interrupted before.
            fs::remove_dir_all(&logs).map_err(Error::io("remove unfinished storage"))?;
        }
        format_one(&cluster, &quorum, &properties_file(place, n))?;
    }
    Ok(())
}

fn format_one(cluster: &str, quorum: &[String], properties: &Path) -> Result<(), Error> {
    let mut storage = tool("kafka.tools.StorageTool")?;
    storage
        .args(["format", "-t", cluster, "-c"])
        .arg(properties)
        .args(quorum);
    run(&mut storage, "formatting Kafka's storage")
}

/// One of Kafka's own tools.
pub(crate) fn tool(class: &str) -> Result<Command, Error> {
    let mut tool = Command::new(JAVA.path()?);
    tool.args(["-Xmx256m", "-cp"]).arg(KAFKA.argument());
    tool.arg(class);
    Ok(tool)
}

/// As Kafka writes one.
fn uuid() -> String {
    let mut bytes: [u8; 16] = rand::random();
    // No leading `-`, which tools would take for an option.
    let [first, ..] = &mut bytes;
    *first &= 0x7f;
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(brokers: u16) -> Plan {
        Plan {
            brokers,
            ..Plan::new(Path::new("/stack")).unwrap()
        }
    }

    #[test]
    fn three_brokers_keep_every_record_thrice() {
        let properties = properties(&plan(3), 2).unwrap();
        for line in [
            "node.id=2",
            "listeners=BROKERS://127.0.0.1:17311,CONTROLLER://127.0.0.1:17316",
            "controller.quorum.bootstrap.servers=127.0.0.1:17315,127.0.0.1:17316,127.0.0.1:17317",
            "log.dirs=/stack/data/kafka-2/log",
            "min.insync.replicas=2",
            "group.consumer.session.timeout.ms=6000",
            "auto.create.topics.enable=false",
        ] {
            assert!(properties.lines().any(|l| l == line), "{line}");
        }
        assert_eq!(
            servers(&plan(3)),
            "127.0.0.1:17310,127.0.0.1:17311,127.0.0.1:17312"
        );
    }

    #[test]
    fn one_broker_without_passwords_has_nothing_of_either() {
        let text = properties(&plan(1), 1).unwrap();
        assert!(text.contains("\nmin.insync.replicas=1\n"));
        assert!(!text.contains("10.0.0.") && !text.contains("SASL") && !text.contains("\nssl."));
        let secure = Plan {
            secure: true,
            ..plan(1)
        };
        let text = properties(&secure, 1).unwrap();
        assert!(!text.contains("10.0.0.") && text.contains("/stack/etc/server.pem"));
        assert!(text.contains("RELAYS:SASL_SSL"));
    }

    #[test]
    fn ids_look_like_kafkas() {
        for _ in 0..100 {
            let id = uuid();
            assert_eq!(id.len(), 22);
            assert!(!id.starts_with('-'));
        }
    }
}
