//! What the machine must allow before so many calls can be measured.

use anyhow::bail;

/// What a process opens besides its calls.
const OTHER_FILES: u64 = 128;

/// Raises this process's limit of open files to what it may be.
pub(super) fn raise_files() {
    rlimit::increase_nofile_limit(u64::MAX).ok();
}

/// Whether the machine allows so many calls.
///
/// # Errors
/// It does not; the message says which limit is short and how to raise it.
pub(super) fn check(calls: usize) -> anyhow::Result<()> {
    let (_, files) = rlimit::getrlimit(rlimit::Resource::NOFILE)?;
    let ports = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    fits(calls as u64, files, count(&ports))
}

fn fits(calls: u64, files: u64, ports: Option<u64>) -> anyhow::Result<()> {
    let needed = calls + OTHER_FILES;
    if needed > files {
        bail!(
            "{calls} calls need {needed} open files in a process, and this user's hard limit is {files}: raise it \
             (`ulimit -Hn {needed}` as root, `LimitNOFILE=` in a systemd unit), or take --calls {}",
            files.saturating_sub(OTHER_FILES)
        );
    }
    if let Some(ports) = ports.filter(|&ports| calls > ports) {
        bail!(
            "{calls} calls need as many local ports, and net.ipv4.ip_local_port_range has {ports}: widen it \
             (`sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"`), or take --calls {ports}"
        );
    }
    Ok(())
}

/// Ports in a range as Linux writes it, first and last.
fn count(range: &str) -> Option<u64> {
    let (first, last) = range.trim().split_once(char::is_whitespace)?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.trim().parse().ok()?);
    (last + 1).checked_sub(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_is_named_with_a_number_that_fits() {
        assert!(fits(1000, 1128, Some(1000)).is_ok() && fits(1000, 4096, None).is_ok());
        let files = fits(1000, 1127, None).unwrap_err().to_string();
        assert!(files.contains("hard limit is 1127") && files.ends_with("--calls 999"), "{files}");
        let ports = fits(30_000, 100_000, count("32768\t60999\n")).unwrap_err().to_string();
        assert!(ports.contains("has 28232") && ports.ends_with("--calls 28232"), "{ports}");
        assert_eq!((count(""), count("5 x"), count("9 1")), (None, None, None));
    }
}
