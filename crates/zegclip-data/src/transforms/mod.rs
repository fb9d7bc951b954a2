//! What training does to an image and its labels, as pure functions of `(seed, iteration, slot)`.

mod crop;
mod hsv;
mod normalize;
mod photometric;
mod pipeline;
mod random;
mod region;
mod settings;

pub use crop::draw_crop;
pub use hsv::{HUES, hsv_to_rgb, rgb_to_hsv};
pub use photometric::{Distortion, PhotometricDistortion};
pub use pipeline::{Plan, TrainingSample, fit_inside};
pub use random::{Draw, random_stream, shuffled};
pub use region::{Region, nearest_indices, resize_region};
pub use settings::TrainingPipeline;
pub use zegclip_foundation::RandomStream;
