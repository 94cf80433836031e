//! Compiles every `.proto` file of this crate without an external compiler.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn proto_files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            proto_files(&path, found)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            found.push(path);
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files = Vec::new();
    for root in ["hushlog", "opentelemetry"] {
        println!("cargo:rerun-if-changed={root}");
        proto_files(Path::new(root), &mut files)?;
    }
    files.sort();
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("descriptors.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure()
        .bytes(".")
        // What is sent is written in the order of the map: the same on every node and in every run.
        .btree_map(".")
        .compile_fds(descriptors)?;
    Ok(())
}
