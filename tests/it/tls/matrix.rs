//! Every procedure for every role, as a table to be read in review: `matrix.txt`; `UPDATE_SCREENS=1` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use sigward_proto::Procedure;

use super::calls::{Answer, Client, ask, message};
use super::stage::Stage;

const ROLES: [&str; 6] = ["admin", "operator", "signer", "runbook", "allocator", "auditor"];
const FILE: &str = "tests/it/tls/matrix.txt";

const LEGEND: &str = "\
Who may call what: every procedure of sigward.v1, asked of a daemon with a message about the key `validator` on the chain `main-1`.

yes   it is done, or refused for another reason than who asks
here  it carries private keys, and is done on the signer's own machine alone, whatever a rule says
.     not permitted, or answered as if there were no such key or chain

local     the user who runs sigward, by the admin socket, without a policy
cert      the holder of a certificate, without a policy
ROLE      the holder of a certificate that a rule gives this role, for whatever key
its key   an operator whose rule says keys = [\"validator\"], asking about that key
other     the same, asking about `treasury` on `other-1`, which is there
";

#[test]
fn every_procedure_for_every_role_is_as_the_table_says() {
    let mut stage = Stage::new();
    let signer = &stage.signer;
    for (key, chain) in [("validator", "main-1"), ("treasury", "other-1")] {
        signer.create_key(key);
        let socket = format!("unix://{}", stage.home.path(&format!("{chain}.sock")).display());
        signer.add_chain_at(chain, key, &[("a", socket.as_str())]);
    }
    let mut policy = "version = 1\n".to_owned();
    for role in ROLES {
        signer.run(&["pki", "client", &format!("{role}.example.org")]);
        writeln!(
            policy,
            "[[rule]]\nid = \"{role}\"\neffect = \"allow\"\nsubjects = [\"dns:{role}.example.org\"]\nroles = [\"{role}\"]"
        )
        .unwrap();
    }
    signer.run(&["pki", "client", "scoped.example.org"]);
    policy += "[[rule]]\nid = \"scoped\"\neffect = \"allow\"\nsubjects = [\"dns:scoped.example.org\"]\nroles = [\"operator\"]\nkeys = [\"validator\"]\n";
    std::fs::write(signer.home().join("policy.toml"), policy).unwrap();
    stage.signer.start();

    let all = |key: &str, chain: &str| -> Vec<_> {
        Procedure::ALL
            .iter()
            .map(|procedure| (*procedure, message(*procedure, key, chain)))
            .collect()
    };
    let mine = all("validator", "main-1");
    let of =
        |stage: &Stage, name: &str, calls: &[_]| ask(stage, &Client::Certificate(&stage.client(name)), calls);
    let mut columns = vec![
        ("local", ask(&stage, &Client::Local, &mine)),
        ("cert", of(&stage, "admin", &mine)),
    ];
    stage.signer.configure(|config| {
        let policy = [("file".to_owned(), "policy.toml".into())].into_iter().collect();
        config.insert("policy".to_owned(), toml::Value::Table(policy));
    });
    stage.signer.run(&["reload"]);
    columns.push(("its key", of(&stage, "scoped.example.org", &mine)));
    columns.push((
        "other",
        of(&stage, "scoped.example.org", &all("treasury", "other-1")),
    ));
    for role in ROLES {
        columns.push((role, of(&stage, &format!("{role}.example.org"), &mine)));
    }
    stage.assert_unharmed();
    assert!(
        !stage.signer.log().contains("without asking whether it may"),
        "{}",
        stage.signer.log_tail()
    );
    compare(&table(&columns));
}

fn table(columns: &[(&str, Vec<Answer>)]) -> String {
    let mut text = LEGEND.to_owned();
    write!(text, "\n{:33}", "").unwrap();
    for (name, _) in columns {
        write!(text, " {name:9}").unwrap();
    }
    for (index, procedure) in Procedure::ALL.iter().enumerate() {
        let path = procedure.path().trim_start_matches("/sigward.v1.");
        write!(text, "\n{path:33}").unwrap();
        for (_, answers) in columns {
            let answer = &answers[index];
            let cell = match answer {
                answer if answer.message.contains("carries private keys") => "here",
                answer if answer.is_denied() => ".",
                _ => "yes",
            };
            write!(text, " {cell:9}").unwrap();
        }
    }
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

fn compare(found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{FILE}: {error}"));
    assert!(found == expected, "{FILE} is now\n{found}\nand was\n{expected}");
}
