//! What training does to a photo and its labels, as pure functions of `(seed, iteration, slot)`.

mod crop;
mod hsv;
mod normalize;
mod photometric;
mod pipeline;
mod random;
mod region;

pub use crop::draw_crop;
pub use hsv::{HUES, hsv_to_rgb, rgb_to_hsv};
pub use normalize::{CHANNEL_DEVIATION, CHANNEL_MEAN};
pub use photometric::{Distortion, PhotometricDistortion};
pub use pipeline::{Plan, TrainingPipeline, TrainingSample, fit_inside};
pub use random::{Draw, RandomStream, shuffled};
pub use region::{Region, nearest_indices, resize_bilinear};
