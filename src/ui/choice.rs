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
    // Also after a click: the keys are meant for the list, and Enter not for the dialog.
    if button.clicked() {
        button.request_focus();
    }
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

#[cfg(test)]
mod tests {
    use eframe::egui::accesskit::Role;
    use egui_kittest::{Harness, kittest::Queryable};

    use super::*;

    #[test]
    fn a_list_that_was_opened_by_a_click_is_gone_through_and_closed_by_the_keyboard() {
        let choices = [(1, "None"), (2, "Low"), (3, "High")];
        let draw = |ui: &mut Ui, chosen: &mut i32| _ = choice(ui, "Rate", 90.0, chosen, &choices);
        let mut window = Harness::new_ui_state(draw, 1);
        window.get_by_role(Role::ComboBox).click();
        window.run();
        assert!(window.query_by_label("High").is_some(), "it is not open");
        for expected in [2, 3, 3] {
            window.key_press(Key::ArrowDown);
            window.run();
            assert_eq!(*window.state(), expected);
        }
        window.key_press(Key::ArrowUp);
        window.run();
        window.key_press(Key::Enter);
        window.run();
        assert!(*window.state() == 2 && window.query_by_label("High").is_none(), "it is still open");
        // Closed, the arrows belong to the page.
        window.key_press(Key::ArrowDown);
        window.run();
        assert_eq!(*window.state(), 2);
    }
}
