//! Which of our crates may know which: `proto <- log <- raft <- server <- cli`, `proto <- client <- cli`, and everything
//! may be used by `tests` and `benches`.

use super::tree::Manifest;

/// Folder, package, and the packages of ours that it may depend on.
const LAYERS: [(&str, &str, &[&str]); 8] = [
    ("proto", "tidelog-proto", &[]),
    ("log", "tidelog-log", &["tidelog-proto"]),
    ("raft", "tidelog-raft", &["tidelog-proto", "tidelog-log"]),
    ("server", "tidelog-server", &["tidelog-proto", "tidelog-log", "tidelog-raft"]),
    ("client", "tidelog-client", &["tidelog-proto"]),
    ("cli", "tidelog", &["tidelog-proto", "tidelog-log", "tidelog-raft", "tidelog-server", "tidelog-client"]),
    ("tests", "tidelog-tests", EVERYTHING),
    ("benches", "tidelog-benches", EVERYTHING),
];

const EVERYTHING: &[&str] =
    &["tidelog-proto", "tidelog-log", "tidelog-raft", "tidelog-server", "tidelog-client", "tidelog"];

/// Dependencies that only some layers may name: network and runtime stay out of the two lowest floors, and the consensus
/// library behind `raft`.
const CONFINED: [(&str, &[&str]); 4] = [
    ("tokio", &["raft", "server", "client", "cli", "tests", "benches"]),
    ("tonic", &["proto", "raft", "server", "client", "cli", "tests", "benches"]),
    ("prost", &["proto", "raft", "server", "client", "tests", "benches"]),
    ("openraft", &["raft"]),
];

/// What brings a runtime's types along, so that it may only be an option of the lowest floor: folder and dependencies.
const OPTIONS: (&str, [&str; 2]) = ("proto", ["tonic", "tonic-prost"]);

/// The floors above `proto` that live without a network: they take it as it is, without its options.
const WITHOUT_NETWORK: [&str; 1] = ["log"];

/// Complains about every edge that points upwards or sideways.
pub(super) fn complaints(manifests: &[Manifest]) -> Vec<String> {
    manifests.iter().flat_map(manifest_complaints).collect()
}

fn manifest_complaints(manifest: &Manifest) -> Vec<String> {
    let folder = &manifest.folder;
    let Some((_, package, below)) = LAYERS.iter().find(|(known, ..)| known == folder) else {
        return vec![format!("{folder}: not a layer; a new crate is a decision")];
    };
    let mut complaints = Vec::new();
    let name = manifest.table.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    if name != Some(package) {
        complaints.push(format!("{folder}: the package is named {name:?}, not {package}"));
    }
    for (dependency, value) in manifest.dependencies() {
        if *folder == OPTIONS.0 && OPTIONS.1.contains(&dependency) && !is_true(value.get("optional")) {
            complaints.push(format!("{folder}: {dependency} must be optional"));
        }
        if WITHOUT_NETWORK.contains(&folder.as_str())
            && dependency == "tidelog-proto"
            && value.get("features").is_some()
        {
            complaints.push(format!("{folder}: needs no features of {dependency}"));
        }
        if dependency.starts_with("tidelog") && !below.contains(&dependency) {
            complaints.push(format!("{folder}: may not depend on {dependency}"));
        }
        let confined =
            CONFINED.iter().find(|(name, _)| *name == dependency || dependency.starts_with(&format!("{name}-")));
        if confined.is_some_and(|(_, folders)| !folders.contains(&folder.as_str())) {
            complaints.push(format!("{folder}: may not depend on {dependency}"));
        }
    }
    let features = manifest.table.get("features");
    if *folder == OPTIONS.0 && features.is_some_and(|features| features.get("default").is_some()) {
        complaints.push(format!("{folder}: has no default features"));
    }
    complaints
}

fn is_true(value: Option<&toml::Value>) -> bool {
    value.and_then(toml::Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints_about(folder: &str, manifest: &str) -> Vec<String> {
        complaints(&[Manifest::parse(folder, manifest)])
    }

    #[test]
    fn an_edge_downwards_is_fine() {
        let manifest = "package.name = 'tidelog'\n[dependencies]\ntidelog-log.workspace = true\nclap.workspace = true";
        assert_eq!(complaints_about("cli", manifest), [""; 0]);
    }

    #[test]
    fn an_edge_upwards_is_found_in_every_kind_of_dependency() {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"] {
            let manifest = format!("package.name = 'tidelog-proto'\n[{kind}]\ntidelog-log.workspace = true");
            assert_eq!(complaints_about("proto", &manifest), ["proto: may not depend on tidelog-log"], "{kind}");
        }
    }

    #[test]
    fn a_runtime_in_the_log_is_found() {
        for dependency in ["tokio", "tonic", "tonic-prost", "prost", "openraft"] {
            let manifest = format!("package.name = 'tidelog-log'\n[dependencies]\n{dependency}.workspace = true");
            assert_eq!(complaints_about("log", &manifest), [format!("log: may not depend on {dependency}")]);
        }
    }

    #[test]
    fn a_network_that_is_always_on_is_found() {
        let proto = |rest: &str| complaints_about("proto", &format!("package.name = 'tidelog-proto'\n{rest}"));
        assert_eq!(proto("[dependencies]\ntonic = { workspace = true, optional = true }"), [""; 0]);
        assert_eq!(proto("[dependencies]\ntonic.workspace = true"), ["proto: tonic must be optional"]);
        assert_eq!(proto("[dependencies]\ntokio.workspace = true"), ["proto: may not depend on tokio"]);
        assert_eq!(proto("[features]\ndefault = ['client']"), ["proto: has no default features"]);
        let log =
            "package.name = 'tidelog-log'\n[dependencies]\ntidelog-proto = { workspace = true, features = ['client'] }";
        assert_eq!(complaints_about("log", log), ["log: needs no features of tidelog-proto"]);
    }

    #[test]
    fn an_unknown_crate_and_a_wrong_name_are_found() {
        assert_eq!(complaints_about("extra", "package.name = 'extra'").len(), 1);
        assert_eq!(complaints_about("log", "package.name = 'log'").len(), 1);
    }
}
