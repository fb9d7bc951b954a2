//! The modes of the terminal.

use std::io;

use crossterm::cursor::Show;
use crossterm::event::DisableMouseCapture;
use crossterm::execute;
use crossterm::terminal::{LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};

/// Columns; 80 if the terminal's width is unknown.
pub(super) fn width() -> usize {
    crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns))
}

/// Whether a dashboard can be shown.
pub(super) fn can_be_drawn_on() -> bool {
    let dumb = std::env::var("TERM").is_ok_and(|name| name == "dumb");
    // Changing the terminal would stop a process in the background.
    !dumb && !is_in_background().unwrap_or(false)
}

/// Known on Linux only.
fn is_in_background() -> Option<bool> {
    let status = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may contain anything; it is followed by state, parent, group, session, terminal, its group.
    let (_, fields) = status.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    Some(fields.get(2)? != fields.get(5)?)
}

/// Raw mode in which Ctrl-C remains a signal. A later `enable_raw_mode` of burn's dashboard changes nothing.
pub(super) fn enable_raw_mode_with_interrupt() -> io::Result<()> {
    enable_raw_mode()?;
    keep_interrupt_key().inspect_err(|_| {
        let _ = disable_raw_mode();
    })
}

#[cfg(unix)]
fn keep_interrupt_key() -> io::Result<()> {
    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, isatty, tcgetattr, tcsetattr};
    use std::os::fd::AsFd;

    /// `_POSIX_VDISABLE`
    const NO_KEY: u8 = if cfg!(any(target_os = "linux", target_os = "android")) {
        0
    } else {
        0xff
    };
    let stdin = io::stdin();
    let opened;
    // The terminal that crossterm takes.
    let terminal = if isatty(&stdin) {
        stdin.as_fd()
    } else {
        opened = std::fs::File::options().read(true).write(true).open("/dev/tty")?;
        opened.as_fd()
    };
    let mut mode = tcgetattr(terminal)?;
    mode.local_modes.insert(LocalModes::ISIG);
    // These keys would leave the terminal as it is.
    for key in [SpecialCodeIndex::VSUSP, SpecialCodeIndex::VQUIT] {
        mode.special_codes[key] = NO_KEY;
    }
    tcsetattr(terminal, OptionalActions::Now, &mode)?;
    Ok(())
}

#[cfg(not(unix))]
fn keep_interrupt_key() -> io::Result<()> {
    Ok(())
}

/// How to stop the run where Ctrl-C does not.
pub(super) const HOW_TO_STOP: Option<&str> = if cfg!(unix) { None } else { Some("q, s: stop") };

/// Restores the modes that the dashboard changed.
pub(super) fn restore() {
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
}

/// The dashboard sometimes leaves it hidden.
pub(super) fn show_cursor() {
    let _ = execute!(io::stdout(), Show);
}
