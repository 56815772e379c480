//! The dialog *Value*: a long text or a BLOB of a record, old and new, as text and in hexadecimal digits.

use eframe::egui::{Context, FontId, Label, RichText, ScrollArea, Ui};
use lucide_icons::Icon;

use super::frame;
use crate::{
    activity::row::{Field, Row, Shown},
    error::foreign::{foreign, in_lines},
    storage::space::human_bytes,
    ui::{
        action::Action,
        activity::words,
        theme::palette,
        widgets::{button, check_box, fact, primary_button},
    },
};

/// Bytes in a line.
const LINE: usize = 16;
/// Height of the value.
const HEIGHT: f32 = 320.0;

/// Which value is shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ValueForm {
    /// What it is of: an operation, or a record.
    of: &'static str,
    title: String,
    column: String,
    old: Option<Shown>,
    new: Option<Shown>,
    is_same: bool,
    shows_old: bool,
    in_digits: bool,
    /// Where the whole of a long one is to be had.
    whole: &'static str,
}

impl ValueForm {
    /// The value of a column of an operation.
    pub(crate) fn new(row: &Row, field: &Field) -> Self {
        let (old, new) = (field.old.clone(), field.new.clone());
        let in_digits = matches!(new.as_ref().or(old.as_ref()), Some(Shown::Bytes { .. }));
        let (title, column, is_same) = (words::title(row), field.column.clone(), field.is_same);
        let (of, whole) = ("Operation", "It is in what Export… writes.");
        Self { of, title, column, shows_old: new.is_none(), old, new, is_same, in_digits, whole }
    }

    /// The value of a column of a record.
    pub(crate) fn of_record(title: String, column: String, value: Shown) -> Self {
        let in_digits = matches!(value, Shown::Bytes { .. });
        let (of, whole) = ("Record", "It is in what Save as CSV… and Save as SQLite file… write.");
        Self { of, title, column, old: None, new: Some(value), is_same: false, shows_old: false, in_digits, whole }
    }

    fn shown(&self) -> Option<&Shown> {
        if self.shows_old { self.old.as_ref() } else { self.new.as_ref() }
    }
}

pub(crate) fn value_ui(ctx: &Context, form: &mut ValueForm, actions: &mut Vec<Action>) {
    frame(
        ctx,
        "Value",
        720.0,
        &mut (form, actions),
        |ui, (form, _)| content(ui, form),
        |ui, keys, (form, actions)| {
            if primary_button(ui, None, "Close", true).clicked() || keys.escape || keys.enter {
                actions.push(Action::CloseDialog);
            }
            if let Some(shown) = form.shown()
                && button(ui, Some(Icon::Copy), "Copy value").clicked()
            {
                actions.push(Action::Copy(as_text(shown, form.in_digits)));
            }
        },
    );
}

fn content(ui: &mut Ui, form: &mut ValueForm) {
    fact(ui, form.of, form.title.clone());
    fact(ui, "Column", foreign(&form.column).to_string());
    ui.horizontal_wrapped(|ui| {
        if form.old.is_some() && form.new.is_some() {
            ui.radio_value(&mut form.shows_old, true, "Old");
            ui.radio_value(&mut form.shows_old, false, "New");
        } else if form.is_same {
            ui.label("The same before and after.");
        }
        check_box(ui, &mut form.in_digits, "As hexadecimal digits");
    });
    let Some(shown) = form.shown() else { return };
    let size = match shown {
        Shown::Null => "no value".to_owned(),
        Shown::Number(_) => "a number".to_owned(),
        Shown::Text { text, bytes } if shown.is_cut() => {
            format!("text, the first {} of {}", human_bytes(text.len() as u64), human_bytes(*bytes))
        }
        Shown::Text { bytes, .. } => format!("text, {}", human_bytes(*bytes)),
        Shown::Bytes { hex, bytes, is_text } => {
            let what = if *is_text { "text that is none in its own form" } else { "BLOB" };
            match shown.is_cut() {
                true => format!("{what}, the first {} of {}", human_bytes(hex.len() as u64 / 2), human_bytes(*bytes)),
                false => format!("{what}, {}", human_bytes(*bytes)),
            }
        }
    };
    fact(ui, "Size", size);
    if shown.is_cut() {
        fact(ui, "Whole value", form.whole);
    }
    ui.add_space(6.0);
    let lines = lines(shown, form.in_digits);
    let font = FontId::monospace(13.0);
    let height = ui.fonts_mut(|fonts| fonts.row_height(&font));
    let area = ScrollArea::both().id_salt("value").max_height(HEIGHT).auto_shrink([false, true]);
    area.show_rows(ui, height, lines.len(), |ui, rows| {
        for line in rows.filter_map(|row| lines.get(row)) {
            let text = RichText::new(line).font(font.clone()).color(palette(ui).strong);
            ui.add(Label::new(text).extend().selectable(true));
        }
    });
}

/// The bytes that are here.
fn bytes(shown: &Shown) -> Vec<u8> {
    match shown {
        Shown::Null => Vec::new(),
        Shown::Number(text) | Shown::Text { text, .. } => text.as_bytes().to_vec(),
        Shown::Bytes { hex, .. } => {
            let digit = |digit: u8| (digit as char).to_digit(16).unwrap_or_default() as u8;
            hex.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
        }
    }
}

/// The value in lines, with nothing in it that a desktop would obey.
fn lines(shown: &Shown, in_digits: bool) -> Vec<String> {
    if let (Shown::Null, _) = (shown, in_digits) {
        return vec!["NULL".to_owned()];
    }
    if in_digits {
        let letter = |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' };
        let line = |(at, part): (usize, &[u8])| {
            let digits: String = part.iter().map(|byte| format!("{byte:02x} ")).collect();
            let letters: String = part.iter().map(letter).collect();
            format!("{:08x}  {digits:<48} {letters}", at * LINE)
        };
        return bytes(shown).chunks(LINE).enumerate().map(line).collect();
    }
    let text = match shown {
        Shown::Bytes { .. } => String::from_utf8_lossy(&bytes(shown)).into_owned(),
        Shown::Null => String::new(),
        Shown::Number(text) | Shown::Text { text, .. } => text.clone(),
    };
    in_lines(&text).split('\n').map(str::to_owned).collect()
}

/// What is copied: the value itself as far as it is here.
fn as_text(shown: &Shown, in_digits: bool) -> String {
    match shown {
        Shown::Bytes { hex, .. } => hex.clone(),
        Shown::Text { .. } | Shown::Number(_) if in_digits => {
            bytes(shown).iter().map(|byte| format!("{byte:02x}")).collect()
        }
        Shown::Text { text, .. } | Shown::Number(text) => text.clone(),
        Shown::Null => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_digits_with_their_letters_and_text_in_its_lines() {
        let blob = Shown::Bytes { hex: "00ff41".into(), bytes: 3, is_text: false };
        assert_eq!(bytes(&blob), [0, 255, 0x41]);
        assert_eq!(lines(&blob, true), [format!("00000000  {:<48} ..A", "00 ff 41 ")]);
        let text = Shown::Text { text: "a\n\u{202e}b".into(), bytes: 5 };
        assert_eq!(lines(&text, false), ["a", "\\u{202e}b"]);
        assert_eq!(as_text(&text, false), "a\n\u{202e}b");
    }
}
