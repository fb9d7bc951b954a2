//! What happens to windows whose sides are no multiple of a patch.

/// What happens to a window whose sides are no multiple of a patch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WindowPadding {
    /// The last partial row and column of patches are left out, and the grid is stretched over the window: SCLIP, NACLIP, ResCLIP, SC-CLIP.
    #[default]
    CutOff,
    /// Zeros at the right and at the bottom, and the grid is pressed into the window: MaskCLIP.
    RightBottom,
    /// Zeros on all sides, the smaller half left and on top; scores of the zeros are cut off: ClearCLIP.
    Around,
}

/// A window with its padding. Sizes are `[height, width]` in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaddedSize {
    /// Size with padding.
    pub size: [usize; 2],
    /// Padding on top and at the left.
    pub offset: [usize; 2],
    /// Size that the patch grid spans when it is resized; what lies outside the window is cut off.
    pub spanned: [usize; 2],
}

impl WindowPadding {
    /// The window of `size` with its padding for patches of `patch` pixels.
    pub fn padded(self, size: [usize; 2], patch: usize) -> PaddedSize {
        let whole = size.map(|length| length.next_multiple_of(patch));
        match self {
            Self::CutOff => PaddedSize {
                size,
                offset: [0; 2],
                spanned: size,
            },
            Self::RightBottom => PaddedSize {
                size: whole,
                offset: [0; 2],
                spanned: size,
            },
            Self::Around => PaddedSize {
                size: whole,
                offset: [0, 1].map(|axis| (whole[axis] - size[axis]) / 2),
                spanned: whole,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_half_is_left_and_on_top() {
        let padded = WindowPadding::Around.padded([43, 40], 8);
        assert_eq!(
            (padded.size, padded.offset, padded.spanned),
            ([48, 40], [2, 0], [48, 40])
        );
        let padded = WindowPadding::RightBottom.padded([43, 40], 8);
        assert_eq!(
            (padded.size, padded.offset, padded.spanned),
            ([48, 40], [0, 0], [43, 40])
        );
        let padded = WindowPadding::CutOff.padded([43, 40], 8);
        assert_eq!((padded.size, padded.spanned), ([43, 40], [43, 40]));
    }
}
