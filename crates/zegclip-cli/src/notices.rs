//! Lines on stderr: messages of the program and events of the libraries, in one place, so that none damages a display.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::ProgressBar;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Enables the log of other crates, as in `ZEGCLIP_LOG=wgpu_core=warn,burn_train=debug`.
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

/// Prints log events from now on.
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

/// Prints one line, or buffers it while a dashboard has the terminal.
pub(crate) fn line(text: impl Display) {
    // Before locking, because `Display` may log.
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

/// Lines are buffered.
pub(crate) fn held() -> Redirected {
    redirect(Outlet::Held(Vec::new()))
}

/// Prints the buffered lines or clears the bar; from now on lines go to stderr.
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

/// Our crates from INFO on, and what `setting` enables.
fn filter(setting: &str) -> Result<Targets, ParseError> {
    let mut filter = Targets::new().with_target(OURS, LevelFilter::INFO);
    if !setting.trim().is_empty() {
        let enabled: Targets = setting.parse()?;
        if let Some(level) = enabled.default_level() {
            filter = filter
                .with_default(level)
                .with_target(OURS, level.max(LevelFilter::INFO));
        }
        filter.extend(enabled);
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
        Level::INFO => "note".to_owned(),
        Level::WARN => "warning".to_owned(),
        level => level.as_str().to_lowercase(),
    };
    match target.starts_with(OURS) {
        true if level <= Level::INFO => format!("{name}: {text}"),
        _ => format!("{name}: {target}: {text}"),
    }
}

/// The message of an event and its further values.
#[derive(Default)]
struct Fields {
    text: String,
    /// The target of an event of the crate `log`.
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
    fn other_crates_are_named() {
        let ours = |level| rendered(level, "zegclip_train::run", "saved");
        assert_eq!(ours(Level::INFO), "note: saved");
        assert_eq!(ours(Level::WARN), "warning: saved");
        assert_eq!(ours(Level::ERROR), "error: saved");
        assert_eq!(ours(Level::DEBUG), "debug: zegclip_train::run: saved");
        assert_eq!(rendered(Level::INFO, "wgpu_core", "ready"), "note: wgpu_core: ready");
    }

    #[test]
    fn other_crates_are_silent_unless_enabled() {
        let plain = filter("").expect("nothing to parse");
        assert!(plain.would_enable("zegclip_train::run", &Level::INFO));
        assert!(!plain.would_enable("zegclip_train::run", &Level::DEBUG));
        assert!(!plain.would_enable("wgpu_core", &Level::ERROR));

        let enabled = filter("wgpu_core=warn,zegclip_train=debug").expect("two directives");
        assert!(enabled.would_enable("wgpu_core::device", &Level::WARN));
        assert!(!enabled.would_enable("burn_train", &Level::ERROR));
        assert!(enabled.would_enable("zegclip_train::run", &Level::DEBUG));
        assert!(enabled.would_enable("zegclip_model", &Level::INFO));

        let all = filter("warn").expect("a level");
        assert!(all.would_enable("burn_train", &Level::WARN));
        assert!(all.would_enable("zegclip_train", &Level::INFO));
        assert!(filter("wgpu=loud").is_err());
    }
}
