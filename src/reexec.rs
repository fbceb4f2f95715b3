//! Variables that libraries read once, when they are loaded: set by starting ourselves anew with them.

use std::{ffi::OsString, process::Command};

/// Set in the second start, so that there is no third.
const MARK: &str = "SIDETONE_ENVIRONMENT_SET";

/// What is set unless the user has set it.
const WANTED: [(&str, &str); 2] = [
    // OpenMP's idle threads otherwise spin and take the cores that calls need.
    ("OMP_WAIT_POLICY", "PASSIVE"),
    // One thread a replica; the replicas are the parallelism.
    ("OMP_NUM_THREADS", "1"),
];

/// Starts the program anew, with the same arguments and process id, where a variable is missing. To be called
/// before anything else in `main`. Returns in the second start, or where nothing is missing, or where the start
/// fails (slower, but works).
pub fn ensure_environment() {
    let missing = missing(|name| std::env::var_os(name));
    if missing.is_empty() {
        return;
    }
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        let Ok(program) = std::env::current_exe() else { return };
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_else(|| program.clone().into_os_string());
        let mut again = Command::new(program);
        again.arg0(name).args(arguments).envs(missing).env(MARK, "1");
        // Comes back only if it failed.
        let error = again.exec();
        eprintln!("warning: cannot set the environment for the speech recogniser: {error}");
    }
}

/// The variables to set; none once the mark is there.
fn missing(get: impl Fn(&str) -> Option<OsString>) -> Vec<(&'static str, &'static str)> {
    if get(MARK).is_some() {
        return Vec::new();
    }
    WANTED.into_iter().filter(|(name, _)| get(name).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_set_stays_and_the_second_start_sets_nothing() {
        let all: Vec<&str> = missing(|_| None).into_iter().map(|(name, _)| name).collect();
        assert_eq!(all, ["OMP_WAIT_POLICY", "OMP_NUM_THREADS"]);
        let own = missing(|name| (name == "OMP_WAIT_POLICY").then(|| "ACTIVE".into()));
        assert_eq!(own, [("OMP_NUM_THREADS", "1")]);
        assert!(missing(|name| (name == MARK).then(|| "1".into())).is_empty());
    }
}
