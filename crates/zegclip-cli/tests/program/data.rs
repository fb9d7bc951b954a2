//! Real data, and small data made for a test.
#![allow(dead_code, reason = "every test file uses its own part")]

use std::path::PathBuf;

use image::{Rgb, RgbImage};

/// 8 + 10 images of COCO with labels, as `--dataset` takes it.
pub fn coco() -> String {
    format!("coco-stuff={}", coco_root().display())
}

/// Where the images of COCO are.
pub fn coco_root() -> PathBuf {
    test_support::data("coco-mini")
}

/// Label files of VOC, without images.
pub fn voc() -> String {
    format!("voc2012={}", test_support::data("voc-mini").display())
}

/// A data set of three images with the classes cow and sheep, described by a TOML.
pub struct Farm {
    pub folder: tempfile::TempDir,
}

pub const FARM: &str = r#"
name = "farm"
classes = ["cow", "sheep|lamb"]
unseen = ["sheep"]
labels = { values = { 7 = "cow", 9 = "sheep" }, ignore = [0] }

[splits.val]
images = "photos/*.png"
labels = "masks/*.png"
list = "val.txt"
"#;

impl Farm {
    pub fn new() -> Self {
        let farm = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        for folder in ["photos", "masks"] {
            std::fs::create_dir(farm.path(folder)).expect("a folder");
        }
        for name in ["a", "b", "c"] {
            let image = RgbImage::from_fn(40, 30, |x, y| Rgb([(6 * x) as u8, (8 * y) as u8, name.as_bytes()[0]]));
            image.save(farm.path(&format!("photos/{name}.png"))).expect("an image");
            farm.mask(name, 40, 30, |x, y| match (x / 10 + y / 10) % 3 {
                0 => 0,
                1 => 7,
                _ => 9,
            });
        }
        farm.write("val.txt", "a\nb\nc\n");
        farm.write("farm.toml", FARM);
        farm
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn toml(&self) -> String {
        self.text("farm.toml")
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), contents).expect("a file");
    }

    /// Writes a label file of 8-bit gray.
    pub fn mask(&self, name: &str, width: u32, height: u32, value: impl Fn(u32, u32) -> u8) {
        let mask = image::GrayImage::from_fn(width, height, |x, y| image::Luma([value(x, y)]));
        mask.save(self.path(&format!("masks/{name}.png"))).expect("a mask");
    }
}
