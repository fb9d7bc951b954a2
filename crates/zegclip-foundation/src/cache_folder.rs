//! Folders of caches, by the environment.

use std::ffi::OsString;
use std::path::PathBuf;

/// The value of an environment variable that is set and not empty.
pub fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The user's folder of caches: `$XDG_CACHE_HOME` or `~/.cache`. `variable` looks up the environment.
pub fn user_caches(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = variable("XDG_CACHE_HOME").map(PathBuf::from);
    named.or_else(|| Some(std::env::home_dir()?.join(".cache")))
}

/// The folder of what the program keeps between runs: `$ZEGCLIP_CACHE`, or `zegclip` in the user's caches.
pub fn cache_folder(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = variable("ZEGCLIP_CACHE").map(PathBuf::from);
    named.or_else(|| Some(user_caches(variable)?.join("zegclip")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_follow_the_environment() {
        let with = |set: &'static [(&str, &str)]| {
            move |name: &str| {
                let found = set.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| OsString::from(value))
            }
        };
        let both = with(&[("ZEGCLIP_CACHE", "/own"), ("XDG_CACHE_HOME", "/user")]);
        assert_eq!(cache_folder(&both), Some(PathBuf::from("/own")));
        assert_eq!(user_caches(&both), Some(PathBuf::from("/user")));
        let user = with(&[("XDG_CACHE_HOME", "/user")]);
        assert_eq!(cache_folder(&user), Some(PathBuf::from("/user/zegclip")));
    }
}
