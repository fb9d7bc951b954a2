//! The crate as applications use it, with the demo model on the CPU.
#![cfg(feature = "demo")]

use rayon::prelude::*;
use zegclip::burn::tensor::Device;
use zegclip::evaluation::EvaluationIdentity;
use zegclip::{
    ClassIndex, Conversion, DataError, DeviceChoice, EncodedImage, Error, ImageOutputs, ImageReport, LabelMap,
    ModelOverrides, RgbImage, SegmentOptions, Segmentation, Segmenter, SegmenterBuilder, Vocabulary, windows,
};

/// Side of a window, pixels between windows.
const WINDOW: (usize, usize) = (128, 106);

fn segmenter() -> Segmenter {
    Segmenter::demo("cpu").unwrap()
}

fn classes(names: &str) -> Vocabulary {
    Vocabulary::from_names(names).unwrap()
}

/// An image without symmetries, another one for each seed.
fn image(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let value = |channel: u32| ((x * (3 + channel) + y * (5 + seed) + seed * 40) % 256) as u8;
        [value(0), value(1), value(2)].into()
    })
}

/// Fails on NaN, which is equal to nothing.
fn assert_same(a: &Segmentation, b: &Segmentation) {
    assert!(a.labels() == b.labels(), "the labels differ");
    assert_eq!(a.scores().map(<[f32]>::len), b.scores().map(<[f32]>::len));
    for (a, b) in a.scores().into_iter().flatten().zip(b.scores().into_iter().flatten()) {
        assert!(a == b, "{a} is not {b}");
    }
}

#[test]
fn a_batch_is_equal_to_single_calls() {
    let words = classes("cat, grass, sea, train");
    let images = [(64, 48), (300, 100), (48, 64), (64, 48), (128, 128), (40, 130)];
    let images: Vec<RgbImage> = (0..).zip(images).map(|(seed, (w, h))| image(w, h, seed)).collect();
    let options = SegmentOptions::new().with_scores();
    let single = segmenter();
    let expected: Vec<Segmentation> = images
        .iter()
        .map(|image| single.segment_with(image, &words, &options).unwrap())
        .collect();
    assert!(expected.iter().any(|result| result.windows() > 1));
    for window_batch in [None, Some(1), Some(3), Some(100)] {
        let builder = Segmenter::builder().demo().device("cpu");
        let builder = match window_batch {
            Some(windows) => builder.window_batch(windows),
            None => builder,
        };
        let results = builder
            .build()
            .unwrap()
            .segment_batch_with(&images, &words, &options)
            .unwrap();
        assert_eq!(results.len(), images.len());
        for ((result, expected), image) in results.iter().zip(&expected).zip(&images) {
            assert_eq!(result.labels().dimensions(), image.dimensions());
            assert_same(result, expected);
        }
    }
}

#[test]
fn an_encoded_image_gives_the_labels_of_the_image() {
    let segmenter = segmenter();
    let image = image(200, 90, 1);
    let encoded = segmenter.encode(&image).unwrap();
    assert_eq!(encoded.dimensions(), (200, 90));
    let options = SegmentOptions::new().with_scores().with_background_classes(["sky"]);
    for names in ["cat, grass", "train, sheep, sea, grass", "cat"] {
        let words = classes(names);
        let direct = segmenter.segment_with(&image, &words, &options).unwrap();
        let from_encoded = segmenter.segment_encoded_with(&encoded, &words, &options).unwrap();
        assert_eq!(from_encoded.windows(), encoded.windows());
        assert_same(&from_encoded, &direct);
    }
}

#[test]
fn an_encoded_image_belongs_to_its_segmenter() {
    let encoded = segmenter().encode(&image(30, 30, 0)).unwrap();
    let other = segmenter().segment_encoded(&encoded, &classes("cat"));
    assert!(matches!(other, Err(Error::ForeignEncoding)), "{other:?}");
}

#[test]
fn a_device_of_the_application_gives_the_same_labels() {
    let words = classes("cat, grass");
    let image = image(70, 50, 2);
    let expected = segmenter().segment(&image, &words).unwrap();
    let device = Device::flex();
    for choice in [DeviceChoice::from(&device), device.clone().autodiff().into()] {
        let own = Segmenter::demo(choice).unwrap();
        assert_eq!(own.device().device, device);
        assert!(!own.device().device.is_autodiff());
        assert_same(&own.segment(&image, &words).unwrap(), &expected);
    }
}

#[test]
fn public_types_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<Segmenter>();
    check::<SegmenterBuilder>();
    check::<SegmentOptions>();
    check::<Segmentation>();
    check::<EncodedImage>();
    check::<DeviceChoice>();
    check::<Vocabulary>();
    check::<LabelMap>();
    check::<ImageOutputs>();
    check::<ImageReport>();
    check::<Conversion>();
    check::<EvaluationIdentity>();
    check::<Error>();
}

/// Tasks of one call may run on a thread that waits in another call.
#[test]
fn images_may_be_segmented_on_the_pool_itself() {
    let segmenter = segmenter();
    let images: Vec<RgbImage> = (0..6).map(|seed| image(60, 40, seed)).collect();
    let names = ["cat, grass", "train, sheep, sea"].map(classes);
    let label = |index: usize| {
        let result = segmenter.segment(&images[index], &names[index % 2]);
        result.unwrap().into_labels()
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let together: Vec<_> = pool.install(|| (0..6).into_par_iter().map(label).collect());
    let one_by_one: Vec<_> = (0..6).map(label).collect();
    assert!(together == one_by_one, "other labels");
}

#[test]
fn empty_lists_are_errors() {
    let segmenter = segmenter();
    let no_images = segmenter.segment_batch(&[], &classes("cat"));
    assert!(matches!(no_images, Err(Error::NoImages)), "{no_images:?}");
    let none: [&str; 0] = [];
    for no_classes in [Vocabulary::from_names(" "), Vocabulary::from_class_names(none)] {
        assert!(matches!(no_classes, Err(DataError::NoClasses { .. })), "{no_classes:?}");
    }
    let no_pixels = segmenter.segment(&RgbImage::new(0, 5), &classes("cat"));
    assert!(
        matches!(no_pixels, Err(Error::Data(DataError::ImageEmpty { .. }))),
        "{no_pixels:?}"
    );
    let one_of_many = segmenter.segment_batch(&[image(9, 9, 0), RgbImage::new(0, 0)], &classes("cat"));
    assert!(one_of_many.is_err());
    let no_weights = Segmenter::builder().device("cpu").build();
    assert!(matches!(no_weights, Err(Error::NoWeights)), "{no_weights:?}");
    let too_long = segmenter.segment(&RgbImage::new(30_000, 1), &classes("cat"));
    assert!(
        matches!(too_long, Err(Error::Data(DataError::ImageTooLarge { .. }))),
        "{too_long:?}"
    );
}

#[test]
fn masks_of_wrong_shapes_are_errors() {
    let segmenter = segmenter();
    let features = segmenter.text_features(&classes("cat, dog")).unwrap();
    let wrong = segmenter.window_masks(&[0.0; 10], [2, 2], &features);
    assert!(matches!(wrong, Err(Error::PixelCount { values: 10, .. })), "{wrong:?}");
    let narrow = (*features).clone().narrow(1, 0, 3);
    let wrong = segmenter.window_masks(&[0.0; 3 * 32 * 32], [32, 32], &narrow);
    assert!(matches!(wrong, Err(Error::TextFeatureShape { .. })), "{wrong:?}");
}

/// All windows of a constant image are alike, so the scores over many windows are means of those of one window.
#[test]
fn a_constant_image_has_the_scores_of_one_window_in_all_windows() {
    let (side, stride) = WINDOW;
    let segmenter = Segmenter::builder()
        .demo()
        .device("cpu")
        .model_overrides(ModelOverrides {
            image_size: Some(side),
            stride: Some(stride),
            ..ModelOverrides::default()
        })
        .build()
        .unwrap();
    let (words, options) = (classes("cat, grass, sea"), SegmentOptions::new().with_scores());
    let constant = |width: usize| RgbImage::from_pixel(width as u32, side as u32, [90, 140, 60].into());
    let one = segmenter.segment_with(&constant(side), &words, &options).unwrap();
    let width = 2 * side + 40;
    let many = segmenter.segment_with(&constant(width), &words, &options).unwrap();
    let layout = windows(side, width, side, stride);
    assert_eq!((one.windows(), many.windows()), (1, layout.len()));
    assert!(layout.len() > 2);
    for class in (0..3).filter_map(ClassIndex::new) {
        for (x, y) in (0..side).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let covering = layout
                .iter()
                .filter(|window| (window.left..window.left + side).contains(&x));
            let scores = covering.map(|window| one.score(class, (x - window.left) as u32, y as u32).unwrap());
            let scores: Vec<f32> = scores.collect();
            let expected = scores.iter().sum::<f32>() / scores.len() as f32;
            let found = many.score(class, x as u32, y as u32).unwrap();
            // A comparison with NaN is false, so NaN fails.
            assert!(
                (found - expected).abs() <= 1e-6,
                "{class} at {x}, {y}: {found}, not {expected}"
            );
        }
    }
}

/// Pages of the file are used in place on the CPU.
#[test]
fn weights_that_change_while_they_are_used_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (demo, path) = (
        folder.path().join("demo.safetensors"),
        folder.path().join("single.safetensors"),
    );
    std::fs::write(&demo, zegclip::demo_model()).unwrap();
    let conversion = Conversion::new(&demo, &path).precision(zegclip::Precision::F32);
    conversion.run().unwrap();
    let segmenter = Segmenter::builder().weights(&path).device("cpu").build().unwrap();
    let (image, words) = (image(64, 48, 1), classes("cat, grass"));
    let before = segmenter.segment(&image, &words).unwrap();
    // A file that takes its place is another one.
    let copy = folder.path().join("copy");
    std::fs::copy(&path, &copy).unwrap();
    std::fs::rename(&copy, &path).unwrap();
    assert_same(&segmenter.segment(&image, &words).unwrap(), &before);

    let segmenter = Segmenter::builder().weights(&path).device("cpu").build().unwrap();
    segmenter.segment(&image, &words).unwrap();
    let mut file = std::fs::File::options().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, b"more").unwrap();
    for error in [
        segmenter.segment(&image, &words).unwrap_err(),
        segmenter.encode(&image).unwrap_err(),
    ] {
        assert!(
            error.to_string().ends_with("was changed while it was in use"),
            "{error}"
        );
    }
}

#[test]
fn background_classes_leave_pixels_without_class() {
    let segmenter = segmenter();
    let (image, words) = (image(60, 40, 3), classes("cat, sea"));
    let plain = segmenter
        .segment_with(&image, &words, &SegmentOptions::new().with_scores())
        .unwrap();
    assert_eq!(plain.unlabeled_fraction(), 0.0);
    let options = SegmentOptions::new()
        .with_scores()
        .with_background_classes(["sea", "grass|lawn"]);
    let result = segmenter.segment_with(&image, &words, &options).unwrap();
    assert!(result.labels().iter().flatten().all(|class| class.index() == 0));
    assert!(result.unlabeled_fraction() > 0.0 || result.class_fractions()[0] == 1.0);
    // Only the classes of the list have scores.
    assert_eq!(result.scores().map(<[f32]>::len), plain.scores().map(<[f32]>::len));
    let all = SegmentOptions::new().with_min_score(1.0);
    let nothing = segmenter.segment_with(&image, &words, &all).unwrap();
    assert_eq!(nothing.unlabeled_fraction(), 1.0);
    let wrong = segmenter.segment_with(&image, &words, &SegmentOptions::new().with_min_score(f32::NAN));
    assert!(
        matches!(wrong, Err(Error::OptionRange { name: "min_score", .. })),
        "{wrong:?}"
    );
}
