//! QuickGELU and its derivative on every instruction set of this CPU, against f64.

use test_support::{assert_close, numbers};

use super::*;

#[test]
fn quick_gelu_and_its_derivative() {
    let x: Vec<f32> = numbers(1001, 1).into_iter().map(|x| 20.0 * x).collect();
    let expected: Vec<f64> = x
        .iter()
        .map(|x| f64::from(*x) / (1.0 + (-1.702 * f64::from(*x)).exp()))
        .collect();
    let slopes: Vec<f64> = x
        .iter()
        .map(|x| {
            let sigmoid = 1.0 / (1.0 + (-1.702 * f64::from(*x)).exp());
            3.0 * (sigmoid + 1.702 * f64::from(*x) * sigmoid * (1.0 - sigmoid))
        })
        .collect();
    for instructions in InstructionSet::all() {
        let mut y = x.clone();
        quick_gelu_in_place(instructions, &mut y);
        assert_eq!(quick_gelu(instructions, &x), y, "{instructions:?}");
        assert_close(&format!("{instructions:?}"), &y, &expected, 1e-6);
        let mut gradient = vec![3.0; x.len()];
        quick_gelu_backward_in_place(instructions, &x, &mut gradient);
        assert_close(&format!("{instructions:?}"), &gradient, &slopes, 1e-6);
    }
}
