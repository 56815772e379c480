//! Colours, fonts and spacing of the window. No other file names a colour or a font size.

use std::sync::Arc;

use eframe::egui::{
    self, Color32, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, FontTweak, Margin, RichText, Shadow,
    Stroke, TextStyle, Theme, Ui, Visuals, epaint::text::VariationCoords, vec2,
};
use lucide_icons::Icon;

/// Width of the side bar, where the window is wide enough.
pub(crate) const SIDE_BAR_WIDTH: f32 = 230.0;
/// It takes no more of the window than this part, but is never narrower than that.
pub(crate) const SIDE_BAR_PART: (f32, f32) = (0.32, 168.0);
/// Pages grow no wider than this, so that a line of text can be followed with the eye.
pub(crate) const PAGE_WIDTH_MAX: f32 = 1680.0;
/// The page of the first start has no more to show than this.
pub(crate) const WELCOME_WIDTH_MAX: f32 = 1120.0;
/// Space around the content of a page.
pub(crate) const PAGE_MARGIN: i8 = 22;
/// Space between cards.
pub(crate) const GAP: f32 = 16.0;
/// Width of the label column of facts.
pub(crate) const FACT_LABEL_WIDTH: f32 = 136.0;
/// Below this width of a page its cards stand below each other.
pub(crate) const TWO_COLUMNS_FROM: f32 = 700.0;
/// From this width on three of them stand beside each other.
pub(crate) const THREE_COLUMNS_FROM: f32 = 1300.0;
/// Below this width buttons stand below the text that they belong to, and not beside it.
pub(crate) const BUTTONS_BESIDE_FROM: f32 = 430.0;
/// Height of a row of a table.
pub(crate) const ROW_HEIGHT: f32 = 30.0;

/// The colours of one appearance.
pub(crate) struct Palette {
    /// Behind the cards.
    pub(crate) page: Color32,
    /// Cards, dialogs and tables.
    pub(crate) card: Color32,
    /// Side bar and menu bar.
    pub(crate) side: Color32,
    /// Borders of cards and separators, which part what stands apart without them.
    pub(crate) line: Color32,
    /// Borders of what can be ticked, typed into, pressed or gone through: they must be seen (WCAG 1.4.11, 3 : 1).
    pub(crate) edge: Color32,
    /// Ordinary text.
    pub(crate) text: Color32,
    /// Labels and remarks.
    pub(crate) weak: Color32,
    /// Titles and values.
    pub(crate) strong: Color32,
    /// Primary buttons, selection, progress.
    pub(crate) accent: Color32,
    /// A primary button under the pointer.
    pub(crate) accent_hover: Color32,
    /// A dangerous one.
    pub(crate) danger_hover: Color32,
    /// Text on the accent, and on what is dangerous.
    pub(crate) on_accent: Color32,
    /// Behind what is selected.
    pub(crate) accent_soft: Color32,
    /// Empty part of bars.
    pub(crate) track: Color32,
    button: Color32,
    button_hover: Color32,
    button_active: Color32,
    field: Color32,
    /// Success, and behind it.
    pub(crate) good: (Color32, Color32),
    /// Something needs attention.
    pub(crate) warn: (Color32, Color32),
    /// Failure.
    pub(crate) bad: (Color32, Color32),
    /// Neither.
    pub(crate) neutral: (Color32, Color32),
}

const fn c(v: u32) -> Color32 {
    Color32::from_rgb((v >> 16) as u8, (v >> 8) as u8, v as u8)
}

const LIGHT: Palette = Palette {
    page: c(0xF3F5F8),
    card: c(0xFFFFFF),
    side: c(0xE9EDF2),
    line: c(0xD6DCE4),
    edge: c(0x76818F),
    text: c(0x2C3643),
    weak: c(0x5B6879),
    strong: c(0x10181F),
    accent: c(0x1D5FBF),
    accent_hover: c(0x174E9F),
    danger_hover: c(0x861616),
    on_accent: c(0xFFFFFF),
    accent_soft: c(0xDCE8FA),
    track: c(0xE3E8EE),
    button: c(0xFFFFFF),
    button_hover: c(0xEEF2F7),
    button_active: c(0xE0E7F0),
    field: c(0xFFFFFF),
    good: (c(0x17693A), c(0xDDF3E5)),
    warn: (c(0x8A4B00), c(0xFDF0D5)),
    bad: (c(0xA82020), c(0xFBE3E1)),
    neutral: (c(0x4A5768), c(0xE5EAF0)),
};

const DARK: Palette = Palette {
    page: c(0x15181D),
    card: c(0x1E232A),
    side: c(0x191D23),
    line: c(0x343C46),
    edge: c(0x727E8C),
    text: c(0xCDD5DE),
    weak: c(0x96A2B1),
    strong: c(0xF2F5F8),
    accent: c(0x4C8DEB),
    accent_hover: c(0x66A0F2),
    danger_hover: c(0xF9A5A1),
    on_accent: c(0x0B121C),
    accent_soft: c(0x22395A),
    track: c(0x2C333D),
    button: c(0x2A313A),
    button_hover: c(0x343D48),
    button_active: c(0x3F4A57),
    field: c(0x14171C),
    good: (c(0x6FD396), c(0x18382A)),
    warn: (c(0xF0B954), c(0x3D2F14)),
    bad: (c(0xF58A85), c(0x472324)),
    neutral: (c(0xB3BECB), c(0x2D353F)),
};

/// The colours in force.
pub(crate) fn palette(ui: &Ui) -> &'static Palette {
    of(ui.visuals())
}

fn of(visuals: &Visuals) -> &'static Palette {
    if visuals.dark_mode { &DARK } else { &LIGHT }
}

/// Family of the titles.
pub(crate) fn semibold() -> FontFamily {
    FontFamily::Name("semibold".into())
}

/// Style of a page's title.
pub(crate) fn title_style() -> TextStyle {
    TextStyle::Heading
}

/// Style of a card's title and of important values.
pub(crate) fn section_style() -> TextStyle {
    TextStyle::Name("section".into())
}

/// Text in the weight of titles at the size of text.
pub(crate) fn strong(text: impl Into<String>, ui: &Ui) -> RichText {
    RichText::new(text).text_style(section_style()).color(palette(ui).strong)
}

/// An icon. It has a family of its own, so that no other font's glyph can stand in for it.
pub(crate) fn icon(icon: Icon, size: f32) -> RichText {
    RichText::new(char::from(icon)).font(icon_font(size))
}

/// The font of the icons.
pub(crate) fn icon_font(size: f32) -> FontId {
    FontId::new(size, FontFamily::Name("icons".into()))
}

fn fonts() -> FontDefinitions {
    const INTER: &[u8] = include_bytes!("../../assets/fonts/Inter.ttf");
    let mut fonts = FontDefinitions::default();
    let weight = |weight: f32| FontTweak { coords: VariationCoords::new([(b"wght", weight)]), ..Default::default() };
    let mut add = |name: &str, data: FontData| fonts.font_data.insert(name.to_owned(), Arc::new(data));
    add("inter", FontData::from_static(INTER).tweak(weight(430.0)));
    add("inter-semibold", FontData::from_static(INTER).tweak(weight(600.0)));
    add("lucide", FontData::from_static(lucide_icons::LUCIDE_FONT_BYTES));
    let fallback = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    // The bundled text font has no glyphs at the code points of the icons, so icons can stand within a text.
    let with =
        |first: &str| [first, "lucide"].map(str::to_owned).into_iter().chain(fallback.clone()).collect::<Vec<_>>();
    fonts.families.insert(semibold(), with("inter-semibold"));
    fonts.families.insert(FontFamily::Name("icons".into()), vec!["lucide".to_owned()]);
    fonts.families.insert(FontFamily::Proportional, with("inter"));
    fonts
}

fn visuals(dark: bool) -> Visuals {
    let mut v = if dark { Visuals::dark() } else { Visuals::light() };
    let p = of(&v);
    v.panel_fill = p.page;
    v.window_fill = p.card;
    v.window_stroke = Stroke::new(1.0, p.edge);
    v.extreme_bg_color = p.field;
    v.text_edit_bg_color = Some(p.field);
    v.faint_bg_color = p.page;
    v.code_bg_color = p.side;
    v.hyperlink_color = p.accent;
    v.warn_fg_color = p.warn.0;
    v.error_fg_color = p.bad.0;
    v.weak_text_color = Some(p.weak);
    v.selection.bg_fill = p.accent_soft;
    v.selection.stroke = Stroke::new(1.0, p.accent);
    v.window_corner_radius = CornerRadius::same(10);
    v.menu_corner_radius = CornerRadius::same(8);
    let shadow = |alpha: u8, y: i8, blur: u8| Shadow {
        offset: [0, y],
        blur,
        spread: 0,
        color: Color32::from_black_alpha(if dark { alpha.saturating_mul(2) } else { alpha }),
    };
    v.window_shadow = shadow(45, 10, 32);
    v.popup_shadow = shadow(35, 4, 14);
    // An idle window does not repaint.
    v.text_cursor.blink = false;
    let r = CornerRadius::same(6);
    let w = &mut v.widgets;
    w.noninteractive.bg_stroke = Stroke::new(1.0, p.line);
    w.noninteractive.fg_stroke = Stroke::new(1.0, p.text);
    w.noninteractive.bg_fill = p.card;
    w.noninteractive.weak_bg_fill = p.card;
    w.noninteractive.corner_radius = r;
    for (style, fill, line, text) in [
        (&mut w.inactive, p.button, p.edge, p.text),
        (&mut w.hovered, p.button_hover, p.weak, p.strong),
        (&mut w.active, p.button_active, p.accent, p.strong),
        (&mut w.open, p.button_active, p.edge, p.strong),
    ] {
        style.weak_bg_fill = fill;
        style.bg_fill = fill;
        style.bg_stroke = Stroke::new(1.0, line);
        style.fg_stroke = Stroke::new(1.0, text);
        style.corner_radius = r;
        style.expansion = 0.0;
    }
    // The focused widget is drawn as active; its border must be seen.
    w.active.bg_stroke = Stroke::new(2.0, p.accent);
    v
}

/// The corners of a box to tick: with those of a button it would be taken for one of several choices.
pub(crate) const BOX_CORNERS: CornerRadius = CornerRadius::same(3);

/// Gives the window its looks, light and dark.
pub(crate) fn install(ctx: &egui::Context) {
    ctx.set_fonts(fonts());
    ctx.options_mut(|o| o.fallback_theme = Theme::Light);
    for theme in [Theme::Dark, Theme::Light] {
        ctx.style_mut_of(theme, |s| {
            s.visuals = visuals(theme == Theme::Dark);
            s.text_styles = [
                (TextStyle::Heading, FontId::new(22.0, semibold())),
                (section_style(), FontId::new(14.0, semibold())),
                (TextStyle::Body, FontId::new(13.5, FontFamily::Proportional)),
                (TextStyle::Button, FontId::new(13.5, FontFamily::Proportional)),
                (TextStyle::Small, FontId::new(12.0, FontFamily::Proportional)),
                (TextStyle::Monospace, FontId::new(12.5, FontFamily::Monospace)),
            ]
            .into();
            s.spacing.item_spacing = vec2(8.0, 6.0);
            s.spacing.button_padding = vec2(12.0, 5.0);
            s.spacing.interact_size = vec2(40.0, 28.0);
            s.spacing.window_margin = Margin::same(20);
            s.spacing.menu_margin = Margin::same(6);
            s.spacing.icon_width = 16.0;
            s.spacing.scroll = egui::style::ScrollStyle::solid();
            s.spacing.scroll.bar_width = 6.0;
            // In the colour of buttons it would not be seen on a card.
            s.spacing.scroll.foreground_color = true;
            s.interaction.selectable_labels = false;
            s.interaction.tooltip_delay = 0.4;
            // Animations repaint, and repainting is dear where no graphics card is.
            s.animation_time = 0.0;
            s.scroll_animation = egui::style::ScrollAnimation::none();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ratio of WCAG 2.2, section 1.4.11.
    fn contrast(a: Color32, b: Color32) -> f32 {
        let channel = |value: u8| {
            let part = f32::from(value) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        let light = |c: Color32| 0.2126 * channel(c.r()) + 0.7152 * channel(c.g()) + 0.0722 * channel(c.b());
        let (a, b) = (light(a), light(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn what_can_be_used_and_what_is_read_stands_out() {
        for (dark, p) in [(false, &LIGHT), (true, &DARK)] {
            let v = visuals(dark);
            let grounds = [p.page, p.card, p.side, p.field];
            let w = &v.widgets;
            let mut borders: Vec<(&str, Color32)> = [&w.inactive, &w.hovered, &w.active, &w.open]
                .into_iter()
                .flat_map(|state| [("a border", state.bg_stroke.color), ("what is in it", state.fg_stroke.color)])
                .collect();
            borders.extend([("a dialog or menu", v.window_stroke.color), ("the selection", v.selection.stroke.color)]);
            borders.extend([("the focus", p.accent), ("a part of a page that is chosen", p.edge)]);
            for (what, colour) in borders {
                for ground in grounds {
                    assert!(contrast(colour, ground) >= 3.0, "dark {dark}: {what}, {colour:?} on {ground:?}");
                }
            }
            // What is filled, against what is empty.
            assert!(contrast(p.accent, p.track) >= 3.0 && contrast(p.bad.0, p.track) >= 3.0, "dark {dark}");
            let texts = [p.text, p.weak, p.strong, p.accent, p.good.0, p.warn.0, p.bad.0, p.neutral.0];
            for (text, ground) in texts.into_iter().flat_map(|text| grounds.map(|ground| (text, ground))) {
                assert!(contrast(text, ground) >= 4.5, "dark {dark}: {text:?} on {ground:?}");
            }
            for (text, ground) in [p.good, p.warn, p.bad, p.neutral] {
                assert!(contrast(text, ground) >= 4.5, "dark {dark}: {text:?} on {ground:?}");
            }
            for ground in [p.accent, p.accent_hover, p.bad.0, p.danger_hover] {
                assert!(contrast(p.on_accent, ground) >= 4.5, "dark {dark}: on {ground:?}");
            }
            assert!(contrast(p.text, p.accent_soft) >= 4.5 && contrast(p.strong, p.button_active) >= 4.5);
        }
    }
}
