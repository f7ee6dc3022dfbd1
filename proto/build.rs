//! Compiles every `.proto` of this package with protox, so that no `protoc` is needed.
//!
//! Three passes: the nodes' formats (messages only), the collectors' (of whom we are clients), and our own services, whose descriptor set is
//! written out for gRPC reflection. A new file under `sigward/v1/` is picked up by itself; `lib.rs`
//! includes the package, not the file.

use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// Messages that carry private keys or sign state: their `Debug` is written by hand in `lib.rs`.
const SECRET: &[&str] = &[
    "sigward.v1.ImportKeyRequest",
    "sigward.v1.MakeBackupRequest",
    "sigward.v1.RestoreKeysRequest",
    "sigward.v1.MoveOutResponse",
    "sigward.v1.CreateApiKeyResponse",
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let peers = protox::compile(protos_in("cometbft")?, ["."])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(false)
        .compile_fds(peers)?;

    let collectors = protox::compile(protos_in("otlp")?, ["."])?;
    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds(collectors)?;

    let ours = protox::compile(protos_in("sigward/v1")?, ["."])?;
    fs::write(out.join("sigward.v1.bin"), ours.encode_to_vec())?;
    fs::write(out.join("procedures.rs"), procedures(&ours))?;
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

/// Every procedure of our services as an enum: whoever says something of each of them does not compile when one is added.
fn procedures(set: &FileDescriptorSet) -> String {
    let mut all = Vec::new();
    for (package, service) in set
        .file
        .iter()
        .flat_map(|file| file.service.iter().map(|service| (file.package(), service)))
    {
        let short = service.name().trim_end_matches("Service");
        for method in &service.method {
            let path = format!("/{package}.{}/{}", service.name(), method.name());
            all.push((format!("{short}{}", method.name()), path));
        }
    }
    let each = |line: &dyn Fn(&str, &str) -> String| -> String {
        all.iter().map(|(name, path)| line(name, path)).collect()
    };
    format!(
        "/// A procedure of `sigward.v1`.\n#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]\npub enum Procedure {{\n{}}}\n\n\
         impl Procedure {{\n    /// Every procedure, service by service.\n    pub const ALL: &'static [Self] = &[\n{}    ];\n\n    \
         /// `/package.Service/Method`.\n    pub const fn path(self) -> &'static str {{\n        match self {{\n{}        }}\n    }}\n\n    \
         /// The procedure of a path; none is called otherwise.\n    pub fn of_path(path: &str) -> Option<Self> {{\n        match path {{\n{}            _ => None,\n        }}\n    }}\n}}\n",
        each(&|name, path| format!("    /// `{path}`.\n    {name},\n")),
        each(&|name, _| format!("        Self::{name},\n")),
        each(&|name, path| format!("            Self::{name} => \"{path}\",\n")),
        each(&|name, path| format!("            \"{path}\" => Some(Self::{name}),\n")),
    )
}
