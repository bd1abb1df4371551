//! The command line: one file a command, and the only place where parts are wired together.
