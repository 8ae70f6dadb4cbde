//! Tables as text: words begin at the left of their column, numbers end at its right.

/// Where the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// The lines of a table, each as wide as its columns have to be, after `indent` spaces. `lines` are
/// heads and rows, each with a cell for every side in `sides`.
pub(crate) fn render(lines: &[Vec<String>], sides: &[Side], indent: usize) -> String {
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..sides.len()).map(width).collect();
    let columns = || sides.iter().zip(&widths);
    let mut text = String::new();
    for line in lines {
        let cells = line
            .iter()
            .zip(columns())
            .map(|(cell, (side, &width))| match side {
                Side::Left => format!("{cell:<width$}"),
                Side::Right => format!("{cell:>width$}"),
            });
        let cells: Vec<_> = cells.collect();
        let spaces = " ".repeat(indent);
        text.push_str(format!("{spaces}{}", cells.join("  ")).trim_end());
        text.push('\n');
    }
    text
}

/// A number with so many digits after the point, and commas between the thousands.
pub(crate) fn number(value: f64, digits: usize) -> String {
    let plain = format!("{value:.digits$}");
    let whole = plain.split('.').next().unwrap_or_default();
    grouped(whole) + &plain[whole.len()..]
}

/// A whole number with commas between the thousands.
pub(crate) fn count(value: u64) -> String {
    grouped(&value.to_string())
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        assert_eq!(number(999.0, 0), "999");
        assert_eq!(number(1_234_567.125, 2), "1,234,567.12");
        let counts = [0, 12, 999, 1000, 1_234_567].map(count);
        assert_eq!(counts, ["0", "12", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let lines = [["name", "n"], ["a", "1,000"]].map(|line| line.map(str::to_owned).to_vec());
        let text = render(&lines, &[Side::Left, Side::Right], 1);
        assert_eq!(text, " name      n\n a     1,000\n");
    }

    #[test]
    fn empty_cells_at_the_end_leave_no_spaces() {
        let lines = [["a", ""], ["b", "ok"]].map(|line| line.map(str::to_owned).to_vec());
        assert_eq!(render(&lines, &[Side::Left; 2], 0), "a\nb  ok\n");
    }
}
