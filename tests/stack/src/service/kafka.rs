//! Kafka in KRaft mode: each process is broker and controller in one. It holds the log of all messages.
use std::{ffi::OsString, fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

use super::{certificate, relay, words};
use crate::{
    Error, Plan,
    classpath::KAFKA,
    packages::JAVA,
    place::Place,
    probe::Probe,
    process::{Process, run},
    up::Context,
};

/// On every broker. A cut-off consumer is given up after six seconds; the defaults, 45 s, are also the least it can ask for.
const COMMON: &str = "\
process.roles=broker,controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
num.partitions=16
auto.create.topics.enable=false
unclean.leader.election.enable=false
log.message.timestamp.type=LogAppendTime
log.retention.hours=168
log.retention.bytes=-1
group.consumer.session.timeout.ms=6000
group.consumer.min.session.timeout.ms=3000
group.consumer.heartbeat.interval.ms=300
group.consumer.min.heartbeat.interval.ms=200
group.initial.rebalance.delay.ms=0
";
const ONE: &str = "\
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
";
/// A dead broker is given up after three seconds instead of nine.
const THREE: &str = "\
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
";
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
        place.write(&properties_file(place, n), properties(plan, n).as_bytes())?;
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

fn properties(plan: &Plan, n: u16) -> String {
    let (client, control) = (broker(plan, n), controller(plan, n));
    let mut listeners = format!("PLAINTEXT://{client},CONTROLLER://{control}");
    let mut advertised = listeners.clone();
    if plan.detour || plan.secure {
        listeners += &format!(",RELAYS://{}", detour(plan, n));
        advertised += &format!(",RELAYS://{}", reached(plan, n));
    }
    let (protocol, secure) = match plan.secure {
        true => ("SASL_SSL", security(&plan.place())),
        false => ("PLAINTEXT", String::new()),
    };
    let quorum = list((1..=plan.brokers).map(|n| controller(plan, n).to_string()));
    let logs = plan.place().data(&name(n)).join("log");
    let replication = if plan.brokers == 1 { ONE } else { THREE };
    format!(
        "node.id={n}\nlisteners={listeners}\nadvertised.listeners={advertised}\n\
         controller.quorum.bootstrap.servers={quorum}\nlog.dirs={}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,RELAYS:{protocol},CONTROLLER:PLAINTEXT\n\
         {COMMON}{replication}{secure}",
        logs.display()
    )
}

/// The listener of the relay nodes, who may do what they were granted and nothing else; who comes by the others may do all.
fn security(place: &Place) -> String {
    format!(
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\nsuper.users=User:ANONYMOUS\n\
         ssl.keystore.type=PEM\nssl.keystore.location={}\n\
         listener.name.relays.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
         listener.name.relays.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;\n",
        certificate::file(place).display()
    )
}

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
        let properties = properties(&plan(3), 2);
        for line in [
            "node.id=2",
            "listeners=PLAINTEXT://127.0.0.1:17311,CONTROLLER://127.0.0.1:17316",
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
    fn no_setting_is_given_twice() {
        for brokers in [1, 3] {
            let text = properties(&plan(brokers), 1);
            let mut keys: Vec<_> = text.lines().map(|l| l.split('=').next()).collect();
            keys.sort_unstable();
            let all = keys.len();
            keys.dedup();
            assert_eq!(keys.len(), all);
        }
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
