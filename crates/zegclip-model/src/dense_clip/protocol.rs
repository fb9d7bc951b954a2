//! The settings of the literature around the methods.

use std::str::FromStr;

pub use zegclip_kernels::NameSoftmax;

use super::benchmark::Benchmark;
use super::method::{DenseMethodName, UnknownDenseMethod};
use super::padding::WindowPadding;
use super::pamr::Pamr;

/// Windows of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlidingWindow {
    /// Side of a window in pixels.
    pub side: usize,
    /// Pixels from one window to the next.
    pub stride: usize,
}

/// Mean and standard deviation of the colors that images are normalized by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ImageStatistics {
    /// Those that CLIP was trained with.
    #[default]
    Clip,
    /// ImageNet's.
    ImageNet,
}

/// Whose names of a benchmark's classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassFile {
    /// SCLIP's, which NACLIP, ResCLIP and SC-CLIP use too: background of VOC and COCO-Object is 26 names of stuff.
    Sclip,
    /// ClearCLIP's: `background` is a name.
    ClearClip,
    /// MaskCLIP's, with templates of its own.
    MaskClip,
}

impl ClassFile {
    /// Whose: `sclip`, `clearclip` or `maskclip`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sclip => "sclip",
            Self::ClearClip => "clearclip",
            Self::MaskClip => "maskclip",
        }
    }
}

/// A method with the settings that a figure was published with.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseProtocol {
    /// The method.
    pub method: DenseMethodName,
    /// Whose parameters a method has that differ by benchmark.
    pub benchmark: Benchmark,
    /// Short side of the resized image in pixels.
    pub short_side: usize,
    /// Largest long side of the resized image in pixels.
    pub max_long_side: usize,
    /// `None`: the whole image at once.
    pub windows: Option<SlidingWindow>,
    /// What happens to windows whose sides are no multiple of a patch.
    pub padding: WindowPadding,
    /// Whether scores of a whole image are resized to the resized image before its original size.
    pub resized_twice: bool,
    /// Mean and standard deviation of colors.
    pub statistics: ImageStatistics,
    /// Factor of cosines before their softmax.
    pub logit_scale: f64,
    /// What the softmax runs over.
    pub softmax: NameSoftmax,
    /// A pixel whose best class is less probable has the first class, the background.
    pub min_probability: Option<f64>,
    /// Classes with not more than this share of the pixels without background are dropped.
    pub min_area: Option<f64>,
    /// Refinement of scores.
    pub pamr: Option<Pamr>,
    /// The names of the classes.
    pub class_file: ClassFile,
    /// Published mIoU in percent, with ViT-B/16.
    pub published_miou: Option<f64>,
}

impl DenseProtocol {
    /// The settings of a method for images of one's own and CLIP that was trained on images of `side` pixels: windows of that side, half of it
    /// apart, over an image whose short side is one and a half times as long. With 224: short side 336, windows of 224 every 112.
    pub fn of_method(method: DenseMethodName, side: usize) -> Self {
        Self {
            short_side: side * 3 / 2,
            max_long_side: 2048.max(side * 3 / 2),
            windows: Some(SlidingWindow {
                side,
                stride: (side / 2).max(1),
            }),
            min_probability: None,
            min_area: None,
            pamr: None,
            published_miou: None,
            ..Self::published(method, Benchmark::CocoStuff)
        }
    }

    /// The settings of a published figure.
    pub fn published(method: DenseMethodName, benchmark: Benchmark) -> Self {
        use Benchmark::{Cityscapes, CocoObject, CocoStuff, Context59, Context60, Voc20, Voc21};
        use DenseMethodName::{ClearClip, MaskClip, MaskClipRelease, NaClip, ResClip, ScClip, Sclip};
        let window = |side, stride| Some(SlidingWindow { side, stride });
        let common = Self {
            method,
            benchmark,
            short_side: if benchmark == Cityscapes { 560 } else { 336 },
            max_long_side: 2048,
            windows: window(224, 112),
            padding: WindowPadding::CutOff,
            resized_twice: false,
            statistics: ImageStatistics::Clip,
            logit_scale: 40.0,
            softmax: NameSoftmax::OverNames,
            min_probability: None,
            min_area: None,
            pamr: None,
            class_file: ClassFile::Sclip,
            published_miou: published_miou(method, benchmark),
        };
        let with_background = |probability: f64| benchmark.has_background().then_some(probability);
        match method {
            MaskClipRelease => {
                let context = matches!(benchmark, Context59 | Context60);
                Self {
                    short_side: if context { 520 } else { 512 },
                    max_long_side: if context { 520 } else { 2048 },
                    windows: None,
                    padding: WindowPadding::RightBottom,
                    resized_twice: true,
                    statistics: ImageStatistics::ImageNet,
                    class_file: ClassFile::MaskClip,
                    ..common
                }
            }
            Sclip => Self {
                short_side: if benchmark == CocoStuff { 448 } else { common.short_side },
                logit_scale: match benchmark {
                    Voc21 => 65.0,
                    Context60 | CocoObject => 50.0,
                    _ => 40.0,
                },
                min_probability: with_background(0.1),
                min_area: (benchmark == Voc21).then_some(0.1),
                ..common
            },
            ClearClip | MaskClip => Self {
                short_side: 448,
                windows: if benchmark == Cityscapes {
                    window(224, 224)
                } else {
                    window(448, 224)
                },
                padding: WindowPadding::Around,
                logit_scale: 50.0,
                min_probability: match benchmark {
                    Voc21 => Some(0.5),
                    Context60 => Some(0.15),
                    CocoObject => Some(0.4),
                    _ => None,
                },
                class_file: ClassFile::ClearClip,
                ..common
            },
            NaClip | ResClip => Self {
                windows: if matches!(benchmark, Voc20 | Voc21) {
                    None
                } else {
                    common.windows
                },
                resized_twice: true,
                softmax: NameSoftmax::OverClasses,
                min_probability: with_background(0.1),
                // The figures in NACLIP's description contain its refinement.
                pamr: (method == NaClip).then(Pamr::default),
                ..common
            },
            ScClip => Self {
                logit_scale: match benchmark {
                    Voc21 => 50.0,
                    CocoObject => 55.0,
                    _ => 40.0,
                },
                min_probability: match benchmark {
                    Voc21 | Context60 => Some(0.15),
                    CocoObject => Some(0.35),
                    _ => None,
                },
                min_area: (benchmark == Voc21).then_some(0.1),
                ..common
            },
        }
    }

    /// Its name, such as `sclip-voc21`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.method, self.benchmark)
    }
}

impl FromStr for DenseProtocol {
    type Err = UnknownDenseMethod;

    /// A method and a benchmark: `sclip-voc21`.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let all = DenseMethodName::ALL.into_iter();
        let pairs = all.flat_map(|method| Benchmark::ALL.into_iter().map(move |benchmark| (method, benchmark)));
        let mut found = pairs.filter(|(method, benchmark)| name == format!("{method}-{benchmark}"));
        match found.next() {
            Some((method, benchmark)) => Ok(Self::published(method, benchmark)),
            None => Err(UnknownDenseMethod { name: name.to_owned() }),
        }
    }
}

/// Figures of the releases, or of the papers where a release states none; ViT-B/16.
fn published_miou(method: DenseMethodName, benchmark: Benchmark) -> Option<f64> {
    // In the order of `Benchmark::ALL`; 0 where there is none.
    let row: [f64; 8] = match method {
        DenseMethodName::MaskClip => [74.9, 0.0, 26.4, 0.0, 0.0, 16.4, 9.8, 12.6],
        DenseMethodName::MaskClipRelease => [49.5, 0.0, 21.7, 0.0, 0.0, 12.5, 0.0, 0.0],
        DenseMethodName::Sclip => [81.54, 59.63, 34.46, 31.74, 33.52, 22.77, 16.45, 32.34],
        DenseMethodName::ClearClip => [80.9, 51.8, 35.9, 32.6, 33.0, 23.9, 16.7, 30.0],
        DenseMethodName::NaClip => [83.03, 64.07, 38.35, 34.99, 36.19, 25.69, 19.05, 38.27],
        DenseMethodName::ResClip => [86.0, 61.1, 36.8, 33.5, 35.0, 24.7, 18.0, 35.9],
        DenseMethodName::ScClip => [84.3, 64.6, 40.1, 36.8, 37.7, 26.6, 20.1, 41.0],
    };
    let index = Benchmark::ALL.into_iter().position(|listed| listed == benchmark)?;
    row.get(index).copied().filter(|miou| *miou > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_found_by_name() {
        let protocol: DenseProtocol = "sclip-voc21".parse().unwrap();
        assert_eq!(
            (protocol.method, protocol.benchmark),
            (DenseMethodName::Sclip, Benchmark::Voc21)
        );
        assert_eq!((protocol.logit_scale, protocol.min_area), (65.0, Some(0.1)));
        for method in DenseMethodName::ALL {
            for benchmark in Benchmark::ALL {
                let protocol = DenseProtocol::published(method, benchmark);
                assert_eq!(protocol.name().parse(), Ok(protocol));
            }
        }
        assert!("sclip-voc22".parse::<DenseProtocol>().is_err());
    }

    #[test]
    fn settings_follow_the_size_that_clip_was_trained_on() {
        for (side, short_side, stride) in [(224, 336, 112), (336, 504, 168)] {
            let protocol = DenseProtocol::of_method(DenseMethodName::ScClip, side);
            let windows = Some(SlidingWindow { side, stride });
            assert_eq!((protocol.short_side, protocol.windows), (short_side, windows));
        }
    }
}
