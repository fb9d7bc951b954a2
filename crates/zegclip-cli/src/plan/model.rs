//! Which model, and where it runs.

use std::path::PathBuf;

use zegclip::{DenseProtocol, DeviceName};

use crate::arguments::{DenseArguments, MethodName, ModelArguments, PrecisionName};
use crate::failure::Failure;
use crate::weights;

#[derive(Debug, Clone)]
pub(crate) struct ModelPlan {
    /// The built-in demo model where there is none.
    pub(crate) weights: Option<PathBuf>,
    pub(crate) clip: Option<PathBuf>,
    pub(crate) text_features: Option<PathBuf>,
    pub(crate) model_config: Option<PathBuf>,
    pub(crate) device: DeviceName,
    pub(crate) precision: PrecisionName,
    pub(crate) method: Option<MethodName>,
    pub(crate) protocol: Option<DenseProtocol>,
    pub(crate) dense: DenseArguments,
    /// Windows per forward pass.
    pub(crate) batch: usize,
    /// Whether weights are read completely instead of mapped.
    pub(crate) no_mmap: bool,
}

impl ModelPlan {
    /// The model of `weights` alone, with the defaults of everything else.
    #[cfg(feature = "demo")]
    pub(crate) fn new(weights: Option<PathBuf>, device: DeviceName) -> Self {
        Self {
            weights,
            clip: None,
            text_features: None,
            model_config: None,
            device,
            precision: PrecisionName::default(),
            method: None,
            protocol: None,
            dense: DenseArguments::default(),
            batch: 1,
            no_mmap: false,
        }
    }
}

impl ModelPlan {
    /// With paths in place of weights that are named, which are downloaded unless they are on this machine.
    pub(crate) fn located(&self) -> Result<Self, Failure> {
        let located = |path: &Option<PathBuf>| path.as_deref().map(weights::located).transpose();
        Ok(Self {
            weights: located(&self.weights)?,
            clip: located(&self.clip)?,
            ..self.clone()
        })
    }
}

impl From<ModelArguments> for ModelPlan {
    fn from(arguments: ModelArguments) -> Self {
        Self {
            weights: arguments.weights,
            clip: arguments.clip,
            text_features: arguments.text_features,
            model_config: arguments.model_config,
            device: arguments.device,
            precision: arguments.precision,
            method: arguments.method,
            protocol: None,
            dense: arguments.dense,
            batch: usize::from(arguments.batch),
            no_mmap: arguments.no_mmap,
        }
    }
}
