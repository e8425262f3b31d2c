//! Where a setting comes from, for whoever has to change it.

use std::fs;

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{ENV_PREFIX, Sources};

impl Sources {
    /// Who has the last word on this key: a flag, a variable, or a line of the file. Where the file has the key's section
    /// alone, it is the line at which the section begins. `None`: nobody says anything.
    pub fn place(&self, key: &str) -> Option<String> {
        let flag = match key {
            "store.data" => self.data.as_ref().map(|_| "--data"),
            "server.listen" => self.listen.map(|_| "--listen"),
            "server.name" => self.name.as_ref().map(|_| "--name"),
            "server.roles" => self.roles.as_ref().map(|_| "--roles"),
            "log.format" => self.log_format.map(|_| "--log-format"),
            _ => None,
        };
        if let Some(flag) = flag {
            return Some(flag.to_owned());
        }
        let wanted = key.replacen('.', "__", 1);
        let is_it = |name: &str| {
            let name = name.strip_prefix(ENV_PREFIX);
            name.is_some_and(|name| name.eq_ignore_ascii_case(&wanted))
        };
        if let Some((name, _)) = self.env.iter().find(|(name, _)| is_it(name)) {
            return Some(name.clone());
        }
        let file = self.file.as_ref()?;
        let line = line_of(&fs::read_to_string(file).ok()?, key)?;
        Some(format!("{}, line {line}", file.display()))
    }
}

/// The line on which a key is set, or else the first of its section.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let (section, key) = key.split_once('.')?;
    let table = DeTable::parse(text).ok()?;
    let (header, keys) = find(table.get_ref(), section)?;
    let found = match keys.get_ref() {
        DeValue::Table(keys) => find(keys, key).map_or(header, |(key, _)| key),
        _ => header,
    };
    let before = text.get(..found.span().start)?;
    Some(before.matches('\n').count() + 1)
}

type Entry<'t, 'i> = (&'t Spanned<DeString<'i>>, &'t Spanned<DeValue<'i>>);

fn find<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> Option<Entry<'t, 'i>> {
    table.iter().find(|(key, _)| key.get_ref() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_line_however_it_is_written() {
        let text = "\
# listen = 'no'
kafka.brokers = 'a:1'
redis = { url_file = 'f' }

[server]
name = 'listen = 1'
listen = '127.0.0.1:1'

[ops]
# listen = '127.0.0.1:2'
drain_seconds = 1
";
        for (key, line) in [
            ("kafka.brokers", Some(2)),
            ("redis.url_file", Some(3)),
            ("server.name", Some(6)),
            ("server.listen", Some(7)),
            ("ops.drain_seconds", Some(11)),
            // Their sections.
            ("kafka.topic", Some(2)),
            ("redis.url", Some(3)),
            ("ops.listen", Some(9)),
            ("tls.key", None),
            ("postgres, redis, kafka, cassandra", None),
        ] {
            assert_eq!(line_of(text, key), line, "{key}");
        }
    }

    #[test]
    fn who_has_the_last_word_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("relay.toml");
        fs::write(&file, "[server]\nname = ''\nlisten = '127.0.0.1:1'\n").expect("written");
        let mut sources = Sources {
            file: Some(file.clone()),
            ..Sources::default()
        };
        let line = |n: usize| Some(format!("{}, line {n}", file.display()));
        assert_eq!(sources.place("server.name"), line(2));
        assert_eq!(sources.place("server.node"), line(1));
        assert_eq!(sources.place("log.filter"), None);
        let set = |name: &str| (name.to_owned(), String::new());
        sources.env = vec![set("SORDINO__SERVER__NAME"), set("SORDINO__LOG__FILTER")];
        let variable = |name: &str| Some(name.to_owned());
        assert_eq!(
            sources.place("server.name"),
            variable("SORDINO__SERVER__NAME")
        );
        assert_eq!(
            sources.place("log.filter"),
            variable("SORDINO__LOG__FILTER")
        );
        assert_eq!(sources.place("server.listen"), line(3));
        sources.name = Some(String::new());
        assert_eq!(sources.place("server.name").as_deref(), Some("--name"));
    }
}
