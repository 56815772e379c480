//! The plan of a restore as a table: the archive, the logs that are integrated, what is left out, and the space that it
//! needs, as far as that was looked at.

use eframe::egui::{Grid, Label, RichText, Ui};

use crate::{
    archive::ItemKind,
    error::foreign::shown,
    journal::integrate::{Piece, Plan, Point},
    restore::RestorePlan,
    storage::space::human_bytes,
    ui::{
        state::{LogChoice, RestoreForm},
        theme::{self, palette},
        widgets::{commits, count, fact_with, moment},
    },
};

/// More logs are only counted.
const LOGS_SHOWN: usize = 4;

/// A line: what it is, what of it, and how much.
pub(crate) type Line = [String; 3];

/// Shows the plan that leads to `point`.
pub(super) fn plan_ui(ui: &mut Ui, plan: &RestorePlan, point: Option<&Point>, form: &mut RestoreForm) {
    // While it is found out where a limit leads, the table stays as it was, so that nothing below it moves.
    let is_known = point.is_some() || plan.log.is_none() || form.plan.is_empty();
    if is_known {
        form.plan = lines(plan, point, form);
    }
    let lines = &form.plan;
    fact_with(ui, "Plan", |ui| {
        let p = palette(ui);
        let (strong, text) = if is_known { (p.strong, p.text) } else { (p.weak, p.weak) };
        if ui.available_width() < theme::BUTTONS_BESIDE_FROM {
            for line in lines {
                let parts: Vec<&str> = line.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
                ui.add(Label::new(RichText::new(parts.join(", ")).color(text)).wrap());
            }
            return;
        }
        Grid::new("plan").num_columns(3).min_row_height(18.0).spacing([18.0, 3.0]).show(ui, |ui| {
            for [what, which, much] in lines {
                ui.add(Label::new(RichText::new(what).color(strong)));
                ui.add(Label::new(RichText::new(which).color(text)));
                ui.add(Label::new(RichText::new(much).color(text)));
                ui.end_row();
            }
        });
    });
}

fn lines(plan: &RestorePlan, point: Option<&Point>, form: &RestoreForm) -> Vec<Line> {
    let state = format!("the state of {}", moment(&plan.identity.moment));
    let mut lines = vec![[format!("Archive {}", plan.identity.number), state, human_bytes(plan.bytes)]];
    let is_used = form.log != LogChoice::None;
    if let (Some(log), Some(point)) = (&plan.log, point) {
        lines.extend(of_logs(log, point));
    }
    let longest = plan.log.as_ref().filter(|_| is_used).map_or(0, |log| log.longest);
    let wanted = plan.items.iter().filter(|item| match form.in_place {
        Some(_) => item.kind == ItemKind::DataFile,
        None => !form.unwanted.contains(&item.name),
    });
    let space = wanted.map(|item| if item.kind == ItemKind::DataFile { item.length.max(longest) } else { item.length });
    lines.push(["Space needed".to_owned(), String::new(), human_bytes(space.sum())]);
    lines
}

fn of_logs(log: &Plan, point: &Point) -> Vec<Line> {
    let between = |first: u64, last: u64| match last - first {
        0 => format!("commit {}", count(first)),
        _ => format!("commits {} to {}", count(first), count(last)),
    };
    let used: Vec<(&Piece, u64)> = log
        .pieces
        .iter()
        .filter(|piece| piece.commits.0 <= point.commit)
        .map(|piece| (piece, piece.commits.1.min(point.commit)))
        .collect();
    let line = |(piece, last): &(&Piece, u64)| {
        let name = piece.path.file_name().map(|name| shown(name).to_string()).unwrap_or_default();
        [name, between(piece.commits.0, *last), commits(last - piece.commits.0 + 1)]
    };
    let hidden = if used.len() > LOGS_SHOWN { used.len() - LOGS_SHOWN + 1 } else { 0 };
    // The last ones are those that say how far it goes.
    let mut lines = Vec::new();
    if let Some(((first, _), (_, last))) = used.first().zip(used[..hidden].last()) {
        let first = first.commits.0;
        lines.push([format!("{hidden} logs"), between(first, *last), commits(last - first + 1)]);
    }
    lines.extend(used[hidden..].iter().map(line));
    if point.left_out > 0 {
        let (first, last) = (point.commit + 1, point.commit + point.left_out);
        lines.push(["Left out".to_owned(), between(first, last), commits(point.left_out)]);
    }
    lines
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::journal::{Chain, format::Position};

    fn plan(pieces: &[(&str, u64, u64)]) -> Plan {
        let time = DateTime::<Utc>::UNIX_EPOCH;
        let position = |commit| Position::at(1, commit, Chain([0; 32]));
        let piece = |(name, first, last): &(&str, u64, u64)| Piece {
            path: name.into(),
            commits: (*first, *last),
            times: (time, time),
            span: (time, time),
            after: position(first - 1),
        };
        let pieces: Vec<Piece> = pieces.iter().map(piece).collect();
        let (from, to) = (pieces[0].commits.0 - 1, pieces[pieces.len() - 1].commits.1);
        let (to, commits, times) = (position(to), to - from, Some((time, time)));
        Plan { to, commits, times, pieces, ..Plan::at(position(from)) }
    }

    fn told(plan: &Plan, commit: u64) -> Vec<String> {
        let point = Point { commit, time: None, next: None, left_out: plan.to.commit - commit };
        of_logs(plan, &point).into_iter().map(|line| line.join(" | ")).collect()
    }

    #[test]
    fn every_commit_is_integrated_or_left_out_and_a_log_that_is_not_reached_is_not_named() {
        let plan = plan(&[("a[1].4BL", 5, 9), ("a[2].4BL", 10, 10), ("a.journal", 11, 40)]);
        assert_eq!(told(&plan, 4), ["Left out | commits 5 to 40 | 36 commits"]);
        let seven = ["a[1].4BL | commits 5 to 7 | 3 commits", "Left out | commits 8 to 40 | 33 commits"];
        assert_eq!(told(&plan, 7), seven);
        assert_eq!(
            told(&plan, 40),
            [
                "a[1].4BL | commits 5 to 9 | 5 commits",
                "a[2].4BL | commit 10 | 1 commit",
                "a.journal | commits 11 to 40 | 30 commits"
            ]
        );
    }

    #[test]
    fn of_many_logs_the_last_are_named() {
        let many: Vec<(String, u64, u64)> = (0..9).map(|n| (format!("a[{n}].4BL"), n * 10 + 1, n * 10 + 10)).collect();
        let many: Vec<(&str, u64, u64)> =
            many.iter().map(|(name, first, last)| (name.as_str(), *first, *last)).collect();
        assert_eq!(
            told(&plan(&many), 85),
            [
                "6 logs | commits 1 to 60 | 60 commits",
                "a[6].4BL | commits 61 to 70 | 10 commits",
                "a[7].4BL | commits 71 to 80 | 10 commits",
                "a[8].4BL | commits 81 to 85 | 5 commits",
                "Left out | commits 86 to 90 | 5 commits"
            ]
        );
    }
}
