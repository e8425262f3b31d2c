//! The client behind the screen: carries out its commands, brings it the news.

use std::sync::{Arc, Mutex, PoisonError};

use sordino::{
    Client, Code, ConnectionState, Conversation, Credential, Draft, Error, Events, LinkRequest,
    ListDiff, LiveList, Login, LoginStep, Password, RecoveryKey, ResetStep, SafetyNumber, SignUp,
    Unlock, User, VaultSecret,
};
use tokio::{
    sync::mpsc::{self, Sender, UnboundedSender},
    task::AbortHandle,
};

use crate::{
    clock,
    drafts::Drafts,
    model::{
        Change, Command, Connection, Decision, DeviceId, Diff, Event, Lost, Peer, Typed, UserId,
    },
    text::Clean,
    words,
};

/// Messages fetched at a time.
const PAGE: u32 = 100;

/// A client at work.
pub(crate) struct Session {
    client: Client,
    news: Sender<Event>,
    /// One after the other: messages keep the order in which they were typed.
    sends: UnboundedSender<(UserId, Draft)>,
    drafts: Drafts,
    /// Brings the news of the open conversation.
    open: Mutex<Option<AbortHandle>>,
    /// An account whose password was right, and which is still closed.
    login: Arc<tokio::sync::Mutex<Option<Login>>>,
    link: Link,
    /// Looks for what is being typed.
    search: Mutex<Option<AbortHandle>>,
    /// The safety number that is shown.
    number: Arc<tokio::sync::Mutex<Option<SafetyNumber>>>,
    /// For an account that is to be made, but for its password.
    sign_up: SignUp,
}

/// A link of this device by another, or of another by this one.
#[derive(Default)]
struct Link {
    /// Works on it.
    task: Mutex<Option<AbortHandle>>,
    /// Where the digits go that are typed here.
    typed: Mutex<Option<Sender<String>>>,
    /// Another device that was met here.
    met: Arc<tokio::sync::Mutex<Option<LinkRequest>>>,
}

impl Link {
    /// Takes the place of what was under way.
    fn work(&self, work: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(work);
        self.replace(Some(task.abort_handle()));
    }

    fn typed(&self, to: Option<Sender<String>>) {
        *self.typed.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    fn type_digits(&self, digits: String) {
        let typed = self.typed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(typed) = &*typed {
            // Where there are some already, they are being looked at.
            let _ = typed.try_send(digits);
        }
    }

    fn replace(&self, task: Option<AbortHandle>) {
        let mut kept = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = std::mem::replace(&mut *kept, task) {
            before.abort();
        }
    }
}

impl Session {
    /// Begins to bring news; connects if there is an account.
    pub(crate) fn start(client: Client, news: Sender<Event>, sign_up: SignUp) -> Self {
        tokio::spawn(conversations(client.clone(), news.clone()));
        // Before it connects: what is told from now on is heard.
        tokio::spawn(follow_events(client.clone(), client.events(), news.clone()));
        let (sends, queue) = mpsc::unbounded_channel();
        tokio::spawn(send_all(client.clone(), queue, news.clone()));
        let (saves, told) = (client.clone(), news.clone());
        let drafts = Drafts::start(move |peer, text| {
            let (client, news) = (saves.clone(), told.clone());
            async move {
                if let Err(error) = client.conversation(peer).save_draft(text).await {
                    let _ = news.try_send(Event::NoticeAbout(peer, words::error(&error)));
                }
            }
        });
        if client.me().is_some() {
            client.connect();
            tell(news.clone(), recovery_key(client.clone()));
        }
        Self {
            client,
            news,
            sends,
            drafts,
            open: Mutex::new(None),
            login: Arc::default(),
            link: Link::default(),
            search: Mutex::new(None),
            number: Arc::default(),
            sign_up,
        }
    }

    /// The user goes: what they were typing is kept.
    pub(crate) async fn end(self) {
        self.drafts.end().await;
    }

    /// Does it in the background; what comes of it is told as an event.
    pub(crate) fn perform(&self, command: Command) {
        let client = self.client.clone();
        let news = self.news.clone();
        match command {
            Command::Register { name, password } => {
                let with = self.sign_up.clone().password(&Password::new(&password.0));
                tokio::spawn(register(client, name, with, news));
            }
            Command::Login { name, password } => {
                let kept = self.login.clone();
                tokio::spawn(async move {
                    let password = Password::new(&password.0);
                    let entered = match client.login(&name, &password).await {
                        Ok(LoginStep::Locked(login)) => {
                            *kept.lock().await = Some(login);
                            let _ = news.send(Event::LoggedIn(Ok(None))).await;
                            return;
                        }
                        Ok(LoginStep::Done(me)) => Ok(me),
                        Err(why) => Err(why),
                    };
                    let event = |name: Result<_, _>| Event::LoggedIn(name.map(Some));
                    enter(client, entered, news, event).await;
                });
            }
            Command::Unlock { key, instead_of } => {
                let login = self.login.clone();
                tell(news, async move {
                    let outcome = unlock(&login, &key.0, instead_of).await;
                    if let Err(error) = &outcome
                        && error.code() == Code::DeviceLimit
                        && let Some(login) = login.lock().await.as_ref()
                    {
                        let devices = login.devices().into_iter().map(words::device);
                        return Some(Event::NoRoom(key, devices.collect()));
                    }
                    let outcome = outcome.map(|me| entered(&client, &me));
                    let refused = |e: Error| (words::error(&e), e.code() == Code::NotAuthenticated);
                    Some(Event::Unlocked(outcome.map_err(refused)))
                });
            }
            Command::Reset => {
                let login = self.login.clone();
                tell(news.clone(), async move {
                    let outcome = match reset(&login).await {
                        Ok(ResetStep::Waits(wait)) => Err((words::waits(wait), false)),
                        Ok(ResetStep::Done(me)) => {
                            let name = entered(&client, &me);
                            let _ = news.send(Event::Unlocked(Ok(name))).await;
                            return recovery_key(client).await;
                        }
                        Err(e) => Err((words::error(&e), e.code() == Code::NotAuthenticated)),
                    };
                    Some(Event::Unlocked(outcome))
                });
            }
            Command::Change(change) => tell(news, async move {
                let (said, done) = perform(&client, change).await;
                let done = done.map(|()| Clean::line(said));
                Some(Event::Changed(done.map_err(|e| words::error(&e))))
            }),
            Command::ShowCode => {
                let (typed, digits) = mpsc::channel(1);
                self.link.typed(Some(typed));
                self.link
                    .work(show_code(client, self.login.clone(), digits, news));
            }
            Command::ReadCode(code) => {
                let kept = self.link.met.clone();
                self.link.work(async move {
                    let met = client.link(&code).await;
                    let met = met.map_err(|e| words::error(&e));
                    let digits = met.as_ref().map(|met| met.digits().to_owned());
                    let event = Event::Met(digits.map_err(Clone::clone));
                    *kept.lock().await = met.ok();
                    let _ = news.send(event).await;
                });
            }
            Command::ConfirmLink => {
                let met = self.link.met.clone();
                self.link.work(async move {
                    let Some(met) = met.lock().await.take() else {
                        return;
                    };
                    let linked = met.confirm().await.map(drop);
                    let linked = linked.map_err(|e| words::error(&e));
                    let _ = news.send(Event::Linked(linked)).await;
                });
            }
            Command::TypedDigits(digits) => self.link.type_digits(digits),
            Command::LeaveLink => self.link.replace(None),
            Command::Trust(peer) => tell(news, async move { trusted(&client, peer).await }),
            Command::Number(peer) => {
                let kept = self.number.clone();
                tell(news, async move {
                    let number = client.contact(peer).safety_number().await;
                    let shown = number.as_ref().map(|n| (n.to_string(), n.qr_text()));
                    let shown = shown.map_err(words::error);
                    *kept.lock().await = number.ok();
                    Some(Event::Number(peer, shown))
                });
            }
            Command::Decide(peer, decision) => {
                let kept = self.number.clone();
                tell(news, async move {
                    let contact = client.contact(peer);
                    let decided = match (decision, kept.lock().await.as_ref()) {
                        // The one that was shown.
                        (Decision::Verified, Some(number)) => contact.verify(number).await,
                        (Decision::Verified, None) => Ok(()),
                        (Decision::NotVerified, _) => contact.unverify().await,
                        (Decision::Accept(devices), _) => contact.accept_devices(&devices).await,
                        (Decision::Blocked(blocked), _) => contact.block(blocked).await,
                    };
                    match decided {
                        Ok(()) => trusted(&client, peer).await,
                        Err(e) => Some(Event::NoticeAbout(peer, words::error(&e))),
                    }
                });
            }
            Command::Connect => client.connect(),
            Command::Settings => tell(news, async move { Some(settings(&client).await) }),
            Command::Set(setting) => tell(news, async move {
                Some(match client.set(setting).await {
                    Ok(()) => settings(&client).await,
                    Err(e) => Event::Settings(Err(words::error(&e))),
                })
            }),
            Command::Devices => tell(news, async move {
                let found = async {
                    let devices = client.devices().await?;
                    let lines = devices.into_iter().map(words::device).collect();
                    Ok((lines, client.renewal_is_due().await?))
                };
                Some(Event::Devices(
                    found.await.map_err(|e: Error| words::error(&e)),
                ))
            }),
            Command::NameDevice(name) => tell(news, async move {
                let named = client.name_device(&name).await;
                Some(Event::DevicesChanged(named.map_err(|e| words::error(&e))))
            }),
            Command::RemoveDevice {
                device,
                key,
                anyway,
            } => tell(news, async move {
                Some(match remove(&client, device, key, anyway).await {
                    Err(error) if error.code() == Code::HistoryOwed => Event::HistoryOwed,
                    removed => Event::DevicesChanged(removed.map_err(|e| words::error(&e))),
                })
            }),
            Command::RecoveryKeyKept(key) => tell(news, async move {
                let kept = match RecoveryKey::parse(&key.0) {
                    Ok(key) => client.recovery_key_kept(&key).await,
                    Err(error) => Err(error),
                };
                kept.err().map(|e| Event::Notice(words::error(&e)))
            }),
            Command::Find(name) => tell(news, async move {
                let found = client.find_user(&name).await;
                let peer = found.map(|user| {
                    user.map(|user| Peer {
                        id: user.id,
                        name: Some(Clean::line(&user.username)),
                        display_name: None,
                    })
                });
                let peer = peer.map_err(|e| words::name_error(&e));
                Some(Event::Found { name, peer })
            }),
            Command::Open(peer) => self.open(peer),
            Command::Send {
                peer,
                text,
                reply_to,
            } => {
                let draft = Draft::new(text);
                let draft = match reply_to {
                    Some(id) => draft.reply_to(id),
                    None => draft,
                };
                // Fails only after the end.
                let _ = self.sends.send((peer, draft));
            }
            Command::Edit { peer, id, text } => self.about(peer, move |conversation| async move {
                conversation.edit(id, text).await
            }),
            Command::Erase(peer, id) => {
                self.about(peer, move |conversation| async move {
                    conversation.erase(id).await
                });
            }
            Command::React(peer, id, emoji) => self.about(peer, move |conversation| async move {
                conversation.react(id, emoji).await
            }),
            Command::Cancel(peer, id) => {
                self.about(peer, move |conversation| async move {
                    conversation.cancel(id).await
                });
            }
            Command::Retry(peer, id) => self.about(peer, move |conversation| async move {
                conversation.retry(id).await.map(drop)
            }),
            Command::SetTimer(peer, timer) => self.about(peer, move |conversation| async move {
                conversation.set_timer(timer).await
            }),
            Command::SaveDraft(peer, text) => self.drafts.save(peer, text),
            Command::LoadOlder(peer) => tell(news, async move {
                let more = client.conversation(peer).load_older(PAGE).await;
                let more = more.map(|count| count > 0);
                Some(Event::Older(peer, more.map_err(|e| words::error(&e))))
            }),
            Command::LoadBackTo(peer, place) => tell(news, async move {
                let loaded = client.conversation(peer).load_back_to(place, PAGE).await;
                let loaded = loaded.map_err(|e| words::error(&e));
                Some(Event::LoadedBack(peer, loaded))
            }),
            Command::Search(text) => self.search(text),
            Command::MarkRead(peer, upto) => tell(news, async move {
                let marked = client.conversation(peer).mark_read(upto).await;
                marked
                    .err()
                    .map(|e| Event::NoticeAbout(peer, words::error(&e)))
            }),
            Command::Typing(peer, on) => client.conversation(peer).typing(on),
            Command::Attend(attended) => client.set_active(attended),
            // The loop's own.
            Command::Bell | Command::Quit => {}
        }
    }

    /// Does something in a conversation; what goes wrong is told.
    fn about<F>(&self, peer: UserId, work: impl FnOnce(Conversation) -> F + Send + 'static)
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let conversation = self.client.conversation(peer);
        tell(self.news.clone(), async move {
            let done = work(conversation).await;
            done.err()
                .map(|e| Event::NoticeAbout(peer, words::error(&e)))
        });
    }

    fn open(&self, peer: UserId) {
        self.client.watch(&[peer]);
        // At once: older messages are loaded only into a timeline that somebody reads.
        let list = self.client.conversation(peer).timeline();
        let event = move |diff| Event::Items(peer, diff);
        let task = tokio::spawn(follow(list, self.news.clone(), words::item, event));
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = open.replace(task.abort_handle()) {
            before.abort();
        }
    }

    /// What was typed before need not be found any more.
    fn search(&self, text: String) {
        let (client, news) = (self.client.clone(), self.news.clone());
        let task = tokio::spawn(async move {
            let hits = client.search(text.as_str()).await;
            let hits = hits.map(|hits| hits.into_iter().map(words::hit).collect());
            let hits = hits.map_err(|e| words::error(&e));
            let _ = news.send(Event::Hits(text, hits)).await;
        });
        let mut search = self.search.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = search.replace(task.abort_handle()) {
            before.abort();
        }
    }
}

/// The account is open on this device: from here on it connects by itself.
fn entered(client: &Client, me: &User) -> Clean {
    client.connect();
    Clean::line(&me.username)
}

async fn register(client: Client, name: String, with: SignUp, news: Sender<Event>) {
    let made = client.register(&name, with).await;
    enter(client, made, news, Event::Registered).await;
}

/// Tells what became of it, and shows the recovery key if there is one. An earlier attempt may have come to its end.
async fn enter(
    client: Client,
    made: Result<User, Error>,
    news: Sender<Event>,
    event: impl FnOnce(Result<Clean, Clean>) -> Event,
) {
    let (entered, beside) = match (made, client.me()) {
        (Ok(me), _) => (Ok(entered(&client, &me)), recovery_key(client).await),
        (Err(error), Some(me)) => {
            let why = Clean::line(&format!("{error} Esc closes this."));
            (Ok(entered(&client, &me)), Some(Event::Alarm(why)))
        }
        (Err(error), None) => (Err(words::name_error(&error)), None),
    };
    for event in [Some(event(entered)), beside].into_iter().flatten() {
        let _ = news.send(event).await;
    }
}

/// What is set.
async fn settings(client: &Client) -> Event {
    let found = client.settings().await;
    let found = found.map(|settings| words::settings(&settings));
    Event::Settings(found.map_err(|e| words::error(&e)))
}

/// The recovery key, if it is still to be written down.
async fn recovery_key(client: Client) -> Option<Event> {
    match client.recovery_key().await {
        Ok(key) => Some(Event::RecoveryKey(Typed(key?.text().to_string()))),
        Err(error) => Some(Event::Notice(words::error(&error))),
    }
}

async fn remove(
    client: &Client,
    device: DeviceId,
    key: Option<Typed>,
    anyway: bool,
) -> Result<(), Error> {
    let key = key.map(|key| RecoveryKey::parse(&key.0)).transpose()?;
    let secret = key.map(VaultSecret::RecoveryKey);
    match anyway {
        true => client.remove_device_anyway(device, secret.as_ref()).await,
        false => client.remove_device(device, secret.as_ref()).await,
    }
}

/// Shows what another device of the account is to read, and takes what it grants once its digits were typed.
async fn show_code(
    client: Client,
    login: Arc<tokio::sync::Mutex<Option<Login>>>,
    mut typed: mpsc::Receiver<String>,
    news: Sender<Event>,
) {
    let linking = login.lock().await.as_ref().map(Login::link);
    let joined = async {
        let linking = linking.ok_or_else(|| Error::new(Code::NotAuthenticated, ""))?;
        let _ = news.send(Event::Code(linking.code().to_owned())).await;
        linking.met().await?;
        let _ = news.send(Event::CodeRead).await;
        while let Some(digits) = typed.recv().await {
            match linking.join(&digits).await {
                Err(e) if e.code() == Code::BadRequest => {
                    let _ = news.send(Event::OtherDigits(words::error(&e))).await;
                }
                joined => return joined,
            }
        }
        Err(Error::new(Code::LinkEnded, ""))
    };
    let event = match joined.await {
        Ok(me) => {
            *login.lock().await = None;
            Event::Unlocked(Ok(entered(&client, &me)))
        }
        Err(e) => Event::LinkFailed(words::error(&e), e.code() == Code::NotAuthenticated),
    };
    let _ = news.send(event).await;
}

async fn unlock(
    login: &tokio::sync::Mutex<Option<Login>>,
    typed: &str,
    instead_of: Option<DeviceId>,
) -> Result<User, Error> {
    let key = Unlock::RecoveryKey(RecoveryKey::parse(typed)?);
    let mut kept = login.lock().await;
    let Some(login) = kept.as_ref() else {
        return Err(Error::new(Code::NotAuthenticated, ""));
    };
    let me = login.unlock(&key, instead_of).await?;
    *kept = None;
    Ok(me)
}

async fn reset(login: &tokio::sync::Mutex<Option<Login>>) -> Result<ResetStep, Error> {
    let mut kept = login.lock().await;
    let Some(login) = kept.as_ref() else {
        return Err(Error::new(Code::NotAuthenticated, ""));
    };
    let step = login.reset().await?;
    if matches!(step, ResetStep::Done(_)) {
        *kept = None;
    }
    Ok(step)
}

async fn trusted(client: &Client, peer: UserId) -> Option<Event> {
    let trust = client.contact(peer).trust().await.ok()?;
    Some(Event::Trusted(peer, trust))
}

/// Changes the account. What is said if it is done.
async fn perform(client: &Client, change: Change) -> (&'static str, Result<(), Error>) {
    let key = |typed: Typed| RecoveryKey::parse(&typed.0).map(VaultSecret::RecoveryKey);
    match change {
        Change::Password { old, new } => {
            let (old, new) = (Password::new(&old.0), Password::new(&new.0));
            let done = client.change_password(&old, &new).await;
            ("Your password is another now.", done)
        }
        Change::RecoveryKey(typed) => {
            let done = match key(typed) {
                Ok(key) => client.new_recovery_key(&key).await,
                Err(error) => Err(error),
            };
            ("The recovery key before opens nothing any more.", done)
        }
        Change::Keys(typed) => {
            let done = match key(typed) {
                Ok(key) => client.renew_keys(&key).await,
                Err(error) => Err(error),
            };
            ("The keys that it knew are worth nothing any more.", done)
        }
        Change::Identity(typed) => {
            let password = Credential::Password(Password::new(&typed.0));
            let done = client.reset_identity(Some(&password)).await;
            (
                "Your account has another identity; your contacts are told.",
                done,
            )
        }
        Change::Delete(typed) => {
            let done = match key(typed) {
                Ok(key) => client.delete_account(&key).await,
                Err(error) => Err(error),
            };
            ("Your account is deleted.", done)
        }
        Change::RefuseReset => {
            let done = client.refuse_reset().await;
            let said = "Refused. Whoever asked knows your password: change it (F8).";
            (said, done)
        }
    }
}

/// Runs `work`, tells what comes of it. A screen that is gone wants no news.
fn tell(news: Sender<Event>, work: impl Future<Output = Option<Event>> + Send + 'static) {
    tokio::spawn(async move {
        if let Some(event) = work.await {
            let _ = news.send(event).await;
        }
    });
}

async fn conversations(client: Client, news: Sender<Event>) {
    let list = client.conversations();
    follow(list, news, words::row, Event::Rows).await;
}

async fn follow<T: Clone, U>(
    mut list: LiveList<T>,
    news: Sender<Event>,
    show: impl Fn(T) -> U,
    event: impl Fn(Diff<U>) -> Event,
) {
    while let Some(diff) = list.next().await {
        let diff = match diff {
            ListDiff::Reset(all) => Diff::Reset(all.into_iter().map(&show).collect()),
            ListDiff::Insert(at, item) => Diff::Insert(at, show(item)),
            ListDiff::Update(at, item) => Diff::Update(at, show(item)),
            ListDiff::Remove(at) => Diff::Remove(at),
            ListDiff::Move { from, to, item } => Diff::Move {
                from,
                to,
                item: show(item),
            },
            _ => continue,
        };
        if news.send(event(diff)).await.is_err() {
            return;
        }
    }
}

async fn follow_events(client: Client, mut events: Events, news: Sender<Event>) {
    while let Some(event) = events.next().await {
        let shown = match event {
            sordino::Event::DeviceAdded { user, loud, .. }
                if client.me().is_some_and(|me| me.id == user) =>
            {
                Some(match loud {
                    true => Event::Alarm(Clean::line(words::OWN_DEVICE)),
                    false => Event::Notice(Clean::line(words::OWN_DEVICE_LINKED)),
                })
            }
            // By this device, which says so, or by another: then this one is out.
            sordino::Event::IdentityChanged(user)
                if client.me().is_some_and(|me| me.id == user) =>
            {
                None
            }
            sordino::Event::Connection(state) => Some(Event::Connection(connection(state))),
            sordino::Event::NewRecoveryKey => recovery_key(client.clone()).await,
            sordino::Event::Received(message) => Some(Event::Received(message.author)),
            sordino::Event::Typing { user, on } => Some(Event::Typing(user, on)),
            sordino::Event::Presence { user, presence } => Some(Event::Presence(user, presence)),
            sordino::Event::SettingsChanged => Some(settings(&client).await),
            sordino::Event::Lagged { .. } => Some(Event::Lagged),
            other => words::event(&other),
        };
        if let Some(event) = shown
            && news.send(event).await.is_err()
        {
            return;
        }
    }
}

async fn send_all(
    client: Client,
    mut queue: mpsc::UnboundedReceiver<(UserId, Draft)>,
    news: Sender<Event>,
) {
    while let Some((peer, draft)) = queue.recv().await {
        let text = draft.text().to_owned();
        if let Err(error) = client.conversation(peer).send(draft).await {
            let why = words::error(&error);
            let _ = news.send(Event::SendFailed { peer, text, why }).await;
        }
    }
}

fn connection(state: ConnectionState) -> Connection {
    match state {
        ConnectionState::Connecting => Connection::Connecting,
        ConnectionState::CatchingUp { left } => Connection::CatchingUp { left },
        ConnectionState::Live => Connection::Live,
        ConnectionState::Degraded { .. } => Connection::Degraded,
        ConnectionState::Lost { retry_in, why } => {
            let wait = i64::try_from(retry_in.as_millis()).unwrap_or(i64::MAX);
            Connection::Lost {
                retry_at_ms: clock::now_ms().saturating_add(wait),
                by: match why {
                    Code::Unreachable | Code::Timeout => Lost::Network,
                    Code::UntrustedRelay => Lost::Certificate,
                    _ => Lost::Relay,
                },
            }
        }
        ConnectionState::Stopped { why } => Connection::Stopped(words::error(&why)),
        _ => Connection::Offline,
    }
}
