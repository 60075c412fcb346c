//! A Rust toolchain is all that a build needs: no crate in the lock file compiles or looks for C.

/// Crates that compile C, look for C libraries, or generate bindings to them.
const C_BUILDERS: [&str; 6] = ["bindgen", "cc", "cmake", "nasm-rs", "pkg-config", "vcpkg"];

/// Crates named `*-sys` that hold declarations only.
const PURE_BINDINGS: [&str; 4] = ["js-sys", "linux-raw-sys", "web-sys", "windows-sys"];

/// Complains about every such crate.
pub(super) fn complaints(lock_file: &str) -> Vec<String> {
    let lock: toml::Table = lock_file.parse().expect("the lock file is TOML");
    let packages = lock.get("package").and_then(toml::Value::as_array).expect("the lock file lists packages");
    let names = packages.iter().map(|package| package["name"].as_str().expect("a package has a name"));
    let builds_c = |name: &&str| C_BUILDERS.contains(name) || (name.ends_with("-sys") && !PURE_BINDINGS.contains(name));
    names.filter(builds_c).map(|name| format!("Cargo.lock: {name} needs more than a Rust toolchain")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_that_build_c_are_found() {
        let lock = "[[package]]\nname = 'cc'\n[[package]]\nname = 'zstd-sys'\n[[package]]\nname = 'windows-sys'";
        assert_eq!(complaints(lock).len(), 2);
    }
}
