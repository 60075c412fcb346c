//! The rules of the source tree, read from its manifests, sources and documents.
//!
//! Every rule is a pure function from text to complaints, so each is also shown a bad example and must complain.

mod documents;
mod layers;
mod lock_file;
mod manifests;
mod names;
mod size;
mod source;
mod surroundings;
mod tree;
mod unfinished;
mod unsafety;

use tree::Tree;

/// Fails with one complaint per line.
#[track_caller]
fn assert_tidy(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn layers_depend_only_downwards() {
    assert_tidy(&layers::complaints(&Tree::load().manifests()));
}

#[test]
fn manifests_take_versions_and_lints_from_the_workspace() {
    let tree = Tree::load();
    assert_tidy(&manifests::complaints(&tree.root_manifest(), &tree.manifests()));
}

#[test]
fn every_dependency_is_used() {
    let tree = Tree::load();
    assert_tidy(&manifests::unused(&tree.root_manifest(), &tree.manifests(), &tree.sources()));
}

#[test]
fn nothing_is_built_from_c() {
    assert_tidy(&lock_file::complaints(&Tree::load().text("Cargo.lock")));
}

#[test]
fn unsafe_stays_in_one_file() {
    assert_tidy(&unsafety::complaints(&Tree::load().sources()));
}

#[test]
fn the_log_reaches_the_machine_only_through_its_environment() {
    assert_tidy(&surroundings::complaints(&Tree::load().sources()));
}

#[test]
fn files_hold_one_idea() {
    assert_tidy(&size::complaints(&Tree::load().sources()));
}

#[test]
fn names_say_what_is_inside() {
    assert_tidy(&names::complaints(&Tree::load().paths()));
}

#[test]
fn nothing_is_left_unfinished() {
    assert_tidy(&unfinished::complaints(&Tree::load().texts()));
}

#[test]
fn every_dependency_has_its_decision() {
    let tree = Tree::load();
    assert_tidy(&documents::undecided(&tree.root_manifest(), &tree.text("docs/DECISIONS.md")));
}

#[test]
fn documents_name_only_files_that_exist() {
    let tree = Tree::load();
    assert_tidy(&documents::dead_paths(&tree.documents(), &tree.paths()));
}

#[test]
fn every_invariant_names_what_keeps_it() {
    let tree = Tree::load();
    assert_tidy(&documents::unkept(&tree.text("docs/ARCHITECTURE.md"), &tree.sources()));
}
