//! Parameters under the names that checkpoints give them: loading, export, lookup.
//!
//! [`checkpoint_name`] maps module fields to the canonical names of `zegclip-weights` (`backbone.*`, `text_encoder.*`,
//! `decode_head.*`). PyTorch stores a linear weight as `[output, input]`, burn as `[input, output]`.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{AllocationProperty, Bytes, DType, Device, FloatDType, Tensor, TensorData};

use crate::error::ModelError;
use crate::interpolate::bilinear_taps;
use zegclip_weights::{Dtype, OutputTensor, WeightFile};

/// A parameter's identity and its name in checkpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterName {
    /// burn's identity of the parameter.
    pub id: ParamId,
    /// The checkpoint's name.
    pub name: String,
    /// Whether the checkpoint stores the transposed matrix.
    pub transposed: bool,
}

/// A parameter's values as a checkpoint stores them.
#[derive(Debug, Clone)]
pub struct ExportedParameter {
    /// The checkpoint's name.
    pub name: String,
    /// Shape in the checkpoint.
    pub shape: Vec<usize>,
    /// Values in row-major order.
    pub values: Vec<f32>,
}

impl ExportedParameter {
    /// The parameter as an f32 tensor of a file.
    pub fn to_output(&self) -> OutputTensor<'_> {
        OutputTensor::from_f32(&self.name, &self.shape, (&self.values).into(), Dtype::F32)
    }
}

/// The checkpoint's name of a module path such as `image_encoder.blocks.3.ln_1.gamma`.
pub fn checkpoint_name(path: &str) -> String {
    let renamed: Vec<&str> = path
        .split('.')
        .map(|segment| match segment {
            "image_encoder" | "prompts" => "backbone",
            "relation_descriptor" => "decode_head",
            "decoder" => "decode_head.decoder_1",
            "patch_embedding" => "conv1",
            "blocks" => "transformer.resblocks",
            "attention" => "attn",
            "qkv" => "in_proj",
            "out" => "out_proj",
            "mlp_fc" => "mlp.c_fc",
            "mlp_proj" => "mlp.c_proj",
            "cross_attention" => "multihead_attn",
            "token_embedding" => "token_embedding.weight",
            "gamma" => "weight",
            "beta" => "bias",
            other => other,
        })
        .collect();
    renamed.join(".").replace("in_proj.", "in_proj_")
}

/// Names of all float parameters of `module`, in the order of its fields. `prefix` precedes the paths of the module.
pub fn parameter_names<M: Module>(module: &M, prefix: &str) -> Vec<ParameterName> {
    let mut visitor = Names {
        path: Path::new(prefix),
        found: Vec::new(),
    };
    module.visit(&mut visitor);
    visitor.found
}

/// Values of all float parameters of `module` as f32.
pub fn export_parameters<M: Module>(module: &M, prefix: &str) -> Vec<ExportedParameter> {
    let mut visitor = Export {
        path: Path::new(prefix),
        found: Vec::new(),
    };
    module.visit(&mut visitor);
    visitor.found
}

/// Fills every float parameter of `module` from `file`.
///
/// A position embedding of another grid is resized bilinearly, as in the release.
///
/// # Errors
/// [`ModelError::Weights`] if a tensor is missing or damaged, or has values that are not finite numbers of the type `dtype`,
/// [`ModelError::Shape`] if it has another shape.
pub fn load_parameters<M: Module>(
    module: M,
    prefix: &str,
    file: &WeightFile,
    device: &Device,
    dtype: FloatDType,
) -> Result<M, ModelError> {
    let mut mapper = Load {
        path: Path::new(prefix),
        file,
        device,
        dtype,
        failure: None,
    };
    let module = module.map(&mut mapper);
    match mapper.failure {
        Some(error) => Err(error),
        None => Ok(module),
    }
}

/// Position of a visitor in a module.
struct Path {
    segments: Vec<String>,
    linear: Vec<bool>,
}

struct Names {
    path: Path,
    found: Vec<ParameterName>,
}

struct Export {
    path: Path,
    found: Vec<ExportedParameter>,
}

struct Load<'a> {
    path: Path,
    file: &'a WeightFile,
    device: &'a Device,
    dtype: FloatDType,
    failure: Option<ModelError>,
}

impl Path {
    fn new(prefix: &str) -> Self {
        Self {
            segments: (!prefix.is_empty()).then(|| prefix.to_owned()).into_iter().collect(),
            linear: vec![false; usize::from(!prefix.is_empty())],
        }
    }

    fn enter(&mut self, name: &str, container: &str) {
        self.segments.push(name.to_owned());
        self.linear.push(container == "Struct:Linear");
    }

    fn exit(&mut self) {
        self.segments.pop();
        self.linear.pop();
    }

    fn name(&self) -> String {
        checkpoint_name(&self.segments.join("."))
    }

    fn transposed(&self, rank: usize) -> bool {
        rank == 2 && self.linear.last() == Some(&true)
    }
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.push(ParameterName {
            id: param.id,
            name: self.path.name(),
            transposed: self.path.transposed(D),
        });
    }
}

impl ModuleVisitor for Export {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let value = if self.path.transposed(D) {
            value.swap_dims(0, 1)
        } else {
            value
        };
        let (shape, values) = read(value);
        self.found.push(ExportedParameter {
            name: self.path.name(),
            shape,
            values,
        });
    }
}

impl ModuleMapper for Load<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.failure.is_some() {
            return param;
        }
        match self.tensor(&param.lazy_shape(), self.path.transposed(D)) {
            Ok(tensor) => Param::initialized(param.id, tensor),
            Err(error) => {
                self.failure = Some(error);
                param
            }
        }
    }
}

impl Load<'_> {
    fn tensor<const D: usize>(&self, model_shape: &[usize], transposed: bool) -> Result<Tensor<D>, ModelError> {
        let name = self.path.name();
        let mut expected = model_shape.to_vec();
        if transposed {
            expected.reverse();
        }
        // A value that becomes infinite on the device would be noticed only in the scores, if at all.
        match self.dtype {
            FloatDType::F16 => self.file.require_range(&name, Dtype::F16)?,
            FloatDType::BF16 => self.file.require_range(&name, Dtype::Bf16)?,
            _ => {}
        }
        let as_expected = self.file.info(&name).is_some_and(|info| info.shape == expected);
        if as_expected && let Some(mapped) = self.file.mapped_f32(&name)? {
            let bytes = Bytes::from_shared(mapped, AllocationProperty::File);
            return Ok(self.placed(TensorData::from_bytes(bytes, expected, DType::F32), transposed));
        }
        let (mut shape, mut values) = self.file.tensor_f32(&name)?;
        if name == "backbone.positional_embedding" && is_grid(&shape, &expected) {
            values = resize_positions(&values, shape[0], expected[0], expected[1]);
            shape.clone_from(&expected);
        }
        // `logit_scale` is a scalar in checkpoints.
        if shape.is_empty() && expected == [1] {
            shape = vec![1];
        }
        if shape != expected {
            return Err(ModelError::Shape {
                file: self.file.path().to_owned(),
                name,
                found: shape,
                expected,
            });
        }
        Ok(self.placed(TensorData::new(values, shape), transposed))
    }

    fn placed<const D: usize>(&self, data: TensorData, transposed: bool) -> Tensor<D> {
        let tensor = Tensor::<D>::from_data(data, self.device).cast(self.dtype);
        if transposed { tensor.swap_dims(0, 1) } else { tensor }
    }
}

/// Shape and values of a tensor in f32. Works for tensors on any device.
pub(crate) fn read<const D: usize>(tensor: Tensor<D>) -> (Vec<usize>, Vec<f32>) {
    let shape = tensor.dims().to_vec();
    let data = tensor.cast(FloatDType::F32).into_data();
    let values = data.iter::<f32>().collect();
    (shape, values)
}

/// The position embedding of the image encoder for another square grid, resized bilinearly; the row of the class token does
/// not change.
///
/// # Shapes
/// - `positions`: `[1 + grid², width]`
/// - output: `[1 + new_grid², width]`
pub fn resized_positions(positions: Tensor<2>, new_grid: usize) -> Tensor<2> {
    let device = positions.device();
    let (shape, values) = read(positions);
    let (rows, width) = (shape[0], shape[1]);
    let new_rows = 1 + new_grid * new_grid;
    let values = resize_positions(&values, rows, new_rows, width);
    Tensor::from_data(TensorData::new(values, [new_rows, width]), &device)
}

/// Whether both shapes are those of position embeddings of the same width and of square grids of different sizes.
fn is_grid(found: &[usize], expected: &[usize]) -> bool {
    let square = |rows: usize| rows > 1 && (rows - 1).isqrt().pow(2) == rows - 1;
    found.len() == 2
        && expected.len() == 2
        && found[1] == expected[1]
        && found[0] != expected[0]
        && square(found[0])
        && square(expected[0])
}

/// Bilinear resize of the grid part of a position embedding `[rows, width]`; the class row does not change.
fn resize_positions(values: &[f32], rows: usize, new_rows: usize, width: usize) -> Vec<f32> {
    let (from, to) = ((rows - 1).isqrt(), (new_rows - 1).isqrt());
    let mut resized = Vec::with_capacity(new_rows * width);
    resized.extend_from_slice(&values[..width]);
    let at = |row: usize, column: usize| {
        let start = (1 + row * from + column) * width;
        &values[start..start + width]
    };
    for y in bilinear_taps(from, to) {
        for x in bilinear_taps(from, to) {
            let corners = [
                at(y.low, x.low),
                at(y.low, x.high),
                at(y.high, x.low),
                at(y.high, x.high),
            ];
            resized.extend((0..width).map(|i| {
                let top = corners[0][i] * (1.0 - x.fraction) + corners[1][i] * x.fraction;
                let bottom = corners[2][i] * (1.0 - x.fraction) + corners[3][i] * x.fraction;
                top * (1.0 - y.fraction) + bottom * y.fraction
            }));
        }
    }
    resized
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ZegClip;
    use crate::config::{PromptForm, ZegClipConfig};
    use zegclip_weights::{IfExists, write_native};

    #[test]
    fn names_are_those_of_the_authors_checkpoints() {
        for (path, name) in [
            ("image_encoder.patch_embedding.weight", "backbone.conv1.weight"),
            (
                "image_encoder.blocks.3.attention.qkv.weight",
                "backbone.transformer.resblocks.3.attn.in_proj_weight",
            ),
            (
                "image_encoder.blocks.3.attention.out.bias",
                "backbone.transformer.resblocks.3.attn.out_proj.bias",
            ),
            ("prompts.prompt_proj.weight", "backbone.prompt_proj.weight"),
            (
                "text_encoder.blocks.0.mlp_fc.weight",
                "text_encoder.transformer.resblocks.0.mlp.c_fc.weight",
            ),
            ("relation_descriptor.q_proj.bias", "decode_head.q_proj.bias"),
            (
                "decoder.layers.1.cross_attention.v.weight",
                "decode_head.decoder_1.layers.1.multihead_attn.v.weight",
            ),
            (
                "decoder.layers.2.norm3.beta",
                "decode_head.decoder_1.layers.2.norm3.bias",
            ),
        ] {
            assert_eq!(checkpoint_name(path), name);
        }
    }

    #[test]
    fn every_parameter_has_one_name() {
        let device = Device::flex();
        let mut config = ZegClipConfig::voc();
        config.vision.width = 32;
        config.vision.heads = 2;
        config.vision.layers = 2;
        config.embed_dim = 16;
        if let Some(prompts) = &mut config.prompts {
            prompts.form = PromptForm::Deep(1);
        }
        let names = parameter_names(&ZegClip::new(&config, &device), "");
        let mut unique: Vec<_> = names.iter().map(|parameter| parameter.name.clone()).collect();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), names.len());
        // conv1, class and position embedding, 2 norms and proj of the encoder; 12 a block; 6 of the prompts;
        // q_proj; 16 a decoder layer.
        assert_eq!(names.len(), 8 + 2 * 12 + 6 + 2 + 3 * 16);
    }

    #[test]
    fn mapped_files_load_equal_values_and_do_not_change() {
        let device = Device::flex();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("linear.safetensors");
        let linear = || burn::nn::LinearConfig::new(5, 3).init(&device);
        let parameters = export_parameters(&linear(), "linear");
        let write = |dtype| {
            let tensors = parameters.iter().map(|parameter| {
                OutputTensor::from_f32(&parameter.name, &parameter.shape, (&parameter.values).into(), dtype)
            });
            write_native(&path, &BTreeMap::new(), tensors.collect(), IfExists::Replace).unwrap();
            std::fs::read(&path).unwrap()
        };
        let before = write(Dtype::F32);
        let open = || WeightFile::open(&path).unwrap();
        let load = |file: &WeightFile| load_parameters(linear(), "linear", file, &device, FloatDType::F32).unwrap();
        let mapped = open().stays_mapped();
        assert!(mapped.mapped_f32("linear.weight").unwrap().is_some());
        assert!(open().mapped_f32("linear.weight").unwrap().is_none());
        let loaded = load(&mapped);
        for loaded in [&loaded, &load(&open())] {
            for (found, expected) in export_parameters(loaded, "linear").iter().zip(&parameters) {
                assert_eq!((&found.shape, &found.values), (&expected.shape, &expected.values));
            }
        }
        // An in-place operation must copy the pages first.
        let doubled = loaded.weight.val() * 2.0;
        assert_eq!(std::fs::read(&path).unwrap(), before);
        // Another file under the same name does not change the loaded tensors.
        let half = write(Dtype::F16);
        assert!(half.len() < before.len());
        let halves = |tensor: Tensor<2>| {
            tensor
                .into_data()
                .iter::<f32>()
                .map(|value| value / 2.0)
                .collect::<Vec<_>>()
        };
        let values: Vec<f32> = loaded.weight.val().into_data().iter::<f32>().collect();
        assert_eq!(halves(doubled), values);
        assert!(open().stays_mapped().mapped_f32("linear.weight").unwrap().is_none());
    }

    #[test]
    fn values_that_become_infinite_in_half_precision_are_refused() {
        let device = Device::flex();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("linear.safetensors");
        let linear = || burn::nn::LinearConfig::new(2, 2).init(&device);
        let mut parameters = export_parameters(&linear(), "linear");
        parameters[0].values[1] = 1e6;
        let tensors = parameters.iter().map(ExportedParameter::to_output).collect();
        write_native(&path, &BTreeMap::new(), tensors, IfExists::Replace).unwrap();
        for file in [
            WeightFile::open(&path).unwrap(),
            WeightFile::open(&path).unwrap().stays_mapped(),
        ] {
            let load = |dtype| load_parameters(linear(), "linear", &file, &device, dtype);
            load(FloatDType::F32).unwrap();
            load(FloatDType::BF16).unwrap();
            let error = load(FloatDType::F16).unwrap_err().to_string();
            assert!(
                error.ends_with(
                    "tensor `linear.weight` has values that f16 cannot hold: 1 of 4, the first is 1000000.0 at [0, 1]"
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn positions_keep_a_constant_and_the_class_row() {
        let (width, rows) = (3, 1 + 5 * 5);
        let mut values = vec![0.25f32; rows * width];
        values[..width].copy_from_slice(&[1.0, 2.0, 3.0]);
        let resized = resize_positions(&values, rows, 1 + 8 * 8, width);
        assert_eq!(resized.len(), (1 + 8 * 8) * width);
        assert_eq!(resized[..width], [1.0, 2.0, 3.0]);
        assert!(resized[width..].iter().all(|value| (value - 0.25).abs() < 1e-6));
    }
}
