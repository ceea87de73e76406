//! The arrows between the crates are the design. Whatever draws another one, or brings IO where there is none, fails here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// Who may depend on whom. A new crate needs a line here.
const ARROWS: &[(&str, &[&str])] = &[
    ("cabildo-events", &[]),
    ("cabildo-projections", &["cabildo-events"]),
    ("cabildo-storage", &["cabildo-events", "cabildo-projections"]),
    ("cabildo-producers", &["cabildo-events", "cabildo-projections", "cabildo-storage"]),
    ("cabildo-consumers", &["cabildo-events", "cabildo-projections", "cabildo-storage"]),
    ("cabildo-gateway", &["cabildo-events", "cabildo-projections", "cabildo-storage"]),
    ("cabildo-dashboards", &[]),
    (
        "cabildo",
        &[
            "cabildo-events",
            "cabildo-projections",
            "cabildo-storage",
            "cabildo-producers",
            "cabildo-consumers",
            "cabildo-gateway",
            "cabildo-dashboards",
        ],
    ),
];
/// No IO: not even by way of another crate.
const PURE: &[&str] = &["cabildo-events", "cabildo-projections"];
const IO: &[&str] = &["tokio", "mio", "async-std", "smol", "hyper", "socket2"];
/// Databases and brokers are named in one crate.
const VENDORS: &[&str] = &["async-nats", "redis", "mongodb", "rusqlite", "libsqlite3-sys"];
const STORAGE: &str = "cabildo-storage";
/// The one reader of the environment.
const SETTINGS: &str = "cli/src/settings.rs";

fn metadata() -> Metadata {
    let manifest = root().join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).exec().unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Each crate of the house with the direct dependencies that end up in the binary.
fn direct_dependencies(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let direct = |package: &&cargo_metadata::Package| {
        let built = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
        (package.name.to_string(), built.map(|dependency| dependency.name.clone()).collect())
    };
    metadata.workspace_packages().iter().map(direct).collect()
}

/// Every crate that one is built from, with all that those are built from.
fn transitive_dependencies(metadata: &Metadata, of: &str) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().unwrap();
    let node = |id: &PackageId| resolve.nodes.iter().find(|node| node.id == *id).unwrap();
    let mut left = vec![metadata.workspace_packages().iter().find(|package| package.name == of).unwrap().id.clone()];
    let mut seen = BTreeSet::new();
    while let Some(id) = left.pop() {
        for dependency in &node(&id).deps {
            let built = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if built && seen.insert(dependency.pkg.clone()) {
                left.push(dependency.pkg.clone());
            }
        }
    }
    seen.iter().map(|id| metadata[id].name.to_string()).collect()
}

fn forbidden_arrows(crates: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for (from, dependencies) in crates {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| name == from) else {
            found.push(format!("{from} is not in the design"));
            continue;
        };
        for to in dependencies {
            if to.starts_with("cabildo") && !allowed.contains(&to.as_str()) {
                found.push(format!("{from} -> {to}"));
            }
            if VENDORS.contains(&to.as_str()) && from != STORAGE {
                found.push(format!("{from} names {to}"));
            }
        }
    }
    found
}

#[test]
fn every_arrow_is_in_the_design() {
    assert_eq!(forbidden_arrows(&direct_dependencies(&metadata())), Vec::<String>::new());
}

#[test]
fn a_forbidden_arrow_is_found() {
    let crates = |from: &str, to: &str| BTreeMap::from([(from.to_owned(), BTreeSet::from([to.to_owned()]))]);
    for (from, to) in [
        ("cabildo-gateway", "cabildo-producers"),
        ("cabildo-events", "cabildo-storage"),
        ("cabildo-consumers", "redis"),
        ("cabildo-novelties", "serde"),
    ] {
        assert_eq!(forbidden_arrows(&crates(from, to)).len(), 1, "{from} -> {to}");
    }
    assert!(forbidden_arrows(&crates("cabildo-storage", "redis")).is_empty());
}

#[test]
fn events_and_projections_do_no_io() {
    let metadata = metadata();
    for name in PURE {
        let found = transitive_dependencies(&metadata, name);
        assert!(found.contains("serde"), "the walk found nothing");
        let io: Vec<_> = IO.iter().chain(VENDORS).filter(|io| found.contains(**io)).collect();
        assert!(io.is_empty(), "{name} is built from {io:?}");
    }
    assert!(transitive_dependencies(&metadata, STORAGE).contains("tokio"), "the walk must find what is there");
}

#[test]
fn one_file_reads_the_environment() {
    let mut readers = BTreeSet::new();
    for member in metadata().workspace_packages() {
        let folder = member.manifest_path.parent().unwrap().join("src");
        find_readers(folder.as_std_path(), &mut readers);
    }
    assert_eq!(readers, BTreeSet::from([SETTINGS.to_owned()]));
}

fn find_readers(folder: &Path, readers: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_readers(&path, readers);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            // By std, or by clap.
            if text.contains("std::env") || text.contains("env::var") || text.contains("env = \"CABILDO_") {
                readers.insert(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
}
