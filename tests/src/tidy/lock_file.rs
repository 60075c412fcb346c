//! A Rust toolchain is all that a build needs: no crate in the lock file compiles or looks for C.

/// Crates that compile C, look for C libraries, or generate bindings to them.
const C_BUILDERS: [&str; 6] = ["bindgen", "cc", "cmake", "nasm-rs", "pkg-config", "vcpkg"];

/// Crates named `*-sys` that hold declarations only.
const PURE_BINDINGS: [&str; 4] = ["js-sys", "linux-raw-sys", "web-sys", "windows-sys"];

/// Crates that are in the lock file for systems on which Tidelog does not run. What only they depend on is never built.
const OTHER_SYSTEMS: [&str; 2] = ["core-foundation-sys", "iana-time-zone-haiku"];

/// Complains about every such crate.
pub(super) fn complaints(lock_file: &str) -> Vec<String> {
    let lock: toml::Table = lock_file.parse().expect("the lock file is TOML");
    let packages = lock.get("package").and_then(toml::Value::as_array).expect("the lock file lists packages");
    let names = packages.iter().map(|package| package["name"].as_str().expect("a package has a name"));
    let builds_c = |name: &&str| C_BUILDERS.contains(name) || (name.ends_with("-sys") && !PURE_BINDINGS.contains(name));
    let is_built = |name: &&str| {
        let mut users = packages.iter().filter(|package| depends_on(package, name)).map(|package| &package["name"]);
        let is_elsewhere = |user: &toml::Value| user.as_str().is_some_and(|user| OTHER_SYSTEMS.contains(&user));
        !(OTHER_SYSTEMS.contains(name) || users.clone().next().is_some() && users.all(is_elsewhere))
    };
    let found = names.filter(builds_c).filter(is_built);
    found.map(|name| format!("Cargo.lock: {name} needs more than a Rust toolchain")).collect()
}

/// Tells whether a package of the lock file names another, perhaps with its version, as a dependency.
fn depends_on(package: &toml::Value, name: &str) -> bool {
    let dependencies = package.get("dependencies").and_then(toml::Value::as_array).map_or(&[][..], Vec::as_slice);
    let names = |dependency: &toml::Value| dependency.as_str().is_some_and(|text| text.split(' ').next() == Some(name));
    dependencies.iter().any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_that_build_c_are_found() {
        let lock = "[[package]]\nname = 'cc'\n[[package]]\nname = 'zstd-sys'\n[[package]]\nname = 'windows-sys'";
        assert_eq!(complaints(lock).len(), 2);
    }

    #[test]
    fn what_only_other_systems_build_is_no_matter() {
        let elsewhere = "[[package]]\nname = 'cc'\n[[package]]\nname = 'iana-time-zone-haiku'\ndependencies = ['cc']\n";
        assert_eq!(complaints(elsewhere), [""; 0]);
        let here_too = format!("{elsewhere}[[package]]\nname = 'ring'\ndependencies = ['cc 1.0.0']");
        assert_eq!(complaints(&here_too).len(), 1);
    }
}
