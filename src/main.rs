//! The program: the window, and the commands for scripts.

fn main() -> std::process::ExitCode {
    strongroom::cli::main()
}
