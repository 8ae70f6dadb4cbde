//! Machine code as text: one function out of a compiler's output, without what differs from one
//! build to the next.

use alloc::collections::BTreeMap;

/// The instructions and labels of `function` in the compiler's assembly: directives left out, local
/// labels numbered, and symbols, whose names hold hashes, numbered too. `None` if there is no such
/// function.
pub(super) fn extract(assembly: &str, function: &str) -> Option<String> {
    let start = format!("{function}:");
    let mut lines = assembly.lines().skip_while(|line| line.trim_end() != start);
    lines.next()?;
    let body: Vec<&str> = lines
        .take_while(|line| !line.starts_with(".Lfunc_end"))
        .filter(|line| !is_directive(line))
        .map(str::trim_end)
        .collect();
    let mut names = Names::default();
    let mut text = String::new();
    for line in body {
        text.push_str(&names.rename(line));
        text.push('\n');
    }
    Some(text)
}

/// Directives begin with a point, as local labels do, which end with a colon.
fn is_directive(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || (line.starts_with('.') && !line.ends_with(':'))
}

/// Names that were met, and what they are called instead.
#[derive(Debug, Default)]
struct Names {
    labels: BTreeMap<String, usize>,
    symbols: BTreeMap<String, usize>,
}

impl Names {
    fn rename(&mut self, line: &str) -> String {
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "._$@".contains(letter);
        let mut out = String::new();
        let mut rest = line;
        while let Some(start) = rest.find(is_part) {
            let end = rest[start..].find(|letter| !is_part(letter));
            let end = end.map_or(rest.len(), |length| start + length);
            out.push_str(&rest[..start]);
            out.push_str(&self.word(&rest[start..end]));
            rest = &rest[end..];
        }
        out + rest
    }

    fn word(&mut self, word: &str) -> String {
        let number = |names: &mut BTreeMap<String, usize>| {
            let next = names.len() + 1;
            *names.entry(word.to_owned()).or_insert(next)
        };
        if word.starts_with(".LBB") {
            format!(".L{}", number(&mut self.labels))
        } else if word.starts_with("_ZN") || word.starts_with("_R") || word.starts_with(".L") {
            format!("symbol{}", number(&mut self.symbols))
        } else {
            word.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASSEMBLY: &str = "\
other:
	retq
lookup:
	.cfi_startproc
	leaq	_ZN4main4HEAP17hfd4836a7c39ba157E(%rip), %rdx
	jne	.LBB3_7
	movq	8(%rdx,%rcx,8), %rcx
.LBB3_7:
	retq
.Lfunc_end3:
	ret
";

    #[test]
    fn what_differs_between_builds_is_left_out() {
        let text = extract(ASSEMBLY, "lookup");
        let expected =
            "\tleaq\tsymbol1(%rip), %rdx\n\tjne\t.L1\n\tmovq\t8(%rdx,%rcx,8), %rcx\n.L1:\n\tretq\n";
        assert_eq!(text.as_deref(), Some(expected));
        assert_eq!(extract(ASSEMBLY, "look"), None);
    }
}
