//! One chart as SVG with its table.

use std::fmt::Write as _;

/// Lines over parts of a run, or over what is compared, on one axis.
#[derive(Clone, Debug)]
pub struct Chart<'a> {
    /// What is shown.
    pub title: &'a str,
    /// Unit of all values.
    pub unit: &'a str,
    /// How values lie on their axis.
    pub scale: Scale,
    /// What stands on the other axis.
    pub bins: Bins<'a>,
    /// At most three: so many styles there are.
    pub lines: Vec<Line<'a>>,
}

/// What one value is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bins<'a> {
    /// A part of so many seconds.
    Seconds(u64),
    /// One of several things, numbered from 1; what such a thing is called.
    Numbered(&'a str),
}

/// One value for each bin; none where there is nothing to say.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// What the legend calls it.
    pub name: &'a str,
    /// The values, the first bin's first.
    pub values: Vec<Option<f64>>,
}

/// How values lie on their axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From zero.
    Linear,
    /// By powers of ten: what is usual and what is rare are both seen.
    Logarithmic,
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 36.0;

/// The axis of values: its ends, as the scale takes them, and where lines are drawn.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Chart<'_> {
    /// Caption, drawing, legend and table.
    pub fn figure(&self) -> String {
        let (title, drawing) = (escape(self.title), self.drawing());
        let (legend, table) = (self.legend(), self.table());
        format!("<figure>\n<figcaption>{title}</figcaption>\n{drawing}{legend}{table}</figure>\n")
    }

    fn count(&self) -> usize {
        self.lines.iter().map(|line| line.values.len()).max().unwrap_or_default()
    }

    fn drawing(&self) -> String {
        let axis = Axis::of(self);
        let (title, unit) = (escape(self.title), escape(self.unit));
        // The name is all that a screen reader is told: the table below has the figures.
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH:.0} {HEIGHT:.0}\" role=\"img\" aria-label=\"{title}, in \
             {unit}; the table below has the same figures\">\n"
        );
        // Writing to a string cannot fail, here and below.
        for tick in &axis.ticks {
            let (y, label) = (axis.y(*tick), short(*tick));
            let (end, at, beside) = (WIDTH - RIGHT, y + 4.0, LEFT - 8.0);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT:.1} {y:.1}H{end:.1}\"/><text x=\"{beside:.1}\" \
                 y=\"{at:.1}\" text-anchor=\"end\">{label}</text>"
            );
        }
        for (bin, label) in self.labels() {
            let (x, y) = (self.x(bin), HEIGHT - BOTTOM + 18.0);
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{label}</text>"
            );
        }
        for (index, line) in self.lines.iter().enumerate() {
            let path = self.path(&axis, line);
            let _ = writeln!(svg, "<path class=\"line l{index}\" d=\"{path}\"/>");
        }
        svg + "</svg>\n"
    }

    /// About eight labels, each with where it stands: between parts of time, below what is one of
    /// several.
    fn labels(&self) -> Vec<(f64, String)> {
        match self.bins {
            Bins::Seconds(length) => {
                let seconds = (self.count() as u64 * length).max(1);
                let step = round_up(seconds as f64 / 8.0).max(1.0) as usize;
                let label = |second: u64| (second as f64 / length as f64, format!("{second} s"));
                (0..=seconds).step_by(step).map(label).collect()
            }
            Bins::Numbered(_) => {
                let step = round_up(self.count() as f64 / 8.0).max(1.0) as usize;
                let label = |at: usize| (at as f64 + 0.5, (at + 1).to_string());
                (0..self.count()).step_by(step).map(label).collect()
            }
        }
    }

    fn x(&self, bin: f64) -> f64 {
        LEFT + bin / self.count().max(1) as f64 * (WIDTH - LEFT - RIGHT)
    }

    /// Steps: a value holds for its whole part. Broken where there is none.
    fn path(&self, axis: &Axis, line: &Line<'_>) -> String {
        let (mut path, mut pen_down) = (String::new(), false);
        for (index, value) in line.values.iter().enumerate() {
            let Some(value) = value else {
                pen_down = false;
                continue;
            };
            let y = axis.y(*value);
            let (begin, end) = (self.x(index as f64), self.x(index as f64 + 1.0));
            let _ = match pen_down {
                true => write!(path, "V{y:.1}H{end:.1}"),
                false => write!(path, "M{begin:.1} {y:.1}H{end:.1}"),
            };
            pen_down = true;
        }
        path
    }

    fn legend(&self) -> String {
        let mut legend = String::from("<p>");
        for (index, line) in self.lines.iter().enumerate() {
            let name = escape(line.name);
            // Hidden from screen readers: to them the line's look says nothing.
            let _ = write!(
                legend,
                "<svg style=\"width:2rem\" viewBox=\"0 0 32 10\" aria-hidden=\"true\"><path \
                 class=\"line l{index}\" d=\"M0 5H32\"/></svg> {name} "
            );
        }
        let unit = escape(self.unit);
        legend + &format!("({unit})</p>\n")
    }

    fn table(&self) -> String {
        let heads = self.lines.iter().map(|line| escape(line.name));
        let heads: String = heads.map(|name| format!("<th scope=\"col\">{name}</th>")).collect();
        let (title, unit) = (escape(self.title), escape(self.unit));
        let first = match self.bins {
            Bins::Seconds(_) => "from second".to_owned(),
            Bins::Numbered(name) => escape(name),
        };
        let mut table = format!(
            "<details>\n<summary>The same as a table</summary>\n<div class=\"figures\" \
             tabindex=\"0\">\n<table>\n<caption>{title}, {unit}</caption>\n<thead><tr><th \
             scope=\"col\">{first}</th>{heads}</tr></thead>\n<tbody>\n"
        );
        for bin in 0..self.count() {
            let of = match self.bins {
                Bins::Seconds(length) => bin as u64 * length,
                Bins::Numbered(_) => bin as u64 + 1,
            };
            let _ = write!(table, "<tr><th scope=\"row\">{of}</th>");
            for line in &self.lines {
                let value = line.values.get(bin).copied().flatten();
                let text = value.map_or("none".into(), plain);
                let _ = write!(table, "<td>{text}</td>");
            }
            table += "</tr>\n";
        }
        table + "</tbody>\n</table>\n</div>\n</details>\n"
    }
}

impl Axis {
    fn of(chart: &Chart<'_>) -> Axis {
        let values = chart.lines.iter().flat_map(|line| line.values.iter().flatten().copied());
        let (mut least, mut most) = (f64::MAX, 0.0f64);
        for value in values.filter(|value| *value > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        let least = least.min(most);
        match chart.scale {
            Scale::Linear => {
                let step = round_up((most / 4.0).max(0.25));
                let count = (most / step).ceil().max(1.0) as usize;
                let ticks = (0..=count).map(|n| n as f64 * step).collect();
                Axis { scale: chart.scale, low: 0.0, high: count as f64 * step, ticks }
            }
            Scale::Logarithmic => {
                // Of nothing, one millisecond's decade: some axis has to stand there.
                let (least, most) = if most > 0.0 { (least, most) } else { (1.0, 1.0) };
                let low = least.log10().floor();
                let high = most.log10().ceil().max(low + 1.0);
                let decades = low as i32..=high as i32;
                let ticks = decades.map(|decade| 10f64.powi(decade)).collect();
                Axis { scale: chart.scale, low, high, ticks }
            }
        }
    }

    fn y(&self, value: f64) -> f64 {
        let value = match self.scale {
            Scale::Linear => value,
            // A latency of zero stands at the foot: it has no logarithm.
            Scale::Logarithmic if value <= 0.0 => self.low,
            Scale::Logarithmic => value.log10(),
        };
        let part = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    }
}

/// The next of 1, 2 and 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= value);
    factor.unwrap_or(10.0) * power
}

/// For an axis.
fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{}M", value / 1e6),
        value if value >= 1e4 => format!("{}k", value / 1e3),
        value => format!("{value}"),
    }
}

/// For a table: whole numbers without, others with three decimals.
fn plain(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// Text for HTML, in an element or in a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            // What no page may hold, and what reorders the text around it.
            letter if letter.is_control() => escaped.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(scale: Scale, values: &[Option<f64>]) -> Chart<'static> {
        let lines = vec![Line { name: "a<b", values: values.to_vec() }];
        Chart { title: "T & \"t\"", unit: "ms", scale, bins: Bins::Seconds(2), lines }
    }

    #[test]
    fn a_line_is_broken_where_there_is_no_value() {
        let chart = chart(Scale::Linear, &[Some(1.0), None, Some(4.0), Some(2.0)]);
        let axis = Axis::of(&chart);
        assert_eq!((axis.low, axis.high), (0.0, 4.0));
        let path = chart.path(&axis, &chart.lines[0]);
        assert_eq!(path, "M64.0 171.0H285.0M506.0 12.0H727.0V118.0H948.0");
    }

    #[test]
    fn what_is_one_of_several_is_counted_from_one_and_named() {
        let chart = Chart {
            bins: Bins::Numbered("row <1>"),
            ..chart(Scale::Linear, &[Some(1.0), Some(2.0)])
        };
        let figure = chart.figure();
        assert!(figure.contains("<th scope=\"col\">row &lt;1&gt;</th>"), "{figure}");
        assert!(figure.contains("<th scope=\"row\">2</th><td>2</td>"), "{figure}");
        let labels: Vec<String> = chart.labels().into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["1", "2"]);
    }

    #[test]
    fn the_axis_of_latencies_has_whole_decades_and_zero_at_its_foot() {
        let axis = Axis::of(&chart(Scale::Logarithmic, &[Some(0.0), Some(0.4), Some(37.0)]));
        assert_eq!(axis.ticks, [0.1, 1.0, 10.0, 100.0]);
        assert_eq!((axis.y(0.0), axis.y(100.0)), (HEIGHT - BOTTOM, TOP));
        let nothing = Axis::of(&chart(Scale::Logarithmic, &[None]));
        assert_eq!(nothing.ticks, [1.0, 10.0]);
        let zero = Axis::of(&chart(Scale::Linear, &[Some(0.0)]));
        assert!(zero.ticks.len() > 1 && zero.high > 0.0);
    }

    #[test]
    fn steps_of_an_axis_are_round_and_never_too_small() {
        for (value, rounded) in [(0.25, 0.5), (1.0, 1.0), (1.2, 2.0), (26.0, 50.0), (700.0, 1000.0)]
        {
            assert_eq!(round_up(value), rounded, "{value}");
        }
    }

    #[test]
    fn whatever_text_comes_ends_no_tag_and_no_attribute() {
        let figure = chart(Scale::Linear, &[Some(1.0)]).figure();
        assert!(figure.contains("a&lt;b") && !figure.contains("a<b"), "{figure}");
        assert!(figure.contains("T &amp; &quot;t&quot;, in ms"), "{figure}");
        assert_eq!(escape("<x y='\u{202e}\n'>"), "&lt;x y=&#39; &#39;&gt;");
    }

    #[test]
    fn a_table_has_every_figure_and_says_where_there_is_none() {
        let table = chart(Scale::Linear, &[Some(1.5), None]).table();
        assert!(table.contains("<th scope=\"row\">0</th><td>1.500</td>"), "{table}");
        assert!(table.contains("<th scope=\"row\">2</th><td>none</td>"), "{table}");
    }
}
