//! Seeds of initial values and dropout: functions of the run's seed and the stream.

use std::sync::{Mutex, PoisonError};

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use zegclip_foundation::split_mix;

/// The seed of a run and the iteration, from which all random numbers of a step derive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RngKey {
    pub(crate) seed: u64,
    pub(crate) iteration: u64,
}

/// A stream of random numbers of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RngStream {
    UntrainedImageEncoder,
    UntrainedTextEncoder,
    /// Prompts, relation descriptor and decoder.
    Head,
    Iteration(u64),
    /// Both encoders in pre-training.
    Clip,
    /// A micro-batch of an iteration, whichever device computes it.
    MicroBatch {
        iteration: u64,
        number: u64,
    },
}

/// The seed of a stream. Different streams of a run, and the same stream of different runs, have unrelated seeds.
pub(crate) fn seed_of(run: u64, stream: RngStream) -> u64 {
    let (stream, number) = match stream {
        RngStream::MicroBatch { iteration, number } => (seed_of(run, RngStream::Iteration(iteration)), number),
        RngStream::UntrainedImageEncoder => (1, 0),
        RngStream::UntrainedTextEncoder => (2, 0),
        RngStream::Head => (3, 0),
        RngStream::Iteration(iteration) => (4, iteration),
        RngStream::Clip => (5, 0),
    };
    split_mix(split_mix(split_mix(run) ^ stream) ^ number)
}

/// Builds a module with initial values that depend on `seed` alone, and moves it to `device`.
///
/// Values are generated in host memory, since the generators of devices differ. They are all generated at once: burn
/// initializes a parameter at its first use, from one generator per process, so that only one module is built at a time.
pub fn init_seeded<M: Module>(device: &Device, seed: u64, make: impl FnOnce(&Device) -> M) -> M {
    static GENERATOR: Mutex<()> = Mutex::new(());
    struct Initialize;
    impl ModuleMapper for Initialize {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            Param::initialized(param.id, param.val())
        }
    }
    let _exclusive = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    let host = Device::flex();
    host.seed(seed);
    make(&host).map(&mut Initialize).to_device(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_distinct() {
        let mut seeds: Vec<u64> = (0..4)
            .flat_map(|run| {
                let fixed = [
                    RngStream::UntrainedImageEncoder,
                    RngStream::UntrainedTextEncoder,
                    RngStream::Head,
                    RngStream::Clip,
                ];
                let micro_batches = (0..500).map(|index| RngStream::MicroBatch {
                    iteration: index / 4,
                    number: index % 4,
                });
                fixed
                    .into_iter()
                    .chain((0..500).map(RngStream::Iteration))
                    .chain(micro_batches)
                    .map(move |stream| seed_of(run, stream))
            })
            .collect();
        let count = seeds.len();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), count);
    }

    /// What a seed means must not change.
    #[test]
    fn seeds_are_the_recorded_ones() {
        let stream = RngStream::MicroBatch {
            iteration: 3,
            number: 1,
        };
        let seeds = [
            seed_of(7, RngStream::Head),
            seed_of(7, RngStream::Iteration(3)),
            seed_of(7, stream),
        ];
        let recorded = [
            11_248_596_980_798_508_817,
            13_090_181_044_139_511_462,
            7_590_933_818_959_874_754,
        ];
        assert_eq!(seeds, recorded);
    }
}
