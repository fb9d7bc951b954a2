//! `zegclip scenes`

use zegclip_data::Vocabulary;
use zegclip_scenes::{Artists, DATASET_FILE, SceneSettings, Scenes, check_free};

use crate::arguments::{ScenesArguments, SplitName};
use crate::failure::Failure;
use crate::interrupt::interruptible;
use crate::output;
use crate::progress::bar;

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
        settings.vocabulary = Some(Vocabulary::from_name_or_file(vocabulary).map_err(Failure::usage)?);
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
        "{} scenes of {size}×{size} pixels, split {}, by {}; {} classes, {} of them unseen",
        options.count,
        scenes.settings().split.name(),
        scenes.artists().join(", "),
        scenes.vocabulary().len(),
        scenes.vocabulary().seen().unseen_count(),
    ));
    output::line(options.output.join(DATASET_FILE).display())
}
