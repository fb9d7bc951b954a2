//! Data sets: masks of 0 and 255, interpolated masks, patterns that match nothing, lists of a split.
