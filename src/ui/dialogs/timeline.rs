//! The timeline of both restore dialogs: a moment is picked on it, and set in the same fields as one that is typed.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Local, Utc};
use eframe::egui::{Label, RichText, TextStyle, Ui};

use super::until::how_far;
use crate::{
    activity::{
        filter::Filter,
        query::{Ask, Question, Rows},
    },
    engine::{Answer, Query, status::DataFileStatus},
    journal::{
        density::{Density, Span},
        integrate::{PlanEnd, Point},
    },
    restore::{
        RestorePlan,
        timeline::{Mark, Timeline},
    },
    ui::{
        action::Action,
        activity::words,
        answers::View,
        state::{LogChoice, RestoreForm},
        theme::palette,
        timeline::{
            self, Event, Kept,
            scene::{Band, Drags, Kind, Scene, bands_of, marks_of, whole_of},
        },
        widgets::{Tone, count, moment},
    },
};

/// A column of commits is so wide, in points.
const COLUMN: f32 = 2.0;
/// What was not read to the end is asked for again after so many seconds.
const AGAIN: f64 = 0.4;

/// What the dialog remembers of it.
#[derive(Debug, Default)]
pub(crate) struct TimelineForm {
    kept: Kept,
    /// What stands on the whole of it, for the question that was answered.
    whole: Option<(Query, Box<Timeline>)>,
    /// The part that is seen, counted more finely.
    part: Option<(Query, Density)>,
    /// What was asked last, of the whole and of the part.
    asked: (Option<Query>, Option<Query>),
    /// A moment that was picked where another archive leads to, until that is known.
    wanted: Option<(DateTime<Utc>, i64)>,
    /// The commit whose operations were asked for last, and when, in the window's own time.
    told: Option<(u64, f64)>,
}

impl TimelineForm {
    /// Asks again: whoever answers now may see it otherwise.
    pub(crate) fn ask_again(&mut self) {
        self.asked = (None, None);
        self.part = None;
    }
}

/// The question about the whole.
fn question(form: &RestoreForm, span: Option<Span>) -> Query {
    let (archive, segments) = (form.archive.clone(), form.segments.clone());
    Query::Timeline { archive, span, segments, logs: form.logs() }
}

/// Takes what has come, and asks for what is seen.
fn follow(ui: &Ui, status: &View<'_>, form: &mut RestoreForm, actions: &mut Vec<Action>) {
    let whole = question(form, None);
    if form.timeline.asked.0.as_ref() != Some(&whole) {
        actions.push(Action::Ask(whole.clone()));
        form.timeline.asked = (Some(whole.clone()), None);
        form.timeline.part = None;
    }
    if let Some(Ok(Answer::Timeline(found))) = status.answers.to(&whole)
        && form.timeline.whole.as_ref().is_none_or(|(of, known)| *of != whole || known != found)
    {
        form.timeline.whole = Some((whole, found.clone()));
    }
    let Some(seen) = form.timeline.kept.settled(ui.input(|i| i.time)) else { return };
    let columns = (ui.available_width() / COLUMN) as u32;
    let part = question(form, Some(Span { from: seen.from(), to: seen.to(), columns }));
    match status.answers.to(&part) {
        Some(Ok(Answer::Timeline(found))) if form.timeline.part.as_ref().is_none_or(|(of, _)| *of != part) => {
            form.timeline.part = Some((part, found.density.clone()));
        }
        None if form.timeline.asked.1.as_ref() != Some(&part) => {
            form.timeline.asked.1 = Some(part.clone());
            actions.push(Action::Ask(part));
        }
        _ => {}
    }
}

/// The data file that the archives are of, where an engine looks after it.
fn data_file_of<'a>(status: &'a View<'_>, form: &RestoreForm) -> Option<&'a DataFileStatus> {
    let is_of = |known: &&DataFileStatus| known.archives.iter().any(|archive| archive.path == form.archive);
    let named = form.in_place.as_ref().and_then(|path| status.data_file(path));
    named.or_else(|| status.data_files.iter().find(is_of))
}

/// Shows the timeline, and below it where the choice leads.
pub(super) fn timeline_ui(
    ui: &mut Ui,
    status: &View<'_>,
    (plan, point): (&RestorePlan, Option<&Point>),
    form: &mut RestoreForm,
    actions: &mut Vec<Action>,
) {
    follow(ui, status, form, actions);
    let told = told(ui, status, point, form, actions);
    let value = match how_far(plan, form) {
        Ok(_) => leads_to(plan, point, form, told),
        Err(_) => "This leads nowhere.".to_owned(),
    };
    // What is known is put back below: the form is changed by what is picked.
    let Some((of, known)) = form.timeline.whole.take() else {
        let text = match status.answers.to(&question(form, None)) {
            Some(Err(error)) => error.message.clone(),
            _ => "Looking at archives and logs …".to_owned(),
        };
        let scene = Scene::unknown("Timeline", text, (value, Drags::Moment));
        timeline::timeline_ui(ui, &mut Kept::default(), &scene);
        return said_ui(ui, &scene, form);
    };
    let data_file = data_file_of(status, form);
    let next = data_file.and_then(|known| known.next_backup).map(|next| next.to_utc());
    let part = form.timeline.part.take();
    let band = known.counted();
    let commit = commit_of(plan, point, form);
    let scene = Scene {
        name: "Timeline",
        marks: marks_of(&known.archives, data_file),
        bands: bands_of(&known).into_iter().chain(broken(plan, &known)).collect(),
        densities: std::iter::once(&known.density).chain(part.as_ref().map(|(_, density)| density)).collect(),
        now: known.now,
        next,
        whole: whole_of(known.whole(), next),
        chosen: chosen_at(plan, point),
        stretch: None,
        note: None,
        value,
        steps: band.map(|band| (band.from.commit, commit, band.to.commit)),
        drags: Drags::Moment,
    };
    let event = timeline::timeline_ui(ui, &mut form.timeline.kept, &scene);
    let is_of_this = of == question(form, None);
    let wanted = form.timeline.wanted.take_if(|_| is_of_this);
    let event = event.or(wanted.map(|(at, reach)| Event::Moment(at, reach)));
    if let Some(event) = event {
        pick(event, (&known, &scene), (plan, commit), form, actions);
    }
    said_ui(ui, &scene, form);
    form.timeline.part = part;
    form.timeline.whole = Some((of, known));
}

/// What cannot be reached, as the plan found it that read every record: an index lists also what is damaged.
fn broken(plan: &RestorePlan, known: &Timeline) -> Option<Band> {
    let log = plan.log.as_ref().filter(|log| matches!(log.end, PlanEnd::Damaged { .. } | PlanEnd::Gap { .. }))?;
    let from = log.times.map_or(plan.identity.moment.to_utc(), |times| times.1);
    let next = known.archives.iter().map(|mark| mark.moment).find(|next| *next > from);
    Some(Band { from, to: next.unwrap_or(known.now), kind: Kind::Gap })
}

/// What is said of the place chosen.
fn said_ui(ui: &mut Ui, scene: &Scene<'_>, form: &RestoreForm) {
    let lines = if form.counts.is_some() { 2.0 } else { 1.0 };
    ui.scope(|ui| {
        // Room for what a commit did, which is told later.
        ui.set_min_height(lines * ui.text_style_height(&TextStyle::Body));
        ui.add(Label::new(RichText::new(&scene.value).color(palette(ui).strong)).wrap());
    });
    ui.add_space(4.0);
}

/// The commit that the choice leads to; one that is given by its number is known before an engine has looked.
fn commit_of(plan: &RestorePlan, point: Option<&Point>, form: &RestoreForm) -> Option<u64> {
    match form.log {
        LogChoice::Commit => form.commit.trim().parse().ok(),
        LogChoice::None => plan.identity.log_position.map(|position| position.commit),
        LogChoice::End | LogChoice::Moment => point.map(|point| point.commit),
    }
}

/// When the state was that the choice leads to.
fn chosen_at(plan: &RestorePlan, point: Option<&Point>) -> Option<DateTime<Utc>> {
    let archive = plan.identity.moment.to_utc();
    match point {
        Some(point) => Some(point.time.unwrap_or(archive)),
        None => plan.log.is_none().then_some(archive),
    }
}

/// Does what was wanted on the timeline.
fn pick(
    event: Event,
    (known, scene): (&Timeline, &Scene<'_>),
    (plan, commit): (&RestorePlan, Option<u64>),
    form: &mut RestoreForm,
    actions: &mut Vec<Action>,
) {
    let band = known.counted();
    let usable = |mark: &Mark| {
        let nth = known.archives.iter().position(|other| other.archive == mark.archive);
        nth.and_then(|nth| scene.marks.get(nth)).is_none_or(|mark| mark.tone != Tone::Bad)
    };
    let within = |commit: u64| band.map(|band| commit.clamp(band.from.commit, band.to.commit));
    match event {
        Event::Moment(at, reach) => {
            let is_before = band.is_none_or(|band| at < band.extent.0);
            // The newest archive whose state is not later; where there is none, the oldest.
            let older = known.archives.iter().rev().find(|mark| mark.moment <= at).or(known.archives.first());
            match scene.meant(at, reach).map(|spot| spot.commit) {
                Some(commit) => choose_commit(commit, known, plan, &usable, form, actions),
                None if is_before => match older {
                    // Whether its own logs lead there is known when they were looked at.
                    Some(older) if older.archive != form.archive && older.moment <= at => {
                        form.timeline.wanted = Some((at, reach));
                        choose_archive(&older.archive, form, actions);
                    }
                    Some(older) => choose_archive(&older.archive, form, actions),
                    None => {}
                },
                None => {
                    if let Some(band) = band {
                        choose_commit(band.from.commit, known, plan, &usable, form, actions);
                    }
                }
            }
        }
        Event::Mark(nth) => {
            if let Some(mark) = known.archives.get(nth) {
                choose_archive(&mark.archive, form, actions);
            }
        }
        Event::Step(by) => {
            let from = commit.or(band.map(|band| band.to.commit));
            match from.and_then(|from| within(from.saturating_add_signed(by))) {
                Some(commit) => choose_commit(commit, known, plan, &usable, form, actions),
                // Without a log, from archive to archive.
                None => {
                    let here = known.archives.iter().position(|mark| mark.archive == form.archive).unwrap_or(0);
                    let to = here.saturating_add_signed(by.clamp(-1, 1) as isize);
                    if let Some(mark) = known.archives.get(to) {
                        choose_archive(&mark.archive, form, actions);
                    }
                }
            }
        }
        Event::First => match band {
            Some(band) => choose_commit(band.from.commit, known, plan, &usable, form, actions),
            None => {
                if let Some(oldest) = known.archives.first() {
                    choose_archive(&oldest.archive, form, actions);
                }
            }
        },
        Event::Last => form.log = LogChoice::End,
        Event::Stretch(..) => {}
    }
}

/// The state after a commit, with the archive of the form where that leads there, and otherwise the newest that does.
fn choose_commit(
    commit: u64,
    known: &Timeline,
    plan: &RestorePlan,
    usable: &dyn Fn(&Mark) -> bool,
    form: &mut RestoreForm,
    actions: &mut Vec<Action>,
) {
    let leads = |mark: &&Mark| mark.on_band.is_some_and(|cut| cut <= commit);
    let own = known.archives.iter().find(|mark| mark.archive == form.archive).filter(leads);
    let newest = || known.archives.iter().rev().filter(|mark| usable(mark)).find(leads);
    let Some(mark) = own.or_else(newest) else { return };
    let is_own = mark.archive == form.archive;
    // The plan was made before: what came since is in none of its logs.
    let last = plan.log.as_ref().map(|log| log.to.commit).filter(|_| is_own);
    let commit = last.map_or(commit, |last| commit.min(last));
    if mark.on_band == Some(commit) {
        return choose_archive(&mark.archive.clone(), form, actions);
    }
    (form.log, form.commit) = (LogChoice::Commit, commit.to_string());
    if !is_own {
        actions.push(Action::UseArchive(mark.archive.clone()));
    }
}

/// The state of an archive itself.
fn choose_archive(archive: &Path, form: &mut RestoreForm, actions: &mut Vec<Action>) {
    form.log = LogChoice::None;
    if archive != form.archive {
        actions.push(Action::UseArchive(PathBuf::from(archive)));
    }
}

/// What the first commit that is left out did, where the page Activity knows the operations of these logs.
fn told(
    ui: &Ui,
    status: &View<'_>,
    point: Option<&Point>,
    form: &mut RestoreForm,
    actions: &mut Vec<Action>,
) -> Option<String> {
    let (source, of) = (form.counts.clone()?, form.in_place.clone()?);
    let next = point.filter(|point| point.next.is_some())?.commit.saturating_add(1);
    let ask = Ask::Commits { upto: Some(next), newest_first: true, offset: 0, count: 1 };
    let query = Query::Activity { of, question: Question { source, filter: Filter::default(), ask } };
    let answer = match status.answers.to(&query) {
        Some(Ok(Answer::Activity(page))) => Some(&**page),
        _ => None,
    };
    let found = answer.and_then(|page| match &page.rows {
        Rows::Commits(rows) => rows.first().filter(|row| row.commit == next),
        _ => None,
    });
    let now = ui.input(|i| i.time);
    let is_coming = found.is_none() && answer.is_none_or(|page| page.state.is_reading && !page.state.is_stopped);
    if form.timeline.told.is_none_or(|(of, at)| of != next || is_coming && now > at + AGAIN) {
        form.timeline.told = Some((next, now));
        actions.push(Action::Ask(query));
    }
    if is_coming {
        ui.ctx().request_repaint_after(std::time::Duration::from_secs_f64(AGAIN));
    }
    found.map(words::commit)
}

/// Where the choice leads, in a line. A moment between two commits is that of the last one before it; that must not
/// come as a surprise.
fn leads_to(plan: &RestorePlan, point: Option<&Point>, form: &RestoreForm, told: Option<String>) -> String {
    let archive =
        || format!("the state of archive {} itself, of {}", plan.identity.number, moment(&plan.identity.moment));
    let Some(log) = &plan.log else { return format!("Leads to {}.", archive()) };
    let Some(point) = point else { return "Looking where that leads …".to_owned() };
    let what = told.map_or_else(String::new, |told| format!(": {told}"));
    let Some(time) = &point.time else {
        let text = match form.log {
            LogChoice::Moment => "No commit was made before: this is ",
            _ => "Leads to ",
        };
        let first = log.times.map_or_else(String::new, |(first, _)| {
            format!(", before commit {} of {}{what}", count(log.from.commit + 1), moment(&first))
        });
        return format!("{text}{}{first}.", archive());
    };
    let commit = format!("commit {} of {}", count(point.commit), moment(time));
    // On the same day, its time will do.
    let following = |next: &DateTime<Utc>| {
        let (next, time) = (next.with_timezone(&Local), time.with_timezone(&Local));
        let is_same_day = next.date_naive() == time.date_naive();
        if is_same_day { next.format("%H:%M:%S").to_string() } else { moment(&next) }
    };
    match (form.log, &point.next) {
        (LogChoice::Moment, Some(next)) => {
            format!(
                "Leads to {commit}, the last before that moment. The next one followed at {}{what}.",
                following(next)
            )
        }
        (_, Some(next)) => {
            format!("Leads to {commit}, before commit {} of {}{what}.", count(point.commit + 1), following(next))
        }
        (_, None) => format!("Leads to {commit}, the last one known."),
    }
}
