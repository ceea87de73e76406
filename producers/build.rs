//! Makes the client's code of the published protocol.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../gateway/proto");
    let mut compiler = protox::Compiler::new(["../gateway/proto"])?;
    compiler.include_source_info(false).open_files(["cabildo/v1/cabildo.proto"])?;
    tonic_prost_build::configure().build_server(false).compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
