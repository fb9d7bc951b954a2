//! Memory of this process.

/// Bytes in use now and at most so far, as the system counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessMemory {
    pub(crate) now: u64,
    pub(crate) peak: u64,
}

impl ProcessMemory {
    /// `None` where the system does not tell it as Linux does.
    pub(crate) fn read() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/status").ok()?)
    }

    fn parse(status: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(1024 * line.split_whitespace().next()?.parse::<u64>().ok()?)
        };
        Some(Self {
            now: bytes("VmRSS:")?,
            peak: bytes("VmHWM:")?,
        })
    }
}

impl std::fmt::Display for ProcessMemory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "memory {} (peak {})", size(self.now), size(self.peak))
    }
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 1000.0 {
        format!("{megabytes:.0} MB")
    } else {
        format!("{:.2} GB", megabytes / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_it_in_kibibytes() {
        let status = "Name:\tzegclip\nVmHWM:\t 2048000 kB\nVmRSS:\t  102400 kB\n";
        let memory = ProcessMemory::parse(status).expect("both lines");
        assert_eq!(memory.to_string(), "memory 105 MB (peak 2.10 GB)");
        assert_eq!(ProcessMemory::parse("VmRSS: x kB"), None);
    }
}
