//! Moments that do not say which commits are meant: nobody watched then, the clock was wrong, or they are still to
//! come. What is restored all the same is said, and how to name a commit instead.

use chrono::{DateTime, Local, Utc};

use crate::{
    error::{Error, ErrorKind},
    journal::{
        integrate::{LateRead, Stretch},
        jumps::Jump,
    },
};

/// A moment as people read it.
pub(super) fn shown(time: DateTime<Utc>) -> String {
    time.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S %:z").to_string()
}

/// Of a moment to come nobody knows what was meant: a slip of the pen, or what a clock showed that was ahead. `last` is
/// the last state that is known, in words.
pub(super) fn to_come(moment: DateTime<Utc>, last: &str) -> Error {
    let message =
        format!("the moment wanted, {}, is still to come: everything up to {last} is restored", shown(moment));
    Error::new(ErrorKind::Partial, message).hint(
        "If the clock was ahead when the commits were made that are meant, restore up to one of them by its number \
         (--commit); strongroom commits LOG lists them with their times.",
    )
}

/// A moment of which is known neither what was committed up to it nor what after; `reached` is the last commit that is
/// restored where that is not before the step.
pub(super) fn within(stretch: &Stretch, moment: DateTime<Utc>, reached: Option<u64>) -> Error {
    let (from, to) = (shown(stretch.from), shown(stretch.to));
    let message = format!(
        "nothing is known of {}: nobody watched for a time between {from} and {to}, and what was committed then is \
         known as one step",
        shown(moment)
    );
    if let Some(commit) = reached {
        let message =
            format!("{message}. It is in what is restored, up to commit {commit}, which bears an earlier time");
        return Error::new(ErrorKind::Partial, message).hint(format!(
            "To leave it out, restore up to commit {} (--commit {}).",
            stretch.commit.saturating_sub(1),
            stretch.commit.saturating_sub(1)
        ));
    }
    let message = format!("{message}. The state of {from} is restored");
    let hint = format!(
        "To have all of it, restore up to commit {} (--commit {}); or restore a full backup that was made in between, \
         if there is one.",
        stretch.commit, stretch.commit
    );
    Error::new(ErrorKind::Partial, message).hint(hint)
}

/// A moment at which some of the commits that were read late had been made, and nobody knows which. What is restored
/// ends with commit `reached`.
pub(super) fn read_late(late: &LateRead, moment: DateTime<Utc>, reached: Option<u64>) -> Error {
    let last = late.commits.1;
    let first = reached.map_or(late.commits.0, |reached| late.commits.0.max(reached.saturating_add(1)));
    let (which, were, up_to) = match first == last {
        true => (format!("commit {first}"), "it was", format!("commit {first}")),
        false => (format!("commits {first} to {last}"), "they were", format!("one of them, {first} to {last}")),
    };
    let message = format!(
        "{which} may have been made before the moment wanted, {}, and left out: {were} made between {} and {}, and \
         only read at the end of that time",
        shown(moment),
        shown(late.from),
        shown(late.to)
    );
    Error::new(ErrorKind::Partial, message).hint(format!(
        "Whoever recorded commits was stopped then, or could not write the log. To have what was committed, restore up \
         to {up_to}, by its number (--commit)."
    ))
}

/// A moment that lies between that of the archive which a restore begins with and the latest time of what was there
/// before it.
pub(super) fn of_base(moment: DateTime<Utc>, latest: DateTime<Utc>) -> Error {
    let message = format!(
        "what was restored may hold commits made after the moment wanted, {}: the clock ran back before the archive was \
         made, and what was committed before it bears times up to {}",
        shown(moment),
        shown(latest)
    );
    Error::new(ErrorKind::Partial, message).hint(
        "Restore an older archive up to that moment, if it is there with its logs, or up to a commit, by its number \
         (--commit).",
    )
}

/// A moment that the clock showed after the archive was made which a restore begins with, and that it had shown before.
pub(super) fn before_base(moment: DateTime<Utc>, latest: DateTime<Utc>) -> Error {
    let message = format!(
        "the clock may have shown the moment wanted, {}, twice: it ran back before the archive was made, and what was \
         committed before that bears times up to {}. The state of the second time is restored",
        shown(moment),
        shown(latest)
    );
    Error::new(ErrorKind::Partial, message).hint(
        "If the first time was meant, restore up to a commit, by its number (--commit); strongroom commits LOG lists \
         them with their times.",
    )
}

/// What is known of commits after which the clock ran back.
pub(super) fn repeats(jump: &Jump) -> String {
    let (first, last) = jump.commits;
    let which = if first == last {
        format!("commit {first} bears a time")
    } else {
        format!("commits {first} to {last} bear times")
    };
    let again = jump.right_again.unwrap_or(jump.to);
    format!("{which} up to {}, and the one after them {}", shown(jump.to), shown(again))
}

/// A moment that the clock may have shown twice, with commits after both.
pub(super) fn repeated(jump: &Jump, moment: DateTime<Utc>) -> Error {
    let (first, last) = jump.commits;
    let message = format!(
        "the clock may have shown the moment wanted, {}, twice, because it ran back: {}. The state of the second time \
         is restored",
        shown(moment),
        repeats(jump)
    );
    Error::new(ErrorKind::Partial, message).hint(format!(
        "If the first time was meant, restore up to a commit instead, by its number: {} to {last} (--commit).",
        first.saturating_sub(1)
    ))
}

/// Commits that a moment leaves out although they may have been made before it.
pub(super) fn concealed(jump: &Jump) -> Error {
    let (first, last) = jump.commits;
    let (which, bear, choose) = if first == last {
        (format!("commit {first}"), "it bears the time", first.to_string())
    } else {
        (format!("commits {first} to {last}"), "they bear times up to", format!("{first} to {last}"))
    };
    let message = format!(
        "{which} may have been made before the moment wanted, and left out: the clock was ahead, and {bear} {}, of \
         which is known only that it was not before {}{}",
        shown(jump.to),
        shown(jump.from),
        jump.right_again.map_or_else(String::new, |again| format!(", and not after {}", shown(again)))
    );
    let hint =
        format!("To have what was committed then, restore up to a commit instead, by its number: {choose} (--commit).");
    Error::new(ErrorKind::Partial, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap_or_default()
    }

    #[test]
    fn only_what_is_left_out_is_called_so() {
        let late = LateRead { commits: (146, 149), from: at(0), to: at(20) };
        let begins = |reached| read_late(&late, at(9), reached).message().split(" may").next().map(str::to_owned);
        assert_eq!(begins(None).as_deref(), Some("commits 146 to 149"));
        assert_eq!(begins(Some(120)).as_deref(), Some("commits 146 to 149"));
        assert_eq!(begins(Some(147)).as_deref(), Some("commits 148 to 149"));
        assert_eq!(begins(Some(148)).as_deref(), Some("commit 149"));
        let stretch = Stretch { commit: 1, from: at(0), to: at(20) };
        assert!(within(&stretch, at(9), None).message().ends_with("is restored"));
        let within = within(&stretch, at(9), Some(2));
        assert!(within.message().contains("up to commit 2") && !within.message().contains("The state of"), "{within}");
    }
}
