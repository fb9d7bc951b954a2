//! `zegclip scenes`

use zegclip_foundation::counted;
use zegclip_scenes::{Artists, DATASET_FILE, SceneSettings, Scenes, check_free};

use crate::arguments::{ScenesArguments, SplitName};
use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::progress::bar;
use crate::{classes, output};

pub(crate) fn run(options: &ScenesArguments) -> Result<(), Failure> {
    // Before pictures are read, so that a wrong folder is reported at once.
    check_free(&options.output)?;
    let mut settings = match options.split {
        SplitName::Train => SceneSettings::train(options.size, options.seed),
        SplitName::Test => SceneSettings::test(options.size, options.seed, Artists::Unknown),
    };
    if let Some(artists) = &options.artists {
        settings.artists = Artists::parse(artists);
    }
    if let Some(vocabulary) = &options.vocabulary {
        settings.vocabulary = Some(classes::from_name_or_file(vocabulary)?);
    }
    let scenes = match &options.pictures {
        Some(folder) => Scenes::from_dir(folder, settings)?,
        None => Scenes::embedded(settings)?,
    };
    let stop = interruptible();
    let progress = bar(options.count);
    let written = scenes.write_dataset(&options.output, options.count, &stop, |made| {
        progress.set_position(made)
    });
    progress.finish_and_clear();
    written?;
    let size = options.size;
    output::message(format_args!(
        "{} of {size}×{size} pixels, split {}, by {}; {}, {} of them unseen",
        counted(options.count, "scene", "scenes"),
        scenes.settings().split.name(),
        scenes.artists().join(", "),
        counted(scenes.vocabulary().len(), "class", "classes"),
        scenes.vocabulary().seen().unseen_count(),
    ));
    output::line(options.output.join(DATASET_FILE).display())
}
