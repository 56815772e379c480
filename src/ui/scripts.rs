//! Letters that the program's own fonts lack, as of Japanese or Arabic names: from the fonts of the system.
//!
//! Every frame is looked over for letters that were never shown before. Where one of them has no picture, a thread
//! looks for fonts that have one: the drawing waits for no disk, and a font of 20 MB is read only where it is needed.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    thread,
};

use eframe::{
    egui::{Context, FontData, FontFamily, FontId, FullOutput, Plugin, Shape},
    epaint::text::{FontInsert, FontPriority, InsertFontFamily},
};
use skrifa::{FontRef, MetadataProvider, raw::FileRef};
use walkdir::WalkDir;

use crate::storage::regular::{self, Links};

/// A file that is longer is no font of letters.
const BYTES_MAX: u64 = 64 << 20;
/// Folders of fonts are not deeper.
const DEPTH_MAX: usize = 6;

/// Looks for letters without a picture, and for fonts that have one.
#[derive(Default)]
pub(super) struct Scripts {
    /// Letters seen so far, other than those that every font has.
    seen: HashSet<char>,
    /// What is to be found as soon as the thread that is looking has ended.
    lacking: Vec<char>,
    looking: Option<thread::JoinHandle<()>>,
}

impl Plugin for Scripts {
    fn debug_name(&self) -> &'static str {
        "scripts"
    }

    fn output_hook(&mut self, ctx: &Context, output: &mut FullOutput) {
        let mut new = Vec::new();
        for shape in &output.shapes {
            letters(&shape.shape, &mut |letter| {
                if self.seen.insert(letter) {
                    new.push(letter);
                }
            });
        }
        let font = FontId::new(14.0, FontFamily::Proportional);
        new.retain(|letter| !ctx.fonts_mut(|fonts| fonts.has_glyph(&font, *letter)));
        self.lacking.extend(new);
        if self.lacking.is_empty() || self.looking.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        let (lacking, ctx) = (std::mem::take(&mut self.lacking), ctx.clone());
        let look = move || {
            for found in find(&folders(), lacking) {
                give(&ctx, found);
            }
            // Also when nothing was found: letters may have come meanwhile.
            ctx.request_repaint();
        };
        // Without a thread the letters are shown as boxes.
        self.looking = thread::Builder::new().name("find-fonts".to_owned()).spawn(look).ok();
    }
}

/// Calls `with` for every letter of a shape that not every font has, and that is no icon.
fn letters(shape: &Shape, with: &mut impl FnMut(char)) {
    match shape {
        Shape::Vec(shapes) => shapes.iter().for_each(|shape| letters(shape, with)),
        Shape::Text(text) if !text.galley.text().is_ascii() => {
            let is_own = |letter: char| letter < '\u{250}' || ('\u{e000}'..='\u{f8ff}').contains(&letter);
            text.galley.text().chars().filter(|letter| !is_own(*letter) && !letter.is_control()).for_each(with);
        }
        _ => {}
    }
}

/// A font that has what was lacking.
struct Found {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Which one of the file.
    index: u32,
}

fn give(ctx: &Context, found: Found) {
    let name = format!("{} {}", found.path.display(), found.index);
    let data = FontData { index: found.index, ..FontData::from_owned(found.bytes) };
    let families = [FontFamily::Proportional, FontFamily::Monospace, super::theme::semibold()];
    let last = |family| InsertFontFamily { family, priority: FontPriority::Lowest };
    ctx.add_font(FontInsert::new(&name, data, families.map(last).to_vec()));
}

/// Where this system keeps its fonts.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = if cfg!(windows) {
        std::env::var_os("SystemRoot").map(|root| PathBuf::from(root).join("Fonts")).into_iter().collect()
    } else if cfg!(target_os = "macos") {
        vec!["/System/Library/Fonts".into(), "/Library/Fonts".into()]
    } else {
        vec!["/usr/share/fonts".into(), "/usr/local/share/fonts".into()]
    };
    folders.extend(directories::UserDirs::new().and_then(|user| user.font_dir().map(PathBuf::from)));
    folders
}

/// How unlike the program's own font this one is: plain ones without serifs come first.
fn oddness(path: &Path) -> usize {
    const ODD: [&str; 12] = [
        "bold",
        "italic",
        "oblique",
        "light",
        "thin",
        "black",
        "mono",
        "serif",
        "condensed",
        "emoji",
        "math",
        "display",
    ];
    let name = path.file_stem().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name = name.replace("sansserif", "");
    let odd = ODD.iter().filter(|word| name.contains(*word)).count();
    2 * odd + usize::from(!name.contains("sans") && !name.contains("gothic"))
}

/// Fonts that have these letters, as few as it takes.
fn find(folders: &[PathBuf], mut lacking: Vec<char>) -> Vec<Found> {
    let is_font = |path: &Path| {
        path.extension()
            .is_some_and(|end| ["ttf", "otf", "ttc", "otc"].iter().any(|font| end.eq_ignore_ascii_case(font)))
    };
    let walk = |folder: &PathBuf| WalkDir::new(folder).max_depth(DEPTH_MAX).follow_links(true);
    let mut paths: Vec<PathBuf> = folders
        .iter()
        .flat_map(walk)
        .filter_map(Result::ok)
        .filter(|entry| is_font(entry.path()) && entry.metadata().is_ok_and(|m| m.is_file() && m.len() <= BYTES_MAX))
        .map(walkdir::DirEntry::into_path)
        .collect();
    paths.sort_by_cached_key(|path| (oddness(path), path.clone()));
    let mut found = Vec::new();
    for path in paths {
        if lacking.is_empty() {
            break;
        }
        let Ok(bytes) = regular::read(&path, Links::Followed, BYTES_MAX) else { continue };
        let Some((index, has)) = which(&bytes, &lacking) else { continue };
        lacking.retain(|letter| !has.contains(letter));
        found.push(Found { path, bytes, index });
    }
    found
}

/// The font of a file that has the first of these letters that any of them has, and all that it has of them.
fn which(bytes: &[u8], letters: &[char]) -> Option<(u32, Vec<char>)> {
    let fonts = FileRef::new(bytes).ok()?.fonts();
    fonts.enumerate().find_map(|(index, font)| {
        let font: FontRef = font.ok()?;
        let (map, outlines) = (font.charmap(), font.outline_glyphs());
        // A font of pictures in colour has the letter, but nothing that could be drawn here.
        let has = |letter: &char| map.map(*letter).is_some_and(|glyph| outlines.get(glyph).is_some());
        let has: Vec<char> = letters.iter().copied().filter(has).collect();
        (!has.is_empty()).then_some((u32::try_from(index).ok()?, has))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_plainest_font_that_has_a_letter_is_found_and_what_is_no_font_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let inter = include_bytes!("../../assets/fonts/Inter.ttf");
        let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        put("ASans.ttf", b"no font at all");
        put("Letters.txt", inter);
        fs::create_dir(folder.path().join("inner")).unwrap();
        put("inner/Some-BoldItalic.TTF", inter);
        put("inner/Some-Regular.ttf", inter);
        put("ZSans-Icons.ttf", lucide_icons::LUCIDE_FONT_BYTES);
        let found = find(&[folder.path().to_path_buf()], vec!['Я', 'ω']);
        let paths: Vec<_> = found.iter().map(|font| font.path.strip_prefix(folder.path()).unwrap()).collect();
        assert_eq!(paths, [Path::new("inner/Some-Regular.ttf")]);
        // A letter that no font has costs nothing but the look.
        assert!(find(&[folder.path().to_path_buf()], vec!['\u{10fffd}']).is_empty());
        assert!(find(&[folder.path().join("missing")], vec!['Я']).is_empty());
    }
}
