//! Decoding, test-time resize and normalisation against recordings made with OpenCV.

mod common;

use zegclip_data::{IMAGENET_STD, ImageLimits, normalise, read_image, resize_bilinear, test_size};

#[test]
fn parity_image_resize() {
    for case in common::cases("image_resize") {
        let description = &case.description;
        let number = |value: &serde_json::Value| value.as_f64().unwrap();
        let short_side = description["scale"].as_array().unwrap().iter().map(number).fold(f64::INFINITY, f64::min);
        let (max, mean) = (number(&description["tolerance"]["uint8_max"]), number(&description["tolerance"]["uint8_mean"]));
        let sizes = description["sizes"].as_object().unwrap();
        assert!(!sizes.is_empty());
        for (name, sizes) in sizes {
            let size = |key: &str| (number(&sizes[key][1]) as u32, number(&sizes[key][0]) as u32);
            let path = common::fixtures().join("../photos").join(name);
            let photo = read_image(&path, &ImageLimits::default()).unwrap();
            assert_eq!(photo.dimensions(), size("original"), "{name}");
            let (width, height) = test_size(photo.width(), photo.height(), short_side as u32);
            assert_eq!((width, height), size("resized"), "{name}");
            let resized = resize_bilinear(&photo, width, height);

            let (shape, expected) = case.bytes(&format!("{name}.crop"));
            // The recording is the part from row and column 100 on.
            let crop = image::imageops::crop_imm(&resized, 100, 100, shape[1] as u32, shape[0] as u32).to_image();
            let differences = crop.as_raw().iter().zip(&expected).map(|(a, b)| f64::from(a.abs_diff(*b)));
            let (sum, largest) = differences.fold((0.0, 0.0f64), |(sum, max), value| (sum + value, max.max(value)));
            assert_eq!(crop.as_raw().len(), expected.len(), "{name}");
            assert!(largest <= max && sum / expected.len() as f64 <= mean, "{name}: {largest}, {sum}");

            let (shape, expected) = case.floats(&format!("{name}.normalised_crop"));
            let crop = image::imageops::crop_imm(&crop, 0, 0, shape[2] as u32, shape[1] as u32).to_image();
            let normalised = normalise(&crop);
            assert_eq!(normalised.len(), expected.len(), "{name}");
            let plane = shape[1] * shape[2];
            for (position, (actual, expected)) in normalised.iter().zip(&expected).enumerate() {
                let tolerance = max as f32 / IMAGENET_STD[position / plane] + 1e-5;
                assert!((actual - expected).abs() <= tolerance, "{name}: {position}: {actual} {expected}");
            }
        }
    }
}
