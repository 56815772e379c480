//! A choice among words in a list that opens, by mouse and by keyboard.

use eframe::egui::{ComboBox, EventFilter, Key, Modifiers, Response, Ui};

/// A choice among words in a list that opens.
pub(crate) fn choice<T: Copy + PartialEq>(
    ui: &mut Ui,
    name: &str,
    width: f32,
    chosen: &mut T,
    choices: &[(T, &str)],
) -> bool {
    let before = *chosen;
    let shown = choices.iter().find(|(value, _)| value == chosen).map_or("", |(_, label)| label);
    let response = ComboBox::from_id_salt(name).width(width).height(320.0).selected_text(shown).show_ui(ui, |ui| {
        // A dialog that is pressed and released within one frame comes on top with its list, and would hide it.
        ui.ctx().move_to_top(ui.layer_id());
        let mut by_keyboard = false;
        for (value, label) in choices {
            if ui.selectable_value(chosen, *value, *label).clicked() {
                by_keyboard = !ui.input(|i| i.pointer.any_released());
                ui.close();
            }
        }
        by_keyboard
    });
    // The keyboard stays where the list was.
    if response.inner == Some(true) {
        response.response.request_focus();
    }
    step_by_keyboard(ui, &response.response, response.inner.is_some(), chosen, choices);
    response.response.ctx.accesskit_node_builder(response.response.id, |node| node.set_label(name));
    before != *chosen
}

/// Up and down go through the words of an open list, and not to what is drawn behind it.
fn step_by_keyboard<T: Copy + PartialEq>(
    ui: &Ui,
    button: &Response,
    is_open: bool,
    chosen: &mut T,
    choices: &[(T, &str)],
) {
    if !button.has_focus() {
        return;
    }
    let filter = EventFilter { vertical_arrows: is_open, ..EventFilter::default() };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(button.id, filter));
    let pressed = |key| ui.input_mut(|i| i.consume_key(Modifiers::NONE, key));
    let at = choices.iter().position(|(value, _)| value == chosen);
    let Some(at) = at.filter(|_| is_open) else { return };
    let to = match (pressed(Key::ArrowDown), pressed(Key::ArrowUp)) {
        (true, _) => (at + 1).min(choices.len() - 1),
        (_, true) => at.saturating_sub(1),
        _ => at,
    };
    *chosen = choices[to].0;
}
