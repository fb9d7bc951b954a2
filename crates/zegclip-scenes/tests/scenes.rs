//! Composed scenes: pure functions whose labels, captions and artists are what they say.

use std::collections::HashSet;
use std::path::Path;

use image::{Rgba, RgbaImage};
use zegclip_data::{ClassIndex, LabelMap, Vocabulary};
use zegclip_scenes::{Artists, Augmentation, Ground, HELD_OUT_ARTIST, Scene, SceneSettings, Scenes};

fn same(a: &Scene, b: &Scene) -> bool {
    a.image == b.image && a.labels == b.labels && a.captions == b.captions && a.pictures == b.pictures
}

#[test]
fn a_scene_is_a_function_of_seed_number_and_split() {
    let train = Scenes::embedded(SceneSettings::train(64, 3)).unwrap();
    let first = (0..24).map(|index| train.compose(index)).collect::<Vec<_>>();
    let again = Scenes::embedded(SceneSettings::train(64, 3)).unwrap();
    std::thread::scope(|scope| {
        for offset in 0..3 {
            let (first, again) = (&first, &again);
            scope.spawn(move || {
                for index in (offset..24).rev().step_by(3) {
                    assert!(same(&first[index], &again.compose(index as u64)), "scene {index}");
                }
            });
        }
    });
    let other_seed = Scenes::embedded(SceneSettings::train(64, 4)).unwrap();
    let test = Scenes::embedded(SceneSettings::test(64, 3, Artists::Known)).unwrap();
    for (index, scene) in (0..).zip(&first) {
        assert_ne!(scene.image, other_seed.compose(index).image);
        assert_ne!(scene.image, test.compose(index).image);
        assert_ne!(scene.image, first[(index as usize + 1) % first.len()].image);
    }
}

#[test]
fn every_name_occurs() {
    let scenes = Scenes::embedded(SceneSettings::train(96, 1)).unwrap();
    let mut pixels = vec![0; scenes.vocabulary().len()];
    for index in 0..294 {
        let counts = scenes.compose(index).labels.histogram(pixels.len());
        for (sum, count) in pixels.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    let missing = scenes
        .vocabulary()
        .names()
        .zip(&pixels)
        .filter(|(_, pixels)| **pixels == 0);
    assert_eq!(missing.count(), 0);
}

#[test]
fn fifteen_of_the_155_names_are_unseen() {
    let demo = Vocabulary::built_in("demo").unwrap();
    assert_eq!((demo.len(), demo.seen().unseen_count()), (155, 15));
    for name in ["potted plant", "sheep", "sofa", "train", "tv monitor"] {
        assert!(!demo.seen().is_seen(demo.find(name).unwrap()), "{name}");
    }
    // An unseen class has no name in common with a seen one: the list would be refused, see `Vocabulary`.
    let voc = Vocabulary::built_in("voc-pictures").unwrap();
    let published = Vocabulary::built_in("voc20").unwrap();
    assert_eq!(voc.seen(), published.seen());
    assert!(
        published
            .names()
            .eq(voc.names().map(|name| name.replace(' ', "")).collect::<Vec<_>>().iter())
    );
    let drawn = voc.names().filter(|name| demo.find(name).is_some()).count();
    assert_eq!(drawn, 19);
    for ground in Ground::ALL {
        assert!(demo.seen().is_seen(demo.find(ground.name()).unwrap()));
        let class = demo.class(demo.find(ground.name()).unwrap()).unwrap();
        assert!(
            class.names().skip(1).eq(ground.synonyms().iter().copied()),
            "{}",
            class.name()
        );
    }
}

#[test]
fn training_never_sees_the_held_out_artist_and_the_unknown_one_is_that_artist() {
    let artists = |settings| {
        let scenes = Scenes::embedded(settings).unwrap();
        let pictures = (0..200).flat_map(|index| scenes.compose(index).pictures);
        let artists = pictures.map(|picture| picture.artist).collect::<HashSet<_>>();
        assert!(artists.iter().all(|artist| scenes.artists().contains(artist)));
        artists
    };
    let train = artists(SceneSettings::train(48, 9));
    assert!(train.len() >= 8 && !train.contains(HELD_OUT_ARTIST), "{train:?}");
    let known = artists(SceneSettings::test(48, 9, Artists::Known));
    assert!(!known.contains(HELD_OUT_ARTIST), "{known:?}");
    let unknown = artists(SceneSettings::test(48, 9, Artists::Unknown));
    assert_eq!(unknown, HashSet::from([HELD_OUT_ARTIST.to_owned()]));
    let all = artists(SceneSettings::test(48, 9, Artists::All));
    assert!(all.contains(HELD_OUT_ARTIST) && all.len() > known.len());
}

#[test]
fn labels_are_the_pictures_and_the_grounds() {
    for settings in [
        SceneSettings::train(128, 5),
        SceneSettings::test(128, 5, Artists::Unknown),
    ] {
        let scenes = Scenes::embedded(settings).unwrap();
        for index in 0..60 {
            let scene = scenes.compose(index);
            let ground = |ground: &Ground| scenes.vocabulary().find(ground.name()).unwrap();
            let pictures = scene.pictures.iter().map(|picture| picture.class);
            let named = pictures.chain(scene.grounds.iter().map(ground)).collect::<HashSet<_>>();
            assert_eq!(named, HashSet::from_iter(scene.classes()), "scene {index}");
            assert!(scene.pictures.len() <= 6);
            assert!(
                scene.pictures.iter().all(|picture| picture.visible >= 0.5),
                "{:?}",
                scene.pictures
            );
            // Only rims are ignored.
            let ignored = scene.labels.iter().filter(Option::is_none).count();
            assert!(ignored < 128 * 128 / 4, "scene {index}: {ignored}");
        }
    }
}

/// A folder with one picture: a disc of a color that no ground has.
fn disc_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("me")).unwrap();
    let disc = RgbaImage::from_fn(100, 100, |x, y| {
        let distance = (x as f32 - 49.5).hypot(y as f32 - 49.5);
        let opacity = (40.5 - distance).clamp(0.0, 1.0);
        Rgba([255, 0, 255, (opacity * 255.0) as u8])
    });
    disc.save(folder.path().join("me/big_disc.png")).unwrap();
    write_list(
        folder.path(),
        r#"[{ "name": "big disc", "group": "food", "styles": ["me"] }]"#,
    );
    folder
}

fn write_list(folder: &Path, text: &str) {
    std::fs::write(folder.join("pictures.json"), text).unwrap();
}

/// The share of magenta over a ground that has none of it.
fn magenta(pixel: &image::Rgb<u8>) -> f32 {
    let [red, green, blue] = pixel.0.map(f32::from);
    red.min(blue) - green
}

#[test]
fn the_label_map_is_what_can_be_seen() {
    let folder = disc_folder();
    let settings = SceneSettings {
        jpeg: false,
        augmentation: Augmentation::Mild,
        pictures: 1..=1,
        ..SceneSettings::train(128, 11)
    };
    let scenes = Scenes::from_dir(folder.path(), settings).unwrap();
    let names = scenes.vocabulary().names().collect::<Vec<_>>();
    assert_eq!((names.len(), names[0], names[1]), (9, "big disc", "grass"));
    let disc = ClassIndex::new(0);
    for index in 0..60 {
        let scene = scenes.compose(index);
        let [placed] = &scene.pictures[..] else {
            panic!("one picture")
        };
        let (mut inside, mut rim) = (0, 0);
        for (x, y, pixel) in scene.image.enumerate_pixels() {
            let label = scene.labels.get(x, y);
            if label == disc {
                inside += 1;
                assert!(magenta(pixel) > 90.0, "scene {index} at ({x}, {y}): {pixel:?}");
            } else if label.is_some() {
                assert!(magenta(pixel) < 90.0, "scene {index} at ({x}, {y}): {pixel:?}");
            } else {
                rim += 1;
            }
        }
        // A disc is a disc however it is turned; part of it may lie outside.
        let area = std::f32::consts::FRAC_PI_4 * placed.size * placed.size;
        assert!(
            (0.65 * area..1.05 * area).contains(&(inside as f32)),
            "scene {index}: {inside} of {area}"
        );
        assert!(
            (rim as f32) < 2.0 * std::f32::consts::PI * placed.size,
            "scene {index}: {rim}"
        );
    }
}

#[test]
fn sizes_from_32_to_512_and_scenes_without_pictures() {
    for size in [32, 33, 48, 100, 224, 512] {
        let scenes = Scenes::embedded(SceneSettings::train(size, 2)).unwrap();
        for index in 0..4 {
            let scene = scenes.compose(index);
            assert_eq!(scene.image.dimensions(), (size, size));
            assert_eq!(scene.labels.dimensions(), (size, size));
        }
    }
    let settings = SceneSettings {
        pictures: 0..=0,
        ..SceneSettings::train(64, 2)
    };
    let scenes = Scenes::embedded(settings).unwrap();
    for index in 0..20 {
        let scene = scenes.compose(index);
        assert!(
            scene
                .labels
                .as_raw()
                .iter()
                .all(|&label| label >= 147 && label != LabelMap::IGNORE)
        );
        assert!(scene.captions[0].starts_with("a photo of "), "{}", scene.captions[0]);
    }
}

#[test]
fn settings_are_checked() {
    let message = |settings| Scenes::embedded(settings).unwrap_err().to_string();
    assert_eq!(
        message(SceneSettings::train(20, 0)),
        "the setting `size` of scenes must be 32 to 1024 pixels, not 20"
    );
    let settings = SceneSettings::train(64, 0);
    assert_eq!(
        message(SceneSettings {
            pictures: 2..=9,
            ..settings.clone()
        }),
        "the setting `pictures` of scenes must be a range within 0 to 6, not 2 to 9"
    );
    assert_eq!(
        message(SceneSettings {
            picture_size: 40..=80,
            ..settings
        }),
        "the setting `picture_size` of scenes must be a range of pixels from 12 to the size of the scene, not 40 to 80"
    );
}

#[test]
fn what_can_be_wrong_with_a_folder_of_pictures() {
    let folder = disc_folder();
    let message = |artists| {
        Scenes::from_dir(folder.path(), SceneSettings::test(64, 0, artists))
            .map_or_else(|error| error.to_string(), |scenes| format!("{scenes:?}"))
            .replace(&folder.path().display().to_string(), "DIR")
    };
    assert!(message(Artists::Unknown).starts_with("Scenes([\"me\"], 9 names"));
    assert_eq!(
        message(Artists::Named(vec!["mee".into()])),
        "there is no artist `mee` in `DIR` (did you mean `me`?); there are `me`"
    );
    let with_list = |text: &str| {
        write_list(folder.path(), text);
        message(Artists::All)
    };
    assert_eq!(
        with_list(r#"[{ "name": "big disc", "styles": ["me", "you"] }]"#),
        "cannot read `DIR/you/big_disc.png`: No such file or directory (os error 2)"
    );
    assert_eq!(
        with_list(r#"[{ "name": "big disc" }]"#),
        "`DIR/pictures.json` is not a list of pictures: missing field `styles` at line 1 column 23"
    );
    assert_eq!(
        with_list(r#"[{ "name": "../me/big disc", "styles": ["me"] }]"#),
        "`DIR/pictures.json` is not a list of pictures: `../me/big disc` cannot be a name of a picture or style"
    );
    assert_eq!(
        with_list("[]"),
        "`DIR/pictures.json` is not a list of pictures: no name in it has a style"
    );
    std::fs::copy(folder.path().join("me/big_disc.png"), folder.path().join("me/sea.png")).unwrap();
    assert_eq!(
        with_list(r#"[{ "name": "sea", "styles": ["me"] }]"#),
        "`pictures.json`: `sea` is the name of a ground"
    );
    std::fs::copy(folder.path().join("me/big_disc.png"), folder.path().join("me/disc.png")).unwrap();
    assert_eq!(
        with_list(
            r#"[{ "name": "disc", "styles": ["me"] }, { "name": "big disc", "synonyms": ["Disc"], "styles": [] }]"#
        ),
        "`pictures.json`: `Disc` names both class 1 and class 2"
    );
    std::fs::write(folder.path().join("me/disc.png"), b"no picture").unwrap();
    assert_eq!(
        with_list(r#"[{ "name": "disc", "styles": ["me"] }]"#),
        "`DIR/me/disc.png` is not a PNG, JPEG, WebP, BMP, TIFF or GIF image but text"
    );
    RgbaImage::new(9, 9).save(folder.path().join("me/disc.png")).unwrap();
    assert_eq!(
        message(Artists::All),
        "`DIR/me/disc.png` shows nothing: every pixel is transparent"
    );
    std::fs::remove_file(folder.path().join("pictures.json")).unwrap();
    assert_eq!(message(Artists::All), "`DIR` contains no `pictures.json`");
}

#[test]
fn names_of_the_demo_vocabulary_are_labeled_with_it() {
    let folder = disc_folder();
    std::fs::rename(
        folder.path().join("me/big_disc.png"),
        folder.path().join("me/couch.png"),
    )
    .unwrap();
    write_list(folder.path(), r#"[{ "name": "couch", "styles": ["me"] }]"#);
    let scenes = Scenes::from_dir(folder.path(), SceneSettings::test(64, 0, Artists::Unknown)).unwrap();
    assert_eq!(scenes.vocabulary().name(), "demo");
    let sofa = scenes.vocabulary().find("sofa");
    assert!(
        scenes
            .compose(0)
            .pictures
            .iter()
            .all(|picture| Some(picture.class) == sofa)
    );
}
