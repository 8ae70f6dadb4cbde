//! The figures as a page of HTML with plots in it, which needs no other file.

use core::fmt::Write;
use std::fs;

use plotters::prelude::{
    ChartBuilder, Color, IntoDrawingArea, IntoLogRange, IntoSegmentedCoord, RGBColor, Rectangle,
    SVGBackend, SegmentValue, SeriesLabelPosition, Text, WHITE,
};

use crate::Done;

type Drawn = Result<String, Box<dyn core::error::Error>>;

const OWN: RGBColor = RGBColor(196, 60, 40);
const OTHER: RGBColor = RGBColor(96, 125, 160);
/// Of one thread, of two, and of four.
const THREADS: [RGBColor; 3] = [
    RGBColor(150, 180, 210),
    RGBColor(96, 125, 160),
    RGBColor(40, 66, 100),
];

/// The figures of a file.
#[derive(Default)]
struct Figures {
    /// Lines of text above the plots.
    notes: Vec<String>,
    /// Rows, and what each is.
    rows: Vec<(String, String)>,
    /// A row, a heap, and its instructions a request.
    cells: Vec<(String, String, f64)>,
    /// A heap, a number of threads, and nanoseconds a request: the minimum, then percentiles.
    times: Vec<(String, f64, Vec<f64>)>,
}

impl Figures {
    fn read(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for line in text.lines() {
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            let words: Vec<_> = rest.split_whitespace().collect();
            let number = |index: usize| {
                let word = words.get(index).copied().unwrap_or_default();
                let wrong = |_| format!("`{line}` has no number in place {index}");
                word.parse::<f64>().map_err(wrong)
            };
            match (kind, words.as_slice()) {
                ("note", _) => all.notes.push(rest.to_owned()),
                ("row", [name, about @ ..]) => {
                    all.rows.push(((*name).to_owned(), about.join(" ")));
                }
                ("cell", [row, heap, ..]) => {
                    all.cells
                        .push(((*row).to_owned(), (*heap).to_owned(), number(2)?));
                }
                ("time", [heap, _, rest @ ..]) => {
                    let times = (0..rest.len()).map(|index| number(index + 2));
                    let times = times.collect::<Result<_, _>>()?;
                    all.times.push(((*heap).to_owned(), number(1)?, times));
                }
                _ => {}
            }
        }
        Ok(all)
    }
}

/// Draws the figures of `file` as a page at `out`.
///
/// # Errors
/// A file cannot be read or written, or has no such lines.
pub(crate) fn draw(file: &str, out: &str) -> Done {
    let figures = Figures::read(&fs::read_to_string(file)?)?;
    let mut page = String::from(HEAD);
    for note in &figures.notes {
        writeln!(page, "<p>{}</p>", escaped(note))?;
    }
    page.push_str("<h2>Instructions a request</h2>\n<div class=\"plots\">\n");
    for (row, about) in &figures.rows {
        let bars = figures.cells.iter().filter(|(of, ..)| of == row);
        let bars: Vec<_> = bars
            .map(|(_, heap, value)| (heap.as_str(), *value))
            .collect();
        if !bars.is_empty() {
            writeln!(page, "<figure>{}", instructions(&bars)?)?;
            let (row, about) = (escaped(row), escaped(about));
            writeln!(
                page,
                "<figcaption><b>{row}</b>: {about}</figcaption></figure>"
            )?;
        }
    }
    page.push_str("</div>\n");
    if !figures.times.is_empty() {
        page.push_str("<h2>Million requests a second, of all threads together</h2>\n");
        writeln!(page, "<figure>{}", throughput(&figures)?)?;
        page.push_str(
            "<figcaption>c300 with 1, 2 and 4 threads, in the shortest round</figcaption></figure>\n",
        );
    }
    page.push_str("</body>\n</html>\n");
    fs::write(out, page)?;
    Ok(())
}

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<title>archipelago and its peers</title>
<style>
body { font-family: sans-serif; margin: 2em; max-width: 90em; color: #222; }
.plots { display: flex; flex-wrap: wrap; gap: 1em; }
figure { margin: 0; }
figcaption { max-width: 34em; font-size: 0.9em; }
</style>
</head>
<body>
<h1>archipelago and its peers</h1>
";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Bars of one row, on a logarithmic scale.
fn instructions(bars: &[(&str, f64)]) -> Drawn {
    let mut svg = String::new();
    let height = 60 + 20 * u32::try_from(bars.len())?;
    {
        let area = SVGBackend::with_string(&mut svg, (480, height)).into_drawing_area();
        area.fill(&WHITE)?;
        let most = bars.iter().map(|(_, value)| *value).fold(100.0, f64::max) * 2.5;
        let names: Vec<_> = bars.iter().rev().map(|(name, _)| *name).collect();
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(100)
            .build_cartesian_2d((1.0..most).log_scale(), (0..names.len()).into_segmented())?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(names.len() + 1)
            .y_label_formatter(&|place| label(&names, place))
            .draw()?;
        let places = bars.iter().rev().enumerate();
        chart.draw_series(places.clone().map(|(place, (name, value))| {
            let color = if *name == "archipelago" { OWN } else { OTHER };
            let corners = [
                (1.0, SegmentValue::Exact(place)),
                (value.max(1.0), SegmentValue::Exact(place + 1)),
            ];
            let mut bar = Rectangle::new(corners, color.filled());
            bar.set_margin(3, 3, 0, 0);
            bar
        }))?;
        chart.draw_series(places.map(|(place, (_, value))| {
            let beside = (value.max(1.0) * 1.05, SegmentValue::CenterOf(place));
            Text::new(format!("{value:.1}"), beside, ("sans-serif", 12))
        }))?;
        area.present()?;
    }
    Ok(svg)
}

/// The name at a place of the axis of heaps.
fn label(names: &[&str], place: &SegmentValue<usize>) -> String {
    match place {
        SegmentValue::CenterOf(index) => names.get(*index).copied().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

/// Three bars for each heap.
fn throughput(figures: &Figures) -> Drawn {
    let mut names: Vec<&str> = Vec::new();
    // The harness alone would make all bars short.
    let heaps = figures.times.iter().map(|(heap, ..)| heap.as_str());
    for heap in heaps.filter(|heap| *heap != "null") {
        if !names.contains(&heap) {
            names.push(heap);
        }
    }
    let millions = |threads: f64, nanoseconds: f64| threads * 1000.0 / nanoseconds;
    let bars = figures.times.iter().filter_map(|(heap, threads, times)| {
        let place = names.iter().position(|name| name == heap)?;
        let color = match *threads {
            ..1.5 => 0,
            ..2.5 => 1,
            _ => 2,
        };
        Some((place, color, millions(*threads, *times.first()?)))
    });
    let bars: Vec<_> = bars.collect();
    let most = bars.iter().map(|(.., value)| *value).fold(1.0, f64::max) * 1.1;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (1100, 420)).into_drawing_area();
        area.fill(&WHITE)?;
        let count = i32::try_from(names.len())?;
        let mut chart = ChartBuilder::on(&area)
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(50)
            .build_cartesian_2d(0..count * 4, 0.0..most)?;
        let name = |place: &i32| {
            let index = usize::try_from(place / 4).unwrap_or_default();
            let is_middle = place % 4 == 2;
            let name = names.get(index).filter(|_| is_middle);
            name.copied().unwrap_or_default().to_owned()
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .max_light_lines(0)
            .x_labels(4 * names.len() + 1)
            .x_label_formatter(&name)
            .draw()?;
        for (color, threads) in ["1 thread", "2 threads", "4 threads"].iter().enumerate() {
            let own = bars.iter().filter(|(_, of, _)| *of == color);
            let rectangles = own.map(|(place, _, value)| {
                let left = i32::try_from(place * 4 + color).unwrap_or_default();
                let mut bar =
                    Rectangle::new([(left, 0.0), (left + 1, *value)], THREADS[color].filled());
                bar.set_margin(0, 0, 1, 1);
                bar
            });
            let series = chart
                .draw_series(rectangles.collect::<Vec<_>>())?
                .label(*threads);
            series.legend(move |(x, y)| {
                Rectangle::new([(x, y - 5), (x + 12, y + 5)], THREADS[color].filled())
            });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}
