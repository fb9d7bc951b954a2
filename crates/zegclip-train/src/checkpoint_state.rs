//! From a model in training to a checkpoint and back.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};

use crate::checkpoint::{Best, Checkpoint, Values};
use crate::gradients::names_by_id;
use crate::optimiser::Moments;
use crate::{TrainError, freeze};

impl Checkpoint {
    /// The state of a model in training: what is tracked of it.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails.
    pub fn of<M: Module>(
        model: &M,
        moments: &BTreeMap<String, Moments>,
        iteration: u64,
        config: String,
        best: Option<Best>,
    ) -> Result<Self, TrainError> {
        let mut visitor = Collect {
            names: names_by_id(model),
            found: BTreeMap::new(),
            failure: None,
        };
        model.visit(&mut visitor);
        if let Some(error) = visitor.failure {
            return Err(error);
        }
        let mut recorded = BTreeMap::new();
        for (name, moments) in moments {
            let first = values(moments.first.clone())?;
            let second = moments.second.clone().map(values).transpose()?;
            recorded.insert(name.clone(), (moments.step, first, second));
        }
        Ok(Self {
            iteration,
            parameters: visitor.found,
            moments: recorded,
            config,
            best,
        })
    }

    /// Puts the parameters into a model and gives the moments on its device.
    ///
    /// # Errors
    /// [`TrainError::CheckpointMismatch`] if a trained parameter is missing, has another shape or does not exist; `path` is
    /// named there.
    pub fn restore<M: Module>(
        &self,
        model: M,
        path: &Path,
        device: &Device,
    ) -> Result<(M, BTreeMap<String, Moments>), TrainError> {
        let model = self.restore_parameters(model, path)?;
        let tensor = |values: &Values| {
            let count = values.values.len();
            Tensor::<1>::from_data(TensorData::new(values.values.clone(), [count]), device)
        };
        let moments = self.moments.iter().map(|(name, (step, first, second))| {
            (
                name.clone(),
                Moments {
                    step: *step,
                    first: tensor(first),
                    second: second.as_ref().map(tensor),
                },
            )
        });
        Ok((model, moments.collect()))
    }

    /// Puts the parameters alone into a model.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn restore_parameters<M: Module>(&self, model: M, path: &Path) -> Result<M, TrainError> {
        let names = names_by_id(&model);
        let mut mapper = Restore {
            names,
            checkpoint: self,
            mismatch: None,
            used: 0,
        };
        let model = model.map(&mut mapper);
        let unknown = (mapper.used != self.parameters.len())
            .then(|| "it has parameters that the model does not train".to_owned());
        match mapper.mismatch.or(unknown) {
            None => Ok(model),
            Some(reason) => Err(TrainError::CheckpointMismatch {
                path: path.to_owned(),
                reason,
            }),
        }
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Result<Values, TrainError> {
    let shape = tensor.dims().to_vec();
    let data = tensor
        .inner()
        .cast(FloatDType::F32)
        .try_into_data()
        .map_err(TrainError::device)?;
    Ok(Values {
        shape,
        values: data.iter::<f32>().collect(),
    })
}

struct Collect {
    names: HashMap<ParamId, String>,
    found: BTreeMap<String, Values>,
    failure: Option<TrainError>,
}

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let Some(name) = self.names.get(&param.id).filter(|_| value.is_require_grad()) else {
            return;
        };
        match values(value) {
            Ok(values) => {
                self.found.insert(name.clone(), values);
            }
            Err(error) => self.failure = Some(error),
        }
    }
}

struct Restore<'a> {
    names: HashMap<ParamId, String>,
    checkpoint: &'a Checkpoint,
    mismatch: Option<String>,
    used: usize,
}

impl ModuleMapper for Restore<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let tensor = param.val();
        let Some(name) = self.names.get(&param.id).filter(|_| tensor.is_require_grad()) else {
            return param;
        };
        let Some(recorded) = self.checkpoint.parameters.get(name) else {
            self.mismatch.get_or_insert(format!("it lacks `{name}`"));
            return param;
        };
        self.used += 1;
        if recorded.shape != tensor.dims() {
            let reason = format!(
                "`{name}` has shape {:?} there and {:?} in the model",
                recorded.shape,
                tensor.dims()
            );
            self.mismatch.get_or_insert(reason);
            return param;
        }
        let data = TensorData::new(recorded.values.clone(), recorded.shape.clone());
        let value = Tensor::from_data(data, &tensor.device().without_autodiff());
        Param::initialized(
            param.id,
            freeze::tracked(value, tensor.gradient_checkpointing_strategy()),
        )
    }
}
