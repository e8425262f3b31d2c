//! Alice says hello, Bob answers. `cargo run -p sordino-hello [RELAY]`: without an address, a relay runs in the process.

use std::{error::Error, path::Path};

use sordino::{Client, Event, Events, FileKey, User};

/// A client with its store in `directory`, registered and connected.
async fn client(
    relay: &str,
    directory: &Path,
    name: &str,
) -> Result<(Client, User), sordino::Error> {
    let client = Client::builder(relay)
        .store(directory.join(name))
        .keys(FileKey::new(directory.join(format!("{name}.key"))))
        .open()
        .await?;
    let user = match client.me() {
        Some(user) => user,
        None => client.register(name, None).await?,
    };
    client.connect();
    Ok((client, user))
}

/// Prints the next message that comes.
async fn print_next(events: &mut Events, reader: &str) {
    while let Some(event) = events.next().await {
        if let Event::Received(message) = event {
            println!("{reader} reads: {}", message.text);
            return;
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let in_process = sordino_testing::TestRelay::start().await?;
    let relay = std::env::args().nth(1).unwrap_or_else(|| in_process.url());
    let directory = tempfile::tempdir()?;
    // Names are unique at a relay: another run has other ones.
    let run = std::process::id();
    let (alice, alice_user) = client(&relay, directory.path(), &format!("alice-{run}")).await?;
    let (bob, bob_user) = client(&relay, directory.path(), &format!("bob-{run}")).await?;
    let (mut at_alice, mut at_bob) = (alice.events(), bob.events());

    alice.conversation(bob_user.id).send("hello").await?;
    print_next(&mut at_bob, "Bob").await;
    bob.conversation(alice_user.id).send("hello to you").await?;
    print_next(&mut at_alice, "Alice").await;

    alice.close().await;
    bob.close().await;
    Ok(())
}
