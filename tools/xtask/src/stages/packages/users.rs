//! Users' workspaces: of edition 2018, and so with cargo's first resolver, which turns on a feature
//! of a package wherever any other asks for it, on the host or elsewhere.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::{fail, folder, report, unpacked};
use crate::project;
use crate::report::Stage;
use crate::stages::step;
use crate::toolchain::Toolchain;

/// A user: crates that it depends on, the target that it builds for if it is not the host, its
/// source, and the packages in its lock file.
#[derive(Debug)]
struct User {
    name: &'static str,
    depends: &'static [&'static str],
    target: Option<&'static str>,
    source: &'static str,
    locked: &'static [&'static str],
}

const USERS: &[User] = &[
    User {
        name: "kernel",
        depends: &["archipelago", "archipelago-x86_64"],
        target: Some("x86_64-unknown-none"),
        source: "use archipelago::Heap;
use archipelago_x86_64::{Paging, SingleCpu};

pub fn verify<P: archipelago_x86_64::PageTables, F>(heap: &Heap<Paging<P, F>, SingleCpu>) -> bool
where
    Paging<P, F>: archipelago::Machine,
{
    heap.verify().is_ok()
}
",
        locked: &[
            "archipelago",
            "archipelago-api",
            "archipelago-paging",
            "archipelago-x86_64",
            "bit_field",
            "bitflags",
            "const_fn",
            "rustversion",
            "spin",
            "volatile",
            "x86_64",
        ],
    },
    User {
        name: "firmware",
        depends: &["archipelago-flat"],
        target: Some("thumbv7m-none-eabi"),
        source: "use archipelago_flat::{CriticalSection, FlatHeap, Small};

pub static HEAP: FlatHeap<CriticalSection, Small<21, 10>> = FlatHeap::empty();
",
        locked: &[
            "archipelago",
            "archipelago-api",
            "archipelago-flat",
            "bitflags",
            "critical-section",
            "portable-atomic",
            "spin",
        ],
    },
    User {
        name: "program",
        depends: &["archipelago-host"],
        target: None,
        source: "use archipelago_host::HostHeap;

#[global_allocator]
static HEAP: HostHeap = HostHeap::new();
",
        locked: &[
            "archipelago",
            "archipelago-api",
            "archipelago-host",
            "bitflags",
            "libc",
            "spin",
        ],
    },
];

/// The packages that users' crates bring along without being named by them.
const BELOW: &[&str] = &["archipelago", "archipelago-api", "archipelago-paging"];

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain) {
    for user in USERS {
        let mut patched: Vec<_> = user.depends.iter().chain(BELOW).copied().collect();
        patched.sort_unstable();
        patched.dedup();
        let made = match workspace(user.name, user.depends, &patched, user.source) {
            Ok(made) => made,
            Err(error) => return fail(stage, user.name, &[format!("{error:#}")]),
        };
        let mut build = match user.target {
            Some(target) => toolchain.cargo_for("build", target),
            None => toolchain.cargo("build"),
        };
        build.current_dir(&made).arg("--offline");
        build.arg("--target-dir").arg(folder());
        let name = format!("a user's {} of edition 2018", user.name);
        if step(stage, &name, &mut build) {
            let lock = fs::read_to_string(made.join("Cargo.lock")).unwrap_or_default();
            let name = format!("packages of a user's {}", user.name);
            report(stage, &name, &unexpected(&lock, user));
        }
    }
}

/// Makes a workspace that depends on packaged crates, of which `patched` are found where they were
/// unpacked. All others have the versions of this workspace's lock file.
///
/// # Errors
/// A file cannot be written.
pub(super) fn workspace<N: AsRef<str>>(
    name: &str,
    depends: &[N],
    patched: &[N],
    source: &str,
) -> Result<PathBuf> {
    let version = env!("CARGO_PKG_VERSION");
    let root = folder().join("users").join(name);
    let mut manifest = format!(
        "[workspace]\n\n[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2018\"\n\n\
         [dependencies]\n"
    );
    for name in depends {
        manifest.extend([name.as_ref(), " = \"", version, "\"\n"]);
    }
    manifest.push_str("\n[patch.crates-io]\n");
    for name in patched {
        let path = unpacked(name.as_ref());
        manifest.extend([
            name.as_ref(),
            " = { path = '",
            &path.to_string_lossy(),
            "' }\n",
        ]);
    }
    fs::create_dir_all(root.join("src"))?;
    fs::write(root.join("Cargo.toml"), manifest)?;
    fs::write(root.join("src/lib.rs"), format!("#![no_std]\n{source}"))?;
    fs::copy(project::root().join("Cargo.lock"), root.join("Cargo.lock"))?;
    Ok(root)
}

/// The packages of a lock file that are not the expected ones, and those that are not there.
fn unexpected(lock: &str, user: &User) -> Vec<String> {
    let packages = lock.split("[[package]]").skip(1);
    let names = packages.filter_map(|package| {
        let line = package
            .lines()
            .find_map(|line| line.strip_prefix("name = "))?;
        Some(line.trim_matches('"'))
    });
    let found: Vec<_> = names.filter(|name| *name != user.name).collect();
    let surplus = found.iter().filter(|name| !user.locked.contains(name));
    let surplus = surplus.map(|name| format!("{name} is not expected"));
    let absent = user.locked.iter().filter(|name| !found.contains(name));
    let absent = absent.map(|name| format!("{name} is expected, and is not there"));
    surplus.chain(absent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_too_many_and_one_too_few_are_noticed() {
        for user in USERS {
            let names = user.locked.iter().chain([&user.name]);
            let entry =
                |name: &&str| format!("[[package]]\nname = \"{name}\"\nversion = \"1\"\n\n");
            let sound: String = names.map(entry).collect();
            assert_eq!(unexpected(&sound, user), Vec::<String>::new());
            let planted = sound.replace("\"spin\"", "\"loom\"");
            assert_eq!(
                unexpected(&planted, user),
                ["loom is not expected", "spin is expected, and is not there"]
            );
        }
    }
}
