//! The timeline above the list: drag over a stretch, and the list is of that alone.

use chrono::{DateTime, Local, TimeDelta, Utc};
use eframe::egui::Ui;

use crate::{
    archive::catalog::ArchiveEntry,
    engine::status::DataFileStatus,
    restore::timeline::Mark,
    ui::{
        action::Action,
        activity::{
            ActivityForm, Chosen,
            timeline::{TimeForm, extent},
        },
        timeline::{
            self, Event,
            scale::stretch_in_words,
            scene::{Band, Between, Drags, Kind, Scene, marks_of, whole_of},
        },
        widgets::commits,
    },
};

/// A column of commits is so wide, in points.
const COLUMN: f32 = 2.0;

pub(super) fn timeline_ui(ui: &mut Ui, form: &mut ActivityForm, data_file: &DataFileStatus, actions: &mut Vec<Action>) {
    let Some(state) = form.feed.state.clone() else { return };
    let columns = (ui.available_width() / COLUMN) as u32;
    if let Some(ask) = form.time.poll(&state, columns, ui.input(|i| i.time)) {
        actions.push(Action::AskActivity(ask));
    }
    let value = said(form, extent(&state));
    let (Some((from, to)), true) = (extent(&state), form.time.whole.is_some()) else {
        let note = match state.commits {
            0 if !state.is_reading => "No commit yet".to_owned(),
            _ => "Looking when commits were made …".to_owned(),
        };
        timeline::timeline_ui(ui, &mut form.time.kept, &Scene::unknown("Timeline", note, (value, Drags::Stretch)));
        return;
    };
    let mut kept = std::mem::take(&mut form.time.kept);
    let TimeForm { whole, part, now, .. } = &form.time;
    let is_log = matches!(form.chosen, Chosen::Log(_));
    // Another log may be of another data file.
    let archives: Vec<Mark> = match is_log {
        true => Vec::new(),
        false => archives_of(data_file, from),
    };
    let next = data_file.next_backup.filter(|_| !is_log).map(|next| next.to_utc());
    let now = if is_log { to } else { (*now).max(to) };
    let mut bands = vec![Band { from, to: if state.is_reading || is_log { to } else { now }, kind: Kind::Log }];
    let counted = part.iter().chain(whole).next();
    bands.extend(counted.iter().flat_map(|counted| &counted.catch_ups).map(|one| Band {
        from: one.from,
        to: one.to,
        kind: Kind::CatchUp,
    }));
    if state.problem.is_some() {
        let newest = state.ends.map_or(to, |[_, (_, newest)]| newest);
        bands.push(Band { from: newest, to: now, kind: Kind::Gap });
    }
    let scene = Scene {
        name: "Timeline",
        note: None,
        marks: marks_of(&archives, Some(data_file)),
        bands,
        densities: whole.iter().chain(part).map(|counted| &counted.density).collect(),
        now,
        next,
        whole: whole_of((from, now), next),
        chosen: chosen_at(form),
        stretch: form.filter.time,
        value,
        steps: None,
        drags: Drags::Stretch,
    };
    let event = timeline::timeline_ui(ui, &mut kept, &scene);
    let stretch = event.and_then(|event| stretch_of(event, &scene, &archives));
    form.time.kept = kept;
    if let Some(stretch) = stretch {
        (form.filter.time, form.note) = (stretch, None);
    }
}

/// The archives from the last one before the first commit on, the oldest first.
fn archives_of(data_file: &DataFileStatus, from: DateTime<Utc>) -> Vec<Mark> {
    let mark = |archive: &ArchiveEntry| {
        let moment = archive.moment?.to_utc();
        Some(Mark { archive: archive.path.clone(), number: archive.number, moment, on_band: None })
    };
    let own = data_file.archives.iter().filter(|archive| !archive.is_of_other);
    let mut marks: Vec<Mark> = own.filter_map(mark).collect();
    marks.sort_by_key(|mark| (mark.moment, mark.number));
    let before = marks.iter().rposition(|mark| mark.moment <= from).unwrap_or(0);
    marks.split_off(before)
}

/// When the commit of the row was made that is selected.
fn chosen_at(form: &ActivityForm) -> Option<DateTime<Utc>> {
    let selected = form.selected?;
    form.feed.commit(selected.nth).filter(|row| row.commit == selected.commit).map(|row| row.time)
}

/// The stretch that is meant; `None` within for all of it.
fn stretch_of(event: Event, scene: &Scene<'_>, archives: &[Mark]) -> Option<Option<Between>> {
    match event {
        Event::Stretch(from, to) => Some(Some((from, to + TimeDelta::microseconds(1)))),
        // A bar is what it holds; beside them all, nothing is left out.
        Event::Moment(at, reach) => Some(scene.bar_at(at, reach)),
        Event::Mark(nth) => {
            let from = archives.get(nth)?.moment;
            let to = archives.get(nth + 1).map_or(scene.now + TimeDelta::microseconds(1), |next| next.moment);
            Some((from < to).then_some((from, to)))
        }
        Event::Step(_) | Event::First | Event::Last => None,
    }
}

/// What is listed, in a line.
fn said(form: &ActivityForm, all: Option<Between>) -> String {
    let listed = commits(form.feed.total());
    match form.filter.time {
        Some((from, to)) => format!("{listed} listed, of {}", stretch_in_words(from, to, &Local)),
        None => {
            let all = all.map_or_else(String::new, |(from, to)| format!(": {}", stretch_in_words(from, to, &Local)));
            format!("{listed} listed, of any time{all}")
        }
    }
}
