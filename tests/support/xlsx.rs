//! Reads workbooks with a foreign program.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use std::{path::Path, process::Command};

use serde_json::Value;

/// What the sheets of a workbook hold, as `xlsx.py` tells it; `None` where there is no Python.
pub fn sheets(path: &Path) -> Option<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/xlsx.py");
    let output = Command::new("python3").arg(script).arg(path).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
