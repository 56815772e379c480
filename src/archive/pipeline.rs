//! Three stages over a sequence: make pieces in order, work on them on all cores, take the results in order.
//!
//! Memory is bounded: at most twice as many pieces are under way as there are cores, plus two.

use std::{sync::OnceLock, thread};

use crossbeam_channel::bounded;

use crate::error::{Error, ErrorKind, Result};

/// How many threads work on pieces.
pub fn workers() -> usize {
    static WORKERS: OnceLock<usize> = OnceLock::new();
    *WORKERS.get_or_init(|| thread::available_parallelism().map_or(1, |n| n.get().min(16)))
}

/// Runs `make` on a thread of its own until it returns `None`, `work` on several, and `take` on the caller's.
///
/// # Errors
/// The first error in the order of the pieces; the rest is abandoned.
pub fn run<A: Send, B: Send>(
    make: impl FnMut() -> Result<Option<A>> + Send,
    work: impl Fn(A) -> Result<B> + Sync,
    take: impl FnMut(B) -> Result<()>,
) -> Result<()> {
    run_on(workers(), make, work, take)
}

/// As [`run`], with `count` threads for the work: where each piece needs much memory.
///
/// # Errors
/// As [`run`].
pub fn run_on<A: Send, B: Send>(
    count: usize,
    make: impl FnMut() -> Result<Option<A>> + Send,
    work: impl Fn(A) -> Result<B> + Sync,
    mut take: impl FnMut(B) -> Result<()>,
) -> Result<()> {
    let count = count.max(1);
    // The receiver of each result travels in the order of the pieces, so results need no sorting and `ordered` bounds
    // all.
    let (ordered_in, ordered) = bounded(count * 2);
    let (jobs_in, jobs) = bounded::<(A, crossbeam_channel::Sender<Result<B>>)>(count);
    thread::scope(|scope| {
        for _ in 0..count {
            let (jobs, work) = (jobs.clone(), &work);
            scope.spawn(move || {
                for (piece, result) in jobs {
                    // A closed channel means that the taker gave up.
                    let _ = result.send(work(piece));
                }
            });
        }
        drop(jobs);
        scope.spawn(move || {
            let mut make = make;
            loop {
                let piece = make();
                let (result_in, result) = bounded(1);
                let ended = match piece {
                    Ok(None) => return,
                    Ok(Some(piece)) => ordered_in.send(result).is_err() || jobs_in.send((piece, result_in)).is_err(),
                    Err(error) => {
                        let _ = result_in.send(Err(error));
                        let _ = ordered_in.send(result);
                        true
                    }
                };
                if ended {
                    return;
                }
            }
        });
        for result in ordered {
            let lost = |_| Error::new(ErrorKind::Refused, "a worker thread ended early");
            take(result.recv().map_err(lost)??)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_the_first_error_ends_it() {
        let mut next = 0..1000;
        let mut taken = Vec::new();
        let result = run(
            || Ok(next.next()),
            |n| if n == 700 { Err(Error::stopped()) } else { Ok(n * 2) },
            |n| {
                taken.push(n);
                Ok(())
            },
        );
        assert!(result.is_err());
        assert_eq!(taken, (0..700).map(|n| n * 2).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_of_the_taker_ends_maker_and_workers() {
        let mut made = 0u64;
        let result = run(
            || {
                made += 1;
                Ok(Some(made))
            },
            Ok,
            |n| if n < 5 { Ok(()) } else { Err(Error::stopped()) },
        );
        assert!(result.is_err());
    }
}
