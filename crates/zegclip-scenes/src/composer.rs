//! Composes scenes: pictures on grounds.

use std::path::Path;

use crate::backdrop::Backdrop;
use crate::captions::{self, Content};
use crate::color::{Rgb, mix};
use crate::error::SceneError;
use crate::finish::Finish;
use crate::ground::Ground;
use crate::library::{Concept, Library};
use crate::mipmap::Mipmap;
use crate::noise::{DrawF32, Noise};
use crate::pose::Pose;
use crate::render::{draw_shadow, draw_sprite};
use crate::scene::{PlacedPicture, Scene};
use crate::settings::{MAX_PICTURES, SceneSettings, SceneSplit};
use crate::sprite::Sprite;
use crate::style::Style;
use crate::vocabulary::vocabulary_of;
use zegclip_data::transforms::{Draw, RandomStream, random_stream, shuffled};
use zegclip_data::{ClassIndex, LabelMap, Vocabulary};

/// Opacity from which a pixel belongs to a picture, and below which it belongs to what is behind. Between them, at the
/// rim, it is ignored.
const OPAQUE: f32 = 0.9;
const CLEAR: f32 = 0.1;
/// The least share of a picture that later ones leave free, and that lies inside the scene.
const MIN_VISIBLE: f32 = 0.55;
const MIN_INSIDE: f32 = 0.75;
/// The fewest pixels with its label that a picture may have: what is thinner or clearer than that is not to be seen.
const MIN_LABELED: usize = 12;
/// Places that are tried for a picture, before a smaller one is, and before it is left out.
const PLACES: usize = 8;
const SMALLER: [f32; 3] = [1.0, 0.75, 0.55];

/// Scenes with the same pictures and settings.
///
/// It holds the decoded pictures and can be shared by threads; see the [crate](crate).
pub struct Scenes {
    settings: SceneSettings,
    library: Library,
    vocabulary: Vocabulary,
    /// The class of each concept, if the vocabulary names it.
    classes: Vec<Option<ClassIndex>>,
    /// Concepts that have a picture and a class, by position.
    drawn: Vec<usize>,
    noise: Noise,
}

impl Scenes {
    /// Scenes of the embedded pictures, labeled with the vocabulary `demo`.
    ///
    /// # Errors
    /// [`SceneError::Setting`], and [`SceneError::UnknownArtist`] for one who is not there.
    pub fn embedded(settings: SceneSettings) -> Result<Self, SceneError> {
        settings.check()?;
        let library = Library::embedded(&settings.artists)?;
        Self::new(library, settings)
    }

    /// Scenes of a folder of pictures: `pictures.json` and `STYLE/NAME.png` with transparency.
    ///
    /// If all of its names are in the vocabulary `demo`, scenes are labeled with that; else with the folder's names
    /// and the grounds, those unseen that are so in `demo`.
    ///
    /// # Errors
    /// [`SceneError::Setting`], and everything that can be wrong with the folder.
    pub fn from_dir(folder: &Path, settings: SceneSettings) -> Result<Self, SceneError> {
        settings.check()?;
        let library = Library::from_dir(folder, &settings.artists)?;
        Self::new(library, settings)
    }

    fn new(library: Library, settings: SceneSettings) -> Result<Self, SceneError> {
        let vocabulary = match &settings.vocabulary {
            Some(vocabulary) => vocabulary.clone().with_identity_encoding(),
            None => vocabulary_of(&library.concepts)?,
        };
        let class = |concept: &Concept| vocabulary.find(&concept.name);
        let classes = library.concepts.iter().map(class).collect::<Vec<_>>();
        let is_drawn = |position: &usize| {
            let has_picture = library
                .concepts
                .get(*position)
                .is_some_and(|concept| !concept.pictures.is_empty());
            has_picture && classes.get(*position).is_some_and(Option::is_some)
        };
        let drawn = (0..classes.len()).filter(is_drawn).collect::<Vec<_>>();
        if drawn.is_empty() {
            return Err(SceneError::NoPicture {
                vocabulary: vocabulary.name().to_owned(),
            });
        }
        Ok(Self {
            drawn,
            classes,
            vocabulary,
            library,
            settings,
            noise: Noise::new(),
        })
    }

    /// What labels mean.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Phrases with every word that a caption can have, so that a text encoder may know its words before the first scene.
    pub fn caption_phrases(&self) -> Vec<String> {
        captions::phrases(&self.vocabulary, MAX_PICTURES)
    }

    /// The settings that scenes are made with.
    pub fn settings(&self) -> &SceneSettings {
        &self.settings
    }

    /// Names of the artists in use.
    pub fn artists(&self) -> &[String] {
        &self.library.artists
    }

    /// The scene of a number: a pure function of the settings, the pictures and `index`, from any thread.
    ///
    /// Every run of as many scenes as there are names, from a multiple of that number on, is given each name once; it
    /// may be left out where there is no place for it.
    pub fn compose(&self, index: u64) -> Scene {
        let split = match self.settings.split {
            SceneSplit::Train => 0,
            SceneSplit::Test => 1,
        };
        let mut stream = random_stream(self.settings.seed, index, split, Draw::Scene);
        let mut canvas = Canvas::paint(self, &mut stream);
        let count = stream.integer(*self.settings.pictures.start(), *self.settings.pictures.end());
        let mut concept = self.first_concept(index, split);
        for position in 0..count {
            // The same thing again now and then: captions count.
            if position > 0 && !stream.chance(0.15) {
                concept = stream.pick(&self.drawn).copied();
            }
            let Some(concept) = concept else { break };
            canvas.place(self, concept, count, &mut stream);
        }
        let finish = Finish::draw(&mut stream, &self.settings);
        canvas.finish(self, &finish, &mut stream)
    }

    fn first_concept(&self, index: u64, split: u64) -> Option<usize> {
        let names = self.drawn.len() as u64;
        let epoch = index.checked_div(names)?;
        let position = shuffled(self.settings.seed ^ (split << 63), epoch, index % names, names);
        self.drawn.get(position as usize).copied()
    }
}

impl std::fmt::Debug for Scenes {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.vocabulary.len();
        write!(
            formatter,
            "Scenes({:?}, {names} names, {:?})",
            self.library.artists, self.settings
        )
    }
}

/// A scene as it grows.
struct Canvas {
    size: u32,
    colors: Vec<Rgb>,
    labels: Vec<u16>,
    /// The picture a pixel belongs to, from 1; 0 is the ground. The rim keeps what was behind it.
    owners: Vec<u8>,
    backdrop: Backdrop,
    grounds: Vec<(Option<ClassIndex>, Ground)>,
    placed: Vec<Placed>,
    /// Where shadows fall, `[x, y]` in pixels for a picture of one pixel; and how dark they are.
    light: [f32; 2],
    darkness: f32,
}

struct Placed {
    picture: PlacedPicture,
    /// Opaque pixels when it was placed, and those that are left.
    whole: usize,
    left: usize,
}

impl Canvas {
    fn paint(scenes: &Scenes, stream: &mut RandomStream) -> Self {
        let settings = &scenes.settings;
        let usual = (settings.picture_size.start() + settings.picture_size.end()) as f32 / 2.0;
        // Pictures have 0.475 of the side of a scene by default.
        let backdrop = Backdrop::draw(stream, settings.size, usual / 0.475);
        let ground = |ground: Ground| (scenes.vocabulary.find(ground.name()), ground);
        let grounds = backdrop.grounds().map(ground).collect::<Vec<_>>();
        let pixels = settings.size as usize * settings.size as usize;
        let (mut colors, mut labels) = (Vec::with_capacity(pixels), Vec::with_capacity(pixels));
        backdrop.paint(&scenes.noise, settings.size, |color, position| {
            colors.push(color);
            labels.push(grounds.get(position).map_or(LabelMap::IGNORE, |&(class, _)| raw(class)));
        });
        let side = if stream.chance(0.5) { -1.0 } else { 1.0 };
        Self {
            size: settings.size,
            colors,
            labels,
            owners: vec![0; pixels],
            backdrop,
            grounds,
            placed: Vec::new(),
            light: [side * stream.range(0.02, 0.1), stream.range(0.02, 0.09)],
            darkness: stream.range(0.15, 0.5),
        }
    }

    /// Lays a picture of this concept where it hides not too much, if there is such a place.
    fn place(&mut self, scenes: &Scenes, concept: usize, count: usize, stream: &mut RandomStream) {
        let class = scenes.classes.get(concept).copied().flatten();
        let Some((concept, class)) = scenes.library.concepts.get(concept).zip(class) else {
            return;
        };
        let Some((artist, picture)) = stream.pick(&concept.pictures) else {
            return;
        };
        let upright = self.backdrop.horizon().is_some();
        let augmentation = scenes.settings.augmentation;
        let size = draw_size(&scenes.settings, count, stream);
        let style = Style::draw(stream, concept.kind, augmentation);
        let attempt = stream.clone();
        for smaller in SMALLER {
            let size = (size * smaller).max(*scenes.settings.picture_size.start() as f32);
            let pose = Pose::draw(&mut attempt.clone(), picture.size(), size, upright, augmentation);
            let sprite = draw_sprite(picture, &pose, &style, size);
            let Some((center, covered)) = self.find_place(&sprite, stream) else {
                continue;
            };
            self.cast_shadow(picture, &pose, center, size, stream);
            let whole = self.lay(&sprite, center, class);
            for (placed, covered) in self.placed.iter_mut().zip(covered) {
                placed.left -= covered.min(placed.left);
            }
            self.placed.push(Placed {
                picture: PlacedPicture {
                    class,
                    artist: scenes.library.artists.get(*artist).cloned().unwrap_or_default(),
                    center,
                    size,
                    visible: 1.0,
                },
                whole,
                left: whole,
            });
            return;
        }
    }

    /// A center, and the pixels of each earlier picture that are hidden from there.
    fn find_place(&self, sprite: &Sprite, stream: &mut RandomStream) -> Option<([i32; 2], Vec<usize>)> {
        let size = self.size as f32;
        let (half_width, half_height) = (sprite.width as f32 / 2.0, sprite.height as f32 / 2.0);
        let between = |stream: &mut RandomStream, low: f32, high: f32| {
            if low < high {
                stream.range(low, high)
            } else {
                (low + high) / 2.0
            }
        };
        // Most pictures stand free if there is room; the others may overlap anywhere.
        let free = stream.chance(0.7);
        let mut best: Option<([i32; 2], Vec<usize>)> = None;
        for _ in 0..PLACES {
            // A picture may stick out a little.
            let (out_x, out_y) = (0.8 * half_width, 0.8 * half_height);
            let x = between(stream, out_x, size - out_x);
            let y = match self.backdrop.horizon() {
                // It stands on the ground, or flies.
                Some(horizon) if stream.chance(0.75) => {
                    between(stream, horizon + 0.1 * size, size + 0.15 * half_height) - half_height
                }
                _ => between(stream, out_y, size - out_y),
            };
            let center = [x.round() as i32, y.round() as i32];
            let Some(covered) = self.covered(sprite, center) else {
                continue;
            };
            let hidden = covered.iter().sum::<usize>();
            if !free || hidden == 0 {
                return Some((center, covered));
            }
            if best.as_ref().is_none_or(|(_, covered)| hidden < covered.iter().sum()) {
                best = Some((center, covered));
            }
        }
        best
    }

    /// Pixels of each earlier picture that the sprite would hide, unless they are too many.
    fn covered(&self, sprite: &Sprite, center: [i32; 2]) -> Option<Vec<usize>> {
        let mut covered = vec![0; self.placed.len()];
        let (mut inside, mut all, mut labeled) = (0, 0, 0);
        let size = self.size as i32;
        for (y, row) in (center[1] - sprite.height as i32 / 2..).zip(sprite.pixels.chunks_exact(sprite.width.max(1))) {
            for (x, pixel) in (center[0] - sprite.width as i32 / 2..).zip(row) {
                if pixel[3] <= CLEAR {
                    continue;
                }
                all += 1;
                if x < 0 || y < 0 || x >= size || y >= size {
                    continue;
                }
                inside += 1;
                labeled += usize::from(pixel[3] >= OPAQUE);
                let owner = self.owners.get((y * size + x) as usize).copied().unwrap_or_default();
                if let Some(count) = usize::from(owner)
                    .checked_sub(1)
                    .and_then(|owner| covered.get_mut(owner))
                {
                    *count += 1;
                }
            }
        }
        let hidden =
            self.placed.iter().zip(&covered).any(|(placed, &covered)| {
                (placed.left.saturating_sub(covered) as f32) < MIN_VISIBLE * placed.whole as f32
            });
        let is_inside = inside as f32 >= MIN_INSIDE * all as f32;
        (!hidden && is_inside && labeled >= MIN_LABELED).then_some(covered)
    }

    fn cast_shadow(&mut self, picture: &Mipmap, pose: &Pose, center: [i32; 2], size: f32, stream: &mut RandomStream) {
        let softness = stream.integer(1, 2);
        let (pose, x, y) = if self.backdrop.horizon().is_some() {
            // On the ground, from the lower edge to the back.
            let (height, lean) = (
                stream.range(0.18, 0.3),
                self.light[0].signum() * stream.range(0.1, 0.45),
            );
            let cast = pose.cast(height, lean);
            (cast, -lean * pose.half[1], pose.half[1] * (1.0 - height) - 0.02 * size)
        } else {
            (*pose, self.light[0] * size, self.light[1] * size)
        };
        let (width, shadow) = draw_shadow(picture, &pose, softness);
        let height = shadow.len() / width.max(1);
        let left = center[0] + x.round() as i32 - width as i32 / 2;
        let top = center[1] + y.round() as i32 - height as i32 / 2;
        let darkness = self.darkness;
        self.visit(left, top, width, &shadow, |color, _, _, &opacity| {
            *color = mix(*color, [0.02, 0.02, 0.06], opacity * darkness);
        });
    }

    /// Paints the picture over everything and tells how many pixels are now its own.
    fn lay(&mut self, sprite: &Sprite, center: [i32; 2], class: ClassIndex) -> usize {
        let left = center[0] - sprite.width as i32 / 2;
        let top = center[1] - sprite.height as i32 / 2;
        let number = self.placed.len() as u8 + 1;
        let mut own = 0;
        self.visit(left, top, sprite.width, &sprite.pixels, |color, label, owner, pixel| {
            let opacity = pixel[3];
            for (value, over) in color.iter_mut().zip(pixel) {
                *value = *value * (1.0 - opacity) + over;
            }
            if opacity >= OPAQUE {
                *label = class.get();
                *owner = number;
                own += 1;
            } else if opacity > CLEAR {
                *label = LabelMap::IGNORE;
            }
        });
        own
    }

    /// Calls `each` with every pixel under a block of `width` columns, whose corner is at `(left, top)`.
    fn visit<T>(
        &mut self,
        left: i32,
        top: i32,
        width: usize,
        block: &[T],
        mut each: impl FnMut(&mut Rgb, &mut u16, &mut u8, &T),
    ) {
        let size = self.size as i32;
        for (y, row) in (top..).zip(block.chunks_exact(width.max(1))) {
            if y < 0 || y >= size {
                continue;
            }
            let first = left.clamp(0, size);
            let last = left.saturating_add(width as i32).clamp(first, size);
            let pixels = (y * size + first) as usize..(y * size + last) as usize;
            let block = row.iter().skip((first - left).max(0) as usize);
            let colors = self.colors.get_mut(pixels.clone()).unwrap_or_default();
            let labels = self.labels.get_mut(pixels.clone()).unwrap_or_default();
            let owners = self.owners.get_mut(pixels).unwrap_or_default();
            for (((color, label), owner), value) in colors.iter_mut().zip(labels).zip(owners).zip(block) {
                each(color, label, owner, value);
            }
        }
    }

    fn finish(mut self, scenes: &Scenes, finish: &Finish, stream: &mut RandomStream) -> Scene {
        let image = finish.develop(&mut self.colors, self.size);
        let labels = self.labels;
        self.grounds
            .retain(|&(class, _)| class.is_none() || labels.contains(&raw(class)));
        let mut things = Vec::<(ClassIndex, usize)>::new();
        for placed in &self.placed {
            let class = placed.picture.class;
            match things.iter_mut().find(|(other, _)| *other == class) {
                Some((_, count)) => *count += 1,
                None => things.push((class, 1)),
            }
        }
        let grounds = self.grounds.into_iter().map(|(_, ground)| ground).collect::<Vec<_>>();
        let content = Content {
            vocabulary: &scenes.vocabulary,
            things: &things,
            grounds: &grounds,
        };
        Scene {
            captions: captions::write(&content, stream),
            image,
            labels: LabelMap::from_raw(self.size, self.size, labels)
                .unwrap_or_else(|_| LabelMap::filled(self.size, self.size, None)),
            pictures: self
                .placed
                .into_iter()
                .map(|placed| PlacedPicture {
                    visible: placed.left as f32 / placed.whole.max(1) as f32,
                    ..placed.picture
                })
                .collect(),
            grounds,
        }
    }
}

/// As label maps write it.
fn raw(class: Option<ClassIndex>) -> u16 {
    class.map_or(LabelMap::IGNORE, ClassIndex::get)
}

/// Many pictures in a scene are smaller, so that they find their places.
fn draw_size(settings: &SceneSettings, count: usize, stream: &mut RandomStream) -> f32 {
    const LARGEST: [f32; 6] = [0.85, 0.65, 0.55, 0.48, 0.44, 0.4];
    let share = LARGEST.get(count.saturating_sub(1)).copied().unwrap_or(0.4);
    let (smallest, largest) = (
        *settings.picture_size.start() as f32,
        *settings.picture_size.end() as f32,
    );
    stream.range(smallest, largest.min(share * settings.size as f32).max(smallest))
}
