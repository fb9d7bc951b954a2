//! PyTorch's files: the zip container of `torch.save` and TorchScript, and the container before it.

mod flatten;
mod legacy;
mod zip;

pub(crate) use legacy::read_legacy;
pub(crate) use zip::read_zip;
