//! The published weight formats.

use serde::Serialize;

/// The value of `format` in the header of native files.
pub(crate) const NATIVE: &str = "zegclip";

/// The published weight formats, by container and names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// OpenAI's `ViT-*.pt`: a TorchScript archive.
    #[serde(rename = "openai")]
    OpenAiTorchScript,
    /// OpenCLIP: OpenAI's names in safetensors or a PyTorch state dict.
    OpenClip,
    /// `CLIPModel` of Hugging Face's transformers in safetensors or a PyTorch state dict.
    HuggingFace,
    /// A checkpoint of the authors' code (mmsegmentation).
    Mmseg,
    /// This project's own file: safetensors with the canonical names.
    Native,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::OpenAiTorchScript => "OpenAI CLIP (TorchScript)",
            Self::OpenClip => "OpenCLIP",
            Self::HuggingFace => "Hugging Face CLIP",
            Self::Mmseg => "ZegCLIP checkpoint (mmsegmentation)",
            Self::Native => "native",
        })
    }
}
