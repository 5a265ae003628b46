//! A report as a page: pinned for a fixed one, so that a change of it is seen.

use std::collections::BTreeMap;
use std::path::Path;

use loadgen::html::{Origin, page};
use loadgen::{Latency, Report, Series, SeriesBin};

/// Ten seconds, of which one is quiet, one has a reconnect, and one a refused stream.
fn report() -> Report {
    let bin = |second: u64| {
        let quiet = second == 4;
        let (p50_us, p99_us) = (800 + 10 * second, 2000 + 700 * second);
        let bin = SeriesBin { second, ..SeriesBin::default() };
        match quiet {
            true => SeriesBin { delays: 3, reconnects: 1, ..bin },
            false => SeriesBin {
                frames: 100,
                readings: 25_600 + second * 256,
                p50_us,
                p99_us,
                max_us: 3 * p99_us,
                refused: u64::from(second == 7),
                ..bin
            },
        }
    };
    Report {
        offered_readings_per_second: Some(25_600),
        frame_readings: 256,
        gateways: 2,
        streams: 8,
        seconds: 9.75,
        frames_sent: 903,
        frames_acknowledged: 900,
        frames_delayed: 3,
        readings_acknowledged: 230_400,
        bytes_acknowledged: 3_715_200,
        latency: Latency { p50_us: 845, p90_us: 3000, p99_us: 8100, p999_us: 9000, max_us: 24_900 },
        series: Series { bin_seconds: 1, bins: (0..10).map(bin).collect() },
        refused_streams: BTreeMap::from([("NotPermitted".to_owned(), 1)]),
        refused_frames: BTreeMap::from([("NotPermitted".to_owned(), 3)]),
        failures: BTreeMap::from([("<script>alert(\"x\")</script>".to_owned(), 1)]),
        receipts: 450,
        reconnects: 1,
        cpu_seconds: Some(1.25),
        load_average: Some(0.5),
        ..Report::default()
    }
}

fn origin() -> Origin {
    Origin {
        command: "loadgen run --assignments 'a & b/assignments.json' --html report.html".into(),
        versions: "loadgen 0.1.0, protocol version 2".into(),
        deployment: "00".repeat(20),
        machine: "linux x86_64, 2 cores".into(),
    }
}

#[test]
fn the_page_of_a_fixed_report_is_as_it_was() {
    let page = page(&report(), &origin());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/report.html");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "{} differs; run with UPDATE=1", path.display());
}

#[test]
fn a_page_asks_no_network_runs_no_script_and_escapes_what_it_is_given() {
    let page = page(&report(), &origin());
    for text in ["<script", "http:", "https:", "src=", "href=", "@import", "url(", "a & b"] {
        assert!(!page.contains(text), "expected no `{text}`");
    }
    assert!(page.contains("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;"));
    assert!(page.contains("default-src 'none'"));
    for word in ["prefers-color-scheme: dark", "role=\"img\"", "<caption>", "scope=\"row\""] {
        assert!(page.contains(word), "expected `{word}`");
    }
    assert_eq!(page.matches("<figure>").count(), page.matches("The same as a table").count());
}

#[test]
fn a_report_of_nothing_is_a_page_too() {
    let page = page(&Report::default(), &Origin::default());
    assert!(page.ends_with("</html>\n") && !page.contains("NaN") && !page.contains("inf"));
}
