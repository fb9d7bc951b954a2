//! Properties of metrics, transforms, label files and vocabularies, for arbitrary inputs.

use proptest::collection::vec;
use proptest::prelude::*;
use zegclip_data::metrics::{Confusion, Scores};
use zegclip_data::transforms::{Draw, Region, draw_crop, random_stream, resize_region};
use zegclip_data::{
    ClassIndex, IMAGENET_MEAN, IMAGENET_STD, ImageLimits, LabelDepth, LabelEncoding, LabelMap, RawLabels, RgbImage,
    SeenClasses, TrainingLabels, TrainingSetting, Vocabulary, decode_label_png, encode_label_png, normalize,
    output_encoding, resize_bilinear, resize_labels_nearest,
};

const CLASSES: u16 = 5;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Values below `classes`, or ignored.
fn label(classes: u16) -> impl Strategy<Value = u16> {
    prop_oneof![6 => 0..classes, 1 => Just(LabelMap::IGNORE)]
}

fn label_map(classes: u16) -> impl Strategy<Value = LabelMap> {
    (1_u32..12, 1_u32..12).prop_flat_map(move |(width, height)| {
        vec(label(classes), (width * height) as usize)
            .prop_map(move |values| LabelMap::from_raw(width, height, values).unwrap())
    })
}

/// Labels and a prediction of the same size.
fn pair() -> impl Strategy<Value = (LabelMap, LabelMap)> {
    (1_u32..12, 1_u32..12).prop_flat_map(|(width, height)| {
        let map = move || {
            vec(label(CLASSES), (width * height) as usize)
                .prop_map(move |values| LabelMap::from_raw(width, height, values).unwrap())
        };
        (map(), map())
    })
}

fn image() -> impl Strategy<Value = RgbImage> {
    (1_u32..20, 1_u32..20).prop_flat_map(|(width, height)| {
        vec(any::<u8>(), (3 * width * height) as usize)
            .prop_map(move |pixels| RgbImage::from_raw(width, height, pixels).unwrap())
    })
}

fn vocabulary() -> Vocabulary {
    Vocabulary::from_names("a, b, c, d, e")
        .unwrap()
        .with_seen(SeenClasses::from_unseen_indices(5, [1, 4]).unwrap())
        .unwrap()
}

fn confusion(pairs: &[(LabelMap, LabelMap)]) -> Confusion {
    let mut confusion = Confusion::new(&vocabulary());
    for (labels, prediction) in pairs {
        confusion.add(labels, prediction).unwrap();
    }
    confusion
}

fn close(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-12,
        (a, b) => a == b,
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn scores_are_fractions(pairs in vec(pair(), 1..4)) {
        let scores = Scores::of(&confusion(&pairs));
        let means = [scores.pixel_accuracy, scores.mean_accuracy, scores.miou, scores.miou_seen, scores.miou_unseen];
        let classes = scores.classes.iter().flat_map(|class| [class.iou, class.accuracy]);
        for score in means.into_iter().chain([scores.hiou]).chain(classes).flatten() {
            prop_assert!((0.0..=1.0).contains(&score), "{score}");
        }
    }

    #[test]
    fn merged_confusions_are_those_of_all_images(first in vec(pair(), 0..4), second in vec(pair(), 0..4)) {
        let mut merged = confusion(&first);
        merged.merge(&confusion(&second)).unwrap();
        prop_assert_eq!(merged, confusion(&[first, second].concat()));
    }

    #[test]
    fn a_perfect_prediction_scores_1(labels in label_map(CLASSES)) {
        let scores = Scores::of(&confusion(&[(labels.clone(), labels.clone())]));
        prop_assert_eq!(scores.images, 1);
        let expected = labels.max_class().map(|_| 1.0);
        prop_assert_eq!([scores.miou, scores.pixel_accuracy, scores.mean_accuracy], [expected; 3]);
        for class in &scores.classes {
            prop_assert_eq!(class.iou, (class.pixels > 0).then_some(1.0));
        }
    }

    #[test]
    fn permuted_classes_have_permuted_scores(
        pairs in vec(pair(), 1..3),
        order in Just((0..CLASSES).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let permute = |labels: &LabelMap| labels.map(|class| ClassIndex::new(order[class.index()]));
        let permuted = pairs.iter().map(|(labels, prediction)| (permute(labels), permute(prediction)));
        let (scores, permuted) = (Scores::of(&confusion(&pairs)), Scores::of(&confusion(&permuted.collect::<Vec<_>>())));
        for (class, &new) in scores.classes.iter().zip(&order) {
            prop_assert_eq!(class.iou, permuted.classes[usize::from(new)].iou);
            prop_assert_eq!(class.accuracy, permuted.classes[usize::from(new)].accuracy);
        }
        // Sums in another order.
        prop_assert!(close(scores.miou, permuted.miou) && close(scores.pixel_accuracy, permuted.pixel_accuracy));
    }

    #[test]
    fn two_flips_are_none(labels in label_map(CLASSES)) {
        let flipped = labels.flip_horizontal();
        for (row, flipped) in labels.rows().zip(flipped.rows()) {
            prop_assert!(row.iter().eq(flipped.iter().rev()));
        }
        prop_assert_eq!(flipped.flip_horizontal(), labels);
    }

    #[test]
    fn the_same_size_is_no_resize(image in image(), labels in label_map(CLASSES)) {
        prop_assert_eq!(&resize_bilinear(&image, image.width(), image.height()), &image);
        prop_assert_eq!(&resize_labels_nearest(&labels, labels.width(), labels.height()), &labels);
        let region = Region { x: 0, y: 0, width: image.width(), height: image.height() };
        prop_assert_eq!(&resize_region(&image, image.dimensions(), region), image.as_raw());
    }

    #[test]
    fn a_resized_region_is_a_region_of_the_resized(
        image in image(),
        size in (1_u32..24, 1_u32..24),
        start in (0_u32..24, 0_u32..24),
        extent in (1_u32..24, 1_u32..24),
    ) {
        let region = Region { x: start.0, y: start.1, width: extent.0, height: extent.1 };
        let inside = region.within(size);
        prop_assert!(inside.x + inside.width <= size.0 && inside.y + inside.height <= size.1);
        let whole = resize_bilinear(&image, size.0, size.1);
        let part = image::imageops::crop_imm(&whole, inside.x, inside.y, inside.width, inside.height).to_image();
        prop_assert_eq!(&resize_region(&image, size, region), part.as_raw());
    }

    #[test]
    fn resized_images_stay_within_the_range_of_their_values(image in image(), size in (1_u32..24, 1_u32..24)) {
        let resized = resize_bilinear(&image, size.0, size.1);
        prop_assert_eq!(resized.dimensions(), size);
        let (low, high) = (image.iter().min().unwrap(), image.iter().max().unwrap());
        prop_assert!(resized.iter().all(|value| (low..=high).contains(&value)));
    }

    #[test]
    fn crops_are_inside(
        labels in label_map(CLASSES),
        resized in (1_u32..40, 1_u32..40),
        size in 1_u32..40,
        seed in any::<u64>(),
    ) {
        let seen = vocabulary().seen().clone();
        let labels = TrainingLabels::new(TrainingSetting::Inductive, &seen, labels).unwrap();
        let crop = draw_crop(&labels, resized, size, 0.75, 3, &mut random_stream(seed, 0, 0, Draw::Crop));
        prop_assert!(crop.x + crop.width <= resized.0 && crop.y + crop.height <= resized.1);
        prop_assert_eq!((crop.width, crop.height), (size.min(resized.0), size.min(resized.1)));
    }

    #[test]
    fn normalization_is_invertible(image in image()) {
        let normalized = normalize(&image);
        let pixels = (image.width() * image.height()) as usize;
        prop_assert_eq!(normalized.len(), 3 * pixels);
        for (position, pixel) in image.pixels().enumerate() {
            for channel in 0..3 {
                // `[3, height, width]`
                let value = normalized[channel * pixels + position];
                let level = value * IMAGENET_STD[channel] + IMAGENET_MEAN[channel];
                prop_assert!((level - f32::from(pixel[channel])).abs() < 0.01, "{level} {pixel:?}");
            }
        }
    }

    #[test]
    fn label_files_keep_every_map_of_8_and_16_bits((classes, labels) in prop_oneof![
        (1_u16..256).prop_flat_map(|classes| (Just(classes), label_map(classes))),
        (256_u16..2000).prop_flat_map(|classes| (Just(classes), label_map(classes))),
    ]) {
        let palette = vec![[7, 8, 9]; usize::from(classes)];
        let file = encode_label_png(&labels, &palette).unwrap();
        let (encoding, depth) = output_encoding(usize::from(classes));
        let raw = decode_label_png(&file, "`a.png`", &ImageLimits::default(), depth).unwrap();
        let decoded = encoding.decode(&raw);
        prop_assert!(decoded.unknown.is_empty(), "{:?}", decoded.unknown);
        prop_assert_eq!(decoded.labels, labels);
        if classes < 256 {
            prop_assert_eq!(depth, LabelDepth::Eight);
        }
    }

    #[test]
    fn encodings_are_inverted_by_their_values(
        labels in label_map(CLASSES),
        values in proptest::sample::subsequence((0_u16..600).collect::<Vec<_>>(), usize::from(CLASSES) + 1),
        first in 1_u16..1000,
    ) {
        let (ignored, values) = values.split_last().unwrap();
        let pairs = values.iter().copied().zip((0..).filter_map(ClassIndex::new));
        let table = LabelEncoding::table(pairs, [*ignored]).unwrap();
        let offset = LabelEncoding::offset(usize::from(CLASSES), first, [0]).unwrap();
        for (encoding, ignored) in [(table, *ignored), (offset, 0), (LabelEncoding::identity(5), 255)] {
            let value = |class: Option<ClassIndex>| class.map_or(Some(ignored), |class| encoding.value_of(class));
            let raw = labels.iter().map(value).collect::<Option<Vec<_>>>().unwrap();
            let raw = RawLabels::new(labels.width(), labels.height(), raw).unwrap();
            let decoded = encoding.decode(&raw);
            prop_assert!(decoded.unknown.is_empty());
            prop_assert_eq!(&decoded.labels, &labels);
        }
    }

    #[test]
    fn vocabularies_survive_toml(
        names in proptest::collection::btree_set("[a-z][a-z' é\"#=-]{0,8}[a-z]", 1..12),
        name in "[a-zA-Z0-9 _-]{1,12}",
        unseen in vec(any::<bool>(), 12),
        first in 0_u16..200,
        template in "[a-z ]{0,8}\\{\\}[a-z .]{0,8}",
    ) {
        let names = names.into_iter().collect::<Vec<_>>();
        let text = |items: Vec<&String>| {
            toml::Value::Array(items.into_iter().map(|item| item.clone().into()).collect())
        };
        let mut table = toml::Table::new();
        table.insert("name".into(), name.into());
        table.insert("classes".into(), text(names.iter().collect()));
        let unseen = names.iter().zip(unseen).filter_map(|(name, unseen)| unseen.then_some(name));
        table.insert("unseen".into(), text(unseen.collect()));
        table.insert("templates".into(), text(vec![&template]));
        let labels = [("first".to_owned(), i64::from(first).into()), ("ignore".to_owned(), vec![255].into())];
        table.insert("labels".into(), toml::Value::Table(labels.into_iter().collect()));
        let Ok(vocabulary) = Vocabulary::from_toml_text(&table.to_string(), "`v.toml`") else {
            // Names that differ in white space alone are one name.
            return Err(TestCaseError::reject("duplicate names"));
        };
        prop_assert!(vocabulary.names().eq(names.iter().map(String::as_str)));
        let again = Vocabulary::from_toml_text(&vocabulary.to_toml(), "`again.toml`").unwrap();
        prop_assert_eq!(again, vocabulary);
    }
}
