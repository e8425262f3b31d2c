use super::*;
use crate::{
    fixture::{
        MINUTE, NOW, app, message_id, mine, peer, press, press_all, row, screen, theirs, user,
        with_bob,
    },
    model::{Change, Decision, DeviceId, DeviceLine, Diff, Presence, SettingsShown, State, Typed},
    words,
};

use sordino::{PresencePolicy, Setting};

fn many(count: u64) -> Vec<Item> {
    (0..count)
        .map(|n| theirs(n, NOW - MINUTE, &format!("message {n}.")))
        .collect()
}

#[test]
fn the_first_conversation_opens_by_itself_and_its_messages_are_read_once_looked_at() {
    let mut app = app(80, 24);
    let opened = app.update(Event::Rows(Diff::Reset(vec![row(1, "bob", 2)])));
    assert_eq!(opened, [Command::Open(user(1))]);
    let loaded = app.update(Event::Items(user(1), Diff::Reset(many(2))));
    assert_eq!(loaded, [Command::LoadOlder(user(1))]);

    assert_eq!(
        press(&mut app, "<enter>"),
        [Command::MarkRead(user(1), message_id(1))]
    );
    let update = Diff::Update(0, row(1, "bob", 2));
    assert_eq!(app.update(Event::Rows(update)), [], "reported once");

    app.update(Event::Focus(false));
    app.update(Event::Items(
        user(1),
        Diff::Insert(2, theirs(2, NOW, "psst")),
    ));
    assert_eq!(app.update(Event::Received(user(1))), [Command::Bell]);
    assert_eq!(
        app.update(Event::Focus(true)),
        [
            Command::Attend(true),
            Command::MarkRead(user(1), message_id(2))
        ]
    );
}

#[test]
fn what_is_typed_is_sent_and_comes_back_if_it_was_not_taken() {
    let mut app = with_bob(80, 24, vec![]);
    let send = |text: &str| Command::Send {
        peer: user(1),
        text: text.to_owned(),
        reply_to: None,
    };
    assert_eq!(press(&mut app, "hi<A-enter>bob <enter>"), [send("hi\nbob")]);
    assert_eq!(press(&mut app, " <enter>"), [], "nothing to send");
    press(&mut app, "<backspace>");
    app.update(Event::SendFailed {
        peer: user(1),
        text: "hi\nbob".to_owned(),
        why: Clean::line("The disk is full."),
    });
    assert!(screen(&app).contains("The disk is full."));
    assert_eq!(press(&mut app, "<enter>"), [send("hi\nbob")]);
    assert!(app.notice.is_none());
}

#[test]
fn what_is_typed_is_told_to_the_person_it_is_for() {
    let mut app = with_bob(80, 24, vec![]);
    app.update(Event::Rows(Diff::Insert(1, row(2, "carol", 0))));
    let told = |on| Command::Typing(user(1), on);
    assert_eq!(press_all(&mut app, "hi"), [told(true), told(true)]);
    assert_eq!(
        press_all(&mut app, "<tab><pageup>"),
        [],
        "nothing was typed"
    );
    let mut deleted = press_all(&mut app, "<tab><backspace><backspace><backspace>");
    assert_eq!(deleted.pop(), Some(told(false)));
    assert_eq!(deleted, [told(true)]);
    // What is sent says it by itself; what is left does not.
    let sent = press_all(&mut app, "h<enter>");
    assert!(
        matches!(&sent[..], [Command::Typing(_, true), Command::Send { .. }]),
        "{sent:?}"
    );
    press_all(&mut app, "draft");
    let telling = |mut commands: Vec<Command>| {
        commands.retain(|command| matches!(command, Command::Typing(..)));
        commands
    };
    assert_eq!(telling(press_all(&mut app, "<A-down>")), [told(false)]);
    assert_eq!(telling(press_all(&mut app, "<A-up>")), []);
    let pasted = app.update(Event::Paste("more".to_owned()));
    assert_eq!(pasted, [told(true)]);
    // Not what is typed elsewhere.
    assert_eq!(press_all(&mut app, "<C-n>somebody<esc>"), []);
    let left = app.update(Event::Focus(false));
    assert!(left.contains(&Command::Attend(false)), "{left:?}");
}

#[test]
fn who_types_is_shown_until_they_stop() {
    let mut app = with_bob(80, 24, vec![]);
    app.update(Event::Typing(user(1), true));
    assert_eq!(
        screen(&app).matches("typing…").count(),
        2,
        "header and list"
    );
    app.update(Event::Presence(user(1), Presence::Online));
    app.update(Event::Presence(user(2), Presence::Online));
    assert!(!screen(&app).contains("online"));
    app.update(Event::Typing(user(1), false));
    assert!(screen(&app).contains("online") && !screen(&app).contains("typing"));
    app.update(Event::Presence(
        user(1),
        Presence::LastSeen {
            at_ms: (NOW - MINUTE) as u64,
        },
    ));
    assert!(screen(&app).contains("last seen 09:11"));
    app.update(Event::Presence(
        user(1),
        Presence::LastSeen { at_ms: u64::MAX },
    ));
    app.update(Event::Presence(user(1), Presence::Unknown));
    assert!(!screen(&app).contains("seen"));
    app.update(Event::Typing(user(1), true));
    app.update(Event::Lagged);
    assert!(!screen(&app).contains("typing"));
}

#[test]
fn every_conversation_keeps_its_draft() {
    let mut app = with_bob(80, 24, vec![]);
    app.update(Event::Rows(Diff::Insert(1, row(2, "carol", 0))));
    press(&mut app, "for bob");
    let save = |id, text: &str| Command::SaveDraft(user(id), text.to_owned());
    let left = press(&mut app, "<A-down>");
    assert_eq!(left, [save(1, "for bob"), Command::Open(user(2))]);
    assert_eq!(press(&mut app, "<A-down>"), [], "the list ends");
    press(&mut app, "for carol<A-up>");
    assert_eq!(app.input.text(), "for bob");
    press(&mut app, "<A-down>");
    assert_eq!(app.input.text(), "for carol");
    // Late news of the other conversation is not shown in this one.
    app.update(Event::Items(user(1), Diff::Reset(many(3))));
    assert!(app.open.as_ref().is_some_and(|open| open.items.is_none()));
    // Once a second what changed is kept for the next start, and there it is.
    let tick = Event::Tick { now_ms: NOW };
    press(&mut app, "!");
    assert_eq!(app.update(tick), [save(2, "for carol!")]);
    assert_eq!(app.update(Event::Tick { now_ms: NOW }), []);
    press(&mut app, "<C-u>");
    assert_eq!(press(&mut app, "<C-q>"), [save(2, ""), Command::Quit]);
    let mut row = row(1, "bob", 0);
    row.draft = "from before".to_owned();
    let mut app = super::super::fixture::app(80, 24);
    app.update(Event::Rows(Diff::Reset(vec![row])));
    assert_eq!(app.input.text(), "from before");
    assert_eq!(app.update(Event::Tick { now_ms: NOW }), []);
}

#[test]
fn how_long_messages_last_is_typed() {
    let mut app = with_bob(80, 24, vec![]);
    press(&mut app, "<enter><f5>soon<enter>");
    assert!(screen(&app).contains("Such as 30s"));
    // What is typed next is no message.
    assert_eq!(press(&mut app, "<C-u>400d<enter>"), []);
    assert!(screen(&app).contains("up to a year"));
    let day = Some(std::time::Duration::from_secs(24 * 3600));
    let typed = press(&mut app, "<C-u>1d<enter>");
    assert_eq!(typed, [Command::SetTimer(user(1), day)]);
    assert!(app.overlay.is_none());
    let off = press(&mut app, "<f5>off<enter>");
    assert_eq!(off, [Command::SetTimer(user(1), None)]);
}

#[test]
fn a_person_is_found_by_name() {
    let mut app = app(80, 24);
    assert_eq!(
        press(&mut app, "/Bob<enter>"),
        [Command::Find("bob".to_owned())]
    );
    let answer = |peer| Event::Found {
        name: "bob".to_owned(),
        peer,
    };
    app.update(answer(Ok(None)));
    assert!(screen(&app).contains("Nobody is called bob here."));
    app.update(answer(Ok(Some(peer(9, "bob")))));
    assert!(app.open.is_none(), "an answer that nobody waits for");
    press(&mut app, "<enter>");
    assert_eq!(
        app.update(answer(Ok(Some(peer(9, "bob"))))),
        [Command::Trust(user(9)), Command::Open(user(9))]
    );
    // There is no line of theirs yet.
    let verified = Trust {
        verified: true,
        ..Trust::default()
    };
    app.update(Event::Trusted(user(9), verified));
    assert!(screen(&app).contains("verified"));
    assert_eq!(app.entries().len(), 1);
    assert!(app.overlay.is_none());
    assert_eq!(press(&mut app, "<C-n>alice<enter>"), []);
    assert!(screen(&app).contains("your own name"));
}

#[test]
fn the_name_is_asked_for_before_anything_else() {
    let clock = Clock::new(jiff::tz::TimeZone::UTC, NOW);
    let mut app = App::new(clock, None);
    app.update(Event::Resize(80, 24));
    let typed = |text: &str| Typed(text.to_owned());
    let register = [Command::Register {
        name: "alice".to_owned(),
        password: typed("Four words"),
    }];
    assert_eq!(press(&mut app, "<esc>Alice<enter>"), []);
    assert_eq!(press(&mut app, "Four words<enter>Five words<enter>"), []);
    assert!(screen(&app).contains("not the same"));
    assert!(!screen(&app).contains("Four") && !screen(&app).contains("Five"));
    let twice = "Four words<enter>Four words<enter>";
    assert_eq!(press(&mut app, twice), register);
    assert_eq!(press(&mut app, "x<enter><esc>"), [], "an answer is awaited");
    app.update(Event::Registered(Err(Clean::line(
        "Another user has this name.",
    ))));
    assert!(screen(&app).contains("Another user has this name."));
    assert_eq!(press(&mut app, "<enter>"), []);
    assert_eq!(press(&mut app, twice), register);
    app.update(Event::Registered(Ok(Clean::line("alice"))));
    assert!(app.overlay.is_none());

    app.update(Event::RecoveryKey(typed("ABCD-EFGH")));
    assert!(screen(&app).contains("ABCD-EFGH"));
    assert_eq!(press(&mut app, "x<esc>"), [], "later");
    assert!(app.overlay.is_none());
    app.update(Event::RecoveryKey(typed("ABCD-EFGH")));
    assert_eq!(press(&mut app, "<enter>ABCD<enter>"), [], "not by chance");
    assert!(screen(&app).contains("another one"));
    let kept = [Command::RecoveryKeyKept(typed("ABCD-EFGH"))];
    assert_eq!(press(&mut app, "efgh<enter>"), kept);
    assert!(app.overlay.is_none());
}

#[test]
fn an_account_that_there_is_takes_password_and_recovery_key() {
    let clock = Clock::new(jiff::tz::TimeZone::UTC, NOW);
    let mut app = App::new(clock, None);
    app.update(Event::Resize(80, 24));
    let login = [Command::Login {
        name: "alice".to_owned(),
        password: Typed("Four words".to_owned()),
    }];
    assert_eq!(press(&mut app, "alice<tab><enter>Four words<enter>"), login);
    app.update(Event::LoggedIn(Err(Clean::line("It is wrong."))));
    assert!(screen(&app).contains("It is wrong."));
    assert_eq!(press(&mut app, "<enter>Four words<enter>"), login);
    app.update(Event::LoggedIn(Ok(None)));
    let unlock = [Command::Unlock {
        key: Typed("ABCD".to_owned()),
        instead_of: None,
    }];
    assert_eq!(press(&mut app, "ABCD<enter>"), unlock);
    app.update(Event::Unlocked(Err((Clean::line("Another one."), false))));
    assert!(screen(&app).contains("Another one."));
    assert_eq!(press(&mut app, "ABCD<enter>"), unlock);
    app.update(Event::Unlocked(Ok(Clean::line("alice"))));
    assert!(app.overlay.is_none());
}

fn device(id: u8, name: &str) -> DeviceLine {
    DeviceLine {
        id: DeviceId::from_bytes([id; 16]),
        name: Clean::line(name),
        added_ms: Some(NOW),
        is_this: id == 1,
        has_twin: false,
    }
}

#[test]
fn settings_are_changed_one_by_one_and_the_name_is_asked_for() {
    let mut app = with_bob(80, 24, vec![]);
    assert_eq!(press(&mut app, "<f6>"), [Command::Settings]);
    assert_eq!(press(&mut app, "<enter>"), [], "not before they are here");
    let shown = |name: &str, typing| {
        Event::Settings(Ok(SettingsShown {
            name: Clean::line(name),
            receipts: true,
            typing,
            presence: PresencePolicy::Everyone,
        }))
    };
    app.update(shown("Alice", true));
    let set = |setting| [Command::Set(setting)];
    let off = set(Setting::Typing(false));
    assert_eq!(press(&mut app, "<down><down><enter>"), off);
    app.update(shown("Alice", false));
    let verified = Setting::Presence(PresencePolicy::Verified);
    assert_eq!(press(&mut app, "<down><down> "), set(verified));
    let named = Setting::DisplayName("Alice B.".to_owned());
    let typed = press(&mut app, "<up><up><up><enter> B.<enter>");
    assert_eq!(typed, set(named));
    app.update(Event::Settings(Err(Clean::line("Not now."))));
    assert!(screen(&app).contains("Not now."));
    assert_eq!(press(&mut app, "<enter>").len(), 1);
    app.update(shown("Alice B.", false));
    assert!(screen(&app).contains("What others see of you"));
    press(&mut app, "<esc>");
    assert!(app.overlay.is_none());
}

#[test]
fn a_device_is_named_and_another_removed() {
    let mut app = with_bob(80, 24, vec![]);
    assert_eq!(press(&mut app, "<f2>"), [Command::Devices]);
    let two = || vec![device(1, "laptop"), device(2, "phone")];
    app.update(Event::Devices(Ok((two(), false))));
    let named = [Command::NameDevice("desk".to_owned())];
    assert_eq!(press(&mut app, "ndesk<enter>"), named);
    assert_eq!(
        app.update(Event::DevicesChanged(Ok(()))),
        [Command::Devices]
    );
    app.update(Event::Devices(Ok((two(), false))));
    // Without the recovery key, and then with it.
    let remove = |key: Option<&str>, anyway| {
        [Command::RemoveDevice {
            device: DeviceId::from_bytes([2; 16]),
            key: key.map(|key| Typed(key.to_owned())),
            anyway,
        }]
    };
    assert_eq!(press(&mut app, "<down><down>d<enter>"), remove(None, false));
    app.update(Event::HistoryOwed);
    assert!(screen(&app).contains("Enter again"));
    assert_eq!(press(&mut app, "<enter>"), remove(None, true));
    let why = Clean::line("This device waits for keys.");
    app.update(Event::DevicesChanged(Err(why)));
    assert!(screen(&app).contains("This device waits for keys."));
    assert_eq!(press(&mut app, "ABCD<enter>"), remove(Some("ABCD"), true));
    app.update(Event::DevicesChanged(Ok(())));
    assert_eq!(press(&mut app, "<esc>"), []);
    assert!(app.overlay.is_none());
}

#[test]
fn what_is_typed_again_after_a_wrong_password_is_a_password() {
    let mut app = App::new(Clock::new(jiff::tz::TimeZone::UTC, NOW), None);
    app.update(Event::Resize(80, 24));
    press(&mut app, "<tab>alice<enter>wrong password<enter>");
    app.update(Event::LoggedIn(Err(Clean::line("Wrong."))));
    assert!(screen(&app).contains("Wrong."));
    let commands = press(&mut app, "right password");
    assert_eq!(commands, []);
    assert!(!screen(&app).contains("right password"));
    assert!(!press(&mut app, "<enter>").is_empty());
}

#[test]
fn escape_in_what_the_devices_ask_goes_back_to_them() {
    let mut app = with_bob(80, 24, vec![]);
    for key in ["d", "n", "k"] {
        press(&mut app, "<f2>");
        app.update(Event::Devices(Ok((vec![device(1, "laptop")], true))));
        press(&mut app, key);
        // A recovery key that is typed now is no message.
        assert_eq!(press(&mut app, "<esc>"), [Command::Devices]);
        assert_eq!(press(&mut app, "ABCD<enter>"), []);
        app.overlay = None;
    }
}

#[test]
fn keys_that_a_removed_device_knows_are_made_anew() {
    let mut app = with_bob(80, 24, vec![]);
    let mut look = |is_due| {
        press(&mut app, "<f2>");
        app.update(Event::Devices(Ok((vec![device(1, "laptop")], is_due))));
        let commands = press(&mut app, "kABCD<enter>");
        press(&mut app, "<esc>");
        commands
    };
    assert_eq!(look(false), []);
    let typed = Typed("ABCD".to_owned());
    assert_eq!(look(true), [Command::Change(Change::Keys(typed))]);
}

#[test]
fn the_eleventh_device_takes_the_place_of_one_that_is_chosen() {
    let clock = Clock::new(jiff::tz::TimeZone::UTC, NOW);
    let mut app = App::new(clock, None);
    app.update(Event::Resize(80, 24));
    press(&mut app, "alice<tab><enter>Four words<enter>");
    app.update(Event::LoggedIn(Ok(None)));
    press(&mut app, "ABCD<enter>");
    let ten: Vec<_> = (2..12).map(|id| device(id, "old")).collect();
    let key = Typed("ABCD".to_owned());
    app.update(Event::NoRoom(key.clone(), ten));
    let instead_of = Some(DeviceId::from_bytes([3; 16]));
    assert_eq!(
        press(&mut app, "<down><enter>"),
        [Command::Unlock { key, instead_of }]
    );
    app.update(Event::Unlocked(Err((Clean::line("Log in again."), true))));
    assert!(screen(&app).contains("Log in again."));
    app.update(Event::Unlocked(Ok(Clean::line("alice"))));
    assert!(app.overlay.is_none());
}

#[test]
fn the_account_is_changed_step_by_step() {
    let mut app = with_bob(80, 24, vec![]);
    let typed = |text: &str| Typed(text.to_owned());
    let change = |change| vec![Command::Change(change)];
    assert_eq!(
        press(&mut app, "<f8><enter>old password<enter>short<enter>"),
        []
    );
    assert!(screen(&app).contains("8 characters or more"));
    assert_eq!(
        press(&mut app, "new password<enter>newer password<enter>"),
        []
    );
    assert!(screen(&app).contains("not the same"));
    let (old, new) = (typed("old password"), typed("new password"));
    assert_eq!(
        press(&mut app, "new password<enter>new password<enter>"),
        change(Change::Password { old, new })
    );
    assert!(!screen(&app).contains("new password"));
    app.update(Event::Changed(Err(Clean::line("Wrong password."))));
    assert!(screen(&app).contains("Wrong password."));
    // From the first question on: it may be that one.
    let (old, new) = (typed("old again"), typed("new password"));
    assert_eq!(
        press(
            &mut app,
            "old again<enter>new password<enter>new password<enter>"
        ),
        change(Change::Password { old, new })
    );
    app.update(Event::Changed(Ok(Clean::line("Done."))));
    assert!(app.overlay.is_none());
    for (down, made) in [
        ("<down>", Change::RecoveryKey(typed("ABCD"))),
        ("<down><down>", Change::Identity(typed("ABCD"))),
        ("<down><down><down>", Change::Delete(typed("ABCD"))),
    ] {
        let keys = format!("<f8>{down}<enter>ABCD<enter>");
        assert_eq!(press(&mut app, &keys), change(made));
        app.update(Event::Changed(Ok(Clean::line("Done."))));
    }
    // Offered only where there is something to refuse.
    let asked = || Event::ResetPending(Some(Clean::line("Somebody asks.")));
    app.update(asked());
    assert!(screen(&app).contains("Somebody asks."));
    assert_eq!(press(&mut app, "<f8><enter>"), change(Change::RefuseReset));
    app.update(Event::ResetPending(None));
    assert!(!screen(&app).contains("Somebody asks."));
    app.update(Event::Changed(Ok(Clean::line("Refused."))));
    assert!(screen(&app).contains("Refused."));
    press(&mut app, "<esc><f8>");
    assert!(!screen(&app).contains("Refuse"));
}

#[test]
fn who_has_neither_key_nor_device_asks_for_another_identity() {
    let clock = Clock::new(jiff::tz::TimeZone::UTC, NOW);
    let mut app = App::new(clock, None);
    app.update(Event::Resize(80, 24));
    press(&mut app, "alice<tab><enter>Four words<enter>");
    app.update(Event::LoggedIn(Ok(None)));
    assert_eq!(press(&mut app, "<f8>yes<enter>"), []);
    assert!(screen(&app).contains("Type new, or press Esc."));
    press(&mut app, "<backspace><backspace><backspace>");
    assert_eq!(press(&mut app, "new<enter>"), [Command::Reset]);
    let why = Clean::line("Your devices are told.");
    app.update(Event::Unlocked(Err((why, false))));
    assert!(screen(&app).contains("Your devices are told."));
    press(&mut app, "<esc>");
    assert!(screen(&app).contains("Your recovery key, nine groups"));
}

#[test]
fn slash_and_question_mark_can_be_typed_nevertheless() {
    let mut app = with_bob(80, 24, vec![]);
    press(&mut app, "??");
    assert_eq!(app.input.text(), "?");
    press(&mut app, "<backspace>//?");
    assert_eq!(app.input.text(), "/?");
}

#[test]
fn what_is_read_does_not_move_when_messages_arrive_or_older_ones_are_loaded() {
    let mut app = with_bob(80, 24, many(60));
    press(&mut app, "<enter><pageup><pageup><C-up>");
    let before = chat(&app);
    assert!(!before.contains("message 59."));
    app.update(Event::Items(
        user(1),
        Diff::Insert(60, mine(99, NOW, "new", State::Pending)),
    ));
    for n in 0..5 {
        let older = theirs(100 + n, NOW - MINUTE, "older");
        app.update(Event::Items(user(1), Diff::Insert(0, older)));
    }
    assert_eq!(chat(&app), before);
    press(&mut app, "<esc>");
    assert!(chat(&app).contains("new"));
    assert_eq!(app.focus, Focus::Chat);
    press(&mut app, "<esc>");
    assert_eq!(app.focus, Focus::List);
}

#[test]
fn at_the_top_older_messages_are_asked_for_once_and_until_there_are_none() {
    let mut app = with_bob(80, 24, many(30));
    let ask = [Command::LoadOlder(user(1))];
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.extend(press(&mut app, "<pageup>"));
    }
    assert_eq!(asked, ask, "an answer is awaited");
    assert!(chat(&app).contains("message 0."));
    app.update(Event::Older(user(1), Err(Clean::line("No connection."))));
    assert_eq!(press(&mut app, "<pageup>"), ask);
    app.update(Event::Older(user(1), Ok(false)));
    assert_eq!(press(&mut app, "<pageup>"), []);
    press(&mut app, "<esc>");
    assert!(chat(&app).contains("begins here"));
    for _ in 0..4 {
        press(&mut app, "<pagedown>");
    }
    assert!(
        app.open
            .as_ref()
            .is_some_and(|open| open.position.is_none())
    );
}

#[test]
fn what_comes_back_from_before_is_asked_for_although_there_was_nothing() {
    let mut app = with_bob(80, 24, many(2));
    app.update(Event::Older(user(1), Ok(false)));
    assert!(chat(&app).contains("begins here"));
    app.update(Event::Restored(Clean::line("5 earlier messages.")));
    assert!(!chat(&app).contains("begins here"));
    assert_eq!(press(&mut app, "<pageup>"), [Command::LoadOlder(user(1))]);
}

#[test]
fn escape_closes_a_notice_and_nothing_else() {
    let mut app = with_bob(80, 24, many(2));
    press(&mut app, "<enter>hello");
    app.update(Event::Alarm(Clean::line("A new device. Esc closes this.")));
    assert!(
        screen(&app).contains("› hello"),
        "what is typed stays in sight"
    );
    press(&mut app, "<esc>");
    assert_eq!(app.focus, Focus::Chat);
    assert!(!screen(&app).contains("A new device"));
    let sent = press(&mut app, "<enter>");
    assert!(matches!(sent[..], [Command::Send { .. }]));
}

#[test]
fn who_is_meant_is_named_where_it_could_be_somebody_else() {
    let mut app = with_bob(100, 24, vec![]);
    app.update(Event::Rows(Diff::Insert(1, row(2, "carol", 0))));
    let why = || Clean::line("Gone.");
    app.update(Event::NoticeAbout(user(1), why()));
    assert_eq!(app.notice(), Some(&Clean::line("Gone.")));
    app.update(Event::NoticeAbout(user(2), why()));
    assert_eq!(app.notice(), Some(&Clean::line("carol: Gone.")));
    let text = String::new();
    app.update(Event::SendFailed {
        peer: user(2),
        text,
        why: Clean::line("Full."),
    });
    assert_eq!(app.notice(), Some(&Clean::line("carol: Full.")));
    let told = [
        words::event(&sordino::Event::IdentityChanged(user(2))),
        words::event(&sordino::Event::DeviceAdded {
            user: user(2),
            device: DeviceId::from_bytes([1; 16]),
            loud: true,
        }),
        words::event(&sordino::Event::ViewsDiffer {
            conversation: row(2, "carol", 0).id.expect("an id"),
            seq: 1,
        }),
    ];
    for told in told {
        app.update(told.expect("told"));
        let said = app.notice().expect("a notice").as_str();
        assert!(said.starts_with("carol: "), "{said}");
    }
    app.update(Event::AlarmAbout(Whom::User(user(9)), why()));
    assert_eq!(app.notice(), Some(&Clean::line("somebody: Gone.")));
}

#[test]
fn control_c_quits_from_everywhere() {
    let mut app = with_bob(80, 24, vec![]);
    for keys in ["<C-c>", "<f1><C-c>", "<C-n><C-q>"] {
        assert_eq!(press(&mut app, keys), [Command::Quit]);
    }
}

/// The timeline without the list and the status bar.
fn chat(app: &App) -> String {
    let area = app
        .areas()
        .and_then(|areas| areas.chat)
        .expect("a chat")
        .timeline;
    let screen = screen(app);
    let lines = screen
        .lines()
        .skip(usize::from(area.y))
        .take(usize::from(area.height));
    lines
        .map(|line| line.chars().skip(usize::from(area.x)).collect::<String>() + "\n")
        .collect()
}

#[test]
fn why_it_stopped_is_told_until_it_is_closed_and_the_keys_stay() {
    let mut app = with_bob(80, 24, vec![]);
    let why = Clean::line("This relay does not know you.");
    app.update(Event::Connection(Connection::Stopped(why)));
    let shown = screen(&app);
    assert!(shown.contains("This relay does not know you. Esc closes this."));
    assert!(shown.contains("F1 help"));
    app.update(Event::Tick {
        now_ms: NOW + MINUTE,
    });
    assert!(screen(&app).contains("does not know you"));
    press(&mut app, "<enter><esc>");
    assert!(!screen(&app).contains("does not know you"));
    assert_eq!(press(&mut app, "<enter>x<enter>"), []);
    assert!(screen(&app).contains("does not know you"), "told again");

    app.update(Event::Ended(Clean::line("You were signed out.")));
    let why = Clean::line("Over.");
    app.update(Event::Connection(Connection::Stopped(why)));
    assert!(screen(&app).contains("You were signed out."));
}

#[test]
fn why_nothing_goes_on_is_seen_before_what_happened_otherwise() {
    let mut app = with_bob(80, 24, vec![]);
    app.update(Event::Alarm(Clean::line("A new device.")));
    app.update(Event::Connection(Connection::Stopped(Clean::line("Over."))));
    assert!(screen(&app).contains("Over. Esc closes this."));
    app.update(Event::Ended(Clean::line("You were signed out.")));
    app.update(Event::Alarm(Clean::line("The relay lies.")));
    // Also on a low screen that a question fills.
    press(&mut app, "<C-n>");
    app.update(Event::Resize(40, 8));
    press(&mut app, "<esc><enter>");
    assert!(screen(&app).contains("You were signed out."));
    press(&mut app, "<C-n>");
    assert!(screen(&app).contains("You were signed out."));
    press(&mut app, "<esc>");
    // What stood there is not lost.
    press(&mut app, "<esc>");
    assert!(screen(&app).contains("The relay lies."));
    press(&mut app, "<esc>");
    assert!(!screen(&app).contains("The relay lies."));
}

#[test]
fn what_was_stopped_is_not_told_any_more_once_there_is_a_connection() {
    let mut app = with_bob(80, 24, vec![]);
    let stopped = |why| Event::Connection(Connection::Stopped(Clean::line(why)));
    app.update(stopped("Disabled."));
    app.update(Event::Connection(Connection::Connecting));
    assert!(screen(&app).contains("Disabled."));
    app.update(Event::Connection(Connection::CatchingUp { left: 1 }));
    assert!(!screen(&app).contains("Disabled."));
    // A device that was removed stays so, whatever the relay says.
    app.update(Event::Ended(Clean::line("You were signed out.")));
    app.update(Event::Connection(Connection::Live));
    assert!(screen(&app).contains("You were signed out."));
}

#[test]
fn a_device_is_linked_instead_of_typing_the_recovery_key() {
    let clock = Clock::new(jiff::tz::TimeZone::UTC, NOW);
    let mut app = App::new(clock, None);
    app.update(Event::Resize(80, 24));
    press(&mut app, "<tab>alice<enter>Four words<enter>");
    app.update(Event::LoggedIn(Ok(None)));
    assert_eq!(press(&mut app, "<tab>"), [Command::ShowCode]);
    app.update(Event::Code("SORDINO:LN1:ABC:localhost".to_owned()));
    assert!(screen(&app).contains("SORDINO:LN1:ABC:localhost"));
    // Back to the recovery key, and once more.
    assert_eq!(press(&mut app, "<esc>"), [Command::LeaveLink]);
    assert_eq!(press(&mut app, "<tab>"), [Command::ShowCode]);
    app.update(Event::Code("SORDINO:LN1:ABD:localhost".to_owned()));
    app.update(Event::CodeRead);
    let typed = [Command::TypedDigits("012345".to_owned())];
    assert_eq!(press(&mut app, "012345<enter>"), typed);
    app.update(Event::OtherDigits(Clean::line("Others.")));
    assert!(screen(&app).contains("Others."));
    assert_eq!(press(&mut app, "012345<enter>"), typed);
    // Also while it is waited for.
    assert_eq!(press(&mut app, "<esc>"), [Command::LeaveLink]);
    press(&mut app, "<tab>");
    app.update(Event::CodeRead);
    let over = Clean::line("It is over.");
    app.update(Event::LinkFailed(over.clone(), false));
    assert!(screen(&app).contains("It is over."));
    press(&mut app, "<tab>");
    app.update(Event::LinkFailed(over, true));
    assert!(screen(&app).contains("The user name of your account"));
    press(&mut app, "<enter>Four words<enter>");
    app.update(Event::LoggedIn(Ok(None)));
    press(&mut app, "<tab>");
    app.update(Event::Unlocked(Ok(Clean::line("alice"))));
    assert!(app.overlay.is_none());
}

#[test]
fn another_device_is_linked_once_its_digits_were_compared() {
    let mut app = with_bob(80, 24, vec![]);
    press(&mut app, "<f2>");
    app.update(Event::Devices(Ok((vec![device(1, "laptop")], false))));
    press(&mut app, "l");
    app.update(Event::Paste("SORDINO:LN1:ABC:localhost".to_owned()));
    let read = [Command::ReadCode("SORDINO:LN1:ABC:localhost".to_owned())];
    assert_eq!(press(&mut app, "<enter>"), read);
    app.update(Event::Met(Err(Clean::line("This is no code."))));
    assert!(screen(&app).contains("This is no code."));
    press(&mut app, "x<enter>");
    app.update(Event::Met(Ok("012345".to_owned())));
    assert!(screen(&app).contains("012 345"));
    // Nobody confirms by chance.
    assert_eq!(press(&mut app, "<enter>"), []);
    assert_eq!(press(&mut app, "y"), [Command::ConfirmLink]);
    assert_eq!(press(&mut app, "y<esc>"), [], "it is under way");
    app.update(Event::Linked(Err(Clean::line("Too late."))));
    assert!(screen(&app).contains("Too late."));
    assert_eq!(press(&mut app, "y"), [], "it is over");
    assert_eq!(
        press(&mut app, "<esc>"),
        [Command::LeaveLink, Command::Devices]
    );
    press(&mut app, "lx<enter>");
    app.update(Event::Met(Ok("012345".to_owned())));
    press(&mut app, "y");
    assert_eq!(app.update(Event::Linked(Ok(()))), [Command::Devices]);
}

#[test]
fn a_person_is_verified_accepted_and_blocked() {
    let mut app = with_bob(80, 24, vec![]);
    let decide = |decision| [Command::Decide(user(1), decision)];
    assert_eq!(press(&mut app, "<f3>"), [Command::Number(user(1))]);
    assert_eq!(press(&mut app, "v"), [], "it is not there yet");
    let number = || Ok(("12345 67890".to_owned(), "SORDINO:SN1:1".to_owned()));
    app.update(Event::Number(user(2), number()));
    assert_eq!(press(&mut app, "v"), [], "somebody else's");
    app.update(Event::Number(user(1), number()));
    assert_eq!(press(&mut app, "v"), decide(Decision::Verified));
    assert_eq!(press(&mut app, "a"), [], "nothing waits");
    let trust = |app: &mut App, trust: Trust| {
        let row = Row {
            trust,
            ..row(1, "bob", 0)
        };
        app.update(Event::Rows(Diff::Update(0, row)));
    };
    let device = DeviceId::from_bytes([7; 16]);
    let withheld = Trust {
        verified: true,
        withheld: vec![device],
        ..Trust::default()
    };
    trust(&mut app, withheld);
    assert_eq!(press(&mut app, "v"), [], "it is verified");
    assert_eq!(press(&mut app, "a"), decide(Decision::Accept(vec![device])));
    assert_eq!(press(&mut app, "u"), decide(Decision::NotVerified));
    assert_eq!(press(&mut app, "b"), decide(Decision::Blocked(true)));
    let blocked = Trust {
        blocked: true,
        ..Trust::default()
    };
    trust(&mut app, blocked);
    assert_eq!(press(&mut app, "b"), decide(Decision::Blocked(false)));
    press(&mut app, "<esc>");
    assert!(app.overlay.is_none());
}
