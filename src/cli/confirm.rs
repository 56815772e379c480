//! What is asked of whoever sits before the terminal, before something is done.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::error::{Error, ErrorKind, Result, foreign::foreign};

/// Whether whoever sits before the terminal says yes to `question`. Where nobody does, `what` cannot be confirmed, and
/// `hint` says what to do.
pub(super) fn confirmed(question: &str, what: &str, hint: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        let message = format!("{what} must be confirmed, and nobody can be asked");
        return Err(Error::new(ErrorKind::Refused, message).hint(hint));
    }
    let mut out = io::stderr().lock();
    let _ = write!(out, "{question} [y/N] ").and_then(|()| out.flush());
    let mut line = String::new();
    let _ = io::stdin().lock().read_line(&mut line);
    Ok(line.trim().to_lowercase().starts_with('y'))
}

/// Says what is to be confirmed.
pub(super) fn tell(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{}", foreign(text));
}
