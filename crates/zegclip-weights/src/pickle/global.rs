//! The allow list of globals.

use super::PickleError;
use crate::Dtype;

/// Which globals a pickle may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Globals {
    /// Files of `torch.save`: tensors, containers, plain numbers.
    StateDict,
    /// TorchScript archives: also the archive's own classes, `__torch__.…`.
    TorchScript,
}

/// A function or class that is known by name; `reduce.rs` has the node that it stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Global<'a> {
    OrderedDict,
    /// `set` and `frozenset`.
    Set,
    RebuildTensor,
    RebuildParameter,
    Storage(Dtype),
    /// `torch.Size`: a tuple.
    Size,
    /// TorchScript's typed lists, and tags of types: the first argument.
    FirstArgument,
    /// `torch.device`, `torch.float32` and the like, which are not read.
    Inert,
    NumpyScalar,
    NumpyType,
    NumpyArray,
    /// `_codecs.encode`, by which protocol 2 writes bytes.
    Encode,
    /// A class of a TorchScript archive.
    Module(&'a str),
}

impl<'a> Global<'a> {
    /// Refuses everything that is not on the list.
    pub(super) fn find(module: &'a str, name: &'a str, allowed: Globals) -> Result<Self, PickleError> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("builtins" | "__builtin__", "set" | "frozenset") => Self::Set,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Self::RebuildParameter,
            ("torch.nn.parameter", "Parameter") => Self::RebuildParameter,
            ("torch", "Size") => Self::Size,
            ("torch", "device") => Self::Inert,
            (
                "torch",
                "float16" | "float32" | "float64" | "bfloat16" | "int8" | "int16" | "int32" | "int64" | "uint8"
                | "bool" | "strided" | "contiguous_format" | "preserve_format",
            ) => Self::Inert,
            ("torch" | "torch.storage" | "torch.cuda", storage) => match Dtype::from_storage_class(storage) {
                Some(dtype) => Self::Storage(dtype),
                None => return Err(forbidden(module, name)),
            },
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Self::NumpyScalar,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Self::NumpyArray,
            ("numpy", "dtype") => Self::NumpyType,
            ("numpy", "ndarray") => Self::Inert,
            ("_codecs", "encode") => Self::Encode,
            ("torch.jit._pickle", _) if allowed == Globals::TorchScript => match name {
                "restore_type_tag" | "build_intlist" | "build_doublelist" | "build_boollist" | "build_tensorlist" => {
                    Self::FirstArgument
                }
                _ => return Err(forbidden(module, name)),
            },
            (class, name)
                if allowed == Globals::TorchScript && (class == "__torch__" || class.starts_with("__torch__.")) =>
            {
                Self::Module(name)
            }
            _ => return Err(forbidden(module, name)),
        })
    }
}

fn forbidden(module: &str, name: &str) -> PickleError {
    /// Limit of shown characters, longer than any real name.
    const SHOWN: usize = 120;
    let printable = |text: &str| {
        text.chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .take(SHOWN)
            .collect::<String>()
    };
    PickleError::Forbidden {
        global: format!("{}.{}", printable(module), printable(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_list_is_found() {
        assert_eq!(
            Global::find("torch", "HalfStorage", Globals::StateDict),
            Ok(Global::Storage(Dtype::F16))
        );
        for (module, name) in [
            ("os", "system"),
            ("builtins", "eval"),
            ("torch", "load"),
            ("torch.jit._pickle", "restore_type_tag"),
            ("__torch__.clip", "CLIP"),
        ] {
            let error = Global::find(module, name, Globals::StateDict).unwrap_err();
            assert_eq!(
                error,
                PickleError::Forbidden {
                    global: format!("{module}.{name}")
                }
            );
            assert!(error.to_string().contains(&format!("names `{module}.{name}`")));
        }
        assert_eq!(
            Global::find("__torch__.clip", "CLIP", Globals::TorchScript),
            Ok(Global::Module("CLIP"))
        );
        assert!(Global::find("torch.jit._pickle", "build_tensor_from_id", Globals::TorchScript).is_err());
        assert!(Global::find("__torch__evil", "x", Globals::TorchScript).is_err());
    }
}
