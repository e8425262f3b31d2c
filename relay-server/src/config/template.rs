//! The configuration file that an operator begins with: every key, its meaning and its default, and nothing set.

/// One text for both: what every key means stands there, in tables, and a test holds it to the code.
const DOC: &str = include_str!("../../../docs/configuration.md");

const HEAD: &str = "\
# The configuration of the relay. Every key stands here with its default, behind a #.
# To set a key, take its # away; a # with a space after it is a remark and stays.
#
#   sordino-relay check --config FILE           what keeps the relay from starting, and what helps
#   sordino-relay config print --config FILE    what holds, with the defaults
#   sordino-relay serve --config FILE
#
# A variable of the environment goes before the file: SORDINO__SERVER__NAME sets server.name.
";

/// Columns of a remark.
const WIDTH: usize = 100;

/// A key, as the tables have it.
struct Key<'a> {
    name: &'a str,
    default: &'a str,
    meaning: &'a str,
}

/// The text of the file.
pub fn template() -> String {
    let mut text = HEAD.to_owned();
    for (section, keys) in sections() {
        text.push_str(&format!("\n[{section}]\n"));
        for (n, key) in keys.iter().enumerate() {
            if n > 0 {
                text.push('\n');
            }
            wrap(&plain(key.meaning), &mut text);
            match key.default {
                "none" => text.push_str(&format!("# Not set by default.\n#{} =\n", key.name)),
                default => text.push_str(&format!("#{} = {default}\n", key.name)),
            }
        }
    }
    text
}

/// Each section once, wherever its keys stand.
fn sections() -> Vec<(&'static str, Vec<Key<'static>>)> {
    let mut sections: Vec<(&str, Vec<Key<'_>>)> = Vec::new();
    for (section, key) in DOC.lines().filter_map(row) {
        match sections.iter_mut().find(|(name, _)| *name == section) {
            Some((_, keys)) => keys.push(key),
            None => sections.push((section, vec![key])),
        }
    }
    sections
}

/// A row of a table: "| `section.key` | `default` | meaning |".
fn row(line: &str) -> Option<(&str, Key<'_>)> {
    let cells = line.strip_prefix("| `")?.strip_suffix(" |")?;
    let (key, cells) = cells.split_once("` | ")?;
    let (section, name) = key.split_once('.')?;
    let (default, meaning) = cells.split_once(" | ")?;
    let default = default.trim_matches('`');
    Some((
        section,
        Key {
            name,
            default,
            meaning,
        },
    ))
}

/// Without the marks of code, and of links their text.
fn plain(meaning: &str) -> String {
    let mut text = String::new();
    let mut rest = meaning;
    while let Some((before, link)) = rest.split_once('[') {
        let target = link
            .split_once("](")
            .and_then(|(name, after)| Some((name, after.split_once(')')?.1)));
        text.push_str(before);
        match target {
            Some((name, after)) => {
                text.push_str(name);
                rest = after;
            }
            None => {
                text.push('[');
                rest = link;
            }
        }
    }
    text.push_str(rest);
    text.replace('`', "")
}

fn wrap(remark: &str, text: &mut String) {
    let mut line = String::from("#");
    for word in remark.split(' ') {
        if line.len() + 1 + word.len() > WIDTH && line.len() > 1 {
            text.push_str(&line);
            text.push('\n');
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// Every key with a value, in a file from which the marks were taken away.
    fn set() -> String {
        let template = template();
        let lines = template.lines().map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') && !key.ends_with('=') => key,
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn nothing_is_set_and_every_key_is_there_with_its_default() {
        let defaults = toml::to_string(&Config::default()).expect("printed");
        for text in [template(), set()] {
            let config: Config = toml::from_str(&text).expect("read");
            assert_eq!(toml::to_string(&config).expect("printed"), defaults);
        }
        let (set, defaults): (toml::Table, toml::Table) = (
            toml::from_str(&set()).expect("a table"),
            toml::from_str(&defaults).expect("a table"),
        );
        assert_eq!(set, defaults);
        for optional in ["#certificate =", "#token_key_file =", "#listen ="] {
            assert!(
                template().lines().any(|line| line == optional),
                "{optional}"
            );
        }
    }

    #[test]
    fn a_remark_is_text_in_short_lines() {
        let text = template();
        assert!(text.lines().all(|line| line.len() <= WIDTH));
        assert!(!text.contains("](") && !text.contains('`'), "{text}");
        assert_eq!(plain("a [b](#c) `d` [e]"), "a b d [e]");
    }
}
