//! `cargo xtask machines`: the machines, and the tools that each needs.

use anyhow::Result;

use crate::machine;
use crate::setup::Needs;
use crate::toolchain::Toolchain;

/// Prints the machines, the tools that each needs, and how to install the missing ones.
///
/// # Errors
/// If there is no Rust toolchain to ask.
pub(crate) fn list() -> Result<()> {
    let toolchain = Toolchain::detect()?;
    for machine in machine::all() {
        println!(
            "{}: {}, {}-bit addresses",
            machine.name, machine.board, machine.address_bits
        );
        let qemu = machine
            .qemu_version()
            .unwrap_or_else(|| "missing".to_owned());
        println!("  {:<24} {qemu}", machine.qemu);
        println!(
            "  {:<24} {}",
            machine.target,
            toolchain.target_state(machine.target)
        );
        let linked = [&[machine.script], machine.link_arguments].concat();
        println!("  {:<24} targets/{}", "linked with", linked.join(" "));
    }
    let needs = Needs {
        machines: machine::all().collect(),
        targets: machine::all().map(|machine| machine.target).collect(),
        ..Needs::default()
    };
    if let Some(instructions) = needs.instructions(&toolchain) {
        println!("{instructions}");
    }
    Ok(())
}
