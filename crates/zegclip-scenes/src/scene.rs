//! A composed scene.

use image::RgbImage;

use crate::ground::Ground;
use zegclip_data::{ClassIndex, LabelMap};

/// A picture in a scene.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedPicture {
    /// What it shows.
    pub class: ClassIndex,
    /// Who drew it.
    pub artist: String,
    /// Its center in pixels, `[x, y]`.
    pub center: [i32; 2],
    /// The longer side of the visible part in pixels, before it was turned.
    pub size: f32,
    /// The share of its pixels that later pictures do not hide.
    pub visible: f32,
}

/// An image of a world in which pictures stand on grounds, its labels and its captions.
#[derive(Clone, Debug)]
pub struct Scene {
    /// `[size, size, 3]`.
    pub image: RgbImage,
    /// `[size, size]` of classes of [`Scenes::vocabulary`](crate::Scenes::vocabulary); ignored on the half-transparent
    /// rim of pictures.
    pub labels: LabelMap,
    /// Different sentences that all name every picture; some name the grounds, too.
    pub captions: Vec<String>,
    /// From back to front.
    pub pictures: Vec<PlacedPicture>,
    /// The grounds that can be seen, the upper one last.
    pub grounds: Vec<Ground>,
}

impl Scene {
    /// The classes that have a pixel, in order.
    pub fn classes(&self) -> Vec<ClassIndex> {
        let mut classes = self.labels.iter().flatten().collect::<Vec<_>>();
        classes.sort_unstable();
        classes.dedup();
        classes
    }
}
