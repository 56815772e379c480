//! The bar of menus at the head of the window.

use eframe::egui::{
    Button, Frame, IntoAtoms, Key, KeyboardShortcut, Margin, MenuBar, Modifiers, Panel, ThemePreference, Ui,
    WidgetInfo, WidgetType,
    accesskit::{HasPopup, Role},
};
use lucide_icons::Icon;

use super::{
    action::{Action, EditCommand},
    commands::{MenuCommand, as_menu_item, menu_item},
    spoken,
    state::State,
    theme,
};
use crate::engine::Status;

pub(super) fn menu_bar(ui: &mut Ui, status: &Status, state: &State, actions: &mut Vec<Action>) {
    use MenuCommand as M;
    let side = theme::palette(ui).side;
    Panel::top("menu").frame(Frame::new().fill(side).inner_margin(Margin::symmetric(8, 3))).show(ui, |ui| {
        MenuBar::new().ui(ui, |ui| {
            spoken::role(ui, Role::MenuBar);
            let items = |ui: &mut Ui, commands: &[MenuCommand], actions: &mut Vec<Action>| {
                for command in commands {
                    menu_item(ui, *command, status, state, actions);
                }
            };
            menu(ui, "File", "File", 230.0, |ui| {
                items(ui, &[M::OpenDataFile], actions);
                ui.add_enabled_ui(!status.recent.is_empty(), |ui| {
                    let label = (theme::icon(Icon::RotateCcw, 14.0), "Open recent");
                    menu(ui, label, "Open recent", 0.0, |ui| recent_menu(ui, status, actions));
                });
                ui.separator();
                items(ui, &[M::Backup, M::Restore, M::Recover], actions);
                ui.separator();
                items(ui, &[M::CreateSample, M::Refresh], actions);
                ui.separator();
                if cfg!(target_os = "macos") {
                    settings_menu(ui, status, state, actions);
                    ui.separator();
                }
                items(ui, &[M::CloseDataFile, M::Quit], actions);
            });
            menu(ui, "Edit", "Edit", 200.0, |ui| {
                edit_menu(ui, actions);
                ui.separator();
                menu(ui, "Appearance", "Appearance", 0.0, |ui| appearance_menu(ui, actions));
                if !cfg!(target_os = "macos") {
                    settings_menu(ui, status, state, actions);
                }
            });
            menu(ui, "View", "View", 220.0, |ui| {
                items(
                    ui,
                    &[M::ShowOverview, M::ShowMaintenance, M::ShowRestore, M::ShowActivity, M::ShowJournal],
                    actions,
                );
            });
            menu(ui, "Help", "Help", 200.0, |ui| items(ui, &[M::Documentation, M::About], actions));
        });
    });
}

/// A menu, or one within another; `name` is what a screen reader calls it.
fn menu<'a>(ui: &mut Ui, label: impl IntoAtoms<'a>, name: &str, width: f32, items: impl FnOnce(&mut Ui)) {
    let shown = ui.menu_button(label, |ui| {
        spoken::role(ui, Role::Menu);
        ui.set_min_width(width);
        items(ui);
    });
    let (enabled, is_open) = (shown.response.enabled(), shown.inner.is_some());
    shown.response.widget_info(|| WidgetInfo::labeled(WidgetType::Button, enabled, name));
    ui.ctx().accesskit_node_builder(shown.response.id, |node| {
        node.set_role(Role::MenuItem);
        node.set_has_popup(HasPopup::Menu);
        node.set_expanded(is_open);
    });
}

/// In File on macOS, elsewhere in Edit, where people look for settings there.
fn settings_menu(ui: &mut Ui, status: &Status, state: &State, actions: &mut Vec<Action>) {
    let label = (theme::icon(Icon::Settings, 14.0), "Settings");
    menu(ui, label, "Settings", 0.0, |ui| {
        menu_item(ui, MenuCommand::Settings, status, state, actions);
    });
}

fn recent_menu(ui: &mut Ui, status: &Status, actions: &mut Vec<Action>) {
    for path in &status.recent {
        let name = path.display().to_string();
        if as_menu_item(ui.button(&name), &name).clicked() {
            actions.push(Action::Open(path.clone()));
            ui.close();
        }
    }
}

fn edit_menu(ui: &mut Ui, actions: &mut Vec<Action>) {
    use EditCommand as E;
    for (label, key, command) in [("Cut", Key::X, E::Cut), ("Copy", Key::C, E::Copy), ("Paste", Key::V, E::Paste)] {
        let shortcut = KeyboardShortcut::new(Modifiers::COMMAND, key);
        let shortcut = ui.ctx().format_shortcut(&shortcut);
        let response = ui.add(Button::new(label).shortcut_text(shortcut));
        if as_menu_item(response, label).clicked() {
            actions.push(Action::Edit(command));
            ui.close();
        }
    }
}

fn appearance_menu(ui: &mut Ui, actions: &mut Vec<Action>) {
    let now = ui.ctx().options(|o| o.theme_preference);
    let choices =
        [("Light", ThemePreference::Light), ("Dark", ThemePreference::Dark), ("System", ThemePreference::System)];
    for (label, preference) in choices {
        let response = ui.radio(now == preference, label);
        ui.ctx().accesskit_node_builder(response.id, |node| node.set_role(Role::MenuItemRadio));
        if response.clicked() {
            actions.push(Action::Appearance(preference));
            ui.close();
        }
    }
}
