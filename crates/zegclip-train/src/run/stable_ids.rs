//! Parameter identities that are functions of checkpoint names.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;

use crate::gradients::names_by_id;

/// Offset basis and prime of FNV-1a.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// Gives every parameter the identity of its checkpoint name: burn's identities are random, and records contain them.
pub(crate) fn with_stable_ids<M: Module>(module: M) -> M {
    let names = names_by_id(&module);
    module.map(&mut StableIds(names))
}

struct StableIds(HashMap<ParamId, String>);

impl ModuleMapper for StableIds {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(name) = self.0.get(&param.id) else {
            return param;
        };
        let hash = name.bytes().fold(FNV_OFFSET, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
        });
        Param::initialized(ParamId::from(hash), param.val())
    }
}
