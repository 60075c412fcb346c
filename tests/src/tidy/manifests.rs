//! Versions and lints are said once, in the root manifest, and nothing is depended on for nothing.

use super::source::{Source, contains_words};
use super::tree::Manifest;

/// Dependencies that only generated code names: folder and dependency.
const NAMED_BY_GENERATED_CODE: [(&str, &str); 2] = [("proto", "tonic"), ("proto", "tonic-prost")];

/// Complains about versions, sources and lints that a member chooses for itself.
pub(super) fn complaints(root: &Manifest, members: &[Manifest]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, value) in workspace_dependencies(root) {
        let ours = name.starts_with("tidelog");
        if value.get("git").is_some() || (value.get("path").is_some() && !ours) {
            complaints.push(format!("Cargo.toml: {name} does not come from the registry"));
        }
        if ours != value.get("path").is_some() {
            complaints.push(format!("Cargo.toml: {name} is ours or has a path, but not both"));
        }
    }
    for member in members {
        let folder = &member.folder;
        for (name, value) in member.dependencies() {
            let inherited = value.get("workspace").and_then(toml::Value::as_bool) == Some(true);
            if !inherited {
                complaints.push(format!("{folder}/Cargo.toml: {name} is not taken from the workspace"));
            }
        }
        let package = member.table.get("package");
        for field in ["version", "edition", "rust-version", "license", "publish"] {
            let value = package.and_then(|package| package.get(field));
            if value.and_then(|value| value.get("workspace")).is_none() {
                complaints.push(format!("{folder}/Cargo.toml: {field} is not taken from the workspace"));
            }
        }
        if member.table.get("lints").and_then(|lints| lints.get("workspace")).is_none() {
            complaints.push(format!("{folder}/Cargo.toml: lints are not taken from the workspace"));
        }
    }
    complaints
}

/// Complains about dependencies that no member takes, and about those that a member takes and never names.
pub(super) fn unused(root: &Manifest, members: &[Manifest], sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, _) in workspace_dependencies(root) {
        if !members.iter().flat_map(Manifest::dependencies).any(|(taken, _)| taken == name) {
            complaints.push(format!("Cargo.toml: no member depends on {name}"));
        }
    }
    for member in members {
        let folder = format!("{}/", member.folder);
        for (name, _) in member.dependencies() {
            let word = name.replace('-', "_");
            if NAMED_BY_GENERATED_CODE.contains(&(member.folder.as_str(), name)) {
                continue;
            }
            let mut own = sources.iter().filter(|source| source.path.starts_with(&folder));
            if !own.any(|source| contains_words(&source.code, &word)) {
                complaints.push(format!("{folder}Cargo.toml: {name} is never used"));
            }
        }
    }
    complaints
}

/// Lists `[workspace.dependencies]`.
pub(super) fn workspace_dependencies(root: &Manifest) -> impl Iterator<Item = (&str, &toml::Value)> {
    let dependencies = root.table.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    let table = dependencies.and_then(toml::Value::as_table).expect("the root manifest lists dependencies");
    table.iter().map(|(name, value)| (name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "[workspace.dependencies]\nbytes = '1'\ntidelog-log = { path = 'log' }";
    const MEMBER: &str = "lints.workspace = true\n[package]\nversion.workspace = true\nedition.workspace = true\n\
        rust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\n[dependencies]\n";

    fn complaints_about(root: &str, member: &str) -> Vec<String> {
        complaints(&Manifest::parse("", root), &[Manifest::parse("log", member)])
    }

    #[test]
    fn a_member_that_inherits_is_fine() {
        assert_eq!(complaints_about(ROOT, &format!("{MEMBER}bytes.workspace = true")), [""; 0]);
    }

    #[test]
    fn an_own_version_is_found() {
        for dependency in ["bytes = '1'", "bytes = { version = '1' }", "bytes = { path = '../bytes' }"] {
            let found = complaints_about(ROOT, &format!("{MEMBER}{dependency}"));
            assert_eq!(found, ["log/Cargo.toml: bytes is not taken from the workspace"]);
        }
    }

    #[test]
    fn a_source_other_than_the_registry_is_found() {
        let root = "[workspace.dependencies]\nbytes = { git = 'https://example.org/bytes' }";
        assert_eq!(complaints_about(root, MEMBER), ["Cargo.toml: bytes does not come from the registry"]);
        assert_eq!(complaints_about("[workspace.dependencies]\ntidelog-log = '1'", MEMBER).len(), 1);
    }

    #[test]
    fn own_package_fields_and_lints_are_found() {
        assert_eq!(complaints_about(ROOT, "[package]\nversion = '1.0.0'").len(), 6);
    }

    #[test]
    fn unused_dependencies_are_found() {
        let root = Manifest::parse("", "[workspace.dependencies]\nbytes = '1'\nuuid = '1'");
        let member = Manifest::parse("log", "[dependencies]\nbytes.workspace = true");
        let source = Source::parse("log/src/lib.rs", "// bytes::Bytes");
        let found = unused(&root, &[member], &[source]);
        assert_eq!(found, ["Cargo.toml: no member depends on uuid", "log/Cargo.toml: bytes is never used"]);
    }
}
