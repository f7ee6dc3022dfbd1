//! A chain that an earlier sigward began, in a store and segments of its own, goes on in the newer form.

use sigward_policies::model::trace::TraceId;

use super::*;
use crate::audit::{History, Search};
use crate::store::{Context, Form};

/// What an earlier sigward left behind: 48 records of form 1, of which nothing is in a segment.
fn old() -> Stage {
    let tmp = tempfile::tempdir().unwrap();
    let clock = Arc::new(Turned(AtomicI64::new(1_790_000_000_000_000)));
    let mut options = Options::new(tmp.path().join("state"), clock.clone());
    options.allow_volatile = true;
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/store@3/closed");
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
        .create(&options.dir)
        .unwrap();
    for file in std::fs::read_dir(vectors).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), options.dir.join(file.file_name())).unwrap();
    }
    Stage::over(tmp, options, clock)
}

#[test]
fn an_old_chain_goes_on_in_the_newer_form_and_is_kept_read_and_verified_as_one() {
    let mut stage = old();
    let before = stage.store.health().audit_records;
    assert_eq!(before, 48);
    assert_eq!(stage.verify().first_broken, None, "as it was left");
    let trace = TraceId::new([7; 16]).unwrap();
    for n in 0..20 {
        let mut entry = entry(n);
        entry.time_micros = stage.clock.unix_micros();
        entry.context = Context {
            trace: Some(trace),
            ..Context::SERVICE
        };
        let (tell, told) = channel();
        stage.store.commit(
            Batch::record(vec![entry]),
            Box::new(move |done| tell.send(done).unwrap()),
        );
        told.recv().unwrap().unwrap();
    }
    // Segments of ten: the fifth has records of both forms.
    let turn = stage.turn();
    assert!(turn.segments >= 6 && turn.checkpoint.is_some(), "{turn:?}");
    let found = stage.verify();
    assert_eq!((found.records, found.first_broken), (68, None));

    let history = History {
        folder: stage.evidence().folder,
        stay: Stay::default(),
    };
    let mut forms = Vec::new();
    let mut traced = 0;
    let search = Search {
        trace: Some(trace),
        ..Search::default()
    };
    history
        .each(&*stage.store, 1, 68, |record| {
            traced += u64::from(search.takes(&record));
            forms.push(record.form);
            true
        })
        .unwrap();
    let (one, two) = forms.split_at(48);
    assert!(one.iter().all(|form| *form == Form::One));
    assert!(two.iter().all(|form| *form == Form::Two));
    assert_eq!((two.len(), traced), (20, 20));
}
