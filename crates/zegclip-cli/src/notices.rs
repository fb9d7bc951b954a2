//! Messages on stderr: the program's own and what libraries log, in one place, so that none spoils a display.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::ProgressBar;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Asks for the log of other crates, as `ZEGCLIP_LOG=wgpu_core=warn,burn_train=debug`.
const VARIABLE: &str = "ZEGCLIP_LOG";
/// The beginning of the names of our crates.
const OURS: &str = "zegclip";

static OUTLET: Mutex<Outlet> = Mutex::new(Outlet::Stderr);

/// Where lines go.
enum Outlet {
    Stderr,
    Above(ProgressBar),
    Held(Vec<String>),
}

/// Prints what is logged from now on.
pub(crate) fn install() {
    let setting = std::env::var(VARIABLE).ok();
    let (filter, error) = match filter(setting.as_deref().unwrap_or_default()) {
        Ok(filter) => (filter, None),
        Err(error) => (Targets::new().with_target(OURS, LevelFilter::INFO), Some(error)),
    };
    // Only a second installation fails, and then the first one stays.
    let _ = tracing_subscriber::registry().with(filter).with(Lines).try_init();
    if let Some(error) = error {
        line(format_args!("warning: `{VARIABLE}` is ignored: {error}"));
    }
}

/// Prints one line, or holds it back while the terminal belongs to a dashboard.
pub(crate) fn line(text: impl Display) {
    // Before locking: what `Display` logs comes here too.
    let text = text.to_string();
    match &mut *outlet() {
        Outlet::Stderr => write(&text),
        Outlet::Above(bar) => bar.suspend(|| write(&text)),
        Outlet::Held(lines) => lines.push(text),
    }
}

/// Until it is dropped, lines do not go to stderr.
#[must_use]
#[derive(Debug)]
pub(crate) struct Redirected(());

/// Lines go above a bar that stays in place.
pub(crate) fn above(bar: &ProgressBar) -> Redirected {
    redirect(Outlet::Above(bar.clone()))
}

/// Lines are held back.
pub(crate) fn held() -> Redirected {
    redirect(Outlet::Held(Vec::new()))
}

/// Prints the lines held back or clears the bar; from now on lines go to stderr.
pub(crate) fn release() {
    redirect(Outlet::Stderr).forget();
}

impl Redirected {
    fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Redirected {
    fn drop(&mut self) {
        release();
    }
}

fn redirect(new: Outlet) -> Redirected {
    let mut outlet = outlet();
    match std::mem::replace(&mut *outlet, new) {
        Outlet::Stderr => (),
        Outlet::Above(bar) => bar.finish_and_clear(),
        Outlet::Held(lines) => lines.iter().for_each(|line| write(line)),
    }
    Redirected(())
}

fn outlet() -> MutexGuard<'static, Outlet> {
    OUTLET.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(line: &str) {
    // A closed stderr is not an error.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Ours from INFO on, and what `setting` asks for.
fn filter(setting: &str) -> Result<Targets, ParseError> {
    let mut filter = Targets::new().with_target(OURS, LevelFilter::INFO);
    if !setting.trim().is_empty() {
        let asked: Targets = setting.parse()?;
        if let Some(level) = asked.default_level() {
            filter = filter
                .with_default(level)
                .with_target(OURS, level.max(LevelFilter::INFO));
        }
        filter.extend(asked);
    }
    Ok(filter)
}

/// Prints each event as a line.
struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let target = fields.target.as_deref().unwrap_or(metadata.target());
        line(rendered(*metadata.level(), target, &fields.text));
    }
}

fn rendered(level: Level, target: &str, text: &str) -> String {
    let name = match level {
        Level::WARN => "warning".to_owned(),
        level => level.as_str().to_lowercase(),
    };
    match target.starts_with(OURS) {
        true if level == Level::INFO => text.to_owned(),
        true if level < Level::INFO => format!("{name}: {text}"),
        _ => format!("{name}: {target}: {text}"),
    }
}

/// The message of an event and its further values.
#[derive(Default)]
struct Fields {
    text: String,
    /// The target of what came through the crate `log`.
    target: Option<String>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.target = Some(value.to_owned()),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => {
                let values = std::mem::take(&mut self.text);
                write!(self.text, "{value:?}{values}")
            }
            name if name.starts_with("log.") => Ok(()),
            name => write!(self.text, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_are_plain_and_others_name_their_crate() {
        let ours = |level| rendered(level, "zegclip_train::run", "saved");
        assert_eq!(ours(Level::INFO), "saved");
        assert_eq!(ours(Level::WARN), "warning: saved");
        assert_eq!(ours(Level::ERROR), "error: saved");
        assert_eq!(ours(Level::DEBUG), "debug: zegclip_train::run: saved");
        assert_eq!(rendered(Level::INFO, "wgpu_core", "ready"), "info: wgpu_core: ready");
    }

    #[test]
    fn other_crates_are_silent_unless_asked_for() {
        let plain = filter("").expect("nothing to parse");
        assert!(plain.would_enable("zegclip_train::run", &Level::INFO));
        assert!(!plain.would_enable("zegclip_train::run", &Level::DEBUG));
        assert!(!plain.would_enable("wgpu_core", &Level::ERROR));

        let asked = filter("wgpu_core=warn,zegclip_train=debug").expect("two directives");
        assert!(asked.would_enable("wgpu_core::device", &Level::WARN));
        assert!(!asked.would_enable("burn_train", &Level::ERROR));
        assert!(asked.would_enable("zegclip_train::run", &Level::DEBUG));
        assert!(asked.would_enable("zegclip_model", &Level::INFO));

        let all = filter("warn").expect("a level");
        assert!(all.would_enable("burn_train", &Level::WARN));
        assert!(all.would_enable("zegclip_train", &Level::INFO));
        assert!(filter("wgpu=loud").is_err());
    }
}
