//! Label maps in a folder, compared with the true ones of a data set or of another folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Evaluation, EvaluationError, EvaluationState, Scored};
use crate::datasets::{Dataset, DatasetError, LabelFolder};
use crate::{LabelDepth, LabelMap, RgbImage, Vocabulary, output_encoding};

/// True labels.
#[derive(Clone, Debug)]
pub enum TrueLabels {
    /// Those of a split of a data set.
    Dataset(Dataset),
    /// Those of a folder of label files.
    Folder(LabelFolder),
}

/// Predicted and true label maps of the same images.
#[derive(Clone, Debug)]
pub struct LabelComparison {
    truth: Arc<TrueLabels>,
    ids: Arc<Vec<String>>,
    predictions: Arc<LabelFolder>,
    vocabulary: Vocabulary,
}

impl TrueLabels {
    /// The label files in a folder, with values as `vocabulary` says; of 16 bits where the vocabulary has values above 255.
    ///
    /// # Errors
    /// Those of [`LabelFolder::open`].
    pub fn in_folder(folder: &Path, vocabulary: &Vocabulary) -> Result<Self, DatasetError> {
        let encoding = vocabulary.encoding();
        let deep = (256..=u16::MAX).any(|value| encoding.class_of(value).is_some());
        let depth = if deep { LabelDepth::Sixteen } else { LabelDepth::Eight };
        Ok(Self::Folder(LabelFolder::open(folder, encoding.clone(), depth)?))
    }

    fn ids(&self) -> Vec<String> {
        match self {
            Self::Dataset(dataset) => dataset.samples().iter().map(|sample| sample.id().to_owned()).collect(),
            Self::Folder(folder) => folder.ids().map(str::to_owned).collect(),
        }
    }

    /// Whether a label map is that of another name, by a link.
    fn is_link(&self, id: &str) -> bool {
        matches!(self, Self::Folder(folder) if folder.link(id).is_some())
    }

    fn read(&self, index: usize, id: &str) -> Result<LabelMap, DatasetError> {
        match self {
            Self::Dataset(dataset) => dataset.labels(index),
            Self::Folder(folder) => folder.read(id),
        }
    }

    fn path(&self, index: usize, id: &str) -> Option<&Path> {
        match self {
            Self::Dataset(dataset) => dataset.samples().get(index)?.label_path(),
            Self::Folder(folder) => folder.path(id).ok(),
        }
    }
}

impl LabelComparison {
    /// Compares the label maps in `predictions`, as [`write_label_png`](crate::write_label_png) writes them for the classes of
    /// `vocabulary`, with the true ones.
    ///
    /// # Errors
    /// Those of [`LabelFolder::open`], and [`DatasetError::NoPrediction`] for the first image without a prediction.
    pub fn open(predictions: &Path, truth: TrueLabels, vocabulary: Vocabulary) -> Result<Self, DatasetError> {
        let (encoding, depth) = output_encoding(vocabulary.len());
        let predictions = LabelFolder::open(predictions, encoding, depth)?;
        let mut ids = truth.ids();
        if ids.iter().any(|id| truth.is_link(id)) {
            ids = once(&ids, &truth, &predictions)?;
        }
        for id in &ids {
            predictions.path(id)?;
        }
        Ok(Self {
            truth: Arc::new(truth),
            ids: Arc::new(ids),
            predictions: Arc::new(predictions),
            vocabulary,
        })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The classes.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Scores all images; `boundary` adds boundary IoU. `scored` is called for every image.
    ///
    /// # Errors
    /// [`DatasetError::PredictionSize`] where prediction and labels have different sizes, and those of reading them.
    pub fn run(
        &self,
        boundary: bool,
        scored: impl FnMut(&Scored) -> Result<(), EvaluationError> + Send,
    ) -> Result<EvaluationState, EvaluationError> {
        let (identity, never) = (BTreeMap::new(), AtomicBool::new(false));
        let evaluation = Evaluation {
            boundary,
            ..Evaluation::new(&self.vocabulary, self.len(), &identity, &never)
        };
        let images = self.clone();
        evaluation.run(move |index| images.load(index), Ok::<LabelMap, EvaluationError>, scored)
    }

    /// Name, image (where the data set has images) and true labels, for a page.
    ///
    /// # Errors
    /// Those of reading them.
    pub fn shown(&self, index: usize) -> Result<(String, Option<RgbImage>, LabelMap), EvaluationError> {
        let image = match &*self.truth {
            TrueLabels::Dataset(dataset) if dataset.has_images() => Some(dataset.load(index)?.0),
            _ => None,
        };
        let id = self.id(index);
        Ok((id.to_owned(), image, self.truth.read(index, id)?))
    }

    fn id(&self, index: usize) -> &str {
        self.ids.get(index).map_or("", String::as_str)
    }

    /// A prediction and its labels.
    fn load(&self, index: usize) -> Result<(LabelMap, LabelMap), DatasetError> {
        let id = self.id(index);
        let (labels, prediction) = (self.truth.read(index, id)?, self.predictions.read(id)?);
        if labels.dimensions() == prediction.dimensions() {
            return Ok((prediction, labels));
        }
        Err(DatasetError::PredictionSize {
            prediction: self.predictions.path(id)?.to_owned(),
            prediction_size: prediction.dimensions(),
            labels: self.truth.path(index, id).unwrap_or(Path::new("")).to_owned(),
            label_size: labels.dimensions(),
        })
    }
}

/// The names of different pairs of files: a link whose labels and prediction are those of another name counts once.
fn once(ids: &[String], truth: &TrueLabels, predictions: &LabelFolder) -> Result<Vec<String>, DatasetError> {
    let mut pairs = BTreeSet::new();
    let mut kept = BTreeSet::new();
    let (links, own): (Vec<_>, Vec<_>) = ids.iter().enumerate().partition(|(_, id)| truth.is_link(id));
    for (index, id) in own.into_iter().chain(links) {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if pairs.insert((truth.path(index, id).map(real), real(predictions.path(id)?))) {
            kept.insert(index);
        }
    }
    let kept = ids.iter().enumerate().filter(|(index, _)| kept.contains(index));
    Ok(kept.map(|(_, id)| id.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Scores;
    use crate::{ClassIndex, write_label_png};

    #[cfg(unix)]
    #[test]
    fn links_are_scored_once() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let vocabulary = Vocabulary::from_names("cat, dog").unwrap();
        let labels = LabelMap::filled(4, 2, ClassIndex::new(1));
        write_label_png(&folder.path().join("b.png"), &labels, &vocabulary.palette()).unwrap();
        symlink("b.png", folder.path().join("a.png")).unwrap();
        symlink(".", folder.path().join("latest")).unwrap();
        let truth = TrueLabels::in_folder(folder.path(), &vocabulary).unwrap();
        let comparison = LabelComparison::open(folder.path(), truth, vocabulary).unwrap();
        assert_eq!(comparison.len(), 1);
        assert_eq!(comparison.shown(0).unwrap().0, "b");
    }

    #[test]
    fn equal_folders_score_one_and_a_missing_prediction_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let vocabulary = Vocabulary::from_names("cat, dog").unwrap();
        let labels = LabelMap::from_fn(4, 2, |x, _| ClassIndex::new(u16::from(x > 1)));
        for name in ["truth", "predicted"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            let path = folder.path().join(name).join("a.png");
            write_label_png(&path, &labels, &vocabulary.palette()).unwrap();
        }
        let truth = || TrueLabels::in_folder(&folder.path().join("truth"), &vocabulary).unwrap();
        let predicted = folder.path().join("predicted");
        let comparison = LabelComparison::open(&predicted, truth(), vocabulary.clone()).unwrap();
        let state = comparison.run(false, |_| Ok(())).unwrap();
        assert_eq!(Scores::of(state.confusion()).miou, Some(1.0));
        assert_eq!(comparison.shown(0).unwrap(), ("a".to_owned(), None, labels.clone()));
        let extra = folder.path().join("truth/b.png");
        write_label_png(&extra, &labels, &vocabulary.palette()).unwrap();
        let refused = LabelComparison::open(&predicted, truth(), vocabulary.clone());
        assert!(matches!(refused, Err(DatasetError::NoPrediction { .. })), "{refused:?}");
    }
}
