//! pyarrow, the usual writer of Parquet.

use super::python::python_with;
use crate::process::output;
use anyhow::Result;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version that the figures of the documentation are of.
const VERSION: &str = "26.0.1";
const SCRIPT: &str = include_str!("../../pyarrow_peer.py");

/// A Python that has pyarrow.
pub struct PyArrow {
    python: PathBuf,
}

impl PyArrow {
    /// Finds it, or installs it once.
    pub fn prepare() -> Result<PyArrow> {
        Ok(PyArrow { python: python_with("pyarrow", VERSION)? })
    }

    /// Writes the files of a dataset again, into memory, in a process of its own.
    pub fn encode(&self, archive: &Path, dataset: &str) -> Result<Value> {
        output(Command::new(&self.python).args(["-c", SCRIPT]).arg(archive).arg(dataset))
    }
}
