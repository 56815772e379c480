//! Every state that can be reached, the shortest way first; and long ways drawn by a generator.
#![cfg(test)]

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{super::Limits, Act, Fault, Left, Mode, World};

/// So that all that is done about the size of the WAL is done for a few frames; and so that none of it is.
const SMALL: Limits = Limits { soft: 2, step: 1, hard: 3, near: 0, copies: 1 };
const LARGE: Limits = Limits { soft: 100, step: 100, hard: 100, near: 100, copies: 1 };

/// How many states are looked at in each scene: those of the shortest ways. Some scenes have millions; all of those
/// that have up to two million were looked at once.
const STATES: usize = 25_000;
/// How many long ways are drawn in each scene, and how long they are.
const DRAWN: u64 = 150;
const LONG: usize = 250;

const NOTHING: Left = Left { commits: 0, cuts: 0, crashes: 0, failures: 0, reads: false, modes: &[] };
const BLOCKING: &[Mode] = &[Mode::Full, Mode::Restart, Mode::Truncate];
const ALL: &[Mode] = &[Mode::Passive, Mode::Full, Mode::Restart, Mode::Truncate];

const SCENES: [(&str, Limits, Left); 9] = [
    ("a writer", LARGE, Left { commits: 4, ..NOTHING }),
    ("a writer without a pause", SMALL, Left { commits: 3, ..NOTHING }),
    ("a waiting checkpointer", LARGE, Left { commits: 3, modes: BLOCKING, ..NOTHING }),
    ("a waiting checkpointer and the hard limit", SMALL, Left { commits: 3, modes: BLOCKING, ..NOTHING }),
    ("a reader", SMALL, Left { commits: 3, reads: true, modes: ALL, ..NOTHING }),
    ("backups", LARGE, Left { commits: 3, cuts: 2, modes: ALL, ..NOTHING }),
    ("a crash", LARGE, Left { commits: 3, crashes: 1, modes: ALL, ..NOTHING }),
    ("what fails", SMALL, Left { commits: 3, failures: 2, modes: BLOCKING, ..NOTHING }),
    ("everything", SMALL, Left { commits: 6, cuts: 2, crashes: 1, failures: 2, reads: true, modes: ALL }),
];

/// What was found: what is wrong, and what led to it.
#[derive(Debug, Default)]
struct Explored {
    states: usize,
    phases: HashSet<String>,
    wrong: Option<(String, Vec<Act>)>,
}

impl Explored {
    fn pass(&mut self, world: &World) {
        self.states += 1;
        let phase = format!("{:?}", world.machine.phase);
        self.phases.insert(phase.split([' ', '(']).next().unwrap_or_default().to_owned());
    }
}

/// Two of some million states agree in 64 bits by chance once in a million explorations.
pub(super) fn hash_of(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

fn explore(begin: World, states: usize) -> Explored {
    let (mut seen, mut resting) = (HashSet::from([hash_of(&begin)]), HashSet::new());
    let mut ways: Vec<(usize, Option<Act>)> = vec![(0, None)];
    let mut left = VecDeque::from([(begin, 0)]);
    let mut found = Explored::default();
    while let Some((world, way)) = left.pop_front().filter(|_| found.states < states) {
        found.pass(&world);
        for act in world.acts() {
            let mut next = world.clone();
            let outcome = next.act(act);
            if outcome.is_ok() && !seen.insert(hash_of(&next)) {
                continue;
            }
            ways.push((way, Some(act)));
            let outcome = outcome.and_then(|()| match next.is_idle() {
                true => next.clone().comes_to_rest(&mut resting),
                false => Ok(()),
            });
            if let Err(wrong) = outcome {
                let (mut acts, mut at) = (Vec::new(), ways.len() - 1);
                while let (before, Some(act)) = ways[at] {
                    acts.push(act);
                    at = before;
                }
                acts.reverse();
                found.wrong = Some((wrong, acts));
                return found;
            }
            left.push_back((next, ways.len() - 1));
        }
    }
    found
}

/// One long way.
fn walk(mut world: World, seed: u64, found: &mut Explored) {
    let mut chance = seed;
    let mut acts = Vec::new();
    for _ in 0..LONG {
        found.pass(&world);
        let next = world.acts();
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let act = next[(chance >> 33) as usize % next.len()];
        acts.push(act);
        let outcome = world.act(act);
        let outcome = outcome.and_then(|()| match world.is_idle() {
            true => world.clone().comes_to_rest(&mut HashSet::new()),
            false => Ok(()),
        });
        if let Err(wrong) = outcome {
            found.wrong = Some((wrong, acts));
            return;
        }
    }
}

#[test]
fn no_order_of_steps_loses_a_frame_or_keeps_anybody_waiting() {
    let mut phases = HashSet::new();
    for (name, limits, left) in SCENES {
        let mut found = explore(World::new(limits, left, None), STATES);
        assert_eq!(found.wrong, None, "{name}");
        for seed in 0..DRAWN {
            walk(World::new(limits, left, None), seed, &mut found);
            assert_eq!(found.wrong, None, "{name}, drawn by {seed}");
        }
        assert!(found.states > 20_000, "{name}: only {} states", found.states);
        phases.extend(found.phases);
    }
    // Each of the machine was reached: none is there for nothing.
    assert_eq!(phases.len(), 38, "{phases:?}");
}

#[test]
fn a_machine_that_is_not_obeyed_is_found_out() {
    let faults = [
        (Fault::Forgets, "began anew"),
        (Fault::AllowsRestart, "began anew"),
        (Fault::NeverProbes, "never comes to rest"),
        (Fault::KeepsOut, "kept out without end"),
        (Fault::CutsAnywhere, "a cut at"),
    ];
    for (fault, expected) in faults {
        let wrong =
            SCENES.iter().find_map(|(_, limits, left)| explore(World::new(*limits, *left, Some(fault)), STATES).wrong);
        assert!(wrong.as_ref().is_some_and(|(wrong, _)| wrong.contains(expected)), "{fault:?}: {wrong:?}");
    }
}
