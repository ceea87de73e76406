//! Makes code of the published protocols, and builds this crate again when the web front end was built again.

use std::path::PathBuf;
use std::{env, fs};

const PROTOCOLS: [&str; 2] = ["cabildo/v1/cabildo.proto", "confproto.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../web/dist");
    println!("cargo:rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(false);
    compiler.open_files(PROTOCOLS)?;
    #[expect(clippy::disallowed_methods, reason = "cargo says by it where a build script writes")]
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("there is no OUT_DIR")?);
    // What the gateway tells by reflection.
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
