//! A chat in the terminal, on nothing but the client's public interface.

mod app;
mod args;
mod clock;
mod drafts;
#[cfg(test)]
mod fixture;
mod input;
mod model;
mod run;
mod screen;
mod session;
mod signals;
mod text;
mod view;
mod words;

use std::{error::Error, fs, path::Path, process::ExitCode, time::Duration};

use clap::Parser;
use jiff::tz::TimeZone;
use sordino::{Client, Code, FileKey};
use tokio::{sync::mpsc, time::timeout};

use crate::{app::App, args::Args, clock::Clock, screen::Screen, session::Session, text::Clean};

/// News that wait for the screen; whoever brings more waits.
const NEWS: usize = 256;
/// How long leaving may take. What is not sent by then is sent next time.
const LEAVING: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match chat(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sordino-terminal: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn chat(args: &Args) -> Result<(), Box<dyn Error>> {
    let client = open(args, &args.store()?).await?;
    let me = client.me().map(|me| Clean::line(&me.username));
    if let (Some(me), Some(name)) = (&me, &args.name)
        && me.as_str() != name
    {
        return Err(
            format!("this store belongs to {me}; give {name} another one with --store").into(),
        );
    }

    let (tell, mut news) = mpsc::channel(NEWS);
    let session = Session::start(client.clone(), tell, args.sign_up());
    let mut app = App::new(Clock::new(TimeZone::system(), clock::now_ms()), me);
    if let Some(name) = &args.name {
        app.begin_as(name);
    }

    let mut screen = Screen::enter()?;
    let ended = run::run(&mut app, &mut screen, &session, &mut news).await;
    drop(screen);
    // The store is safe at every moment: a relay that keeps silent must not keep the user.
    let leave = async {
        session.end().await;
        client.close().await;
    };
    let _ = timeout(LEAVING, leave).await;
    Ok(ended?)
}

/// Opens the store; no network is needed.
async fn open(args: &Args, store: &Path) -> Result<Client, Box<dyn Error>> {
    fs::create_dir_all(store).map_err(|e| {
        let store = store.display();
        format!("--store {store}: {e}; name a directory that can be made and written to")
    })?;
    let mut builder = Client::builder(&args.relay)
        .store(store)
        .keys(FileKey::new(store.join("key")))
        .device_name(args.device_name())
        .typing(!args.no_typing)
        .presence(args.presence.into());
    if let Some(name) = &args.relay_name {
        builder = builder.relay_name(name);
    }
    if let Some(file) = &args.authority {
        let pem = fs::read(file).map_err(|e| format!("--authority {}: {e}", file.display()))?;
        builder = builder.authorities(pem);
    }
    let client = builder.open().await.map_err(|error| match error.code() {
        Code::BadRequest => unfit(args, error.detail()),
        _ => format!("{}: {}", store.display(), words::error(&error)),
    })?;
    Ok(client)
}

/// What was given that will not do: the detail says what it is about.
fn unfit(args: &Args, detail: &str) -> String {
    if let (Some(file), true) = (&args.authority, detail.starts_with("authorities")) {
        let file = file.display();
        return format!("--authority {file}: there is no certificate in it that can be read (PEM)");
    }
    match detail.contains("name of a device") {
        true => format!("--device-name: {detail}"),
        false => format!("--relay {}: {detail}", args.relay),
    }
}
