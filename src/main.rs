//! Parse, run, exit code.

/// musl's own allocator is slow under threads; glibc's needs less memory than this one.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    orbit_relay::cli::main()
}
