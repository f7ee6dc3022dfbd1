//! What a page calls things, and what they are called where it is played.
//!
//! `/var/lib`, `/etc`, `/run`, `/mnt` and `/root` lie below the machine's folder; ports 26650 to 26669 are free ones, for each machine
//! its own; ports from 26670 on are the same from everywhere; 192.0.2.x (RFC 5737) is 127.0.2.x, unless machines have networks of
//! their own.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::ports::free_port;

const OWN_PORTS: std::ops::Range<u16> = 26_650..26_670;
const SHARED_PORTS: std::ops::Range<u16> = 26_670..26_700;
const DOCUMENTATION_NET: &str = "192.0.2.";
const LOOPBACK_NET: &str = "127.0.2.";

/// A page's names, and a machine's, in pairs.
pub(super) struct Names {
    folders: Vec<(String, String)>,
    ports: BTreeMap<u16, u16>,
    own_network: bool,
}

impl Names {
    /// Of a machine whose `/` is `root`, and whose `/run` is `run`.
    pub(super) fn new(root: &Path, run: &Path, own_network: bool) -> Self {
        let below = |name: &str| (format!("/{name}"), format!("{}/{name}", root.display()));
        Self {
            folders: vec![
                below("var/lib"),
                below("etc"),
                below("mnt"),
                below("root"),
                ("/run".to_owned(), run.display().to_string()),
            ],
            ports: OWN_PORTS.map(|port| (port, free_port())).collect(),
            own_network,
        }
    }

    /// Where the page's `port` is.
    pub(super) fn port(&self, port: u16) -> u16 {
        self.ports[&port]
    }

    /// A page's text as the machine understands it.
    pub(super) fn localize(&self, shared: &mut BTreeMap<u16, u16>, text: &str) -> String {
        let mut text = replace_paths(text, &self.folders);
        if !self.own_network {
            text = text.replace(DOCUMENTATION_NET, LOOPBACK_NET);
        }
        for port in SHARED_PORTS {
            if text.contains(&format!(":{port}")) {
                shared.entry(port).or_insert_with(free_port);
            }
        }
        for (global, local) in self.ports.iter().chain(&*shared) {
            text = text.replace(&format!(":{global}"), &format!(":{local}"));
        }
        text
    }

    /// What the machine printed, as a reader of the page sees it.
    pub(super) fn globalize(&self, shared: &BTreeMap<u16, u16>, printed: &str) -> String {
        let mut text = printed.replace(LOOPBACK_NET, DOCUMENTATION_NET);
        for (global, local) in &self.folders {
            text = text.replace(local, global);
        }
        for (global, local) in self.ports.iter().chain(shared) {
            text = text.replace(&format!(":{local}"), &format!(":{global}"));
        }
        text
    }
}

/// Replaces folders where a path begins with one; in one pass, because what is put in may look like one again.
fn replace_paths(text: &str, folders: &[(String, String)]) -> String {
    let mut done = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let inside = done
            .chars()
            .next_back()
            .is_some_and(|c| goes_on(c) || matches!(c, '}' | '~' | '*'));
        let folder = folders.iter().find(|(from, _)| {
            let after = rest
                .strip_prefix(from.as_str())
                .and_then(|after| after.chars().next());
            !inside && rest.starts_with(from) && !after.is_some_and(goes_on)
        });
        let taken = match folder {
            Some((from, to)) => {
                done.push_str(to);
                from.len()
            }
            None => {
                done.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    done
}

/// Whether a name of a path goes on with this.
fn goes_on(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-')
}

#[test]
fn only_the_beginning_of_a_path_is_replaced() {
    let folders = [
        ("/run".to_owned(), "/x/run".to_owned()),
        ("/root".to_owned(), "/x/root".to_owned()),
    ];
    let text = "unix:///run/a /run $HOME/run/a .ci/run /runs cd /root";
    assert_eq!(
        replace_paths(text, &folders),
        "unix:///x/run/a /x/run $HOME/run/a .ci/run /runs cd /x/root"
    );
}
