//! Layer norm and its gradients on every instruction set of this CPU, against f64.

use test_support::{assert_close, numbers};

use super::*;

#[test]
fn layer_norm_and_its_gradients() {
    for [rows, columns] in [[1, 1], [3, 7], [5, 16], [2, 100], [300, 192]] {
        let (x, gamma, beta) = (numbers(rows * columns, 1), numbers(columns, 2), numbers(columns, 3));
        let gradient = numbers(rows * columns, 4);
        let epsilon = 1e-3;
        let mut expected = vec![0.0; rows * columns];
        let mut x_gradient = vec![0.0; rows * columns];
        let (mut gamma_gradient, mut beta_gradient) = (vec![0.0; columns], vec![0.0; columns]);
        for first in (0..rows * columns).step_by(columns) {
            let at = |values: &[f32], c: usize| f64::from(values[first + c]);
            let mean = |term: &dyn Fn(usize) -> f64| (0..columns).map(term).sum::<f64>() / columns as f64;
            let center = mean(&|c| at(&x, c));
            let scale = (mean(&|c| (at(&x, c) - center).powi(2)) + f64::from(epsilon)).powf(-0.5);
            let normalized = |c| (at(&x, c) - center) * scale;
            let weighted = |c| at(&gradient, c) * f64::from(gamma[c]);
            let (plain, along) = (mean(&weighted), mean(&|c| weighted(c) * normalized(c)));
            for c in 0..columns {
                expected[first + c] = normalized(c) * f64::from(gamma[c]) + f64::from(beta[c]);
                x_gradient[first + c] = scale * (weighted(c) - plain - normalized(c) * along);
                gamma_gradient[c] += at(&gradient, c) * normalized(c);
                beta_gradient[c] += at(&gradient, c);
            }
        }
        for instructions in InstructionSet::all() {
            let name = format!("{rows} × {columns}, {instructions:?}");
            let output = layer_norm(instructions, &x, &gamma, Some(&beta), epsilon);
            assert_close(&name, &output, &expected, 2e-6);
            let mut only_x = gradient.clone();
            layer_norm_x_gradient(instructions, &x, &gamma, epsilon, &mut only_x);
            assert_close(&name, &only_x, &x_gradient, 1e-5);
            let mut with_parameters = gradient.clone();
            let parameters = layer_norm_gradients(instructions, &x, &gamma, epsilon, &mut with_parameters);
            assert_eq!(with_parameters, only_x, "{name}");
            assert_close(&name, &parameters.gamma, &gamma_gradient, 1e-5);
            assert_close(&name, &parameters.beta, &beta_gradient, 1e-5);
        }
    }
}
