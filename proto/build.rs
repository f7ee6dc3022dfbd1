//! Compiles every `.proto` of this package with protox, so that no `protoc` is needed.
//!
//! Two passes: the peers' formats (messages only), and our own services, whose descriptor set is
//! written out for gRPC reflection. A new file under `sigward/v1/` is picked up by itself; `lib.rs`
//! includes the package, not the file.

use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

use prost::Message as _;

/// Messages that carry private keys or sign state: their `Debug` is written by hand in `lib.rs`.
const SECRET: &[&str] = &[
    "sigward.v1.ImportKeyRequest",
    "sigward.v1.MakeBackupRequest",
    "sigward.v1.RestoreKeysRequest",
    "sigward.v1.MoveOutResponse",
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let peers = protox::compile(protos_in("cometbft")?, ["."])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(false)
        .compile_fds(peers)?;

    let ours = protox::compile(protos_in("sigward/v1")?, ["."])?;
    fs::write(out.join("sigward.v1.bin"), ours.encode_to_vec())?;
    tonic_prost_build::configure()
        .skip_debug(SECRET.iter().copied())
        .compile_fds(ours)?;
    Ok(())
}

/// Every `.proto` in `folder`, sorted; cargo reruns this script when one is changed or added.
fn protos_in(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let folder = folder.as_ref();
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "proto") {
            println!("cargo:rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
