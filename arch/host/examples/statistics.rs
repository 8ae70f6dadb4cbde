//! A program whose allocator is the heap: it counts words in several threads, and prints the heap's
//! statistics. `cargo run -p archipelago-host --example statistics`.

use std::collections::HashMap;
use std::thread;

use archipelago_host::HostHeap;

#[global_allocator]
static HEAP: HostHeap = HostHeap::new();

/// How often each of the numbers below `most` that `step` leads to begins with a digit.
fn digits(most: u32, step: usize) -> HashMap<char, Vec<String>> {
    let mut found: HashMap<char, Vec<String>> = HashMap::new();
    for number in (1..most).step_by(step) {
        let text = format!("{}", u64::from(number).pow(2));
        if let Some(digit) = text.chars().next() {
            found.entry(digit).or_default().push(text);
        }
    }
    found
}

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let threads: Vec<_> = (1..=4)
        .map(|step| thread::spawn(move || digits(100_000, step)))
        .collect();
    let mut counts = [0; 10];
    for thread in threads {
        // What the thread has allocated is freed here.
        for (digit, numbers) in thread.join().map_err(|_| "a thread has panicked")? {
            counts[digit as usize - '0' as usize] += numbers.len();
        }
    }
    println!("squares by their first digit: {counts:?}\n");
    println!("{}", HEAP.stats());
    let scavenged = HEAP.scavenge(usize::MAX)?;
    println!("\n{scavenged} free pages given back to the system");
    println!("{} bytes are Ready now", HEAP.stats().mapped_ready);
    HEAP.verify()?;
    Ok(())
}
