//! Errors of reading a pickle.

/// What is wrong with a pickle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The pickle names a function or class that tensors do not need.
    #[error("its pickle names `{global}`, which weights do not need; nothing was run")]
    Forbidden {
        /// Dotted name.
        global: String,
    },
    /// An instruction that no weight file needs.
    #[error("its pickle contains the instruction {name} (byte {position}), which weights do not need")]
    Instruction {
        /// The instruction's name in Python's `pickletools`, or its code.
        name: String,
        /// Offset in the pickle.
        position: usize,
    },
    /// A later pickle protocol than the ones known.
    #[error("its pickle has protocol {version}; 2 to 5 are known")]
    Protocol {
        /// The protocol stated.
        version: u8,
    },
    /// The pickle ends before its STOP instruction.
    #[error("its pickle is truncated at byte {position}")]
    Truncated {
        /// Offset in the pickle.
        position: usize,
    },
    /// An instruction that does not fit the values before it.
    #[error("its pickle is damaged at byte {position}: {reason}")]
    Malformed {
        /// Offset in the pickle.
        position: usize,
        /// What does not fit.
        reason: &'static str,
    },
    /// The pickle needs more memory or time than that of any weight file.
    #[error("its pickle exceeds the limit of {limit} {what}")]
    Limit {
        /// What is counted.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}
