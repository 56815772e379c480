//! The description of an archive inside it, for people.

use std::path::{Path, PathBuf};

use toml_edit::{ArrayOfTables, Table, Value};

use super::{ContentReport, content::ContentProblem, content::Shared};
use crate::{
    archive::{Entry, Identity, Item, ItemKind, Source, catalog},
    error::{Result, foreign::foreign, shell::quoted},
    sqlite::data_file::JournalMode,
};

fn table<const N: usize>(values: [(&str, Value); N]) -> Table {
    values.into_iter().map(|(key, value)| (key, toml_edit::Item::Value(value))).collect()
}

/// The description inside the archive: for people first, and valid TOML.
fn manifest(
    (identity, data_file): (&Identity, &Path),
    journal_mode: JournalMode,
    items: &[Item],
    content: &ContentReport,
) -> String {
    let mut document = toml_edit::DocumentMut::new();
    let mut set = |table: &str, key: &str, value: toml_edit::Value| {
        let section = document.entry(table).or_insert_with(|| toml_edit::Item::Table(toml_edit::Table::new()));
        section[key] = toml_edit::value(value);
    };
    let archive = catalog::archive_name(&catalog::stem(Path::new(&identity.data_file_name)), identity.number);
    set("archive", "name", archive.clone().into());
    set("archive", "number", i64::from(identity.number.0).into());
    set("archive", "moment", identity.moment.to_rfc3339().into());
    set("archive", "id", identity.archive_id.to_string().into());
    set("archive", "program", identity.program.as_str().into());
    set("data-file", "name", identity.data_file_name.as_str().into());
    // Where it was then: what a restore looks beside, for settings and log.
    set("data-file", "path", data_file.to_string_lossy().as_ref().into());
    set("data-file", "id", identity.data_file_id.to_string().into());
    set("data-file", "page-size", i64::from(identity.page_size).into());
    set("data-file", "pages", i64::from(identity.page_count).into());
    set("data-file", "journal-mode", journal_mode.label().into());
    let mut chosen = ArrayOfTables::new();
    for root in &content.roots {
        chosen.push(table([("path", root.path.as_str().into()), ("name", root.name.as_str().into())]));
    }
    let mut missing = ArrayOfTables::new();
    for ContentProblem { path, reason } in &content.problems {
        missing.push(table([("path", path.as_str().into()), ("reason", reason.as_str().into())]));
    }
    for (name, list) in [("chosen", chosen), ("not-whole", missing)] {
        if !list.is_empty() {
            document[name] = toml_edit::Item::ArrayOfTables(list);
        }
    }
    let mut files = ArrayOfTables::new();
    for item in items {
        let mut file = table([("name", item.name.as_str().into()), ("kind", item.kind.label().into())]);
        match (&item.target, item.kind) {
            (Some(target), _) => file["target"] = toml_edit::value(target.as_str()),
            (None, ItemKind::Folder) => {}
            (None, _) => {
                file["bytes"] = toml_edit::value(item.length as i64);
                file["blake3"] = toml_edit::value(item.blake3.as_str());
            }
        }
        if let Some(original) = &item.original {
            file["original-hex"] = toml_edit::value(original.as_str());
        }
        files.push(file);
    }
    document["file"] = toml_edit::Item::ArrayOfTables(files);
    let stem = catalog::stem(Path::new(&identity.data_file_name));
    let by_hand = match identity.options().segment_bytes {
        None => format!("zstd -dc {} | tar x", quoted(&archive)),
        Some(_) => format!("cat {}*.4BK | zstd -dc | tar x", quoted(&format!("{stem}[{}-", identity.number))),
    };
    format!(
        "# A full backup of {}, made by {}.\n# To restore without that program, in an empty folder:\n#     \
         {by_hand}\n# The values of blake3 are those that b3sum prints.\n\n{document}",
        foreign(&identity.data_file_name),
        identity.program
    )
}

/// The description as it goes into the archive: last, when it is known what became of everything else.
pub(super) struct ManifestSource {
    pub(super) of: (Identity, PathBuf),
    pub(super) journal_mode: JournalMode,
    pub(super) content: Shared,
    pub(super) entry: Entry,
    pub(super) text: Vec<u8>,
}

impl Source for ManifestSource {
    fn entry(&mut self, done: &[Item]) -> Result<Entry> {
        let report = self.content.report();
        self.text = manifest((&self.of.0, &self.of.1), self.journal_mode, done, &report).into_bytes();
        let length = self.text.len() as u64;
        Ok(Entry { length, not_whole: Some(report.problem_count), ..self.entry.clone() })
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<()> {
        let rest = self.text.split_off(buffer.len().min(self.text.len()));
        buffer.copy_from_slice(&self.text);
        self.text = rest;
        Ok(())
    }
}
