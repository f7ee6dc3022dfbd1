//! Files and folders: there, ours, closed to others, and what they should be. Reads names and modes, never contents.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::finding::{Check, Finding};
use super::quoted;
use crate::config::{Config, FILE_NAME, SealSource};

/// What a path is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Home,
    Config,
    Seal,
    Identity,
    Keys,
    Sealed,
    Store,
    Witness,
    AdminSocket,
}

/// What a path is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    File,
    Folder,
    Socket,
    Other,
}

/// What was seen at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Sight {
    Missing,
    Unreadable(String),
    There {
        kind: Kind,
        mode: u32,
        uid: u32,
        symlink: bool,
    },
}

/// A path, its task, and what was seen there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    pub(super) role: Role,
    pub(super) path: PathBuf,
    pub(super) sight: Sight,
}

/// What was gathered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    pub(super) files: Vec<Seen>,
    /// The user that runs this.
    pub(super) us: u32,
    /// The name of the home's owner, where the machine knows one.
    pub(super) owner_name: Option<String>,
    /// Without a daemon there is no admin socket.
    pub(super) daemon: bool,
}

/// What a path of this role must be.
struct Rule {
    check: Check,
    kind: Kind,
    /// No bit of these.
    forbidden: u32,
    /// What `chmod` should make it.
    mode: &'static str,
    /// What to do where it is missing; `None` where that is no fault.
    missing: Option<&'static str>,
}

impl Role {
    fn rule(self) -> Rule {
        let rule = |check, kind, forbidden, mode, missing| Rule {
            check,
            kind,
            forbidden,
            mode,
            missing,
        };
        let init = Some("make a home with `sigward init`, or name it with --home DIR");
        let lost = Some(
            "put it back from where it went, never an older copy; without one see docs/operating.md, and `sigward state adopt --help`",
        );
        match self {
            // Who can write here can put another file in the place of any.
            Self::Home => rule(Check::FilesHome, Kind::Folder, 0o022, "0700", init),
            Self::Config => rule(Check::FilesConfig, Kind::File, 0o022, "0600", init),
            Self::Seal => rule(
                Check::FilesSeal,
                Kind::File,
                0o177,
                "0600",
                Some(
                    "put the file back: without it no sealed key opens, and no other file can take its place",
                ),
            ),
            Self::Identity => rule(
                Check::FilesIdentity,
                Kind::File,
                0o177,
                "0600",
                Some(
                    "put it back; or make another with `sigward init` in an empty home and copy that one: it signs nothing of a chain",
                ),
            ),
            Self::Keys => rule(
                Check::FilesKeys,
                Kind::Folder,
                0o077,
                "0700",
                Some("put the folder of sealed keys back, from a backup or from the disk it was on"),
            ),
            Self::Sealed => rule(Check::FilesSealed, Kind::File, 0o177, "0600", None),
            Self::Store => rule(Check::FilesStore, Kind::Folder, 0o077, "0700", lost),
            Self::Witness => rule(Check::FilesWitness, Kind::File, 0o077, "0600", lost),
            Self::AdminSocket => rule(Check::FilesAdminSocket, Kind::Socket, 0o177, "0600", None),
        }
    }
}

/// Looks at every path that the configuration names, and at every sealed key.
pub(super) fn gather(home: &Path, config: Option<&Config>, us: u32, daemon: bool) -> Facts {
    let mut paths = vec![
        (Role::Home, home.to_owned()),
        (Role::Config, home.join(FILE_NAME)),
    ];
    if let Some(config) = config {
        if let SealSource::KeyFile(path) | SealSource::PassphraseFile(path) = &config.seal {
            paths.push((Role::Seal, path.clone()));
        }
        if let SealSource::Pkcs11(token) = &config.seal {
            paths.push((Role::Seal, token.file.clone()));
        }
        paths.push((Role::Identity, config.identity.clone()));
        paths.push((Role::Keys, config.keys.dir.clone()));
        paths.extend(
            sealed(&config.keys.dir)
                .into_iter()
                .map(|path| (Role::Sealed, path)),
        );
        paths.push((Role::Store, config.store.dir.clone()));
        paths.push((Role::Witness, config.store.witness.clone()));
        paths.push((Role::AdminSocket, config.admin_socket.clone()));
    }
    let files: Vec<Seen> = paths
        .into_iter()
        .map(|(role, path)| Seen {
            sight: look(&path),
            role,
            path,
        })
        .collect();
    let owner_name = owner(&files).and_then(user_name);
    Facts {
        files,
        us,
        owner_name,
        daemon,
    }
}

/// Sealed keys of the folder, in order of name.
pub(super) fn sealed(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "sealed"))
        .collect();
    files.sort_unstable();
    files
}

fn look(path: &Path) -> Sight {
    let symlink = std::fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink());
    match std::fs::metadata(path) {
        Ok(about) => Sight::There {
            kind: kind(&about),
            mode: about.mode() & 0o7777,
            uid: about.uid(),
            symlink,
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Sight::Missing,
        Err(error) => Sight::Unreadable(error.to_string()),
    }
}

fn kind(about: &Metadata) -> Kind {
    let kind = about.file_type();
    match (kind.is_file(), kind.is_dir(), kind.is_socket()) {
        (true, ..) => Kind::File,
        (_, true, _) => Kind::Folder,
        (.., true) => Kind::Socket,
        _ => Kind::Other,
    }
}

/// Whose home it is.
fn owner(files: &[Seen]) -> Option<u32> {
    files.iter().find_map(|seen| match (seen.role, &seen.sight) {
        (Role::Home, Sight::There { uid, .. }) => Some(*uid),
        _ => None,
    })
}

fn user_name(uid: u32) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users
        .lines()
        .find(|line| line.split(':').nth(2) == Some(uid.to_string().as_str()))?;
    line.split(':').next().map(str::to_owned)
}

/// Judges every path.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let owner = owner(&facts.files);
    let mut found: Vec<Finding> = user(facts, owner).into_iter().collect();
    let mut sealed = 0;
    for seen in &facts.files {
        let findings = judge_one(seen, owner.unwrap_or(facts.us), facts);
        if seen.role == Role::Sealed && findings.iter().all(|f| f.status == super::finding::Status::Ok) {
            sealed += 1;
            continue;
        }
        found.extend(findings);
    }
    if sealed > 0 {
        found.push(Finding::ok(
            Check::FilesSealed,
            format!("{}, mode 0600", super::count(sealed, "sealed key")),
        ));
    }
    found
}

fn user(facts: &Facts, owner: Option<u32>) -> Option<Finding> {
    let owner = owner.filter(|owner| *owner != facts.us)?;
    let name = facts.owner_name.clone().unwrap_or_else(|| format!("#{owner}"));
    let fact = format!(
        "the home belongs to {name} (uid {owner}), and this is uid {}",
        facts.us
    );
    let remedy = format!("sudo -u {} sigward doctor", super::quoted(Path::new(&name)));
    Some(Finding::warning(
        Check::FilesUser,
        fact + "; what needs its owner is not looked at",
        remedy,
    ))
}

fn judge_one(seen: &Seen, owner: u32, facts: &Facts) -> Vec<Finding> {
    let rule = seen.role.rule();
    let path = quoted(&seen.path);
    let about = |finding: Finding| finding.about(seen.path.display().to_string());
    let (kind, mode, uid, symlink) = match &seen.sight {
        Sight::There {
            kind,
            mode,
            uid,
            symlink,
        } => (*kind, *mode, *uid, *symlink),
        Sight::Missing => {
            return rule
                .missing
                .map(|remedy| about(Finding::failure(rule.check, "is missing", remedy)))
                .into_iter()
                .collect();
        }
        Sight::Unreadable(why) => {
            let remedy = "run it as the user who serves, or mend the modes of the folders above";
            return vec![about(Finding::failure(
                rule.check,
                format!("cannot be looked at: {why}"),
                remedy,
            ))];
        }
    };
    // A socket that nobody listens on is what a `kill -9` leaves; the next start replaces it.
    if seen.role == Role::AdminSocket && !facts.daemon {
        return Vec::new();
    }
    let mut found = Vec::new();
    if kind != rule.kind {
        let wanted = match rule.kind {
            Kind::Folder => "a folder",
            Kind::Socket => "a socket",
            Kind::File | Kind::Other => "a file",
        };
        found.push(Finding::failure(
            rule.check,
            format!("is not {wanted}"),
            format!("move it away: mv {path} {path}.odd"),
        ));
    }
    if uid != owner {
        found.push(Finding::failure(
            rule.check,
            format!("belongs to uid {uid}, and the home to uid {owner}"),
            format!("chown {owner} {path}"),
        ));
    }
    if mode & rule.forbidden != 0 {
        let what = if rule.forbidden & 0o044 != 0 {
            "open to others"
        } else {
            "others can write to it"
        };
        found.push(Finding::failure(
            rule.check,
            format!("has mode {mode:04o}: {what}"),
            format!("chmod {} {path}", rule.mode),
        ));
    } else if seen.role == Role::Home && mode & 0o077 != 0 {
        found.push(Finding::warning(
            rule.check,
            format!("has mode {mode:04o}: others can look in"),
            format!("chmod 0700 {path}"),
        ));
    }
    if symlink {
        found.push(Finding::note(
            rule.check,
            "is a symbolic link; whoever can change the link can change what is used",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok(rule.check, format!("mode {mode:04o}")));
    }
    found.into_iter().map(about).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    fn there(kind: Kind, mode: u32, uid: u32) -> Sight {
        Sight::There {
            kind,
            mode,
            uid,
            symlink: false,
        }
    }

    fn one(role: Role, sight: Sight, daemon: bool) -> Vec<(Status, String)> {
        let home = Seen {
            role: Role::Home,
            path: "/h".into(),
            sight: there(Kind::Folder, 0o700, 7),
        };
        let seen = Seen {
            role,
            path: "/h/it is".into(),
            sight,
        };
        let facts = Facts {
            files: vec![home, seen],
            us: 7,
            owner_name: None,
            daemon,
        };
        judge(&facts)[1..]
            .iter()
            .map(|f| (f.status, f.remedy.clone().unwrap_or_default()))
            .collect()
    }

    #[test]
    fn every_role_has_its_mode_and_its_command() {
        use Kind::{File, Folder, Socket};
        for (role, kind, mode, verdict) in [
            (Role::Seal, File, 0o600, None),
            (Role::Seal, File, 0o400, None),
            (Role::Seal, File, 0o644, Some("chmod 0600 '/h/it is'")),
            (Role::Seal, File, 0o700, Some("chmod 0600 '/h/it is'")),
            (Role::Identity, File, 0o640, Some("chmod 0600 '/h/it is'")),
            (Role::Sealed, File, 0o604, Some("chmod 0600 '/h/it is'")),
            (Role::Keys, Folder, 0o750, Some("chmod 0700 '/h/it is'")),
            (Role::Store, Folder, 0o701, Some("chmod 0700 '/h/it is'")),
            (Role::Witness, File, 0o660, Some("chmod 0600 '/h/it is'")),
            (Role::Config, File, 0o644, None),
            (Role::Config, File, 0o646, Some("chmod 0600 '/h/it is'")),
            (Role::AdminSocket, Socket, 0o600, None),
            (Role::AdminSocket, Socket, 0o666, Some("chmod 0600 '/h/it is'")),
            (
                Role::Store,
                File,
                0o600,
                Some("move it away: mv '/h/it is' '/h/it is'.odd"),
            ),
        ] {
            let found = one(role, there(kind, mode, 7), true);
            let worst = found.iter().max().unwrap();
            match verdict {
                None => assert_eq!(worst.0, Status::Ok, "{role:?} {mode:o}"),
                Some(command) => {
                    assert_eq!(worst, &(Status::Failure, command.to_owned()), "{role:?} {mode:o}")
                }
            }
        }
    }

    #[test]
    fn foreign_missing_and_linked_files_are_named() {
        let found = one(Role::Seal, there(Kind::File, 0o600, 8), true);
        assert_eq!(found, [(Status::Failure, "chown 7 '/h/it is'".to_owned())]);
        for role in [
            Role::Seal,
            Role::Identity,
            Role::Keys,
            Role::Store,
            Role::Witness,
            Role::Config,
        ] {
            assert_eq!(one(role, Sight::Missing, true)[0].0, Status::Failure, "{role:?}");
        }
        assert!(one(Role::AdminSocket, Sight::Missing, false).is_empty());
        assert!(
            one(Role::AdminSocket, there(Kind::Socket, 0o666, 7), false).is_empty(),
            "stale"
        );
        let linked = Sight::There {
            kind: Kind::File,
            mode: 0o600,
            uid: 7,
            symlink: true,
        };
        assert_eq!(one(Role::Seal, linked, true)[0].0, Status::Note);
        assert_eq!(
            one(Role::Seal, Sight::Unreadable("no".into()), true)[0].0,
            Status::Failure
        );
    }

    #[test]
    fn another_user_is_told_whose_home_it_is() {
        let home = Seen {
            role: Role::Home,
            path: "/h".into(),
            sight: there(Kind::Folder, 0o755, 7),
        };
        let facts = Facts {
            files: vec![home],
            us: 0,
            owner_name: Some("sigward".into()),
            daemon: false,
        };
        let found = judge(&facts);
        assert_eq!(found[0].remedy.as_deref(), Some("sudo -u sigward sigward doctor"));
        assert_eq!(
            (found[1].check, found[1].status),
            (Check::FilesHome, Status::Warning)
        );
    }
}
