//! What lies over the conversations: the help, questions, the recovery key.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Block, BorderType, Clear, Padding, Paragraph, Wrap},
};

use super::{link, search, settings, theme, trust};
use crate::{
    app::{Account, App, Ask, Devices, Form, KEYS, Needs, Overlay, Purpose},
    clock::Clock,
    text,
};

/// From this width on a key and what it does stand in one line.
const WIDE: usize = 76;
/// What stands in a framed place has so many columns, where the screen has them.
const COLUMNS: u16 = 58;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App) {
    match &app.overlay {
        Some(Overlay::Help(skip)) => help(frame, *skip),
        Some(Overlay::Form(form)) => question(frame, form),
        Some(Overlay::Devices(list)) => devices(frame, list, &app.clock),
        Some(Overlay::Account(list)) => account(frame, list),
        Some(Overlay::Settings(shown)) => settings::draw(frame, shown),
        Some(Overlay::Link(link)) => link::draw(frame, link),
        Some(Overlay::Number(number)) => trust::draw(frame, app, number),
        Some(Overlay::Search(search)) => search::draw(frame, search, &app.clock),
        None => {}
    }
}

fn help(frame: &mut Frame<'_>, skip: usize) {
    let keys = KEYS
        .iter()
        .map(|(key, _)| text::width(key))
        .max()
        .unwrap_or(0);
    let narrow = usize::from(frame.area().width) < WIDE;
    let mut lines = Vec::new();
    for (key, does) in KEYS.iter().skip(skip) {
        let key_span = Span::styled(*key, theme::NAME);
        if narrow && !key.is_empty() {
            lines.push(Line::from(key_span));
            lines.push(Line::raw(format!("  {does}")));
        } else {
            let pad = " ".repeat(keys + 2 - text::width(key));
            lines.push(Line::from(vec![key_span, Span::raw(pad), Span::raw(*does)]));
        }
    }
    let height = KEYS.len() * if narrow { 2 } else { 1 };
    let height = u16::try_from(height).unwrap_or(u16::MAX);
    let inner = popup(frame, " Keys — Esc closes, Down goes on ", 74, height);
    let lines = Paragraph::new(lines).wrap(Wrap { trim: false });
    frame.render_widget(lines, inner);
}

fn devices(frame: &mut Frame<'_>, list: &Devices, clock: &Clock) {
    let (title, keys) = match list.purpose {
        Purpose::Manage if list.renewal_is_due => (
            " Your devices ",
            "A removed device knows your keys: k makes new ones.\nl links one, n names this, d removes the marked one. Esc.",
        ),
        Purpose::Manage => (
            " Your devices ",
            "l links one, n names this, d removes the marked one. Esc.",
        ),
        Purpose::MakeRoom(_) => (
            " Ten devices already ",
            "Enter: that one leaves, and this one comes. Esc goes back.",
        ),
    };
    let lines = list.lines.as_deref().unwrap_or_default();
    let columns = columns(frame.area());
    let shown: Vec<_> = lines
        .iter()
        .enumerate()
        .map(|(at, device)| {
            let mark = if at == list.at { "› " } else { "  " };
            let since = device.added_ms.map(|ms| clock.day(ms)).unwrap_or_default();
            let since = match device.is_this {
                true => format!("this one, {since}"),
                false => since,
            };
            let room = columns.saturating_sub(text::width(&since) + 3);
            let apart = device.told_apart();
            let name = text::fit(
                device.name.as_str(),
                room.saturating_sub(text::width(&apart)),
            );
            let name = format!("{name}{apart}");
            let pad = " ".repeat(room.saturating_sub(text::width(&name)) + 1);
            Line::from(vec![
                Span::styled(mark, theme::NAME),
                Span::raw(name),
                Span::raw(pad),
                Span::styled(since, theme::FAINT),
            ])
        })
        .collect();
    let (said, style) = match (&list.said, &list.lines) {
        (Some(said), _) => (said.as_str(), theme::ERROR),
        (None, None) => ("One moment…", theme::FAINT),
        (None, Some(_)) => (keys, theme::FAINT),
    };
    let foot = under(said, columns, style);
    sheet(frame, title, shown, list.at, foot);
}

fn account(frame: &mut Frame<'_>, list: &Account) {
    let columns = columns(frame.area());
    let shown: Vec<_> = list
        .entries
        .iter()
        .enumerate()
        .map(|(at, entry)| {
            let mark = if at == list.at { "› " } else { "  " };
            Line::from(vec![
                Span::styled(mark, theme::NAME),
                Span::raw(text::fit(entry.line(), columns.saturating_sub(2))),
            ])
        })
        .collect();
    let foot = under("Enter does it. Esc closes.", columns, theme::FAINT);
    sheet(frame, " Your account ", shown, list.at, foot);
}

/// What a change of the account asks for.
fn change(needs: &Needs) -> (&'static str, &'static str, &'static str) {
    match needs {
        Needs::OldPassword => (
            " Change the password ",
            "Your present password:",
            "Enter goes on. Esc closes.",
        ),
        Needs::NewPassword { .. } => (
            " Change the password ",
            "Choose another one:",
            "8 characters or more. Esc closes.",
        ),
        Needs::NewAgain { .. } => (
            " Change the password ",
            "The same once more:",
            "Enter changes it. Esc closes.",
        ),
        Needs::OldKey => (
            " Another recovery key ",
            "The present one opens nothing any more then. Your present recovery key:",
            "Enter makes another. Esc closes.",
        ),
        Needs::Keys => (
            " New keys ",
            "A device that was removed still knows the keys with which your devices vouch for each other. Whoever has it could, with the relay's help, put one of theirs on your account. Your recovery key:",
            "Enter makes new ones. Esc closes.",
        ),
        Needs::Identity => (
            " New identity ",
            "For who has lost the recovery key. Your account gets new keys and another recovery key, and this device stays on it alone: the others are logged out. Your contacts are told, and those who have verified you write to you again only once they have compared.\n\nYour password:",
            "Enter does it. Esc closes.",
        ),
        Needs::Delete => (
            " Delete the account ",
            "For ever: nobody gets your name again, all your devices are logged out, and what the relay keeps of you is gone. What you wrote stays with those to whom you wrote.\n\nYour recovery key:",
            "Enter deletes it. Esc closes.",
        ),
    }
}

/// Title, question, and what the keys do.
fn wording(ask: &Ask) -> (&'static str, String, &'static str) {
    let (title, question, keys) = match ask {
        Ask::Peer => (
            " New conversation ",
            "Whom do you want to write to? User name:",
            "Enter looks it up. Esc closes.",
        ),
        Ask::Name { login: false } => (
            " Welcome to Sordino ",
            "Choose your user name:",
            "Enter goes on. Tab: I have an account. Ctrl-C quits.",
        ),
        Ask::Name { login: true } => (
            " Welcome back ",
            "The user name of your account:",
            "Enter goes on. Tab: make a new account. Ctrl-C quits.",
        ),
        Ask::Password { login: false, .. } => (
            " Welcome to Sordino ",
            "Choose a password; with it you log in on another device:",
            "8 characters or more. Esc goes back.",
        ),
        Ask::Password { name, login: true } => {
            let question = format!("The password of {name}:");
            return (" Welcome back ", question, "Enter logs in. Esc goes back.");
        }
        Ask::Again { .. } => (
            " Welcome to Sordino ",
            "The same password once more:",
            "Enter registers you with the relay. Esc goes back.",
        ),
        Ask::RecoveryKey { .. } => (
            " Welcome back ",
            "Your recovery key, nine groups of four:",
            "Enter opens your account here. Tab: link it by another device of yours. F8: you have neither. Esc goes back.",
        ),
        Ask::Reset { .. } => (
            " New identity ",
            "Without the recovery key and without a device, your account can only begin again: under your name, with new keys. Nothing that was written before is read here. Your contacts are told, other devices are logged out. As anybody could ask who knows your password, your devices are told first, and you wait for some days.\n\nType new to ask for it:",
            "Enter asks. Esc goes back.",
        ),
        Ask::Change(needs) => change(needs),
        Ask::LinkCode => (
            " Link a device ",
            "On the new device log in with your password and press Tab: it shows a code. The code:",
            "Paste it; Enter reads it. Esc goes back.",
        ),
        Ask::LinkDigits { .. } => (
            " Link this device ",
            "Your other device has read the code. The six digits that it shows:",
            "Enter takes them; then confirm on the other device. Esc gives it up.",
        ),
        Ask::DeviceName => (
            " Your devices ",
            "What is this device to be called? Only your other devices learn it:",
            "Enter names it. Esc goes back.",
        ),
        Ask::DisplayName => (
            " Your name ",
            "What do you call yourself? Whoever you write to sees it beside your user name, with your next message:",
            "Enter sets it, for all your devices; nothing: no name. Esc closes.",
        ),
        Ask::Timer => (
            " Messages that do not last ",
            "How long is what you two write from now on to last, once it was sent or read?",
            "Such as 30s, 5m, 8h, 1d, 2w; off: for ever. Enter sets it. Esc closes.",
        ),
        Ask::Remove { name, .. } => {
            let question = format!(
                "{name} is logged out, and gets nothing more. If somebody else has it, give your recovery key as well: the account gets new keys then, and those that it knows are worth nothing.\n\nRecovery key, or nothing:"
            );
            let keys = "Enter removes it. Esc goes back.";
            return (" Remove a device ", question, keys);
        }
        Ask::Written { key } => {
            let question = format!(
                "Write this down, and keep it where you keep what matters:\n\n{}\n\nIt opens your account on a new device, with your password. Nobody can give it back to you.\n\nIts last group, once you have written it down:",
                key.0
            );
            let keys = "Enter: it is not shown again. Esc: at the next start it is.";
            return (" Your recovery key ", question, keys);
        }
    };
    (title, question.to_owned(), keys)
}

/// A question as it stands on the screen. What leads up to it may be longer than the screen, and is read with Up and Down.
struct Laid {
    title: &'static str,
    before: Vec<Line<'static>>,
    asked: Vec<Line<'static>>,
    said: Vec<Line<'static>>,
}

impl Laid {
    fn new(form: &Form, screen: Rect) -> Self {
        let (title, question, keys) = wording(&form.ask);
        let columns = columns(screen);
        let (before, asked) = question.rsplit_once("\n\n").unwrap_or(("", &question));
        let before = match before {
            "" => Vec::new(),
            before => wrapped(&format!("{before}\n"), columns, Style::new()),
        };
        let (said, style) = match &form.error {
            Some(error) => (error.as_str(), theme::ERROR),
            None if form.busy => ("One moment…", theme::FAINT),
            None => (keys, theme::FAINT),
        };
        let mut laid = Self {
            title,
            before,
            asked: wrapped(asked, columns, Style::new()),
            said: under(said, columns, style),
        };
        let rows = rows(screen);
        let all = [&laid.before, &laid.asked, &laid.said].map(Vec::len);
        if all.iter().sum::<usize>() + 1 > rows {
            for lines in [&mut laid.before, &mut laid.asked, &mut laid.said] {
                tighten(lines);
            }
        }
        // What is typed goes before.
        laid.said.truncate(rows.saturating_sub(1));
        laid
    }
}

/// How far down one may go in what leads up to a question.
pub(crate) fn lines_below(form: &Form, screen: Rect) -> usize {
    let laid = Laid::new(form, screen);
    let foot = laid.asked.len() + 1 + laid.said.len();
    Fit::new(laid.before.len(), foot, rows(screen)).below()
}

fn question(frame: &mut Frame<'_>, form: &Form) {
    let Laid {
        title,
        before,
        asked,
        said,
    } = Laid::new(form, frame.area());
    let (typed, column) = match form.is_masked() {
        true => form.input.masked(),
        false => {
            let column = form.input.layout(usize::MAX).cursor.0;
            (form.input.text().to_owned(), column)
        }
    };
    // The end of what is typed, where it is longer than the line.
    let room = columns(frame.area()).saturating_sub(3).max(1);
    let (typed, column) = text::around(&typed, column, room);
    let typed = Line::from(vec![Span::styled("› ", theme::NAME), Span::raw(typed)]);
    let below = said.len();
    let foot = [asked, vec![typed], said].concat();
    let fit = Fit::new(before.len(), foot.len(), rows(frame.area()));
    let at = fit.room.saturating_sub(1) + form.down;
    let inner = sheet(frame, title, before, at, foot);
    let y = inner
        .bottom()
        .saturating_sub(u16::try_from(below + 1).unwrap_or(0));
    if let (false, Ok(x)) = (form.busy, u16::try_from(column)) {
        let x = (inner.x + 2 + x).min(inner.right().saturating_sub(1));
        frame.set_cursor_position(Position::new(x, y.max(inner.y)));
    }
}

/// Columns of what stands in a framed place.
pub(super) fn columns(screen: Rect) -> usize {
    usize::from(screen.width.saturating_sub(4).min(COLUMNS))
}

fn rows(screen: Rect) -> usize {
    usize::from(screen.height.saturating_sub(2))
}

/// In lines of so many columns.
pub(super) fn wrapped(said: &str, columns: usize, style: Style) -> Vec<Line<'static>> {
    let lines = text::wrap(said, columns.max(2)).into_iter();
    lines
        .map(|range| {
            let line = said.get(range).unwrap_or_default().trim_end();
            Line::styled(line.to_owned(), style)
        })
        .collect()
}

/// The same, apart from what stands above it.
pub(super) fn under(said: &str, columns: usize, style: Style) -> Vec<Line<'static>> {
    let said = wrapped(said, columns, style);
    [vec![Line::raw("")], said].concat()
}

/// Leaves out what only sets apart.
fn tighten(lines: &mut Vec<Line<'static>>) {
    lines.retain(|line| line.width() > 0);
}

/// How lines are shown that are perhaps more than there is room for, with others below them that are always seen.
struct Fit {
    lines: usize,
    /// So many of them at a time.
    room: usize,
}

impl Fit {
    fn new(lines: usize, foot: usize, rows: usize) -> Self {
        let room = lines.min(rows.saturating_sub(foot));
        Self { lines, room }
    }

    fn below(&self) -> usize {
        match self.room {
            0 => 0,
            room => self.lines - room,
        }
    }
}

/// A framed place in which `foot` is seen, if need be at the cost of its beginning, and of `body` the line `at`. Returns its inside.
pub(super) fn sheet(
    frame: &mut Frame<'_>,
    title: &'static str,
    mut body: Vec<Line<'static>>,
    at: usize,
    mut foot: Vec<Line<'static>>,
) -> Rect {
    let rows = rows(frame.area());
    if body.len() + foot.len() > rows {
        tighten(&mut body);
        tighten(&mut foot);
    }
    foot.drain(..foot.len().saturating_sub(rows));
    let fit = Fit::new(body.len(), foot.len(), rows);
    let height = u16::try_from(fit.room + foot.len()).unwrap_or(u16::MAX);
    let inner = popup(frame, title, COLUMNS, height);
    let above = (at + 1).saturating_sub(fit.room).min(fit.below());
    let mut lines: Vec<_> = body.into_iter().skip(above).take(fit.room).collect();
    lines.extend(foot);
    frame.render_widget(Paragraph::new(lines), inner);
    // Beside the first and the last of them, that there are others.
    let last = fit.room.saturating_sub(1);
    for (row, mark, is_so) in [(0, "↑", above > 0), (last, "↓", above < fit.below())] {
        let y = inner.y + u16::try_from(row).unwrap_or(0);
        if is_so && fit.room > 0 && y < inner.bottom() {
            let place = Rect::new(inner.right(), y, 1, 1).intersection(frame.area());
            frame.render_widget(Span::styled(mark, theme::NAME), place);
        }
    }
    inner
}

/// A framed place in the middle, as large as asked or as the screen allows. Returns its inside.
pub(super) fn popup(frame: &mut Frame<'_>, title: &'static str, width: u16, height: u16) -> Rect {
    let screen = frame.area();
    let (width, height) = (
        (width + 4).min(screen.width),
        (height + 2).min(screen.height),
    );
    let area = Rect::new(
        (screen.width - width) / 2,
        (screen.height - height) / 2,
        width,
        height,
    );
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme::FAINT)
        .title(Span::styled(title, theme::NAME))
        .padding(Padding::horizontal(1));
    let inner = block.inner(area);
    // A wide letter that begins left of it would be drawn over the frame.
    let clear = Rect {
        x: area.x.saturating_sub(1),
        width: area.width + u16::from(area.x > 0),
        ..area
    };
    frame.render_widget(Clear, clear);
    frame.render_widget(block, area);
    inner
}
