//! The document of a policy: a policy that keeps its promises, or two lines of why not.
#![no_main]

use sigward_policies::authz::{Policy, PolicyVersion, Question, Verdict};
use sigward_policies::model::caller::{Caller, SubjectName};
use sigward_policies::model::id::UnixSeconds;
use sigward_policies::model::operation::Operation;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let policy = match Policy::parse(text, PolicyVersion([0; 32])) {
        Ok(policy) => policy,
        Err(error) => {
            let shown = error.to_string();
            assert_eq!(shown.lines().count(), 2, "{shown}");
            assert!(!shown.chars().any(|c| c.is_control() && c != '\n'));
            return;
        }
    };
    let callers = [
        Caller::LocalUser { uid: 0 },
        Caller::Certificate {
            name: SubjectName::parse("dns:a.example").unwrap(),
        },
        Caller::Certificate {
            name: SubjectName::parse("uri:spiffe://e/ns/a/sa/b").unwrap(),
        },
    ];
    for subject in &callers {
        let judge = |operation| {
            let question = Question {
                subject,
                operation,
                key: None,
                chain: None,
                from: None,
                now: UnixSeconds(1_772_618_400),
            };
            let verdict = policy.judge(&question);
            assert_eq!(policy.explain(&question).verdict, verdict);
            verdict
        };
        // The same document judges alike, however often it is read.
        let writes = judge(Operation::PolicyWrite).is_allowed();
        for operation in Operation::ALL {
            let verdict = judge(*operation);
            assert!(!(writes && operation.takes_keys() && verdict.is_allowed()), "both hands are one");
            if let (Some(_), Verdict::Allow { approvals, .. }) = (operation.consensus_step(), verdict) {
                assert_eq!(approvals, 0, "a vote waits for nobody");
            }
        }
        // Nothing is asked of a document on sigward's own behalf.
        let own = Question {
            subject: &Caller::Service,
            operation: Operation::KeyBind,
            key: None,
            chain: None,
            from: None,
            now: UnixSeconds(0),
        };
        assert_eq!(policy.judge(&own), Verdict::Deny { rule: None });
    }
});
