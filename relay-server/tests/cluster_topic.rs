//! Which topics serve as the log, on real Kafka: `SORDINO_TEST_KAFKA`.
#![cfg(feature = "cluster")]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};
use sordino_relay::{
    broker::kafka::{Options, Topic, TopicError},
    config::Config,
    stores::cluster::migrate,
};

/// A topic as `migrate` makes it on three brokers, but for one setting.
async fn made(brokers: &str, key: &str, value: &str) -> Options {
    let options = Options::new(brokers, format!("test_{:016x}", rand::random::<u64>()));
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .unwrap();
    let good = [
        ("message.timestamp.type", "LogAppendTime"),
        ("unclean.leader.election.enable", "false"),
        ("cleanup.policy", "delete"),
        ("retention.bytes", "-1"),
        ("retention.ms", "604800000"),
        ("min.insync.replicas", "2"),
    ];
    let one = NewTopic::new(&options.topic, 1, TopicReplication::Fixed(1));
    let topic = good.iter().fold(one, |topic, (name, good)| {
        topic.set(name, if *name == key { value } else { good })
    });
    let made = admin.create_topics([&topic], &AdminOptions::new()).await;
    assert!(made.unwrap().iter().all(Result::is_ok));
    // It is there already; this waits until the broker knows.
    assert_eq!(Topic::new(options.clone()).create(1, 1).await.unwrap(), 1);
    options
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_may_lose_messages_is_refused() {
    let Ok(brokers) = std::env::var("SORDINO_TEST_KAFKA") else {
        eprintln!("not run: SORDINO_TEST_KAFKA names no servers");
        return;
    };
    for (key, value, good, good_enough_for_dev) in [
        ("", "", true, true),
        ("retention.ms", "-1", true, true),
        ("retention.ms", "604800001", true, true),
        ("retention.ms", "604799999", false, true),
        ("min.insync.replicas", "1", false, true),
        ("message.timestamp.type", "CreateTime", false, false),
        ("retention.bytes", "1000000", false, false),
        ("cleanup.policy", "compact", false, false),
    ] {
        let options = made(&brokers, key, value).await;
        for (dev, good) in [(false, good), (true, good_enough_for_dev)] {
            let checked = Topic::new(options.clone()).check(dev).await;
            match &checked {
                Ok(()) => assert!(good, "{key}={value}, dev: {dev}"),
                Err(TopicError::Weak { key: found, .. }) => {
                    assert!(!good && found == key, "{checked:?}");
                }
                Err(error) => panic!("{error}"),
            }
        }
        if good {
            continue;
        }
        // Nothing is recorded of it: Cassandra, which is not there, was not asked.
        let config: Config = toml::from_str(&format!(
            "kafka = {{ brokers = '{brokers}', topic = '{}' }}\ncassandra.nodes = ['127.0.0.1:1']\n",
            options.topic,
        ))
        .unwrap();
        let refused = migrate(&config).await.err().unwrap().to_string();
        assert!(refused.contains(&format!("{key}={value}")), "{refused}");
    }
}
