//! The kernels of zegclip-kernels for the CPU, from the same files and with their tests, but without burn.
//!
//! A build with the address sanitizer compiles every dependency again; that of burn would take most of an hour.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "what the operators on tensors need is here too"
)]

#[path = "../../crates/zegclip-kernels/src/cpu/mod.rs"]
mod cpu;

#[path = "../../crates/zegclip-kernels/src/bilinear"]
mod bilinear {
    mod taps;
    pub(crate) use taps::{Tap, bilinear_taps, bilinear_weights};
}

#[path = "../../crates/zegclip-kernels/src/attention"]
mod attention {
    mod cpu;
    mod mask;
    pub use mask::AttentionMask;
}

#[path = "../../crates/zegclip-kernels/src/dropout"]
mod dropout {
    mod cpu;
    mod mask;
    pub use mask::DropoutMask;

    #[cfg(test)]
    #[test]
    fn dropped_values_are_written_whole_whatever_their_number() {
        use crate::cpu::InstructionSet;
        let mask = DropoutMask::new([1, 2], 0.25);
        for count in [0, 1, 7, 16, 1001, (1 << 16) + 3] {
            let x = test_support::numbers(count, 1);
            for instructions in InstructionSet::all() {
                let mut in_place = x.clone();
                cpu::dropout_in_place(instructions, &mut in_place, mask);
                assert_eq!(
                    cpu::dropout(instructions, &x, mask),
                    in_place,
                    "{count}, {instructions:?}"
                );
            }
        }
    }
}

#[path = "../../crates/zegclip-kernels/src/layer_norm"]
mod layer_norm {
    mod cpu;
}

#[path = "../../crates/zegclip-kernels/src/linear"]
mod linear {
    mod activation;
    mod cpu;
    pub use activation::Activation;
}

#[path = "../../crates/zegclip-kernels/src/mask_loss"]
mod mask_loss {
    mod cpu;
}

#[path = "../../crates/zegclip-kernels/src/quick_gelu"]
mod quick_gelu {
    mod cpu;
    pub(crate) use cpu::quick_gelu_simd;
    /// Slope inside the logistic function.
    pub(crate) const SLOPE: f64 = 1.702;
}
