//! Images: JPEGs that other decoders accept, extreme proportions.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

use crate::program::{Outcome, asset, zegclip};

fn segment(folder: &Path, inputs: &[&Path]) -> Outcome {
    let output = folder.join("out").display().to_string();
    let inputs: Vec<String> = inputs.iter().map(|path| path.display().to_string()).collect();
    let mut arguments = vec![
        "segment",
        "--classes",
        "sky, grass",
        "--device",
        "cpu",
        "--output",
        &output,
        "--overwrite",
    ];
    arguments.extend(inputs.iter().map(String::as_str));
    zegclip(&arguments)
}

/// The overlay of an image, which has its pixels.
fn overlay(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(format!("out/{name}.overlay.png"))).expect("an overlay")
}

fn jpeg(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../zegclip-codecs/tests/images")
        .join(name);
    std::fs::read(path).expect("a JPEG")
}

/// The file without the segments of a marker before its scan.
fn without(bytes: &[u8], marker: u8) -> Vec<u8> {
    let (mut kept, mut position) = (bytes[..2].to_vec(), 2);
    while bytes[position + 1] != 0xDA {
        let length = usize::from(u16::from_be_bytes([bytes[position + 2], bytes[position + 3]]));
        let end = position + 2 + length;
        if bytes[position + 1] != marker {
            kept.extend(&bytes[position..end]);
        }
        position = end;
    }
    kept.extend(&bytes[position..]);
    kept
}

#[test]
fn jpegs_that_other_programs_read_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (progressive, baseline) = (jpeg("420-progressive.jpg"), jpeg("422.jpg"));
    let camera = std::fs::read(asset("photos/chelsea.jpg")).expect("an image");
    let cut = progressive.len() / 2;
    let files = [
        ("progressive", progressive.clone()),
        ("no_end", progressive[..progressive.len() - 2].to_vec()),
        ("half_a_marker", progressive[..progressive.len() - 1].to_vec()),
        ("garbage", [&progressive[..], b"\0\x01garbage\xff\xda"].concat()),
        ("baseline", baseline.clone()),
        ("no_tables", without(&baseline, 0xC4)),
        ("camera", camera.clone()),
        ("camera_no_end", camera[..camera.len() - 2].to_vec()),
        ("half", progressive[..cut].to_vec()),
    ];
    let paths: Vec<PathBuf> = files
        .iter()
        .map(|(name, _)| folder.join(format!("{name}.jpg")))
        .collect();
    for (path, (_, bytes)) in paths.iter().zip(&files) {
        std::fs::write(path, bytes).expect("a file");
    }
    let outcome = segment(folder, &paths.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    outcome.check(1, &["half.jpg", "ends before the image does", "1 of 9 images failed"]);
    for (same, others) in [
        ("progressive", &["no_end", "half_a_marker", "garbage"][..]),
        ("baseline", &["no_tables"]),
        ("camera", &["camera_no_end"]),
    ] {
        for other in others {
            assert!(overlay(folder, same) == overlay(folder, other), "{other}");
        }
    }
}

#[test]
fn strips_are_refused_by_their_proportions() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (photo, strip) = (folder.join("photo.png"), folder.join("strip.png"));
    let image = |width, height| RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 7]));
    image(37, 29).save(&photo).expect("an image");
    let words = ["strip.png", "500:1", "pieces"];
    for (width, height) in [(3000, 6), (6, 3000)] {
        image(width, height).save(&strip).expect("an image");
        let outcome = segment(folder, &[&photo, &strip]);
        outcome.check(1, &[&words[..], &["1 of 2 images failed"]].concat());
        assert!(!outcome.stderr.contains("reduce the size"), "{}", outcome.stderr);
        segment(folder, &[&strip]).check(1, &words);
    }
    // In a data set it is named as well.
    let mask = image::GrayImage::new(6, 3000);
    mask.save(folder.join("mask.png")).expect("a mask");
    let toml = "classes = [\"sky\", \"grass\"]\n[splits.val]\nimages = \"strip.png\"\nlabels = \"mask.png\"\n";
    let toml = toml.replace("mask.png", "masks/strip.png");
    std::fs::create_dir(folder.join("masks")).expect("a folder");
    mask.save(folder.join("masks/strip.png")).expect("a mask");
    std::fs::write(folder.join("own.toml"), toml).expect("a file");
    let path = |name: &str| folder.join(name).display().to_string();
    zegclip(&[
        "eval",
        "--dataset",
        &path("own.toml"),
        "--output",
        &path("eval"),
        "--device",
        "cpu",
    ])
    .check(1, &["strip", "500:1", "pieces"]);
    // The longest that is possible.
    image(128 * 20, 20).save(&strip).expect("an image");
    segment(folder, &[&strip]).check(0, &[]);
}

#[test]
fn unusual_images_have_labels_of_their_own_size() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let rgb =
        |width, height| DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 9])));
    let files = [
        ("dot.png", rgb(1, 1), ImageFormat::Png),
        ("line.png", rgb(1, 40), ImageFormat::Png),
        ("row.png", rgb(40, 1), ImageFormat::Png),
        (
            "deep.png",
            DynamicImage::ImageRgb16(rgb(20, 11).into_rgb16()),
            ImageFormat::Png,
        ),
        (
            "gray.png",
            DynamicImage::ImageLuma8(rgb(20, 12).into_luma8()),
            ImageFormat::Png,
        ),
        (
            "deep-gray.png",
            DynamicImage::ImageLumaA16(rgb(20, 13).into_luma_alpha16()),
            ImageFormat::Png,
        ),
        (
            "alpha.png",
            DynamicImage::ImageRgba8(rgb(20, 14).into_rgba8()),
            ImageFormat::Png,
        ),
        ("one.gif", rgb(20, 15), ImageFormat::Gif),
        ("one.webp", rgb(20, 16), ImageFormat::WebP),
        ("one.bmp", rgb(20, 17), ImageFormat::Bmp),
        ("one.tif", rgb(20, 18), ImageFormat::Tiff),
    ];
    for (name, image, format) in files {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).expect("an image");
        let path = folder.join(name);
        std::fs::write(&path, bytes.into_inner()).expect("a file");
        segment(folder, &[&path]).check(0, &[]);
        let stem = name.split('.').next().expect("a name");
        let labels = image::open(folder.join(format!("out/{stem}.labels.png"))).expect("labels");
        assert_eq!(
            (labels.width(), labels.height()),
            (image.width(), image.height()),
            "{name}"
        );
    }
    let ink = folder.join("ink.jpg");
    std::fs::write(&ink, jpeg("cmyk.jpg")).expect("a file");
    segment(folder, &[&ink]).check(0, &[]);
    // A camera held upright: the sides are exchanged.
    let turned = folder.join("turned.jpg");
    let mut bytes = jpeg("422.jpg");
    let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let mut marker = vec![0xFF, 0xE1];
    marker.extend((exif.len() as u16 + 2).to_be_bytes());
    marker.extend(exif);
    bytes.splice(2..2, marker);
    std::fs::write(&turned, bytes).expect("a file");
    segment(folder, &[&turned]).check(0, &[]);
    let labels = image::open(folder.join("out/turned.labels.png")).expect("labels");
    assert_eq!((labels.width(), labels.height()), (47, 33));
}
