//! Each `[[chain.node]]`: its link, whether it can be reached, and whether the one place that a node has for a signer is ours.

mod gather;

use super::daemon::Word;
use super::door::Door;
use super::finding::{Check, Finding};
use crate::config::{NodeAddress, Reach};
pub(super) use gather::gather;

/// What was gathered of one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    pub(super) chain: String,
    pub(super) node: String,
    pub(super) address: NodeAddress,
    pub(super) door: Door,
    /// Whether a daemon of ours runs.
    pub(super) daemon: bool,
    /// What it says of the link, where it could be asked.
    pub(super) word: Option<Word>,
}

/// Judges one node.
pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found = vec![link(&facts.address)];
    match (&facts.word, facts.daemon) {
        (Some(word), true) => found.extend(with_word(facts, word)),
        (None, true) => found.extend(door(facts)),
        (_, false) => found.extend(door(facts)),
    }
    let about = format!("{}/{}", facts.chain, facts.node);
    found
        .into_iter()
        .map(|finding| finding.about(about.clone()))
        .collect()
}

fn link(address: &NodeAddress) -> Finding {
    match (address, address.reach()) {
        (NodeAddress::Unix(_), _) => {
            Finding::ok(Check::NodeLink, format!("{address}: whoever may open the file"))
        }
        (_, Reach::ThisMachine) => Finding::ok(
            Check::NodeLink,
            format!("{address}: this machine; any local user can listen there while the node is down"),
        )
        .remedy("a unix socket in a folder of the node's user closes that"),
        (_, Reach::Network) => Finding::warning(
            Check::NodeLink,
            format!("{address} is not authenticated: whoever owns that route gets signatures"),
            "use unix:///path through an mTLS or WireGuard tunnel",
        ),
    }
}

/// The daemon is connected, or says why not; what the kernel shows explains it.
fn with_word(facts: &Facts, word: &Word) -> Vec<Finding> {
    let taken = matches!(
        facts.door,
        Door::Listening {
            accepted: 1..,
            waiting: 1..
        }
    );
    match &word.failing {
        None if taken && matches!(facts.address, NodeAddress::Unix(_)) => vec![two_signers(facts)],
        None => vec![Finding::ok(Check::NodeConnected, "connected")],
        Some(why) => {
            let mut found = vec![Finding::failure(
                Check::NodeConnected,
                format!("the daemon is not connected: {why}"),
                "see the findings beside it; sigward dials again every second",
            )];
            let silent = why.contains("no handshake");
            if taken || (silent && !matches!(facts.door, Door::NoName(_) | Door::Nobody)) {
                found.push(two_signers(facts));
            } else {
                found.extend(door(facts).into_iter().filter(|finding| finding.remedy.is_some()));
            }
            found
        }
    }
}

fn two_signers(facts: &Facts) -> Finding {
    Finding::failure(
        Check::NodeOtherSigner,
        "somebody else holds the node's one place for a signer; sigward waits behind it and hears nothing",
        format!(
            "{}; stop the other signer, for ever if it has this key",
            who(&facts.address)
        ),
    )
}

fn who(address: &NodeAddress) -> String {
    match address {
        NodeAddress::Unix(path) => format!("`ss -xp | grep {}` shows who", super::quoted(path)),
        NodeAddress::Tcp { port, .. } => {
            format!("`ss -tnp 'sport = :{port}'` on the node's machine shows who")
        }
    }
}

fn door(facts: &Facts) -> Vec<Finding> {
    let failure = |fact: String, remedy: &str| vec![Finding::failure(Check::NodeReachable, fact, remedy)];
    let dialled = if facts.door.was_dialled() {
        " (doctor dialled it, sent nothing, and closed)"
    } else {
        ""
    };
    match &facts.door {
        Door::NoFile => failure(
            "no socket there: the node is not running, or listens elsewhere".to_owned(),
            "start the node; its priv_validator_laddr must be this address, as its user sees it",
        ),
        Door::NoSocket => failure(
            "there is a file, and it is no socket".to_owned(),
            "correct the address, or move the file away",
        ),
        Door::Denied(why) => failure(
            format!("this user may not connect: {why}"),
            "give the user of sigward the right to enter the folder and to write to the socket: a common group, mode 0770 and 0660",
        ),
        Door::NoName(why) => failure(
            format!("the name does not resolve: {why}"),
            "getent hosts NAME; correct the address, or /etc/hosts",
        ),
        Door::Nobody if matches!(facts.address, NodeAddress::Unix(_)) => failure(
            "the socket is stale: its file is there and nobody listens".to_owned(),
            "start the node; CometBFT does not start over a stale socket, so remove the file first",
        ),
        Door::Nobody => failure(
            "connection refused: nobody listens".to_owned(),
            "start the node; its priv_validator_laddr must be this port, on an address that is reached from here",
        ),
        Door::Unreachable(why) => failure(
            format!("cannot be reached: {why}"),
            "see the route and the firewall between here and the node",
        ),
        Door::NotTried => vec![
            Finding::note(
                Check::NodeReachable,
                "not looked at: only a connection would tell, and that could take the place of a signer",
            )
            .remedy("stop sigward and run sigward doctor without --offline, if it must be known"),
        ],
        Door::Listening { accepted: 0, waiting } if facts.daemon || *waiting == 0 => {
            vec![Finding::ok(
                Check::NodeReachable,
                "the node listens, and its place for a signer is free",
            )]
        }
        Door::Listening { accepted: 0, .. } => vec![Finding::warning(
            Check::NodeReachable,
            "somebody listens and takes no connection: the node is busy starting, or stands still",
            "see the log of the node",
        )],
        Door::Listening { accepted, waiting } => {
            let mut found = vec![Finding::ok(Check::NodeReachable, "the node listens")];
            // With a daemon of ours that cannot be asked, the one accepted may be it.
            if !facts.daemon || accepted + waiting > 1 {
                found.push(other(facts));
            }
            found
        }
        Door::Greeted => vec![Finding::ok(
            Check::NodeReachable,
            format!("the node listens, and its place for a signer is free{dialled}"),
        )],
        Door::Closed => vec![Finding::warning(
            Check::NodeReachable,
            format!("somebody listens there and closed the connection at once{dialled}"),
            "see that this is the port of priv_validator_laddr, not of p2p or RPC; and the log of the node",
        )],
        Door::Silent => vec![Finding::warning(
            Check::NodeReachable,
            format!("somebody listens and says nothing: another signer may be connected{dialled}"),
            format!(
                "{}; a node that takes no new signer has one, or stands still",
                who(&facts.address)
            ),
        )],
    }
}

fn other(facts: &Facts) -> Finding {
    Finding::failure(
        Check::NodeOtherSigner,
        if facts.daemon {
            "more than one signer is connected to the node"
        } else {
            "a signer that is not this sigward is connected to the node"
        },
        format!(
            "{}; stop it before sigward starts, for ever if it has this key: two signers double-sign",
            who(&facts.address)
        ),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::super::finding::Status::{self, Failure, Note, Ok as Good, Warning};
    use super::*;

    fn address(text: &str) -> NodeAddress {
        let extra = if text.contains("10.0") {
            "unauthenticated = \"private-network\""
        } else {
            ""
        };
        let text = format!(
            "[[chain]]\nid = \"c\"\nkey = \"k\"\n[[chain.node]]\nname = \"n\"\naddress = \"{text}\"\n{extra}"
        );
        crate::config::parse(&text, Path::new("/h"))
            .unwrap()
            .chains
            .remove(0)
            .nodes
            .remove(0)
            .address
    }

    fn verdicts(at: &str, door: Door, daemon: Option<Option<&str>>) -> Vec<(Check, Status)> {
        let word = daemon.map(|failing| Word {
            required: false,
            failing: failing.map(str::to_owned),
            advice: String::new(),
        });
        let facts = Facts {
            chain: "c".into(),
            node: "n".into(),
            address: address(at),
            door,
            daemon: word.is_some(),
            word,
        };
        judge(&facts)
            .iter()
            .skip(1)
            .map(|f| (f.check, f.status))
            .collect()
    }

    #[test]
    fn every_door_has_its_verdict_without_a_daemon() {
        let unix = "unix:///s";
        let why = || "x".to_owned();
        let listening = |accepted, waiting| Door::Listening { accepted, waiting };
        for (door, verdict) in [
            (Door::NoFile, Failure),
            (Door::NoSocket, Failure),
            (Door::Denied(why()), Failure),
            (Door::NoName(why()), Failure),
            (Door::Nobody, Failure),
            (Door::Unreachable(why()), Failure),
            (Door::NotTried, Note),
            (listening(0, 0), Good),
            (listening(0, 1), Warning),
            (Door::Greeted, Good),
            (Door::Closed, Warning),
            (Door::Silent, Warning),
        ] {
            assert_eq!(
                verdicts(unix, door.clone(), None),
                [(Check::NodeReachable, verdict)],
                "{door:?}"
            );
        }
        let taken = [(Check::NodeReachable, Good), (Check::NodeOtherSigner, Failure)];
        assert_eq!(verdicts(unix, listening(1, 0), None), taken);
        assert_eq!(verdicts("tcp://127.0.0.1:1", listening(1, 3), None), taken);
    }

    #[test]
    fn what_the_daemon_says_and_what_the_kernel_shows_go_together() {
        let listening = |accepted, waiting| Door::Listening { accepted, waiting };
        let (unix, tcp) = ("unix:///s", "tcp://127.0.0.1:1");
        let connected = [(Check::NodeConnected, Good)];
        assert_eq!(verdicts(unix, listening(1, 0), Some(None)), connected);
        assert_eq!(verdicts(tcp, listening(1, 0), Some(None)), connected);
        assert_eq!(
            verdicts(tcp, listening(1, 1), Some(None)),
            connected,
            "a third party knocks; ours is in"
        );
        // On a unix socket a connection stands at once, accepted or not.
        assert_eq!(
            verdicts(unix, listening(1, 1), Some(None)),
            [(Check::NodeOtherSigner, Failure)]
        );
        let lost = (Check::NodeConnected, Failure);
        let other = (Check::NodeOtherSigner, Failure);
        assert_eq!(
            verdicts(tcp, listening(1, 1), Some(Some("no handshake within 5 s"))),
            [lost, other]
        );
        assert_eq!(
            verdicts(
                "tcp://10.0.0.1:1",
                Door::NotTried,
                Some(Some("no handshake within 5 s"))
            ),
            [lost, other]
        );
        assert_eq!(
            verdicts(unix, Door::NoFile, Some(Some("not found"))),
            [lost, (Check::NodeReachable, Failure)]
        );
        assert_eq!(
            verdicts(tcp, Door::Nobody, Some(Some("refused"))),
            [lost, (Check::NodeReachable, Failure)]
        );
    }

    #[test]
    fn only_a_link_off_the_machine_is_unauthenticated() {
        for (at, verdict) in [
            ("unix:///s", Good),
            ("tcp://127.0.0.1:1", Good),
            ("tcp://10.0.0.1:1", Warning),
        ] {
            assert_eq!(link(&address(at)).status, verdict, "{at}");
        }
    }
}
