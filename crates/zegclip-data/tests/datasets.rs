//! Data sets in every layout they are downloaded in, on real label files where there are some.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{coco, copy, gray_png, jpeg, voc, write};
use zegclip_data::datasets::{Dataset, DatasetSpec, Unmatched};
use zegclip_data::{ClassIndex, LabelMap, Vocabulary};

const I: u16 = LabelMap::IGNORE;

fn open(spec: &str, root: &Path, split: &str) -> Dataset {
    DatasetSpec::new(spec, root).unwrap().open(split).unwrap()
}

fn error(spec: &str, root: &Path, split: &str) -> String {
    DatasetSpec::new(spec, root)
        .and_then(|spec| spec.open(split))
        .unwrap_err()
        .to_string()
}

fn ids(dataset: &Dataset) -> Vec<&str> {
    dataset
        .samples()
        .iter()
        .map(zegclip_data::datasets::Sample::id)
        .collect()
}

#[test]
fn both_encodings_of_coco_give_the_same_labels() {
    let folder = tempfile::tempdir().unwrap();
    let mut pixels = 0;
    for split in ["train", "val"] {
        for file in std::fs::read_dir(coco().join(format!("stuffthingmaps/{split}2017"))).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            copy(&coco(), folder.path(), &format!("stuffthingmaps/{split}2017/{name}"));
        }
        let raw = open("coco-stuff", folder.path(), split);
        let contiguous = open("coco-stuff", &coco(), split);
        assert!(!raw.has_images() && contiguous.has_images());
        assert_eq!(ids(&raw), ids(&contiguous));
        for index in 0..raw.len() {
            let labels = raw.labels(index).unwrap();
            assert_eq!(labels, contiguous.labels(index).unwrap(), "{}", ids(&raw)[index]);
            assert_eq!(labels.dimensions(), contiguous.load(index).unwrap().0.dimensions());
            pixels += labels.iter().flatten().count();
        }
    }
    assert!(pixels > 1_000_000);
}

#[test]
fn voc_gives_the_values_of_an_independent_reader() {
    // Pixels of each palette index, counted by Pillow 13.
    let mut counted = BTreeMap::new();
    for split in ["train_aug", "val"] {
        let dataset = open("voc2012", &voc(), split);
        for (index, sample) in dataset.samples().iter().enumerate() {
            let labels = dataset.labels(index).unwrap();
            let counts: Vec<_> = (0..20)
                .zip(labels.histogram(20))
                .filter(|&(_, pixels)| pixels > 0)
                .collect();
            let ignored = labels.iter().filter(Option::is_none).count();
            counted.insert(sample.id().to_owned(), (labels.dimensions(), counts, ignored));
        }
    }
    assert_eq!(
        counted["2007_000032"],
        ((500, 281), vec![(0, 4734), (14, 866)], 129_545 + 5355)
    );
    assert_eq!(counted["2007_000039"], ((500, 375), vec![(19, 30_031)], 154_539 + 2930));
    assert_eq!(
        counted["2007_000727"],
        ((375, 500), vec![(5, 13_275), (6, 4913), (14, 1736)], 160_608 + 6968)
    );
    let mut totals = [0; 20];
    for &(class, pixels) in counted.values().flat_map(|(_, counts, _)| counts) {
        totals[class] += pixels;
    }
    let pillow = [
        38_853, 65_505, 16_282, 30_038, 40_859, 208_793, 14_770, 21_937, 90_730, 129_263, 124_679, 27_632, 70_943,
        53_289, 398_900, 14_692, 165_863, 108_048, 214_015, 124_511,
    ];
    assert_eq!((counted.len(), totals), (41, pillow));
    let ignored: usize = counted.values().map(|(_, _, ignored)| ignored).sum();
    assert_eq!(ignored, 5_089_006 + 415_652);
}

#[test]
fn voc_is_found_from_any_of_its_folders() {
    let inner = voc().join("VOCdevkit/VOC2012");
    for root in [voc(), voc().join("VOCdevkit"), inner] {
        assert_eq!(open("voc2012", &root, "val").len(), 24);
    }
    let spec = DatasetSpec::parse(format!("VOC2012={}", voc().display())).unwrap();
    assert_eq!(spec.open(spec.training_split()).unwrap().len(), 17);
    let error = open("voc2012", &voc(), "val").image(0).unwrap_err().to_string();
    assert!(
        error.contains("contains label files only, expected its images in `") && error.contains("JPEGImages"),
        "{error}"
    );
}

/// VOC and SBD as their two downloads unpack.
fn two_downloads(root: &Path) {
    let lists = "VOCdevkit/VOC2012/ImageSets/Segmentation";
    write(root, &format!("{lists}/train.txt"), "a\nb\n");
    write(root, &format!("{lists}/val.txt"), "c\n");
    for id in ["a", "b", "c", "d", "e"] {
        write(root, &format!("VOCdevkit/VOC2012/JPEGImages/{id}.jpg"), jpeg((4, 3)));
    }
    for id in ["a", "b", "c"] {
        let labels = gray_png((4, 3), &[0, 1, 20, 255, 0, 0, 0, 0, 0, 0, 0, 0]);
        write(root, &format!("VOCdevkit/VOC2012/SegmentationClass/{id}.png"), labels);
    }
    write(root, "benchmark_RELEASE/dataset/train.txt", "a\nd\nc\n");
    write(root, "benchmark_RELEASE/dataset/val.txt", "e\n");
    for id in ["a", "c", "d", "e"] {
        write(
            root,
            &format!("benchmark_RELEASE/dataset/cls/{id}.mat"),
            include_bytes!("../../zegclip-codecs/tests/data/sbd.mat"),
        );
    }
}

#[test]
fn the_list_of_10582_is_made_of_the_two_downloads() {
    let folder = tempfile::tempdir().unwrap();
    two_downloads(folder.path());
    let train = open("voc2012", folder.path(), "train_aug");
    // VOC's training images and all of SBD's, without VOC's validation.
    assert_eq!(ids(&train), ["a", "b", "d", "e"]);
    // VOC's own labels where there are some, with their ignored border.
    assert_eq!(train.labels(0).unwrap().as_raw(), [I, 0, 19, I, I, I, I, I, I, I, I, I]);
    // SBD's: 0 to 11 in rows.
    let (_, labels) = train.load(2).unwrap();
    assert_eq!(labels.as_raw(), [I, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    for root in ["VOCdevkit", "VOCdevkit/VOC2012"] {
        assert_eq!(
            ids(&open("voc2012", &folder.path().join(root), "trainaug")),
            ids(&train)
        );
    }
    let train = open("voc2012", folder.path(), "train");
    assert_eq!(ids(&train), ["a", "b"]);
    // mmsegmentation's guide moves SBD.
    let devkit = folder.path().join("VOCdevkit/VOCaug");
    std::fs::create_dir(&devkit).unwrap();
    std::fs::rename(folder.path().join("benchmark_RELEASE/dataset"), devkit.join("dataset")).unwrap();
    assert_eq!(open("voc2012", folder.path(), "train_aug").len(), 4);
    // And its script writes a list of SBD's part and PNGs instead.
    std::fs::remove_dir_all(devkit).unwrap();
    let root = folder.path().join("VOCdevkit/VOC2012");
    let message = error("voc2012", &root, "train_aug");
    assert!(
        message.contains("no list of the split `train_aug`") && message.contains("benchmark_RELEASE"),
        "{message}"
    );
    write(&root, "ImageSets/Segmentation/aug.txt", "d\ne\n");
    for id in ["d", "e"] {
        write(
            &root,
            &format!("SegmentationClassAug/{id}.png"),
            gray_png((4, 3), &[7; 12]),
        );
    }
    let train = open("voc2012", &root, "train_aug");
    assert_eq!(
        (ids(&train), train.labels(3).unwrap().as_raw()),
        (vec!["a", "b", "d", "e"], &[6; 12][..])
    );
}

#[test]
fn what_is_missing_from_voc_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let message = error("voc2012", root, "val");
    assert!(message.contains("voc2012 has no folder of lists under `"), "{message}");
    assert!(
        message.contains("expected `VOCdevkit/VOC2012/ImageSets/Segmentation` or `VOC2012/"),
        "{message}"
    );
    assert!(message.ends_with("found an empty folder"), "{message}");

    two_downloads(root);
    let message = error("voc2012", root, "test");
    assert!(
        message.contains("voc2012 has no split `test`") && message.contains("`train_aug`, `val`"),
        "{message}"
    );
    std::fs::remove_file(root.join("VOCdevkit/VOC2012/JPEGImages/b.jpg")).unwrap();
    let message = error("voc2012", root, "train");
    assert!(
        message.starts_with("voc2012, split `train`: `b` has no image, expected `"),
        "{message}"
    );
    write(root, "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt", "c\nx\ny\n");
    let message = error("voc2012", root, "val");
    assert!(
        message.contains("`x` has no image") && message.contains("(and 3 more)"),
        "{message}"
    );
    write(root, "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt", "\n");
    assert!(error("voc2012", root, "val").ends_with("val.txt` names no image"));
    std::fs::remove_dir_all(root.join("VOCdevkit/VOC2012/SegmentationClass")).unwrap();
    std::fs::remove_dir_all(root.join("benchmark_RELEASE")).unwrap();
    let message = error("voc2012", root, "train");
    assert!(
        message.contains("no label files") && message.contains("`SegmentationClassAug`"),
        "{message}"
    );
}

/// One image of 2 × 2 in each of the encodings of Context: background, aeroplane, table, wood.
fn context(root: &Path) {
    write(root, "VOCdevkit/VOC2010/JPEGImages/p.jpg", jpeg((2, 2)));
    write(root, "VOCdevkit/VOC2010/ImageSets/Main/val.txt", "p\nunlabeled\n");
}

const CONTEXT_JSON: &str = r#"{"images": [{"file_name": "p.jpg", "image_id": 1, "height": 2, "width": 2, "phase": "val"}],
    "annos_segmentation": [
    {"image_id": 1, "category_id": 2, "segmentation": {"size": [2, 2], "counts": [2, 1, 1]}},
    {"image_id": 1, "category_id": 397, "segmentation": {"size": [2, 2], "counts": [1, 1, 2]}},
    {"image_id": 1, "category_id": 458, "segmentation": {"size": [2, 2], "counts": [3, 1]}},
    {"image_id": 1, "category_id": 1, "segmentation": {"size": [2, 2], "counts": [0, 1, 3]}}]}"#;

#[test]
fn all_labels_of_context_agree() {
    let names = Vocabulary::built_in("context60").unwrap();
    let class = |name| names.find(name).map(ClassIndex::get).unwrap();
    let expected = [class("background"), class("aeroplane"), class("table"), class("wood")];
    type Layout = fn(&Path);
    let layouts: [(&str, Layout); 3] = [
        ("script", |root| {
            let table = 50;
            write(
                root,
                "VOCdevkit/VOC2010/SegmentationClassContext/p.png",
                gray_png((2, 2), &[0, 1, table, 59]),
            );
            write(root, "VOCdevkit/VOC2010/ImageSets/SegmentationContext/val.txt", "p\n");
        }),
        ("publishers", |root| {
            write(root, "59_context_labels/p.png", gray_png((2, 2), &[0, 1, 11, 59]));
            write(root, "59_labels.txt", "1: aeroplane\n2: bicycle\n11: table\n59: wood\n");
        }),
        ("detail", |root| {
            write(root, "VOCdevkit/VOC2010/trainval_merged.json", CONTEXT_JSON)
        }),
    ];
    for (name, layout) in layouts {
        let folder = tempfile::tempdir().unwrap();
        context(folder.path());
        layout(folder.path());
        for root in ["", "VOCdevkit/VOC2010"] {
            let dataset = open("context60", &folder.path().join(root), "val");
            let (_, labels) = dataset.load(0).unwrap();
            assert_eq!((ids(&dataset), labels.as_raw()), (vec!["p"], &expected[..]), "{name}");
        }
        // Without background the other classes move up by one.
        let labels = open("context59", folder.path(), "val").labels(0).unwrap();
        let without = [I, expected[1] - 1, expected[2] - 1, expected[3] - 1];
        assert_eq!(labels.as_raw(), without, "{name}");
        assert!(error("context59", folder.path(), "test").contains("it has `train`, `val`, `trainval`"));
    }
}

#[test]
fn categories_of_context_are_read_from_matlab_files() {
    let folder = tempfile::tempdir().unwrap();
    context(folder.path());
    write(
        folder.path(),
        "trainval/p.mat",
        include_bytes!("../../zegclip-codecs/tests/data/context459.mat"),
    );
    let dataset = open("context60", folder.path(), "val");
    // 0, 40, 80 … 440 in rows: of these 80 is cloth, 360 sky, 440 wall.
    let class = |name| dataset.vocabulary().find(name).map(ClassIndex::get).unwrap();
    let (cloth, sky, wall) = (class("cloth"), class("sky"), class("wall"));
    assert_eq!(
        dataset.labels(0).unwrap().as_raw(),
        [0, 0, cloth, 0, 0, 0, 0, 0, 0, sky, 0, wall]
    );
    let message = dataset.load(0).unwrap_err().to_string();
    assert!(
        message.contains("p.mat` is 4×3, but its image `") && message.ends_with("p.jpg` is 2×2"),
        "{message}"
    );
}

#[test]
fn what_is_missing_from_the_others_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let message = error("coco-stuff", folder.path(), "val");
    assert!(
        message.contains("expected `annotations/val2017` or `stuffthingmaps/val2017`"),
        "{message}"
    );
    assert!(error("coco-stuff", folder.path(), "test").contains("it has `train`, `val`"));
    let message = error("context59", folder.path(), "val");
    assert!(
        message.contains("`SegmentationClassContext` or `59_context_labels` or `trainval_merged.json`"),
        "{message}"
    );
    write(folder.path(), "59_context_labels/p.png", gray_png((1, 1), &[1]));
    assert!(error("context59", folder.path(), "val").contains("`59_labels.txt`"));
    write(folder.path(), "59_labels.txt", "1: aeroplane");
    assert!(error("context59", folder.path(), "val").contains("no list under"));
}

#[test]
fn specs_are_read_or_refused() {
    for (text, expected) in [
        ("voc2021=x", "there is no data set `voc2021` (did you mean `voc2012`?)"),
        (
            "voc2012",
            "`voc2012` is neither NAME=DIR with a NAME of `voc2012`, `coco-stuff`",
        ),
        ("voc2012=", "`voc2012=` is neither NAME=DIR"),
        ("nowhere.toml", "cannot read `nowhere.toml`"),
    ] {
        let error = DatasetSpec::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(DatasetSpec::parse("context=x").unwrap().name(), "context59");
    assert_eq!(
        DatasetSpec::parse("COCO-Stuff164k=a=b").unwrap().path(),
        Path::new("a=b")
    );
}

#[test]
fn labels_that_are_wrong_are_one_clear_error_each() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    two_downloads(root);
    let label_error = |bytes: &[u8]| {
        write(root, "VOCdevkit/VOC2012/SegmentationClass/a.png", bytes);
        open("voc2012", root, "train").load(0).unwrap_err().to_string()
    };
    let message = label_error(&gray_png((3, 4), &[0; 12]));
    assert!(
        message.contains("a.png` is 3×4, but its image `") && message.ends_with("a.jpg` is 4×3"),
        "{message}"
    );
    let message = label_error(&gray_png((4, 3), &[0, 21, 30, 21, 0, 0, 0, 0, 0, 0, 0, 0]));
    assert!(
        message.contains("has the label value 21 (2 pixels), which is neither a class nor ignored"),
        "{message}"
    );
    let deep = common::png((4, 3), png::ColorType::Grayscale, png::BitDepth::Sixteen, &[0; 24]);
    assert!(label_error(&deep).contains("16"), "{}", label_error(&deep));
    let color = common::png((4, 3), png::ColorType::Rgb, png::BitDepth::Eight, &[0; 36]);
    assert!(label_error(&color).contains("a.png"), "{}", label_error(&color));
    write(root, "benchmark_RELEASE/dataset/cls/d.mat", b"not MATLAB");
    let message = open("voc2012", root, "train_aug").labels(2).unwrap_err().to_string();
    assert!(message.contains("d.mat`: it is not a MATLAB 5 file"), "{message}");
    let message = open("voc2012", root, "train").labels(9).unwrap_err().to_string();
    assert_eq!(message, "there is no sample 9 in voc2012, which has 2");
}

#[test]
fn coco_is_scored_under_the_classes_of_voc() {
    let coco = open("coco-stuff", &coco(), "val");
    let voc = Vocabulary::built_in("voc20").unwrap();
    let (crossed, matching) = coco
        .remap_to(voc.clone(), &BTreeMap::new(), &Unmatched::Ignore)
        .unwrap();
    assert_eq!(
        (crossed.vocabulary().name(), matching.unmatched().len()),
        ("voc20", 151)
    );
    let (mut people, person) = (0, voc.find("person"));
    for index in 0..coco.len() {
        let (labels, crossed) = (coco.labels(index).unwrap(), crossed.labels(index).unwrap());
        for (from, to) in labels.iter().zip(crossed.iter()) {
            assert_eq!(from.and_then(|class| matching.get(class)), to);
            people += usize::from(to == person);
        }
    }
    assert!(people > 10_000);
    // Labels are mapped from those of the files: a second vocabulary does not see the first.
    let table = BTreeMap::from([("tree".to_owned(), "tree".to_owned())]);
    let context = Vocabulary::built_in("context60").unwrap();
    let (again, _) = crossed
        .remap_to(context, &table, &Unmatched::Become("background".to_owned()))
        .unwrap();
    let tree = again.vocabulary().find("tree");
    assert!((0..again.len()).any(|index| again.labels(index).unwrap().iter().any(|label| label == tree)));
}

#[test]
fn shards_share_the_samples_out() {
    let dataset = open("voc2012", &voc(), "val");
    let mut all: Vec<_> = (0..5)
        .flat_map(|shard| {
            ids(&dataset.shard(shard, 5))
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    all.sort_unstable();
    assert_eq!(all, ids(&dataset));
    assert!(dataset.shard(30, 31).is_empty());
}
