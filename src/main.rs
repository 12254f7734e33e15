//! Parse, run, exit code.

/// musl's own allocator is slow under threads. Without huge pages (`no_thp`) this one needs as little
/// memory as glibc's.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    orbit_relay::cli::main()
}
