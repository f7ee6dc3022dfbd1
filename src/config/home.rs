//! Which folder is home: `--home`, else `$SIGWARD_HOME`, else `~/.sigward`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::{ConfigCode, ConfigError};

/// Finds the home folder. `environment` looks a variable up; an empty variable counts as unset. Does not look at the disk.
pub fn find_home(
    flag: Option<&Path>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, ConfigError> {
    let set = |name| {
        environment(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    flag.map(Path::to_owned)
        .or_else(|| set("SIGWARD_HOME"))
        .or_else(|| set("HOME").map(|home| home.join(".sigward")))
        .ok_or_else(|| {
            ConfigError::new(
                ConfigCode::Missing,
                "neither SIGWARD_HOME nor HOME is set",
                "name the folder of sigward.toml with --home DIR",
            )
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_variable_over_the_users_folder() {
        let all = |name: &str| match name {
            "SIGWARD_HOME" => Some("/srv/sigward".into()),
            "HOME" => Some("/home/ada".into()),
            _ => None,
        };
        let home_only = |name: &str| match name {
            "SIGWARD_HOME" => Some("".into()),
            name => all(name),
        };
        assert_eq!(find_home(Some(Path::new("x")), all).unwrap(), Path::new("x"));
        assert_eq!(find_home(None, all).unwrap(), Path::new("/srv/sigward"));
        assert_eq!(
            find_home(None, home_only).unwrap(),
            Path::new("/home/ada/.sigward")
        );
        assert_eq!(find_home(None, |_| None).unwrap_err().code, ConfigCode::Missing);
    }
}
