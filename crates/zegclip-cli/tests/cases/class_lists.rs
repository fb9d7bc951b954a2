//! Lists of class names: formats that projects ship, separators, one class only.
