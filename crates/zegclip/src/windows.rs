//! Sliding windows over an image: as published, windows of 512 pixels every 426, the last one shifted back inside the image.

/// A square part of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Windows that cover an image of `height × width` pixels, row by row, `stride` pixels apart. Their sides are `crop` pixels, or those
/// of the image where it is smaller, so all windows of an image have one size.
pub fn windows(height: usize, width: usize, crop: usize, stride: usize) -> Vec<Window> {
    let starts = |length: usize| -> Vec<usize> {
        let steps = length.saturating_sub(crop).div_ceil(stride.max(1));
        (0..=steps)
            .map(|step| (step * stride).min(length.saturating_sub(crop)))
            .collect()
    };
    let columns = starts(width);
    starts(height)
        .into_iter()
        .flat_map(|top| {
            columns.iter().map(move |&left| Window {
                top,
                left,
                height: crop.min(height),
                width: crop.min(width),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_one_crop_has_one_window() {
        assert_eq!(windows(512, 512, 512, 426).len(), 1);
        assert_eq!(windows(300, 512, 512, 426)[0].height, 300);
    }

    #[test]
    fn windows_cover_every_pixel_and_stay_inside() {
        for (height, width) in [(512, 683), (512, 938), (512, 939), (512, 5120), (600, 513)] {
            let all = windows(height, width, 512, 426);
            let mut covered = vec![false; height * width];
            for window in &all {
                assert!(window.top + window.height <= height && window.left + window.width <= width);
                for y in window.top..window.top + window.height {
                    covered[y * width + window.left..][..window.width].fill(true);
                }
            }
            assert!(covered.into_iter().all(|pixel| pixel), "{height}x{width}");
        }
    }

    #[test]
    fn the_last_window_is_shifted_back() {
        let lefts: Vec<usize> = windows(512, 1000, 512, 426).iter().map(|window| window.left).collect();
        assert_eq!(lefts, [0, 426, 488]);
    }
}
