//! Conversion between burn-flex's tensors and the slices of the kernels.

use burn::backend::flex::FlexTensor;
use burn::backend::{DType, TensorMetadata};
use burn::tensor::TensorData;

use crate::cpu::Matrix;

/// Whether the kernels support a tensor's type.
pub(crate) fn is_f32(tensor: &FlexTensor) -> bool {
    tensor.dtype() == DType::F32
}

/// A tensor of `data`.
pub(crate) fn tensor(data: Vec<f32>, shape: impl Into<Vec<usize>>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(data, shape.into()))
}

/// A contiguous tensor: copied unless it is contiguous already.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    tensor.to_contiguous()
}

/// The floats of a tensor from [`contiguous`].
pub(crate) fn floats(tensor: &FlexTensor) -> &[f32] {
    let count = tensor.layout().num_elements();
    &tensor.storage::<f32>()[tensor.layout().start_offset()..][..count]
}

/// A tensor whose storage has its elements alone, in order, for work in place (`storage_mut` copies shared storage).
pub(crate) fn owned(x: FlexTensor) -> FlexTensor {
    let elements = x.layout().num_elements();
    if x.is_contiguous() && x.layout().start_offset() == 0 && x.bytes().len() == elements * size_of::<f32>() {
        x
    } else {
        x.to_contiguous()
    }
}

/// A function of each element: in place if the tensor has one owner; autodiff may hold another until the backward pass.
pub(crate) fn map(
    x: FlexTensor,
    fresh: impl FnOnce(&[f32]) -> Vec<f32>,
    in_place: impl FnOnce(&mut [f32]),
) -> FlexTensor {
    if !x.is_unique() {
        let x = contiguous(x);
        let shape = x.shape().to_vec();
        return tensor(fresh(floats(&x)), shape);
    }
    let mut x = owned(x);
    in_place(x.storage_mut::<f32>());
    x
}

/// A tensor without negative strides: copied if it has any.
pub(crate) fn forward_strides(tensor: FlexTensor) -> FlexTensor {
    if tensor.layout().strides().iter().all(|stride| *stride >= 0) {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// `[batch, heads, tokens, dim]` with any strides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads<'a> {
    data: &'a [f32],
    pub(crate) shape: [usize; 4],
    strides: [usize; 4],
}

impl<'a> Heads<'a> {
    /// The heads of a tensor from [`forward_strides`].
    pub(crate) fn of(tensor: &'a FlexTensor) -> Self {
        let layout = tensor.layout();
        let shape: [usize; 4] = std::array::from_fn(|axis| layout.shape()[axis]);
        let strides = std::array::from_fn(|axis| layout.strides()[axis].unsigned_abs());
        Self {
            data: &tensor.storage::<f32>()[layout.start_offset()..],
            shape,
            strides,
        }
    }

    /// The matrix `[tokens, dim]` of a head. A batch of one is shared by every image.
    pub(crate) fn head(&self, image: usize, head: usize) -> Matrix<'a> {
        let [batch, _, tokens, dim] = self.shape;
        let image = if batch == 1 { 0 } else { image };
        let start = image * self.strides[0] + head * self.strides[1];
        Matrix::new(
            &self.data[start.min(self.data.len())..],
            [tokens, dim],
            [self.strides[2], self.strides[3]],
        )
    }
}

/// A view `[rows, columns]` of a tensor of two axes from [`forward_strides`].
pub(crate) fn matrix(tensor: &FlexTensor) -> Matrix<'_> {
    let layout = tensor.layout();
    let [rows, columns] = [layout.shape()[0], layout.shape()[1]];
    let strides = [0, 1].map(|axis| layout.strides()[axis].unsigned_abs());
    Matrix::new(
        &tensor.storage::<f32>()[layout.start_offset()..],
        [rows, columns],
        strides,
    )
}

/// All axes but the last as one: `[rows, columns]` of a tensor from [`contiguous`].
pub(crate) fn rows(tensor: &FlexTensor) -> Matrix<'_> {
    let shape = tensor.shape();
    let columns = shape[shape.num_dims() - 1];
    let rows = shape.num_elements() / columns.max(1);
    Matrix::contiguous(floats(tensor), [rows, columns])
}
