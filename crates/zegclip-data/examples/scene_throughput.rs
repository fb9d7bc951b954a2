//! How many scenes a second one thread composes.
//!
//! ```text
//! scene_throughput [SIZE [COUNT [SHEET.png]]]
//! ```
//!
//! With a third argument the first scenes are written as one picture, to look at.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::time::Instant;

use image::RgbImage;
use zegclip_data::scenes::{Artists, SceneSettings, Scenes};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let size = arguments.next().map_or(Ok(128), |text| text.parse::<u32>())?;
    let count = arguments.next().map_or(Ok(600), |text| text.parse::<u64>())?;
    let sheet = arguments.next();
    for settings in [
        SceneSettings::train(size, 7),
        SceneSettings::test(size, 7, Artists::Unknown),
    ] {
        let split = settings.split;
        let start = Instant::now();
        let scenes = Scenes::embedded(settings)?;
        let opened = start.elapsed().as_secs_f64();
        // Repeated, as other programs disturb: the best counts.
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            let start = Instant::now();
            let pixels = (0..count).map(|index| scenes.compose(index).image.len()).sum::<usize>();
            best = best.min(start.elapsed().as_secs_f64());
            assert_eq!(pixels as u64, count * u64::from(size) * u64::from(size) * 3);
        }
        println!(
            "{split:?}: pictures opened in {opened:.2} s, {:.0} scenes of {size}×{size} a second",
            count as f64 / best
        );
        if let Some(sheet) = &sheet {
            let columns = 8;
            let mut picture = RgbImage::new(columns * size, columns * size / 2);
            for index in 0..columns * columns / 2 {
                let scene = scenes.compose(index.into());
                println!("{index}: {:?}", scene.captions);
                let (x, y) = (index % columns * size, index / columns * size);
                image::imageops::replace(&mut picture, &scene.image, x.into(), y.into());
            }
            picture.save(sheet.replace(".png", &format!("-{split:?}.png")))?;
        }
    }
    Ok(())
}
