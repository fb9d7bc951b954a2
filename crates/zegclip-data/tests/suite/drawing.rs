//! Drawings: properties for every image and class list.

use image::RgbImage;
use zegclip_data::{
    ClassIndex, LabelMap, Vocabulary,
    draw::{Bar, BarChart, blend, colorize, overlay, side_by_side, with_legend},
};

fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([(x * 3) as u8, (y * 5) as u8, (x + y) as u8])
    })
}

/// `classes` classes in a checkerboard of `side` pixels.
fn board(width: u32, height: u32, side: u32, classes: u32) -> LabelMap {
    LabelMap::from_fn(width, height, |x, y| {
        ClassIndex::new(((x / side + 7 * (y / side)) % classes) as u16)
    })
}

#[test]
fn opacity_goes_from_the_image_to_the_palette() {
    let voc = Vocabulary::built_in("voc20").unwrap();
    let (image, labels) = (gradient(90, 60), board(90, 60, 30, 20));
    // Away from outlines.
    let (x, y) = (10, 10);
    let color = voc.color(labels.get(x, y).unwrap());
    assert_eq!(
        blend(&image, &labels, &voc, 0.0).unwrap().get_pixel(x, y),
        image.get_pixel(x, y)
    );
    assert_eq!(blend(&image, &labels, &voc, 1.0).unwrap().get_pixel(x, y).0, color);
    assert_eq!(blend(&image, &labels, &voc, 7.0).unwrap().get_pixel(x, y).0, color);
    let half = blend(&image, &labels, &voc, 0.5).unwrap().get_pixel(x, y).0;
    for ((half, image), color) in half.into_iter().zip(image.get_pixel(x, y).0).zip(color) {
        assert!(half.abs_diff(image.midpoint(color)) <= 1);
    }
}

#[test]
fn pixels_without_a_class_keep_their_color() {
    let voc = Vocabulary::built_in("voc20").unwrap();
    let image = gradient(40, 30);
    let nothing = LabelMap::filled(40, 30, None);
    assert_eq!(blend(&image, &nothing, &voc, 0.6).unwrap(), image);
    assert!(colorize(&nothing, &voc).pixels().all(|pixel| pixel.0 == [255; 3]));
}

#[test]
fn classes_are_outlined() {
    let voc = Vocabulary::built_in("voc20").unwrap();
    let black = RgbImage::new(40, 40);
    let labels = LabelMap::from_fn(40, 40, |x, _| ClassIndex::new(u16::from(x >= 20)));
    let blended = blend(&black, &labels, &voc, 0.6).unwrap();
    let bright = |x: u32| blended.get_pixel(x, 7).0.iter().all(|&value| value > 180);
    assert!((0..40).all(|x| bright(x) == (x == 19)));
}

#[test]
fn the_legend_has_exactly_the_classes_that_occur() {
    let voc = Vocabulary::built_in("voc20").unwrap();
    let image = RgbImage::from_pixel(512, 300, image::Rgb([128; 3]));
    let drawing = overlay(&image, &board(512, 300, 64, 3), &voc, 0.6).unwrap();
    assert_eq!(drawing.width(), 512);
    let legend = image::imageops::crop_imm(&drawing, 0, 300, 512, drawing.height() - 300).to_image();
    let chip = |class: u16| {
        let color = voc.color(ClassIndex::new(class).unwrap());
        legend.pixels().filter(|pixel| pixel.0 == color).count() > 50
    };
    assert!((0..3).all(chip) && !(3..20).any(chip));
}

#[test]
fn unseen_classes_are_marked() {
    let list = || Vocabulary::from_names("cat, dog").unwrap();
    let (image, labels) = (gradient(300, 300), board(300, 300, 50, 2));
    let seen = overlay(&image, &labels, &list(), 0.6).unwrap();
    let unseen = overlay(&image, &labels, &list().with_seen_names(["cat"]).unwrap(), 0.6).unwrap();
    // The mark's explanation takes a line.
    assert!(unseen.height() > seen.height());
}

#[test]
fn long_lists_and_names_stay_within_bounds() {
    let coco = Vocabulary::built_in("coco171").unwrap();
    for (width, height) in [(512, 512), (640, 427), (427, 640), (64, 64), (1600, 1200)] {
        let labels = board(width, height, 2, 171);
        let drawing = overlay(&gradient(width, height), &labels, &coco, 0.6).unwrap();
        let scale = 256u32.div_ceil(width.min(height));
        let (width, height) = (width * scale, height * scale);
        assert!(
            drawing.width() <= 3 * width && drawing.height() <= 5 * height / 2,
            "{:?}",
            drawing.dimensions()
        );
        assert!(drawing.width() >= width && drawing.height() >= height);
    }
    let name = "an extremely long name of a class ".repeat(9);
    let long = Vocabulary::from_names(&format!("{name}, cat")).unwrap();
    let drawing = overlay(&gradient(300, 300), &board(300, 300, 10, 2), &long, 0.6).unwrap();
    assert_eq!(drawing.width(), 300);
}

#[test]
fn every_shape_can_be_drawn() {
    let voc = Vocabulary::built_in("voc20").unwrap();
    for (width, height) in [(1, 1), (1, 3000), (3000, 1), (2, 5), (64, 48), (1000, 40)] {
        let labels = board(width, height, 1, 20);
        let drawing = overlay(&gradient(width, height), &labels, &voc, 0.6).unwrap();
        assert!(drawing.width() >= width && drawing.height() >= height);
        assert!(drawing.width() < 20_000 && drawing.height() < 20_000);
    }
    let nothing = LabelMap::filled(0, 0, None);
    assert!(with_legend(&RgbImage::new(0, 0), &nothing, &voc).width() < 2_000);
}

#[test]
fn labels_of_another_size_are_refused() {
    let voc = Vocabulary::built_in("voc20").unwrap();
    let error = overlay(&gradient(10, 20), &board(20, 10, 1, 2), &voc, 0.6).unwrap_err();
    assert_eq!(error.to_string(), "the image has 10×20 pixels, its labels 20×10");
}

#[test]
fn bars_are_as_long_as_their_values() {
    let bar = |value: f64, color| Bar {
        name: "a".into(),
        value,
        label: String::new(),
        color,
        marked: false,
    };
    let bars = vec![
        bar(4.0, [255, 0, 0]),
        bar(1.0, [0, 255, 0]),
        bar(0.0, [0, 0, 255]),
        bar(f64::NAN, [1, 2, 3]),
    ];
    let chart = BarChart {
        title: "t".into(),
        subtitle: String::new(),
        bars,
        logarithmic: false,
    }
    .draw();
    let count = |color: [u8; 3]| chart.pixels().filter(|pixel| pixel.0 == color).count();
    assert_eq!(count([255, 0, 0]), 4 * count([0, 255, 0]));
    assert_eq!((count([0, 0, 255]), count([1, 2, 3])), (0, 0));
    let empty = BarChart {
        title: "t".into(),
        subtitle: String::new(),
        bars: Vec::new(),
        logarithmic: true,
    };
    assert!(empty.draw().width() > 10);
}

#[test]
fn panels_are_equally_high() {
    let (first, second) = (gradient(100, 80), gradient(50, 160));
    let sheet = side_by_side(&[("image", &first), ("a title that is too long for its panel", &second)]);
    assert!(sheet.width() > 125 && sheet.width() < 150 && sheet.height() > 80 && sheet.height() < 120);
    assert_eq!(side_by_side(&[]).dimensions(), (1, 1));
}
