//! Who may read, what is refused, what is never overwritten.
#![allow(clippy::unwrap_used)]
use super::*;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn only_files_that_nobody_else_can_read_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kek");
    write(&path, &[7; 32], Existing::Keep).unwrap();
    let read = |trust| {
        let mut bytes = [0; 32];
        read_exactly(&path, trust, &mut bytes).map(|()| bytes)
    };
    assert_eq!(read(Trust::OwnerOnly).unwrap(), [7; 32]);
    for (bits, code) in [
        (0o400, None),
        (0o640, Some("file_permissions")),
        (0o604, Some("file_permissions")),
    ] {
        mode(&path, bits);
        assert_eq!(read(Trust::OwnerOnly).err().map(|e| e.code()), code, "{bits:o}");
    }
    for bits in [0o700, 0o610, 0o620, 0o666, 0o644] {
        mode(&path, bits);
        let error = read(Trust::OwnerOnly).unwrap_err();
        assert_eq!(error.code(), "file_permissions");
        assert!(error.remedy().unwrap().starts_with("chmod 0600"));
    }
    mode(&path, 0o440);
    assert!(read(Trust::ServiceManager).is_ok());
    mode(&path, 0o444);
    assert!(read(Trust::ServiceManager).is_err());
}

#[test]
fn folders_pipes_and_other_sizes_are_refused_without_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let code = |path: &Path| {
        read_exactly(path, Trust::OwnerOnly, &mut [0; 32])
            .unwrap_err()
            .code()
    };
    assert_eq!(code(dir.path()), "file_type");
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(code(&pipe), "file_type");
    assert_eq!(code(&dir.path().join("none")), "file_not_found");
    for size in [0usize, 31, 33, 4096] {
        let path = dir.path().join(size.to_string());
        write(&path, &vec![0; size], Existing::Keep).unwrap();
        assert_eq!(code(&path), "file_size");
        assert_eq!(read_sealed(&path, 32).is_err(), size > 32);
        assert_eq!(
            read_up_to(&path, Trust::OwnerOnly, &mut [0; 32]).is_err(),
            size > 32
        );
    }
}

#[test]
fn a_new_file_never_replaces_another_unless_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    write(&path, b"first", Existing::Keep).unwrap();
    assert_eq!(
        write(&path, b"second", Existing::Keep).unwrap_err().code(),
        "file_exists"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"first");
    write(&path, b"third", Existing::Replace).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"third");
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "no temporary file stays behind"
    );
}

#[test]
fn an_open_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    ensure_folder(&keys).unwrap();
    ensure_folder(&keys).unwrap();
    mode(&keys, 0o750);
    let error = ensure_folder(&keys).unwrap_err();
    assert_eq!(error.code(), "file_permissions");
    assert!(error.remedy().unwrap().starts_with("chmod 0700"));
}
