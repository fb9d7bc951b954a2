//! `zegclip weights`

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum WeightsCommand {
    /// List the weights that can be named, and those that are on this machine
    List {
        /// Print one JSON object per file
        #[arg(long)]
        json: bool,
    },
    /// Download weights unless they are on this machine, and print their path
    Fetch {
        /// `clip:ViT-B-16`, or `hf:ORG/REPO[@REVISION][:FILE]`
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Print the path of weights on this machine; exit code 1 if they are not there
    Path {
        /// Name of the weights
        name: String,
    },
    /// Compare weights on this machine with the published checksums
    Verify {
        /// Names of the weights [default: all that are on this machine]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}
