//! Copies of the model on further devices, for data parallelism.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use zegclip_model::ZegClip;

use crate::{TrainError, freeze};

/// A copy of the model on another device.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) device: Device,
    pub(crate) model: ZegClip,
    pub(crate) text_features: Tensor<2>,
}

impl Replica {
    /// Copies model and text features to `device`. The copy has the same trained parts.
    pub(crate) fn new(model: &ZegClip, text_features: &Tensor<2>, device: &Device) -> Result<Self, TrainError> {
        let device = device.clone().without_autodiff();
        let values = Values::of(model, |_| true)?;
        let model = model.clone().map(&mut Copy {
            values,
            device: &device,
        });
        let features = data(text_features.clone())?;
        Ok(Self {
            model,
            text_features: Tensor::from_data(features, &device),
            device,
        })
    }

    /// Copies the trained parameters of `model`.
    pub(crate) fn update(&mut self, model: &ZegClip) -> Result<(), TrainError> {
        let values = Values::of(model, |tracked| tracked)?;
        self.model = self.model.clone().map(&mut Copy {
            values,
            device: &self.device,
        });
        Ok(())
    }
}

/// The values of a tensor on any device.
pub(crate) fn data<const D: usize>(tensor: Tensor<D>) -> Result<TensorData, TrainError> {
    tensor.try_into_data().map_err(TrainError::device)
}

/// Parameter values by identity, which copies share.
struct Values(HashMap<ParamId, TensorData>);

impl Values {
    /// The parameters that `wanted` accepts, given whether they are trained.
    fn of(model: &ZegClip, wanted: fn(bool) -> bool) -> Result<Self, TrainError> {
        let mut collect = Collect {
            wanted,
            values: HashMap::new(),
            failure: None,
        };
        model.visit(&mut collect);
        match collect.failure {
            None => Ok(Self(collect.values)),
            Some(error) => Err(error),
        }
    }
}

struct Collect {
    wanted: fn(bool) -> bool,
    values: HashMap<ParamId, TensorData>,
    failure: Option<TrainError>,
}

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        if !(self.wanted)(value.is_require_grad()) {
            return;
        }
        match data(value.inner()) {
            Ok(data) => {
                self.values.insert(param.id, data);
            }
            Err(error) => self.failure = Some(error),
        }
    }
}

struct Copy<'a> {
    values: Values,
    device: &'a Device,
}

impl ModuleMapper for Copy<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(data) = self.values.0.remove(&param.id) else {
            return param;
        };
        let old = param.val();
        let dtype = FloatDType::from(old.dtype());
        let value = Tensor::<D>::from_data(data, self.device).cast(dtype);
        Param::initialized(
            param.id,
            if old.is_require_grad() {
                freeze::tracked(value, old.gradient_checkpointing_strategy())
            } else {
                value
            },
        )
    }
}
