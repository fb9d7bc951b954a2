//! The learning rate schedule: polynomial decay with linear warm-up, as in mmsegmentation.

use std::sync::Arc;

use burn::lr_scheduler::{LrScheduler, LrSchedulerRecord};
use burn::optim::LearningRate;
use serde::{Deserialize, Serialize};

/// Polynomial decay with linear warm-up; the defaults are the published ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// Iterations of warm-up; 0 is none.
    pub warmup: u64,
    /// Factor of the learning rate at the first iteration of the warm-up, in `(0, 1]`.
    pub warmup_ratio: f64,
    /// Exponent of the decay.
    pub power: f64,
    /// Learning rate at the end, at least 0.
    pub min_lr: f64,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            warmup: 1500,
            warmup_ratio: 1e-6,
            power: 0.9,
            min_lr: 1e-6,
        }
    }
}

impl ScheduleConfig {
    /// The learning rate of iteration i: `((base − min)(1 − i/N)^power + min) · (1 − (1 − i/W)(1 − ratio))`, the second factor
    /// only in the warm-up of `W` iterations.
    ///
    /// `base` includes the multiplier; `iterations` is N.
    pub fn rate(&self, base: f64, iteration: u64, iterations: u64) -> f64 {
        let progress = iteration.min(iterations) as f64 / iterations.max(1) as f64;
        let rate = (base - self.min_lr) * (1.0 - progress).powf(self.power) + self.min_lr;
        if iteration >= self.warmup {
            return rate;
        }
        let missing = (1.0 - iteration as f64 / self.warmup as f64) * (1.0 - self.warmup_ratio);
        rate * (1.0 - missing)
    }
}

/// A schedule of burn whose rate is a function of the iteration. Its record is the iteration.
#[derive(Clone)]
pub struct IterationSchedule {
    rate: Arc<dyn Fn(u64) -> f64 + Send + Sync>,
    iteration: u64,
}

/// Key of the state in a record.
const ITERATION: &str = "iteration";

impl IterationSchedule {
    /// A schedule whose next step is that of `iteration`.
    pub fn new(iteration: u64, rate: impl Fn(u64) -> f64 + Send + Sync + 'static) -> Self {
        Self {
            rate: Arc::new(rate),
            iteration,
        }
    }
}

impl std::fmt::Debug for IterationSchedule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("IterationSchedule")
            .field("iteration", &self.iteration)
            .finish_non_exhaustive()
    }
}

impl LrScheduler for IterationSchedule {
    fn step(&mut self) -> LearningRate {
        let rate = (self.rate)(self.iteration);
        self.iteration += 1;
        rate
    }

    fn to_record(&self) -> LrSchedulerRecord {
        LrSchedulerRecord::new().with_scalar(ITERATION, self.iteration)
    }

    fn load_record(&mut self, record: LrSchedulerRecord) {
        if let Some(iteration) = record.scalar::<u64>(ITERATION) {
            self.iteration = iteration;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_to_the_minimum_after_the_warm_up() {
        let schedule = ScheduleConfig {
            warmup: 5,
            ..ScheduleConfig::default()
        };
        let rates: Vec<f64> = (0..=40).map(|i| schedule.rate(2e-4, i, 40)).collect();
        assert!(rates.windows(2).take(5).all(|pair| pair[0] < pair[1]), "{rates:?}");
        assert!(rates.windows(2).skip(5).all(|pair| pair[0] > pair[1]), "{rates:?}");
        assert!((rates[40] - 1e-6).abs() < 1e-18);
    }

    #[test]
    fn without_warm_up_the_first_rate_is_the_base() {
        let schedule = ScheduleConfig {
            warmup: 0,
            ..ScheduleConfig::default()
        };
        assert_eq!(schedule.rate(2e-4, 0, 10), 2e-4);
    }
}
