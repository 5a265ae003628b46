//! The page of configuration, written from the declarations.

use std::fmt::Write as _;

use serde_json::Value;

use super::defaults;
use crate::doors::config::Config;
use crate::pinned;
use crate::setting::{Allowed, Applies, Setting};

fn allowed(row: &Setting) -> String {
    match row.allowed {
        Allowed::Words(words) => words.into(),
        Allowed::Range { least, most: u64::MAX } => format!("{least} or more"),
        Allowed::Range { least, most } => format!("{least} to {most}"),
    }
}

fn page() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         Generated from the `settings!` of `sequencer/src`; rewritten by\n\
         `UPDATE=1 cargo test --release -p sequencer --lib config`.\n\n\
         The file is `node.toml` in the node's folder; `sequencer init` writes it with every\n\
         default, and with as many connections as the machine has memory for.\n\
         `sequencer config check` prints what holds, also where it differs from the file, and\n\
         adds up what all limits together may take of memory (the sums of *Memory* below);\n\
         `--json` gives one object. Unknown keys are refused.\n\n\
         What is called *live* holds from the next SIGHUP on, which also takes over the\n\
         certificate in `server/` for connections that begin after it, and the keys in\n\
         `tokens.jwks_file`; what is called *next window* with the window that begins next.\n\
         Both are also set without the file ([tune](operate.md#tune-it)), until the next\n\
         start. A file that is not accepted changes nothing: the log says why, and\n\
         `vitals_config_reload_failed` is 1.\n\
         The log also names every changed value that SIGHUP does not change: what is called\n\
         *restart* holds from the next `sequencer run` on. *issue* holds for the next\n\
         certificate that `sequencer identity` issues. *init* goes into what\n\
         `sequencer init` makes: to change it, that part of the folder is removed and made\n\
         again. *deploy* goes into the contract: a deployed node refuses another value.\n",
    );
    let defaults = defaults();
    let mut section = "";
    for row in Config::settings() {
        let own = row.path.rsplit_once('.').map_or("", |(section, _)| section);
        if own != section {
            section = own;
            let head = "| key | default | unit | accepted | takes effect |\n\
                        | --- | --- | --- | --- | --- |";
            let _ = write!(page, "\n## `[{section}]`\n");
            let _ = write!(page, "\n{head}\n");
            for row in Config::settings() {
                if row.path.rsplit_once('.').is_some_and(|(own, _)| own == section) {
                    page += &line(&row, &defaults);
                }
            }
            page.push('\n');
        }
        page += &words(&row);
    }
    page
}

fn line(row: &Setting, defaults: &[(String, Value)]) -> String {
    let default = defaults.iter().find(|(key, _)| key == row.path).map(|(_, value)| value);
    let default = match default.expect("every row has a key") {
        Value::Null => "none".into(),
        value => format!("`{value}`"),
    };
    let applies = match row.applies {
        Applies::Live => "**live**",
        Applies::Window => "**next window**",
        Applies::Issue => "issue",
        Applies::Restart => "restart",
        Applies::Init => "init",
        Applies::Deploy => "deploy",
    };
    let (key, unit, allowed) = (row.key(), row.unit, allowed(row));
    format!("| `{key}` | {default} | {unit} | {allowed} | {applies} |\n")
}

/// What the table has no room for.
fn words(row: &Setting) -> String {
    let mut words = format!("* `{}`: {}", row.key(), row.meaning);
    for (what, text) in [("Memory", row.memory), ("At the limit", row.at_limit)] {
        if !text.is_empty() {
            let _ = write!(words, " *{what}*: {text}");
        }
    }
    wrapped(&words)
}

/// Wrapped at 100 columns, further lines indented as part of the bullet.
fn wrapped(text: &str) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        if column > 0 && column + 1 + word.len() > 100 {
            out += "\n ";
            column = 1;
        }
        if column > 0 {
            out.push(' ');
            column += 1;
        }
        out += word;
        column += word.len();
    }
    out + "\n"
}

#[test]
fn the_page_lists_every_key() {
    pinned::check("docs/configuration.md", &page());
}
