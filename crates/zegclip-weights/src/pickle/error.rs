/// What is wrong with a pickle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// The pickle names a function or class that tensors do not need.
    #[error(
        "refuses to run `{global}`, which its pickle asks for and weights do not need: nothing was run; \
         use a file that holds the state dict only, from a source you trust"
    )]
    Forbidden {
        /// Dotted name.
        global: String,
    },
    /// An instruction that no weight file needs.
    #[error("its pickle holds the instruction {name} (byte {position}), which weights do not need")]
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
    /// The pickle ends in the middle.
    #[error("its pickle is cut off at byte {position}")]
    Truncated {
        /// Offset in the pickle.
        position: usize,
    },
    /// An instruction that does not fit what came before.
    #[error("its pickle is damaged at byte {position}: {reason}")]
    Malformed {
        /// Offset in the pickle.
        position: usize,
        /// What does not fit.
        reason: &'static str,
    },
    /// The pickle would need more memory or time than any real weight file.
    #[error("its pickle is not one of weights: more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}
