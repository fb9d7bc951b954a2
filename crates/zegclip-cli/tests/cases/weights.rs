//! Weights: values that are not finite, unstated activations and heads, prefixes of wrappers.
