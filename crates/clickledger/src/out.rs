//! Standard output and standard error: the only place that writes to them. A reader that has gone
//! away (`| head`) ends the output quietly.

use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write};

/// One line to standard output: what the command was asked for.
pub fn line(text: impl Display) {
    // Nobody can be told that standard output is gone.
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// One line to standard error: what a person should know beside it.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Runs `write` on buffered standard output.
///
/// # Errors
/// Those of `write` and of writing, but for a reader that has gone away.
pub fn buffered(
    write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(256 * 1024, io::stdout().lock());
    let result = write(&mut out).and_then(|()| Ok(out.flush()?));
    match result {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        other => other,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |kind: io::ErrorKind| kind == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| {
        let own = cause.downcast_ref::<io::Error>().is_some_and(|e| kind(e.kind()));
        let csv = cause.downcast_ref::<csv::Error>();
        own || csv.is_some_and(|e| matches!(e.kind(), csv::ErrorKind::Io(e) if kind(e.kind())))
    })
}
