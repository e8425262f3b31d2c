use insta::assert_snapshot;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use sordino::PresencePolicy;

use super::{draw, theme};

use crate::{
    app::{App, Ask, Form, Needs, Overlay},
    clock::Clock,
    fixture::{DAY, MINUTE, NOW, app, hit, mine, peer, press, row, screen, theirs, user, with_bob},
    model::{
        Beside, Body, Connection, DeviceId, DeviceLine, Diff, Event, Item, Lost, Presence, Row,
        SettingsShown, State, Trust, Typed,
    },
    text::Clean,
};

fn conversation() -> Vec<Item> {
    let warning = |number, said| Item {
        id: number,
        at_ms: Some(NOW - 2 * MINUTE),
        body: Body::Warning(Clean::line(said)),
    };
    let failed = State::Failed(Clean::line("The relay's disk is full."));
    vec![
        theirs(1, NOW - DAY, "Are you there tomorrow?"),
        mine(
            2,
            NOW - DAY + MINUTE,
            "Yes, until noon. Bring the long list of things that we wanted to go through, please.",
            State::Delivered,
        ),
        theirs(3, NOW - 8 * MINUTE, "Good morning"),
        theirs(4, NOW - 7 * MINUTE, "I am\non my way"),
        warning(5, "The key of bob changed."),
        mine(6, NOW - MINUTE, "ok", State::Accepted),
        mine(7, NOW - MINUTE, "see you", State::Pending),
        mine(8, NOW, "and this", failed),
    ]
}

fn full(width: u16, height: u16) -> App {
    let mut app = app(width, height);
    let rows = vec![
        row(1, "bob", 0),
        row(2, "carol", 3),
        row(3, "a.very-long_name.of-32.characters", 120),
    ];
    app.update(Event::Rows(Diff::Reset(rows)));
    app.update(Event::Items(user(1), Diff::Reset(conversation())));
    app.update(Event::Connection(Connection::Live));
    press(&mut app, "<enter>");
    app
}

#[test]
fn two_panes() {
    assert_snapshot!(screen(&full(90, 28)));
}

#[test]
fn what_is_said_of_messages() {
    let mut items = conversation();
    let said = |item: &mut Item, new: Beside| match &mut item.body {
        Body::Theirs { beside, .. } | Body::Mine { beside, .. } => *beside = new,
        _ => unreachable!("a message"),
    };
    let line = Clean::line;
    said(
        &mut items[1],
        Beside {
            quote: Some(line("Are you there tomorrow?")),
            edited: true,
            reactions: vec![line("👍"), line("❤")],
            fades: false,
        },
    );
    said(
        &mut items[3],
        Beside {
            quote: Some(line(
                "you: a message as long as it gets, which has no room here at all, for the bubble ends",
            )),
            edited: false,
            reactions: vec![line("😂")],
            fades: true,
        },
    );
    items[5].body = Body::Erased { mine: true };
    items[2].body = Body::Erased { mine: false };
    let mut app = full(80, 30);
    let mut bob = row(1, "bob", 0);
    bob.timer = Some(std::time::Duration::from_secs(3600));
    app.update(Event::Rows(Diff::Update(0, bob)));
    app.update(Event::Items(user(1), Diff::Reset(items)));
    press(&mut app, "<f4>");
    assert_snapshot!(screen(&app));
}

#[test]
fn somebody_asks_to_write() {
    let mut app = full(80, 14);
    let mut asking = row(9, "mallory", 2);
    asking.request = true;
    app.update(Event::Rows(Diff::Insert(0, asking)));
    press(&mut app, "<A-down><A-down><A-down>");
    assert_snapshot!(screen(&app));
}

#[test]
fn devices() {
    let mut app = full(90, 14);
    press(&mut app, "<f2>");
    let line = |id, name: &str, days| DeviceLine {
        id: DeviceId::from_bytes([id; 16]),
        name: Clean::line(name),
        added_ms: Some(NOW - days * DAY),
        is_this: id == 2,
        has_twin: false,
    };
    let lines = vec![
        line(1, "Phone", 400),
        line(2, "laptop", 1),
        line(7, "laptop", 1),
        line(3, &"a name without end ".repeat(5), 0),
    ];
    app.update(Event::Devices(Ok((lines, true))));
    press(&mut app, "<down>");
    assert_snapshot!("devices", screen(&app));
    press(&mut app, "d");
    assert_snapshot!("remove_device", screen(&app));
    press(&mut app, "<esc><f2>");
    app.update(Event::Devices(Ok((
        vec![line(3, "one", 0), line(4, "one", 0)],
        false,
    ))));
    press(&mut app, "<down>d");
    let asked = screen(&app);
    assert!(asked.contains("one (040404) is logged out"), "{asked}");
}

#[test]
fn the_account() {
    let mut app = full(90, 18);
    press(&mut app, "<f8><down><down>");
    assert_snapshot!("account", screen(&app));
    press(&mut app, "<enter>secret");
    assert_snapshot!("account_identity", screen(&app));
    let mut app = App::new(Clock::new(TimeZone::UTC, NOW), None);
    app.update(Event::Resize(80, 18));
    press(&mut app, "<tab>alice<enter>password<enter>");
    app.update(Event::LoggedIn(Ok(None)));
    press(&mut app, "<f8>");
    assert_snapshot!("account_begins_again", screen(&app));
}

/// What is typed and what the keys do is seen, whatever has to be said before.
#[test]
fn forms_on_a_small_screen() {
    let key = Typed("7QWJ-3T9C-8D5N-VBRY-6HAE-GS4Z-P12F-7MK0-QXWJ".to_owned());
    let (name, device) = ("alice".to_owned(), DeviceId::from_bytes([7; 16]));
    let removed = Ask::Remove {
        device,
        name: Clean::line("laptop"),
        anyway: false,
    };
    let old = || Typed("old".to_owned());
    let asks = [
        (Ask::Peer, "closes."),
        (Ask::Name { login: false }, "quits."),
        (Ask::Name { login: true }, "quits."),
        (
            Ask::Password {
                name: name.clone(),
                login: false,
            },
            "back.",
        ),
        (
            Ask::Password {
                name: name.clone(),
                login: true,
            },
            "back.",
        ),
        (
            Ask::Again {
                name: name.clone(),
                password: old(),
            },
            "back.",
        ),
        (Ask::RecoveryKey { name: name.clone() }, "back."),
        (Ask::Written { key: key.clone() }, "it is."),
        (Ask::Reset { name: name.clone() }, "back."),
        (Ask::Change(Needs::OldPassword), "closes."),
        (Ask::Change(Needs::NewPassword { old: old() }), "closes."),
        (
            Ask::Change(Needs::NewAgain {
                old: old(),
                new: old(),
            }),
            "closes.",
        ),
        (Ask::Change(Needs::OldKey), "closes."),
        (Ask::Change(Needs::Identity), "closes."),
        (Ask::Change(Needs::Delete), "closes."),
        (Ask::LinkCode, "back."),
        (Ask::LinkDigits { name }, "up."),
        (Ask::DeviceName, "back."),
        (Ask::DisplayName, "closes."),
        (Ask::Timer, "closes."),
        (removed, "back."),
    ];
    for (ask, end) in asks {
        let mut app = full(40, 12);
        app.overlay = Some(Overlay::Form(Form::new(ask.clone())));
        // Longer than the line.
        press(&mut app, "begins");
        app.update(Event::Paste("-".repeat(40)));
        press(&mut app, "zz");
        let shown = screen(&app);
        let typed = shown.lines().find(|line| line.contains("› "));
        let typed = typed.unwrap_or_else(|| panic!("{ask:?}\n{shown}"));
        let masked = Form::new(ask.clone()).is_masked();
        let is_short = matches!(ask, Ask::Peer | Ask::Name { .. });
        let seen = typed.contains("zz") || typed.contains("••") || is_short;
        assert!(
            seen && (masked || is_short || !typed.contains("begins")),
            "{ask:?}\n{shown}"
        );
        assert!(shown.contains(end) || is_short, "{ask:?}\n{shown}");
        // The smallest one that is drawn at all.
        app.update(Event::Resize(20, 5));
        assert!(screen(&app).contains("› "), "{ask:?}");
    }

    // What there is no room for is gone through with the arrows.
    let mut app = full(40, 12);
    app.update(Event::RecoveryKey(key));
    press(&mut app, "<up>");
    assert_snapshot!("small_form", screen(&app));
    press(&mut app, "<down><down><down>");
    assert_snapshot!("small_form_down", screen(&app));
    press(&mut app, &"<down>".repeat(50));
    let end = screen(&app);
    assert!(end.contains("give it back to you."), "{end}");
    press(&mut app, "<up>");
    assert_ne!(screen(&app), end);
}

#[test]
fn lists_on_a_small_screen() {
    let mut app = full(40, 12);
    press(&mut app, "<f2>");
    let line = |id| DeviceLine {
        id: DeviceId::from_bytes([id; 16]),
        name: Clean::line(&format!("device {id}")),
        added_ms: Some(NOW),
        is_this: id == 2,
        has_twin: false,
    };
    app.update(Event::Devices(Ok(((0..10).map(line).collect(), false))));
    press(&mut app, "<down><down><down><down><down><down><down><down>");
    assert_snapshot!("small_devices", screen(&app));
    press(&mut app, "l");
    app.update(Event::Met(Ok("012345".to_owned())));
    assert_snapshot!("small_link_compare", screen(&app));
    press(&mut app, "<esc><esc><f6>");
    app.update(Event::Settings(Ok(SettingsShown {
        name: Clean::line("Alice Arendt"),
        receipts: true,
        typing: false,
        presence: PresencePolicy::Verified,
    })));
    assert_snapshot!("small_settings", screen(&app));
    press(&mut app, "<esc><f8>");
    assert_snapshot!("small_account", screen(&app));
    press(&mut app, "<esc><f3>");
    let digits = "12345 23456 34567 45678 56789 67890 78901 89012 90123 01234 12345 23456";
    let number = (digits.to_owned(), String::new());
    app.update(Event::Number(user(1), Ok(number)));
    let trust = Trust {
        lists_contradict: true,
        ..Trust::default()
    };
    let changed = Row {
        trust,
        ..row(1, "bob", 0)
    };
    app.update(Event::Rows(Diff::Update(0, changed)));
    assert_snapshot!("small_number", screen(&app));
}

#[test]
fn what_people_call_themselves_stands_after_their_user_names() {
    let mut app = full(90, 14);
    let mut named = row(1, "bob", 0);
    named.peer.display_name = Some(Clean::line("Robert Brown"));
    app.update(Event::Rows(Diff::Update(0, named)));
    let mut long = row(3, "a.very-long_name.of-32.characters", 120);
    long.peer.display_name = Some(Clean::line("carol"));
    app.update(Event::Rows(Diff::Update(2, long)));
    assert_snapshot!("names", screen(&app));
}

#[test]
fn settings() {
    let mut app = full(90, 14);
    press(&mut app, "<f6>");
    app.update(Event::Settings(Ok(SettingsShown {
        name: Clean::line("Alice Arendt"),
        receipts: true,
        typing: false,
        presence: PresencePolicy::Verified,
    })));
    press(&mut app, "<down><down>");
    assert_snapshot!("settings", screen(&app));
    press(&mut app, "<up><up><enter>");
    assert_snapshot!("display_name", screen(&app));
}

#[test]
fn a_device_that_is_linked() {
    let code = "SORDINO:LN1:AEBAGBAFAYDQQCIKBMGA2DQPCAIREEYUCULBOGAZDINRYHI6D4QCCIRDEQSSMJZIFEVCWLBNFYXQ:localhost";
    for (width, height, name) in [(80, 24, "link_code"), (60, 20, "link_code_small")] {
        let mut app = App::new(Clock::new(TimeZone::UTC, NOW), None);
        app.update(Event::Resize(width, height));
        press(&mut app, "<tab>alice<enter>password<enter>");
        app.update(Event::LoggedIn(Ok(None)));
        press(&mut app, "<tab>");
        app.update(Event::Code(code.to_owned()));
        assert_snapshot!(name, screen(&app));
        app.update(Event::CodeRead);
        assert_snapshot!(format!("{name}_digits"), screen(&app));
    }
    let mut app = full(90, 16);
    press(&mut app, "<f2>l");
    app.update(Event::Met(Ok("012345".to_owned())));
    assert_snapshot!("link_compare", screen(&app));
}

#[test]
fn safety_number() {
    let digits = "12345 23456 34567 45678 56789 67890 78901 89012 90123 01234 12345 23456";
    let qr = format!("SORDINO:SN1:{}", digits.replace(' ', ""));
    let mut app = full(90, 24);
    let trust = |app: &mut App, trust: Trust| {
        let changed = Row {
            trust,
            ..row(1, "bob", 0)
        };
        app.update(Event::Rows(Diff::Update(0, changed)));
    };
    press(&mut app, "<f3>");
    app.update(Event::Number(user(1), Ok((digits.to_owned(), qr))));
    assert_snapshot!("safety_number", screen(&app));
    let verified = Trust {
        verified: true,
        ..Trust::default()
    };
    trust(
        &mut app,
        Trust {
            withheld: vec![DeviceId::from_bytes([7; 16])],
            ..verified
        },
    );
    assert_snapshot!("safety_number_device", screen(&app));
    let changed = Trust {
        identity_changed: true,
        ..Trust::default()
    };
    trust(&mut app, changed);
    app.update(Event::Resize(50, 20));
    assert_snapshot!("safety_number_changed", screen(&app));
    press(&mut app, "<esc>");
    assert!(screen(&app).contains("other keys than verified: F3"));
}

#[test]
fn search() {
    let mut app = full(90, 16);
    press(&mut app, "<C-f>");
    assert_snapshot!("search_nothing_typed", screen(&app));
    press(&mut app, "日本");
    let hits = vec![
        hit(1, 7, "日本"),
        hit(2, 8, &"long ".repeat(30)),
        hit(1, 9, "שלום"),
    ];
    app.update(Event::Hits("日本".to_owned(), Ok(hits)));
    press(&mut app, "<down>");
    assert_snapshot!("search_hits", screen(&app));
    app.update(Event::Resize(24, 8));
    assert_snapshot!("search_tiny", screen(&app));
    // What fills the line to its end is not taken for all of it.
    app.update(Event::Resize(90, 16));
    let filling = "x".repeat(74 - 3 - "say ".len());
    for (text, cut) in [(&filling[1..], false), (&filling[..], true)] {
        let mut one = hit(1, 7, text);
        one.pieces.truncate(2);
        let mut other = one.clone();
        other.pieces.push((Clean::line("!"), false));
        for (hit, cut) in [(one, false), (other, cut)] {
            app.update(Event::Hits("日本".to_owned(), Ok(vec![hit])));
            let shown = screen(&app);
            let line = shown.lines().find(|line| line.contains("say x"));
            assert_eq!(line.map(|line| line.contains('…')), Some(cut), "{shown}");
        }
    }
}

#[test]
fn life() {
    let mut app = full(90, 14);
    let trust = Trust {
        verified: true,
        ..Trust::default()
    };
    let verified = Row {
        trust,
        ..row(1, "bob", 0)
    };
    app.update(Event::Rows(Diff::Update(0, verified)));
    app.update(Event::Typing(user(2), true));
    app.update(Event::Presence(user(1), Presence::Online));
    assert_snapshot!("online", screen(&app));
    let at_ms = (NOW - 3 * DAY) as u64;
    app.update(Event::Presence(user(1), Presence::LastSeen { at_ms }));
    app.update(Event::Resize(40, 10));
    assert_snapshot!("last_seen_narrow", screen(&app));
    // The name goes before.
    app.update(Event::Resize(22, 10));
    assert!(!screen(&app).contains("seen"));
}

#[test]
fn narrow() {
    let mut app = full(40, 20);
    assert_snapshot!("narrow_chat", screen(&app));
    press(&mut app, "<tab>");
    assert_snapshot!("narrow_list", screen(&app));
}

#[test]
fn tiny() {
    assert_snapshot!("tiny", screen(&full(24, 6)));
    assert_snapshot!("too_small", screen(&full(12, 3)));
}

#[test]
fn wide_letters_emoji_right_to_left_and_escapes() {
    let items = vec![
        theirs(1, NOW, "日本語の長い文章は幅が二倍なので早く折り返されます"),
        theirs(2, NOW, "👩🏽‍👧 family, 🇩🇪 flag, e\u{301} accent"),
        theirs(3, NOW, "שלום, מה שלומך? \u{202e}evil"),
        theirs(4, NOW, "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31mred"),
        mine(5, NOW, "مرحبا", State::Delivered),
    ];
    assert_snapshot!(screen(&with_bob(64, 20, items)));
}

#[test]
fn connection() {
    let mut app = app(70, 8);
    let mut shown = String::new();
    for connection in [
        Connection::Offline,
        Connection::Connecting,
        Connection::CatchingUp { left: 12 },
        Connection::CatchingUp { left: 0 },
        Connection::Live,
        Connection::Degraded,
        Connection::Lost {
            retry_at_ms: NOW + 3_100,
            by: Lost::Network,
        },
        Connection::Lost {
            retry_at_ms: NOW + 3_100,
            by: Lost::Relay,
        },
        Connection::Stopped(Clean::line("This device was removed.")),
    ] {
        app.update(Event::Connection(connection));
        shown.push_str(screen(&app).lines().last().expect("a line"));
        shown.push('\n');
    }
    assert_snapshot!(shown);
}

#[test]
fn first_start() {
    let mut app = app(70, 16);
    assert_snapshot!("nobody_yet", screen(&app));
    press(&mut app, "<C-n>ab<enter>");
    app.update(Event::Found {
        name: "ab".to_owned(),
        peer: Err(Clean::line(
            "A name has 3 to 32 of a-z 0-9 . _ - and begins with a letter or a digit.",
        )),
    });
    assert_snapshot!("bad_name", screen(&app));
}

#[test]
fn a_name_that_is_learnt_later_is_shown_everywhere() {
    let mut unknown = row(1, "", 1);
    unknown.peer.name = None;
    let mut app = app(80, 12);
    app.update(Event::Rows(Diff::Reset(vec![unknown.clone()])));
    let items = vec![theirs(1, NOW, "it is me")];
    app.update(Event::Items(user(1), Diff::Reset(items)));
    // List, header, author, and where a message is typed.
    assert_eq!(screen(&app).matches("(name unknown)").count(), 4);
    app.update(Event::Rows(Diff::Update(0, row(1, "bob", 1))));
    let known = screen(&app);
    assert!(!known.contains("unknown"), "{known}");
    assert_eq!(known.matches("bob").count(), 4, "{known}");
    // Late news that know less change nothing where the name is known.
    app.update(Event::Rows(Diff::Update(0, unknown)));
    assert!(screen(&app).contains("Message to bob"));
}

#[test]
fn help() {
    let mut app = full(80, 28);
    press(&mut app, "<f1>");
    assert_snapshot!("help", screen(&app));
    app.update(Event::Resize(40, 10));
    press(&mut app, "<down><down>");
    assert_snapshot!("help_narrow", screen(&app));
}

#[test]
fn scrolled_back_with_a_long_draft_and_a_notice() {
    let mut app = full(70, 24);
    press(
        &mut app,
        "one line<A-enter>another, which is so long that it needs a third one<pageup>",
    );
    app.update(Event::Notice(Clean::line(
        "The relay cannot be reached. Try again once there is a connection.",
    )));
    assert_snapshot!(screen(&app));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a peer is called and writes, on whatever screen: it is drawn, and no cell holds a control character.
    #[test]
    fn anything_is_drawn(
        name in any::<String>(),
        texts in prop::collection::vec(any::<String>(), 0..12),
        typed in any::<String>(),
        width in 1u16..120,
        height in 1u16..40,
        keys in prop::sample::select(&["", "<tab>", "<pageup><pageup>", "<f1>", "<C-n>", "<C-up>"][..]),
    ) {
        let mut app = app(width, height);
        let mut row = row(1, "x", 7);
        row.peer = peer(1, &name);
        row.peer.display_name = Some(Clean::line(&name));
        app.update(Event::Rows(Diff::Reset(vec![row])));
        let states = [State::Pending, State::Accepted, State::Delivered, State::Failed(Clean::text(&name))];
        let items = texts.iter().enumerate().map(|(n, text)| {
            let number = n as u64;
            match n % 5 {
                4 => theirs(number, NOW, text),
                n => mine(number, NOW - n as i64 * DAY, text, states[n].clone()),
            }
        });
        app.update(Event::Items(user(1), Diff::Reset(items.collect())));
        app.update(Event::Paste(typed));
        app.update(Event::Notice(Clean::text(&name)));
        press(&mut app, keys);
        let shown = screen(&app);
        prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
    }
}

/// Colours do not stand in the other tests: a line that is drawn over another must not take its colours.
#[test]
fn the_connection_is_coloured() {
    use ratatui::{Terminal, backend::TestBackend};

    let mut app = full(90, 28);
    let mut colour = |connection| {
        app.update(Event::Connection(connection));
        let mut terminal = Terminal::new(TestBackend::new(90, 28)).expect("a terminal");
        terminal.draw(|frame| draw(frame, &app)).expect("drawn");
        let cell = terminal.backend().buffer()[(8, 27)].clone();
        assert!("●○".contains(cell.symbol()));
        cell.fg
    };
    assert_eq!(colour(Connection::Live), theme::GOOD);
    let lost = Connection::Lost {
        retry_at_ms: NOW,
        by: Lost::Network,
    };
    assert_eq!(colour(lost), theme::BAD);
}
