//! `rolecall completions`: what a shell has to know to complete commands and options.
//!
//! Invariant: it is made of the same definition that the command line is read with. It must not touch any file.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::{Exit, print};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The shell that it is for
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let mut script = Vec::new();
    generate(arguments.shell, &mut super::Arguments::command(), "rolecall", &mut script);
    print(&String::from_utf8_lossy(&script));
    Exit::Success
}
