//! The commands of the menus: each owns its label, tooltip, icon and shortcut.

use eframe::egui::{Context, Key, KeyboardShortcut, Modifiers, Response, Ui, WidgetInfo, WidgetType, accesskit::Role};
use lucide_icons::Icon;

use super::{
    action::{Action, Recover},
    dialogs::settings::Tab,
    jobs::RECOVER_TIP,
    state::{Page, State},
    theme,
    widgets::why,
};
use crate::engine::{Command, Status};

/// A command of the menus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MenuCommand {
    OpenDataFile,
    Backup,
    Restore,
    Recover,
    CreateSample,
    CloseDataFile,
    Settings,
    Quit,
    Refresh,
    ShowOverview,
    ShowMaintenance,
    ShowRestore,
    ShowActivity,
    ShowJournal,
    About,
    Documentation,
}

struct Facts {
    label: &'static str,
    tooltip: &'static str,
    icon: Icon,
    shortcut: Option<KeyboardShortcut>,
}

const fn ctrl(key: Key) -> Option<KeyboardShortcut> {
    Some(KeyboardShortcut::new(Modifiers::COMMAND, key))
}

impl MenuCommand {
    const ALL: [Self; 16] = [
        Self::OpenDataFile,
        Self::Backup,
        Self::Restore,
        Self::Recover,
        Self::CreateSample,
        Self::CloseDataFile,
        Self::Settings,
        Self::Quit,
        Self::Refresh,
        Self::ShowOverview,
        Self::ShowMaintenance,
        Self::ShowRestore,
        Self::ShowActivity,
        Self::ShowJournal,
        Self::About,
        Self::Documentation,
    ];

    fn facts(self) -> Facts {
        let (label, tooltip, icon, shortcut) = match self {
            Self::OpenDataFile => {
                ("Open data file…", "Choose the SQLite data file to keep safe", Icon::FolderOpen, ctrl(Key::O))
            }
            Self::Backup => ("Backup…", "Make a full backup of the data file", Icon::Archive, ctrl(Key::B)),
            Self::Restore => ("Restore…", "Restore files from an archive", Icon::ArchiveRestore, ctrl(Key::R)),
            Self::Recover => ("Recover damaged file…", RECOVER_TIP, Icon::LifeBuoy, None),
            Self::CreateSample => {
                ("Create sample…", "Create a sample data file to try everything with", Icon::FlaskConical, None)
            }
            Self::CloseDataFile => ("Close data file", "Stop looking after this data file", Icon::X, ctrl(Key::W)),
            Self::Settings => (
                "User settings for data file…",
                "When, what, where and how this data file is backed up",
                Icon::Settings,
                ctrl(Key::Comma),
            ),
            Self::Quit => (
                "Quit",
                "End the program; asks first while a job, a log or a schedule is on",
                Icon::LogOut,
                ctrl(Key::Q),
            ),
            Self::Refresh => (
                "Refresh",
                "Read the archives again and estimate the space anew",
                Icon::RefreshCw,
                Some(KeyboardShortcut::new(Modifiers::NONE, Key::F5)),
            ),
            Self::ShowOverview => {
                ("Overview", "All data files, problems first", Icon::LayoutDashboard, ctrl(Key::Num5))
            }
            Self::ShowMaintenance => {
                ("Maintenance", "Backups of this data file, and its facts", Icon::ShieldCheck, ctrl(Key::Num1))
            }
            Self::ShowRestore => ("Restore", "The archives of this data file", Icon::ArchiveRestore, ctrl(Key::Num2)),
            Self::ShowActivity => ("Activity", "What each commit changed, as records", Icon::Activity, ctrl(Key::Num4)),
            Self::ShowJournal => ("Backup journal", "Every job and how it ended", Icon::ScrollText, ctrl(Key::Num3)),
            Self::About => ("About Strongroom", "Version and licences", Icon::Info, None),
            Self::Documentation => ("Documentation", "Where the documentation is", Icon::BookOpen, None),
        };
        Facts { label, tooltip, icon, shortcut }
    }

    pub(crate) fn label(self) -> &'static str {
        self.facts().label
    }

    pub(crate) fn tooltip(self) -> &'static str {
        self.facts().tooltip
    }

    pub(crate) fn icon(self) -> Icon {
        self.facts().icon
    }

    /// The shortcut as the user reads it.
    pub(crate) fn shortcut_text(self, ctx: &Context) -> String {
        // As it stands on the key.
        self.facts().shortcut.map(|s| ctx.format_shortcut(&s).replace("Comma", ",")).unwrap_or_default()
    }

    /// The page that the command shows.
    pub(crate) fn page(self) -> Option<Page> {
        match self {
            Self::ShowOverview => Some(Page::Overview),
            Self::ShowMaintenance => Some(Page::Maintenance),
            Self::ShowRestore => Some(Page::Restore),
            Self::ShowActivity => Some(Page::Activity),
            Self::ShowJournal => Some(Page::Journal),
            _ => None,
        }
    }

    /// What it does now; `None` while it makes no sense.
    pub(crate) fn action(self, status: &Status, state: &State) -> Option<Action> {
        let current = || state.data_file(status).map(|d| d.facts.path.clone());
        match self {
            Self::OpenDataFile => Some(Action::ChooseDataFile),
            Self::Backup => current().map(Action::AskBackup),
            Self::Restore => Some(Action::ChooseArchive),
            Self::Recover => Some(Action::Recover(Recover::Choose)),
            Self::CreateSample => Some(Action::AskSample),
            Self::CloseDataFile => current().map(Action::CloseDataFile),
            Self::Settings => current().map(|data_file| Action::AskSettings(data_file, Tab::default())),
            Self::Quit => Some(Action::Quit),
            Self::Refresh => current().map(|data_file| Action::Send(Command::Refresh { data_file })),
            Self::ShowOverview => (!status.data_files.is_empty()).then_some(Action::Show(Page::Overview)),
            Self::ShowMaintenance | Self::ShowRestore | Self::ShowActivity | Self::ShowJournal => {
                let page = self.page()?;
                current().map(|_| Action::Show(page))
            }
            Self::About => Some(Action::About),
            Self::Documentation => Some(Action::Documentation),
        }
    }
}

/// Shows a command in a menu.
pub(crate) fn menu_item(
    ui: &mut Ui,
    command: MenuCommand,
    status: &Status,
    state: &State,
    actions: &mut Vec<Action>,
) -> Response {
    let action = command.action(status, state);
    let button = eframe::egui::Button::new((theme::icon(command.icon(), 14.0), command.label()))
        .shortcut_text(command.shortcut_text(ui.ctx()));
    let enabled = action.is_some();
    let response = ui.add_enabled(enabled, button).on_hover_text(command.tooltip());
    // What cannot be done now needs a data file.
    let response = why(as_menu_item(response, command.label()), "Open a data file first");
    if response.clicked() {
        actions.extend(action);
        ui.close();
    }
    response
}

/// Tells a screen reader that this is an entry of a menu, and what it is called.
pub(crate) fn as_menu_item(response: Response, name: &str) -> Response {
    let enabled = response.enabled();
    response.widget_info(|| WidgetInfo::labeled(WidgetType::Button, enabled, name));
    response.ctx.accesskit_node_builder(response.id, |node| node.set_role(Role::MenuItem));
    response
}

/// Gives the commands whose shortcuts were pressed. While a dialog is open its own keys alone count.
pub(crate) fn shortcuts(ctx: &Context, status: &Status, state: &State, actions: &mut Vec<Action>) {
    for command in MenuCommand::ALL {
        let pressed = command.facts().shortcut.is_some_and(|s| ctx.input_mut(|i| i.consume_shortcut(&s)));
        if pressed && state.dialog.is_none() && state.message.is_none() && !state.picker.is_open() {
            actions.extend(command.action(status, state));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_commands_share_a_label_or_a_shortcut() {
        for (at, a) in MenuCommand::ALL.iter().enumerate() {
            for b in &MenuCommand::ALL[at + 1..] {
                assert_ne!(a.label(), b.label());
                assert!(a.facts().shortcut.is_none() || a.facts().shortcut != b.facts().shortcut, "{a:?} {b:?}");
            }
        }
    }
}
