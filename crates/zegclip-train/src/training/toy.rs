//! Failures of the loop, with a model of one parameter.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{Module, Param};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use burn::train::{InferenceStep, Interrupter, TrainOutput, TrainStep};

use super::*;
use crate::Checkpoint;
use crate::{AdamW, IterationSchedule, RunDirectory, TrainConfig, TrainError};

/// The failure.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Nothing,
    StepFails,
    DeviceLost,
    DeviceLostInUpdate,
    DeviceLostInEvaluation,
    GradientOverflows,
    DataEndsEarly,
    DataFails,
    EvaluationFails,
    InterruptedInEvaluation,
}

#[derive(Module, Debug)]
struct Toy {
    weight: Param<Tensor<1>>,
    #[module(skip)]
    fixed: Arc<Fixed>,
}

#[derive(Debug)]
struct Fixed {
    fault: Fault,
    failures: Arc<FailureSlot>,
    scored: AtomicUsize,
    stop: Mutex<Option<StopHandle>>,
}

#[derive(Clone)]
struct StopHandle(Interrupter);

impl std::fmt::Debug for StopHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("stop")
    }
}

#[derive(Debug, Clone)]
struct Count(usize);

impl Evaluated for Count {
    fn merge(&mut self, other: &Self) {
        self.0 += other.0;
    }
}

impl TrainStep for Toy {
    type Input = u64;
    type Output = Iteration;

    fn step(&self, number: u64) -> TrainOutput<Iteration> {
        if self.fixed.fault == Fault::StepFails && number == 2 {
            self.fixed.failures.report(TrainError::device("it is lost"));
        }
        assert!(
            self.fixed.fault != Fault::DeviceLost || number != 2,
            "parent device is lost"
        );
        let loss = self.weight.val().powi_scalar(2).sum();
        let item = Iteration {
            losses: vec![("loss_mask", 1.0)],
            images: 1,
            ..Iteration::default()
        };
        TrainOutput::new(self, loss.backward(), item)
    }

    fn optimize(
        self,
        optimizer: &mut ModuleOptimizer,
        rate: burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        assert!(self.fixed.fault != Fault::DeviceLostInUpdate, "parent device is lost");
        if self.fixed.fault == Fault::GradientOverflows {
            self.fixed
                .failures
                .report(TrainError::GradientNotFinite { norm: f64::INFINITY });
            return self;
        }
        optimizer.step(rate, self, gradients)
    }
}

impl InferenceStep for Toy {
    type Input = u64;
    type Output = Scored<Count>;

    fn step(&self, _: u64) -> Scored<Count> {
        let scored = self.fixed.scored.fetch_add(1, Ordering::Relaxed);
        match self.fixed.fault {
            Fault::DeviceLostInEvaluation => panic!("parent device is lost"),
            Fault::EvaluationFails => self.fixed.failures.report(TrainError::device("no image")),
            Fault::InterruptedInEvaluation if scored == 1 => {
                if let Some(stop) = &*self.fixed.stop.lock().unwrap() {
                    stop.0.stop(None);
                }
            }
            _ => {}
        }
        Scored(Count(1))
    }
}

impl Task for Toy {
    fn failures(&self) -> &Arc<FailureSlot> {
        &self.fixed.failures
    }

    fn report(&self, _: &RunDirectory) -> Result<(), TrainError> {
        Ok(())
    }
}

/// Four iterations, with an evaluation of three items after every second one, unless a fault ends them.
fn run(folder: &std::path::Path, fault: Fault) -> (RunDirectory, Result<Outcome, TrainError>) {
    let device = Device::flex();
    let directory = RunDirectory::create(&folder.join(format!("{fault:?}")), &TrainConfig::for_tests()).unwrap();
    let failures = Arc::new(FailureSlot::default());
    let session = Session::default();
    let fixed = Fixed {
        fault,
        failures: failures.clone(),
        scored: AtomicUsize::new(0),
        stop: Mutex::new(Some(StopHandle(session.interrupter.clone()))),
    };
    let weight = Tensor::from_data([2.0f32], &device.clone().autodiff()).require_grad();
    let task = Toy {
        weight: Param::initialized(7.into(), weight),
        fixed: Arc::new(fixed),
    };
    let mut settings = crate::RunConfig {
        log_interval: 1,
        checkpoint_interval: 1,
        evaluation_interval: 2,
        ..crate::RunConfig::default()
    };
    settings.keep = 9;
    let numbers = |count: usize, failures| {
        ordered_loader(0..count, failures, move |range| {
            let bad = fault == Fault::DataFails;
            let items = range.map(move |number| {
                if bad && number == 3 {
                    return Err(TrainError::NoRun { path: "a file".into() });
                }
                Ok(number as u64)
            });
            Ok(Box::new(items))
        })
    };
    let launch = Launch {
        label: "toy",
        directory: directory.clone(),
        plan: Plan {
            from: 0,
            iterations: 4,
            run: settings,
            half_way: None,
            config: String::new(),
            best: None,
            evaluation_due: false,
        },
        task,
        optimizer: AdamW {
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.0,
        }
        .into(),
        scheduler: ModuleLrScheduler::new(IterationSchedule::new(0, |_| 0.1)),
        train: numbers(if fault == Fault::DataEndsEarly { 3 } else { 4 }, failures.clone()),
        valid: numbers(3, failures),
        columns: iteration_columns(&[("Loss", "loss_mask")]),
        scores: vec![(
            ScoreMetric::new("hIoU", |count: &Count| Some(count.0 as f64)),
            "scores/hiou".to_owned(),
        )],
    };
    let (_, outcome) = launch.run(session);
    (directory, outcome)
}

#[test]
fn every_failure_is_a_typed_error_after_the_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    type Case = (Fault, fn(&TrainError) -> bool, &'static [u64]);
    let lost: fn(&TrainError) -> bool =
        |error| matches!(error, TrainError::Device(text) if text == "parent device is lost");
    let cases: [Case; 7] = [
        (Fault::DeviceLost, lost, &[1, 2]),
        (Fault::DeviceLostInUpdate, lost, &[]),
        // The iteration before the evaluation is saved after it.
        (Fault::DeviceLostInEvaluation, lost, &[1]),
        (
            Fault::StepFails,
            |error| matches!(error, TrainError::Device(text) if text == "it is lost"),
            &[1, 2],
        ),
        (
            Fault::GradientOverflows,
            |error| matches!(error, TrainError::NotFinite { iteration: 0, .. }),
            &[],
        ),
        (
            Fault::DataEndsEarly,
            |error| {
                matches!(
                    error,
                    TrainError::EndOfData {
                        iteration: 3,
                        iterations: 4
                    }
                )
            },
            &[1, 2, 3],
        ),
        (
            Fault::DataFails,
            |error| matches!(error, TrainError::NoRun { .. }),
            &[1, 2, 3],
        ),
    ];
    for (fault, expected, checkpoints) in cases {
        let (directory, outcome) = run(folder.path(), fault);
        let error = outcome.unwrap_err();
        assert!(expected(&error), "{fault:?}: {error}");
        assert_eq!(directory.checkpoints().unwrap(), checkpoints, "{fault:?}");
    }
}

#[test]
fn an_evaluation_is_logged_once_and_a_failed_one_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let scores = |directory: &RunDirectory| -> Vec<(u64, Option<f64>)> {
        let lines = directory.metrics().unwrap();
        let scores = lines
            .iter()
            .filter_map(|line| Some((line.iteration, line.scores?.hiou)));
        scores.collect()
    };
    let (directory, outcome) = run(folder.path(), Fault::Nothing);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    assert_eq!(scores(&directory), [(2, Some(3.0)), (4, Some(3.0))]);
    // Only a higher score is a better one.
    assert_eq!(Checkpoint::open(&directory.best_path()).unwrap().iteration(), 2);
    let (directory, outcome) = run(folder.path(), Fault::EvaluationFails);
    assert_eq!(outcome.unwrap(), Outcome::Finished);
    assert_eq!((scores(&directory), directory.metrics().unwrap().len()), (vec![], 4));
}

#[test]
fn an_interruption_in_an_evaluation_leaves_it_due() {
    let folder = tempfile::tempdir().unwrap();
    let (directory, outcome) = run(folder.path(), Fault::InterruptedInEvaluation);
    assert_eq!(outcome.unwrap(), Outcome::Interrupted { iteration: 2 });
    let checkpoint = directory.latest().unwrap().unwrap();
    assert_eq!((checkpoint.iteration(), checkpoint.state.evaluation_due), (2, true));
    assert!(directory.metrics().unwrap().iter().all(|line| line.scores.is_none()));
}
