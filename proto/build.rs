//! Generates Rust code from the published `.proto` files. Needs no program beside Cargo: the files are read by a compiler
//! that is a crate.

#![forbid(unsafe_code)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What imports in the files are relative to.
const INCLUDE_ROOT: &str = ".";

/// The package, which is also the folder of its files.
const PACKAGE: &str = "tidelog.v1";

/// What is much larger than the others of its `oneof`, and rarer, so that it is kept behind a pointer.
const BOXED: [&str; 9] = [
    "CreateTopicsResult.result.error",
    "DeleteRecordsResult.result.error",
    "DescribeTopicsResult.result.error",
    "FetchItem.item.closed",
    "FetchRecordsResponse.result.error",
    "InitProducerIdResponse.result.error",
    "ListOffsetsResult.result.error",
    "ProduceAck.result.error",
    "ProduceRecordsResult.result.error",
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PACKAGE.replace('.', "/");
    println!("cargo:rerun-if-changed={folder}");

    let mut compiler = protox::Compiler::new([INCLUDE_ROOT])?;
    compiler.include_imports(true).open_files(proto_files(Path::new(&folder))?)?;

    // Comments become documentation in the code, and stay out of the descriptors that a broker tells at run time.
    let with_comments = compiler.include_source_info(true).file_descriptor_set();
    let descriptors = compiler.include_source_info(false).encode_file_descriptor_set();
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out_dir.join(format!("{PACKAGE}.bin")), descriptors)?;

    let mut generator = tonic_prost_build::configure()
        .bytes(".")
        .build_client(cfg!(feature = "client"))
        .build_server(cfg!(feature = "server"))
        .build_transport(false);
    for field in BOXED {
        generator = generator.boxed(format!("{PACKAGE}.{field}"));
    }
    generator.compile_fds(with_comments)?;
    Ok(())
}

/// Lists the files in a folder, sorted, so that the same files make the same code everywhere.
fn proto_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
