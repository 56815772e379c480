//! Which tables follow which others, by foreign keys with an action.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

/// For each table, those that it refers to by foreign keys with an action, directly or not. In small letters.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<String, BTreeSet<String>>);

impl Links {
    /// Whether a table refers to any so.
    pub(super) fn has(&self, child: &str) -> bool {
        self.0.contains_key(&child.to_lowercase())
    }

    /// Of the live data file.
    pub(super) fn read(conn: &Connection) -> rusqlite::Result<Self> {
        let mut asked = conn.prepare(
            "SELECT lower(m.name), lower(f.\"table\") FROM sqlite_schema m, pragma_foreign_key_list(m.name) f \
             WHERE m.type='table' AND (f.on_delete NOT IN('NO ACTION', 'RESTRICT') OR f.on_update NOT IN('NO \
             ACTION', 'RESTRICT'))",
        )?;
        let mut links: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut rows = asked.query([])?;
        while let Some(row) = rows.next()? {
            links.entry(row.get(0)?).or_default().insert(row.get(1)?);
        }
        loop {
            let mut has_grown = false;
            for child in links.keys().cloned().collect::<Vec<_>>() {
                let parents = links.get(&child).cloned().unwrap_or_default();
                let further: BTreeSet<String> =
                    parents.iter().filter_map(|parent| links.get(parent)).flatten().cloned().collect();
                let own = links.entry(child).or_default();
                let before = own.len();
                own.extend(further);
                has_grown |= own.len() > before;
            }
            if !has_grown {
                return Ok(Self(links));
            }
        }
    }

    /// Whether a table refers to one of these, directly or not.
    pub(super) fn lead(&self, child: &str, to: &BTreeSet<String>) -> bool {
        self.0.get(&child.to_lowercase()).is_some_and(|parents| parents.iter().any(|parent| to.contains(parent)))
    }
}
