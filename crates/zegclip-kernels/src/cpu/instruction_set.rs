//! Vector instruction sets, selected at run time.

use std::sync::LazyLock;

#[cfg(not(target_arch = "x86_64"))]
use pulp::Arch;
#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};
use pulp::{Scalar, Simd, WithSimd};

/// An instruction set of this CPU. Every kernel takes one, so that tests run all of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum InstructionSet {
    /// AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    /// Instruction sets of other architectures, such as NEON.
    #[cfg(not(target_arch = "x86_64"))]
    Other(Arch),
    /// Portable Rust.
    Portable,
}

impl InstructionSet {
    /// The fastest one that this CPU has.
    pub(crate) fn best() -> Self {
        static BEST: LazyLock<InstructionSet> = LazyLock::new(|| {
            InstructionSet::all()
                .into_iter()
                .next()
                .unwrap_or(InstructionSet::Portable)
        });
        *BEST
    }

    /// Every one that this CPU has, the fastest first.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(V4::try_new().map(Self::Avx512));
            all.extend(V3::try_new().map(Self::Avx2));
        }
        #[cfg(not(target_arch = "x86_64"))]
        all.push(Self::Other(Arch::new()));
        all.push(Self::Portable);
        all
    }

    /// Runs `task` compiled for this instruction set.
    #[inline(always)]
    pub(crate) fn run<T: WithSimd>(self, task: T) -> T::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => Simd::vectorize(simd, task),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => Simd::vectorize(simd, task),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Other(arch) => arch.dispatch(task),
            Self::Portable => Simd::vectorize(Scalar, task),
        }
    }
}
