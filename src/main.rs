//! The `rolecall` program.

fn main() -> std::process::ExitCode {
    rolecall::cli::main()
}
