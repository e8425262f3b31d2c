//! A device that another links: either of the two programs ends.

use std::time::Duration;

use futures_util::future::join_all;
use sordino::{Client, Error, LoginStep, Password};
use tokio::time::timeout;

use super::{Ending, Step, person, started, talk, until_agreed, until_end};
use crate::plenty::relay;
use crate::support::{
    Person,
    losing::Lost,
    phones::{PASSWORD, registered},
};

/// Nobody waits five minutes for a side that is gone.
const SOON: Duration = Duration::from_secs(10);

/// A link, from the login on.
async fn link(phone: &Client, client: &Client, name: &str) -> Result<(), Error> {
    let password = Password::new(PASSWORD);
    let LoginStep::Locked(login) = client.login(name, &password).await? else {
        return Ok(());
    };
    let linking = login.link();
    let (request, ()) = tokio::try_join!(phone.link(linking.code()), linking.met())?;
    tokio::try_join!(request.confirm(), linking.join(request.digits()))?;
    Ok(())
}

/// A link in which the program of one side ends at a step, on an account of its own. Whether it was reached.
async fn linked(url: &str, bob: &Person, step: Step, is_old: bool) -> bool {
    let name = format!("alice-{}-{}-{is_old}", step.number, step.what as u8);
    let (phone, _) = registered(url, &name).await;
    let home = tempfile::tempdir().expect("a directory");
    let done = if is_old {
        phone.client.close().await;
        let client = started(url, home.path()).await;
        let ask = async |phone: &Client| link(phone, &client, &name).await;
        let done = until_end(url, phone.directory.path(), step, &ask).await;
        client.close().await;
        done
    } else {
        let ask = async |client: &Client| link(&phone.client, client, &name).await;
        let done = until_end(url, home.path(), step, &ask).await;
        phone.client.close().await;
        done
    };
    let phone = person(url, phone.directory).await;
    for attempt in 0.. {
        let client = started(url, home.path()).await;
        let linked = timeout(SOON, link(&phone.client, &client, &name));
        let there = client.me().is_some() || matches!(linked.await, Ok(Ok(())));
        client.close().await;
        if there {
            break;
        }
        assert!(attempt < 3, "{step:?} {is_old}");
    }
    let tablet = person(url, home).await;
    talk(bob, &[&phone, &tablet]).await;
    until_agreed(&[&phone, &tablet]).await;
    done.is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_either_side() {
    const AT_A_TIME: usize = 5;
    let relay = relay().await;
    let url = relay.url();
    let bob = Person::online(&url, "bob").await;
    for is_old in [true, false] {
        for what in [Lost::Request, Lost::Answer] {
            // Several at a time: most of it is waiting.
            for first in (1..).step_by(AT_A_TIME) {
                let steps = (first..first + AT_A_TIME).map(|number| Step {
                    number,
                    what,
                    ending: Ending::Closed,
                });
                let steps = steps.map(|step| linked(&url, &bob, step, is_old));
                if !join_all(steps).await.into_iter().all(|reached| reached) {
                    let enough = first > AT_A_TIME || what == Lost::Answer;
                    assert!(enough, "too few steps: {first}");
                    break;
                }
            }
        }
    }
}
