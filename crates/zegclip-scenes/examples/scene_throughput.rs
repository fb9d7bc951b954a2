//! How many scenes one thread composes in a second of CPU time.
//!
//! ```text
//! scene_throughput [SIZE [COUNT [SHEET.png]]]
//! ```
//!
//! With a third argument the first scenes are written as one picture, to look at.
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::sync::OnceLock;
use std::time::Instant;

use image::RgbImage;
use zegclip_scenes::{Artists, SceneSettings, Scenes};

/// Seconds that this thread has had a CPU, where the system tells (Linux), else seconds that went by: other programs
/// shall not count.
fn seconds() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = statistics.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(
        || START.get_or_init(Instant::now).elapsed().as_secs_f64(),
        |time| 1e-9 * time,
    )
}

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
            let start = seconds();
            let pixels = (0..count).map(|index| scenes.compose(index).image.len()).sum::<usize>();
            best = best.min(seconds() - start);
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
