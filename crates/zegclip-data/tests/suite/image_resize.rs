//! Decoding, test-time resize and normalization against recordings made with OpenCV.

use test_support::Recorded;
use zegclip_data::{
    ClassIndex, IMAGENET_STD, ImageLimits, LabelMap, RgbImage, normalize, read_image, resize_bilinear,
    resize_labels_nearest, test_size,
};

#[test]
fn parity_image_resize() {
    for case in test_support::cases("image_resize") {
        let description = &case.json;
        let number = |value: &serde_json::Value| value.as_f64().unwrap();
        let short_side = description["scale"]
            .as_array()
            .unwrap()
            .iter()
            .map(number)
            .fold(f64::INFINITY, f64::min);
        let (max, mean) = (
            number(&description["tolerance"]["uint8_max"]),
            number(&description["tolerance"]["uint8_mean"]),
        );
        let sizes = description["sizes"].as_object().unwrap();
        assert!(!sizes.is_empty());
        for (name, sizes) in sizes {
            let size = |key: &str| (number(&sizes[key][1]) as u32, number(&sizes[key][0]) as u32);
            let path = test_support::photo(case.root(), name);
            let image = read_image(&path, &ImageLimits::default()).unwrap();
            assert_eq!(image.dimensions(), size("original"), "{name}");
            let (width, height) = test_size(image.width(), image.height(), short_side as u32);
            assert_eq!((width, height), size("resized"), "{name}");
            let resized = resize_bilinear(&image, width, height);

            let (shape, expected) = case.bytes(&format!("{name}.crop"));
            // The recording is the part from row and column 100 on.
            let crop = image::imageops::crop_imm(&resized, 100, 100, shape[1] as u32, shape[0] as u32).to_image();
            let differences = crop
                .as_raw()
                .iter()
                .zip(&expected)
                .map(|(a, b)| f64::from(a.abs_diff(*b)));
            let (sum, largest) = differences.fold((0.0, 0.0f64), |(sum, max), value| (sum + value, max.max(value)));
            assert_eq!(crop.as_raw().len(), expected.len(), "{name}");
            assert!(
                largest <= max && sum / expected.len() as f64 <= mean,
                "{name}: {largest}, {sum}"
            );

            let Recorded {
                shape,
                values: expected,
            } = case.tensor(&format!("{name}.normalised_crop"));
            let crop = image::imageops::crop_imm(&crop, 0, 0, shape[2] as u32, shape[1] as u32).to_image();
            let normalized = normalize(&crop);
            assert_eq!(normalized.len(), expected.len(), "{name}");
            let plane = shape[1] * shape[2];
            for (position, (actual, expected)) in normalized.iter().zip(&expected).enumerate() {
                let tolerance = max as f32 / IMAGENET_STD[position / plane] + 1e-5;
                assert!(
                    (actual - expected).abs() <= tolerance,
                    "{name}: {position}: {actual} {expected}"
                );
            }
        }
    }
}

#[test]
fn the_short_side_becomes_the_target_whatever_the_shape() {
    for width in (1..700).step_by(13).chain([16_384]) {
        for height in (1..700).step_by(17) {
            let (resized_width, resized_height) = test_size(width, height, 512);
            assert_eq!(resized_width.min(resized_height), 512, "{width}×{height}");
            let exact = 512.0 * f64::from(width.max(height)) / f64::from(width.min(height));
            let long = f64::from(resized_width.max(resized_height));
            assert!(
                (long - exact).abs() <= 0.5 + 1e-6 * exact,
                "{width}×{height}: {long} {exact}"
            );
        }
    }
    assert_eq!(test_size(0, 7, 512), (0, 7));
}

#[test]
fn a_plain_image_stays_plain_and_labels_are_never_mixed() {
    for (width, height) in [(1, 1), (33, 7), (200, 150), (64, 500)] {
        let plain = RgbImage::from_pixel(50, 37, image::Rgb([7, 130, 255]));
        let resized = resize_bilinear(&plain, width, height);
        assert_eq!(resized.dimensions(), (width, height));
        assert!(resized.pixels().all(|pixel| pixel.0 == [7, 130, 255]));

        let labels = LabelMap::from_fn(50, 37, |x, y| {
            ClassIndex::new([3, 90, u16::MAX][(x * 7 + y) as usize % 3])
        });
        let resized = resize_labels_nearest(&labels, width, height);
        assert_eq!(resized.dimensions(), (width, height));
        assert!(resized.as_raw().iter().all(|label| [3, 90, u16::MAX].contains(label)));
    }
    let image = RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, y as u8, 9]));
    assert_eq!(resize_bilinear(&image, 40, 30), image);
}
