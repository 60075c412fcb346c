//! Reads the source tree.

use std::fs;
use std::path::{Path, PathBuf};

use super::source::Source;

/// Directories that hold nothing of ours: build output, version control, editors.
const FOREIGN_DIRECTORIES: [&str; 6] = ["target", ".git", ".venv", "__pycache__", ".idea", ".vscode"];

/// Endings of the files that people read and write.
const TEXT_ENDINGS: [&str; 7] = ["rs", "toml", "md", "sh", "py", "yml", "proto"];

/// Files without an ending that people read and write.
const TEXT_NAMES: [&str; 2] = ["justfile", "run"];

/// Every path of the tree, relative to its root and sorted.
pub(super) struct Tree {
    root: PathBuf,
    paths: Vec<String>,
}

/// A manifest and the folder that it is in, "" for the root.
pub(super) struct Manifest {
    pub(super) folder: String,
    pub(super) table: toml::Table,
}

impl Manifest {
    pub(super) fn parse(folder: &str, text: &str) -> Self {
        let table = text.parse().unwrap_or_else(|error| panic!("{folder}/Cargo.toml: {error}"));
        Self { folder: folder.to_owned(), table }
    }

    /// Lists every dependency of every kind: its key and its value.
    pub(super) fn dependencies(&self) -> impl Iterator<Item = (&str, &toml::Value)> {
        let targets = self.table.get("target").and_then(toml::Value::as_table);
        let per_target = targets.into_iter().flat_map(|targets| targets.values().filter_map(toml::Value::as_table));
        std::iter::once(&self.table)
            .chain(per_target)
            .flat_map(|table| ["dependencies", "dev-dependencies", "build-dependencies"].map(|kind| table.get(kind)))
            .flatten()
            .filter_map(toml::Value::as_table)
            .flatten()
            .map(|(name, value)| (name.as_str(), value))
    }
}

impl Tree {
    /// Walks the tree that this test was built from.
    pub(super) fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in a folder").to_owned();
        let mut paths = Vec::new();
        walk(&root, &root, &mut paths);
        paths.sort();
        assert!(paths.iter().any(|path| path == "Cargo.toml"), "no workspace at {}", root.display());
        Self { root, paths }
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.paths.clone()
    }

    /// Reads one file as text.
    pub(super) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Reads every file that people write: path and text.
    pub(super) fn texts(&self) -> Vec<(String, String)> {
        let readable = |path: &&String| {
            let path = Path::new(path.as_str());
            TEXT_ENDINGS.iter().any(|ending| path.extension().is_some_and(|own| own == *ending))
                || TEXT_NAMES.iter().any(|name| path.file_name().is_some_and(|own| own == *name))
        };
        self.paths.iter().filter(readable).map(|path| (path.clone(), self.text(path))).collect()
    }

    /// Reads every Rust file.
    pub(super) fn sources(&self) -> Vec<Source> {
        let rust = self.paths.iter().filter(|path| path.ends_with(".rs"));
        rust.map(|path| Source::parse(path, &self.text(path))).collect()
    }

    /// Reads every document: path and text.
    pub(super) fn documents(&self) -> Vec<(String, String)> {
        self.texts().into_iter().filter(|(path, _)| path.ends_with(".md")).collect()
    }

    pub(super) fn root_manifest(&self) -> Manifest {
        Manifest::parse("", &self.text("Cargo.toml"))
    }

    /// Reads the manifests of the workspace's members.
    pub(super) fn manifests(&self) -> Vec<Manifest> {
        let root = self.root_manifest();
        let members = root.table["workspace"]["members"].as_array().expect("members are a list");
        let folders = members.iter().map(|member| member.as_str().expect("a member is a folder"));
        folders.map(|folder| Manifest::parse(folder, &self.text(&format!("{folder}/Cargo.toml")))).collect()
    }
}

fn walk(root: &Path, dir: &Path, paths: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let entry = entry.expect("the tree does not change while it is read");
        let name = entry.file_name();
        let path = entry.path();
        if path.is_dir() {
            if !FOREIGN_DIRECTORIES.iter().any(|foreign| name == *foreign) {
                walk(root, &path, paths);
            }
        } else {
            let relative = path.strip_prefix(root).expect("below the root");
            paths.push(relative.to_str().expect("names are UTF-8").to_owned());
        }
    }
}
