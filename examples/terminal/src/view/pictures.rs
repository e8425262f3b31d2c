//! The pictures of the documentation: what the app draws, as SVG. `SORDINO_BLESS=1 cargo test -p sordino-terminal pictures` draws them anew.

use std::{fmt::Write as _, fs, path::Path};

use jiff::tz::TimeZone;
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};
use unicode_width::UnicodeWidthStr as _;

use super::draw;
use crate::{
    app::App,
    clock::Clock,
    fixture::{DAY, MINUTE, NOW, mine, press, row, theirs, user},
    model::{Beside, Body, Connection, Diff, Event, Item, Last, Presence, Row, State, Trust},
    text::Clean,
};

/// Of a cell, in pixels.
const CELL: (usize, usize) = (10, 20);
const PAPER: &str = "#1c1c1c";
const INK: &str = "#d0d0d0";

/// What xterm shows by this number.
fn colour(of: Color, otherwise: &str) -> String {
    let Color::Indexed(number) = of else {
        return otherwise.to_owned();
    };
    let (red, green, blue) = match number {
        232.. => {
            let grey = 8 + 10 * (number - 232);
            (grey, grey, grey)
        }
        16.. => {
            let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            let at = number - 16;
            (level(at / 36), level(at / 6 % 6), level(at % 6))
        }
        _ => panic!("a colour that each terminal has its own of"),
    };
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn svg(buffer: &Buffer, title: &str) -> String {
    let (width, height) = (buffer.area.width, buffer.area.height);
    let (wide, high) = (usize::from(width) * CELL.0, usize::from(height) * CELL.1);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-10 -10 {} {}\" shape-rendering=\"crispEdges\">\n<title>{title}</title>\n<style>text {{ font: 16px ui-monospace, Menlo, Consolas, \"DejaVu Sans Mono\", monospace; white-space: pre }}</style>\n<rect x=\"-10\" y=\"-10\" width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n",
        wide + 20,
        high + 20,
    );
    for y in 0..height {
        let cells: Vec<&Cell> = (0..width).map(|x| &buffer[(x, y)]).collect();
        let same = |a: &&Cell, b: &&Cell| (a.fg, a.bg, a.modifier) == (b.fg, b.bg, b.modifier);
        let mut x = 0;
        for run in cells.chunk_by(same) {
            paint(&mut out, run, x, usize::from(y));
            x += run.len();
        }
    }
    out.push_str("</svg>\n");
    out
}

/// Cells of one style.
fn paint(out: &mut String, run: &[&Cell], x: usize, y: usize) {
    let Some(style) = run.first() else { return };
    let (left, top) = (x * CELL.0, y * CELL.1);
    let (ink, paper) = (colour(style.fg, INK), colour(style.bg, PAPER));
    if paper != PAPER {
        let wide = run.len() * CELL.0;
        let _ = writeln!(
            out,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{wide}\" height=\"{}\" fill=\"{paper}\"/>",
            CELL.1
        );
    }
    let (mut text, mut begins, mut at) = (String::new(), 0, 0);
    let weight = match style.modifier.contains(Modifier::BOLD) {
        true => " font-weight=\"bold\"",
        false => "",
    };
    let mut write = |text: &mut String, from: usize, upto: usize| {
        let said = text.trim_end();
        if !said.is_empty() {
            let columns = said.width();
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"{}\" textLength=\"{}\" fill=\"{ink}\"{weight}>{}</text>",
                left + from * CELL.0,
                top + 15,
                columns.min(upto - from) * CELL.0,
                escaped(said)
            );
        }
        text.clear();
    };
    let mut shapes = Vec::new();
    while let Some(cell) = run.get(at) {
        let columns = cell.symbol().width().max(1);
        let parts = shape(cell.symbol());
        if !parts.is_empty() {
            write(&mut text, begins, at);
            shapes.extend(parts.iter().map(|part| (left + at * CELL.0, *part)));
            begins = at + 1;
        } else if cell.symbol() == " " && (text.is_empty() || text.ends_with(' ')) {
            // Viewers differ in what they make of several spaces.
            write(&mut text, begins, at);
            begins = at + 1;
        } else if columns > 1 {
            // Fonts differ in how wide they draw it.
            write(&mut text, begins, at);
            text.push_str(cell.symbol());
            write(&mut text, at, at + columns);
            begins = at + columns;
        } else {
            text.push_str(cell.symbol());
        }
        at += columns;
    }
    write(&mut text, begins, at);
    for (left, (x, y, wide, high)) in shapes {
        let _ = writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"{wide}\" height=\"{high}\" fill=\"{ink}\"/>",
            left + x,
            top + y
        );
    }
}

/// What has no gaps to its neighbours: codes that a camera reads, and frames. Rectangles by their place, width and height in the cell.
fn shape(symbol: &str) -> &'static [(usize, usize, usize, usize)] {
    match symbol {
        "█" => &[(0, 0, 10, 20)],
        "▀" => &[(0, 0, 10, 10)],
        "▄" => &[(0, 10, 10, 10)],
        "─" => &[(0, 10, 10, 1)],
        "│" => &[(5, 0, 1, 20)],
        "╭" => &[(5, 10, 5, 1), (5, 10, 1, 10)],
        "╮" => &[(0, 10, 6, 1), (5, 10, 1, 10)],
        "╰" => &[(5, 10, 5, 1), (5, 0, 1, 10)],
        "╯" => &[(0, 10, 6, 1), (5, 0, 1, 11)],
        _ => &[],
    }
}

fn picture(app: &App, title: &str) -> String {
    let (width, height) = (app.screen.width, app.screen.height);
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    let drawn = terminal.draw(|frame| draw(frame, app)).expect("drawn");
    svg(drawn.buffer, title)
}

fn line(id: u8, name: &str, text: &str, minutes: i64, unread: u64) -> Row {
    Row {
        last: Some(Last {
            mine: false,
            text: Clean::line(text),
            at_ms: Some(NOW - minutes * MINUTE),
        }),
        ..row(id, name, unread)
    }
}

fn beside(mut item: Item, with: Beside) -> Item {
    if let Body::Theirs { beside, .. } | Body::Mine { beside, .. } = &mut item.body {
        *beside = with;
    }
    item
}

/// Somebody's day.
fn chat() -> App {
    let mut app = App::new(Clock::new(TimeZone::UTC, NOW), Some(Clean::line("alice")));
    app.update(Event::Resize(100, 24));
    app.update(Event::Connection(Connection::Live));
    let bob = Row {
        trust: Trust {
            verified: true,
            ..Trust::default()
        },
        ..line(1, "bob", "See you at the lake then", 0, 0)
    };
    let rows = vec![
        bob,
        line(2, "carol", "The train is late, of course", 9, 2),
        line(3, "dave", "Thank you!", 41, 0),
        line(4, "erin", "I have the tickets", 95, 1),
    ];
    app.update(Event::Rows(Diff::Reset(rows)));
    let read = State::Read;
    let items = vec![
        theirs(
            1,
            NOW - DAY,
            "Shall we swim tomorrow, if the weather holds?",
        ),
        mine(
            2,
            NOW - DAY + MINUTE,
            "Gladly. I can bring the boat.",
            read.clone(),
        ),
        theirs(3, NOW - 31 * MINUTE, "It holds! Seven degrees, they say."),
        beside(
            mine(4, NOW - 28 * MINUTE, "Seventeen, I hope", read),
            Beside {
                quote: Some(Clean::line("It holds! Seven degrees, they say.")),
                edited: true,
                reactions: vec![Clean::line("😂")],
                fades: false,
            },
        ),
        theirs(5, NOW - 2 * MINUTE, "At ten, by the old mill?"),
        mine(6, NOW - MINUTE, "At ten.", State::Delivered),
        mine(7, NOW, "See you at the lake then", State::Accepted),
    ];
    app.update(Event::Items(user(1), Diff::Reset(items)));
    press(&mut app, "<enter>");
    app.update(Event::Presence(user(1), Presence::Online));
    app.update(Event::Typing(user(1), true));
    app
}

fn safety_number() -> App {
    let digits = "12345 23456 34567 45678 56789 67890 78901 89012 90123 01234 12345 23456";
    let qr = format!("SORDINO:SN1:{}", digits.replace(' ', ""));
    let mut app = chat();
    let stranger = line(1, "bob", "See you at the lake then", 0, 0);
    app.update(Event::Rows(Diff::Update(0, stranger)));
    press(&mut app, "<f3>");
    app.update(Event::Number(user(1), Ok((digits.to_owned(), qr))));
    app
}

fn link() -> App {
    let code = "SORDINO:LN1:AEBAGBAFAYDQQCIKBMGA2DQPCAIREEYUCULBOGAZDINRYHI6D4QCCIRDEQSSMJZIFEVCWLBNFYXQ:localhost";
    let mut app = App::new(Clock::new(TimeZone::UTC, NOW), None);
    app.update(Event::Resize(100, 24));
    press(&mut app, "<tab>alice<enter>password<enter>");
    app.update(Event::LoggedIn(Ok(None)));
    press(&mut app, "<tab>");
    app.update(Event::Code(code.to_owned()));
    app
}

#[test]
fn the_pictures_of_the_documentation_show_what_is_drawn() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/images");
    for (name, app, title) in [
        (
            "terminal",
            chat(),
            "A conversation in the terminal, beside the others",
        ),
        (
            "terminal-number",
            safety_number(),
            "The safety number with a person, and its QR code",
        ),
        (
            "terminal-link",
            link(),
            "A new device shows a QR code to one of the account's",
        ),
    ] {
        let (path, drawn) = (folder.join(format!("{name}.svg")), picture(&app, title));
        if std::env::var_os("SORDINO_BLESS").is_some() {
            fs::write(&path, &drawn).expect("written");
        }
        let kept = fs::read_to_string(&path).expect("a picture");
        let hint = "SORDINO_BLESS=1 draws it anew; look at it then";
        assert!(kept == drawn, "{name}.svg is not what is drawn: {hint}");
    }
}
