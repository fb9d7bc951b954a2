//! Seeds of initial values and dropout: functions of the run's seed and what is drawn.

use zegclip_foundation::split_mix;

/// What is drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Drawn {
    UntrainedImageEncoder,
    UntrainedTextEncoder,
    Head,
    Iteration(u64),
    Clip,
    /// A part of a batch, whatever device computes it.
    Part(u64, u64),
}

/// A seed. Different draws of a run, and the same draw of different runs, have unrelated seeds.
pub(crate) fn seed_of(run: u64, drawn: Drawn) -> u64 {
    let (stream, number) = match drawn {
        Drawn::Part(iteration, part) => (seed_of(run, Drawn::Iteration(iteration)), part),
        Drawn::UntrainedImageEncoder => (1, 0),
        Drawn::UntrainedTextEncoder => (2, 0),
        Drawn::Head => (3, 0),
        Drawn::Iteration(iteration) => (4, iteration),
        Drawn::Clip => (5, 0),
    };
    split_mix(split_mix(split_mix(run) ^ stream) ^ number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_do_not_meet() {
        let mut seeds: Vec<u64> = (0..4)
            .flat_map(|run| {
                let fixed = [
                    Drawn::UntrainedImageEncoder,
                    Drawn::UntrainedTextEncoder,
                    Drawn::Head,
                    Drawn::Clip,
                ];
                fixed
                    .into_iter()
                    .chain((0..500).map(Drawn::Iteration))
                    .chain((0..500).map(|number| Drawn::Part(number / 4, number % 4)))
                    .map(move |drawn| seed_of(run, drawn))
            })
            .collect();
        let count = seeds.len();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), count);
    }
}
