//! Commands that go on until they are told to end.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::server::BIN;

/// A process of the program's; killed when dropped.
pub struct Background(Child);

impl Background {
    pub fn start(args: &[&str]) -> Background {
        Background(Command::new(BIN).args(args).stdout(Stdio::null()).spawn().unwrap())
    }

    pub fn stop(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        let status = self.0.wait().unwrap();
        assert!(status.success(), "a clean stop ends with {status}");
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
