//! The program and its commands.

use clap::{Parser, Subcommand};

#[cfg(feature = "demo")]
use super::DemoArguments;
#[cfg(feature = "hub")]
use super::WeightsCommand;
use super::{
    CompletionsArguments, ConvertArguments, DatasetCommand, DevicesArguments, EvalArguments, InspectArguments,
    ManArguments, PretrainArguments, ScenesArguments, ScoreArguments, SegmentArguments, TokenizeArguments,
    TrainArguments,
};

/// Segment images by class names, and train and evaluate ZegCLIP
#[derive(Debug, Parser)]
#[command(name = "zegclip", version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the built-in demo model on its own benchmark
    #[cfg(feature = "demo")]
    Demo(DemoArguments),
    /// Segment images by class names
    Segment(Box<SegmentArguments>),
    /// Train ZegCLIP: inductive, transductive or fully supervised
    Train(TrainArguments),
    /// Train CLIP from images and captions
    Pretrain(PretrainArguments),
    /// Segment a data set and score the result
    Eval(Box<EvalArguments>),
    /// Score existing label maps, or add up the shards of an evaluation
    Score(ScoreArguments),
    /// Check a data set, or draw a sample of it
    Dataset {
        #[command(subcommand)]
        command: DatasetCommand,
    },
    /// Compose a data set of scenes with labels and captions
    Scenes(ScenesArguments),
    /// Describe a weight file
    Inspect(InspectArguments),
    /// Convert weights to a native file, or a native file to the `.pth` of the published code
    Convert(ConvertArguments),
    /// Download CLIP's weights by name, and check them
    #[cfg(feature = "hub")]
    Weights {
        #[command(subcommand)]
        command: WeightsCommand,
    },
    /// Print CLIP's token ids as one JSON array per text
    Tokenize(TokenizeArguments),
    /// List the devices of this machine
    Devices(DevicesArguments),
    /// Print the completion script of a shell
    Completions(CompletionsArguments),
    /// Print the manual page, or write one page per command
    Man(ManArguments),
}
