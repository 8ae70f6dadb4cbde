//! The documentation of machines, as docs.rs makes it: of one crate, for the target that its
//! manifest names.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Packaged, folder, report};
use crate::machine;
use crate::report::Stage;
use crate::stages::step;
use crate::toolchain::Toolchain;

/// The kernels that each machine has.
const KERNELS: [&str; 2] = ["SingleCpu", "SingleCpuThreads"];

pub(super) fn run(stage: &mut Stage, toolchain: &Toolchain, packages: &[Packaged]) {
    let machines = packages
        .iter()
        .filter(|package| machine::all().any(|machine| machine.package_name == package.name));
    for package in machines {
        let Some(target) = target(&package.metadata) else {
            continue; // The check of the contents says so.
        };
        let mut doc = toolchain.cargo_for("rustdoc", target);
        doc.current_dir(folder().join("users/all"))
            .args(["--offline", "--lib", "--package", &package.name])
            .arg("--target-dir")
            .arg(folder())
            .env("RUSTDOCFLAGS", "-D warnings")
            .args(["--", "--cfg", "docsrs"]);
        if step(stage, &format!("page of {}", package.name), &mut doc) {
            let root = folder().join(target).join("doc");
            let name = format!("kernels on the page of {}", package.name);
            let read = |file: &str| read(&root, file);
            report(stage, &name, &without_traits(&package.name, read));
        }
    }
}

/// The target of the page that docs.rs shows first.
fn target(metadata: &Value) -> Option<&str> {
    metadata["metadata"]["docs"]["rs"]["targets"][0].as_str()
}

/// The kernels whose page does not show that they are kernels, in sentences. `read` returns the
/// text of a file of the documentation.
///
/// The page of an alias names no trait: it loads those of the type behind the alias.
fn without_traits(package: &str, read: impl Fn(&str) -> String) -> Vec<String> {
    let crate_name = package.replace('-', "_");
    let mut faults = Vec::new();
    let traits = read("type.impl/archipelago_api/kernels/struct.ReadyMade.js");
    for kernel in KERNELS {
        if !read(&format!("{crate_name}/type.{kernel}.html")).contains("Aliased Type") {
            faults.push(format!("{kernel} has no page"));
        }
        // `["<html>","Kernel","crate::path::alias",…]`
        let mut aliases = traits
            .split("\"Kernel\",")
            .skip(1)
            .filter_map(|rest| rest.split(']').next())
            .flat_map(|aliases| aliases.split('"'));
        let is_kernel = |alias: &str| {
            let path = alias.strip_prefix(&crate_name);
            path.and_then(|path| path.rsplit("::").next()) == Some(kernel)
        };
        if !aliases.any(is_kernel) {
            faults.push(format!("the page of {kernel} does not show its `Kernel`"));
        }
    }
    let masking = read("trait.impl/archipelago_api/kernels/trait.Interrupts.js");
    if !masking.contains(&format!("{crate_name}::CpuInterrupts")) {
        faults.push("the page of CpuInterrupts does not show its `Interrupts`".to_owned());
    }
    faults
}

/// The text of a file of the documentation; empty if it cannot be read.
fn read(root: &Path, file: &str) -> String {
    fs::read_to_string(root.join(file)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page with all that is asked for, or without the lines that contain `hidden`.
    fn page(hidden: Option<&'static str>) -> impl Fn(&str) -> String {
        move |file| {
            let text = match file {
                "type.impl/archipelago_api/kernels/struct.ReadyMade.js" => {
                    "[\"<h3>\",\"Debug\",\"a_mips::kernel::SingleCpu\"],[\"<h3>\",\"Kernel\",\
                     \"a_mips::kernel::SingleCpu\",\"a_mips::kernel::SingleCpuThreads\"]"
                }
                "trait.impl/archipelago_api/kernels/trait.Interrupts.js" => {
                    "enum a_mips::CpuInterrupts"
                }
                _ => "Aliased Type",
            };
            let is_hidden = hidden.is_some_and(|hidden| text.contains(hidden));
            if is_hidden {
                String::new()
            } else {
                text.to_owned()
            }
        }
    }

    #[test]
    fn what_a_page_does_not_show_is_noticed() {
        assert_eq!(without_traits("a-mips", page(None)), Vec::<String>::new());
        for (hidden, faults) in [("Kernel", 2), ("Aliased", 2), ("CpuInterrupts", 1)] {
            let found = without_traits("a-mips", page(Some(hidden)));
            assert_eq!(found.len(), faults, "{hidden}: {found:?}");
        }
    }
}
