//! Scores for machines (`evaluation.json`) and people (a Markdown table).

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::scores::{ClassScores, Scores};

/// The content of `evaluation.json`: all scores in percent, `null` where undefined.
///
/// Keys: `pixel_accuracy`, `mean_accuracy`, `miou`, `miou_seen`, `miou_unseen`, `hiou`, `images`, and `classes`, each
/// with `name`, `seen`, `iou`, `accuracy`, `pixels`. Where boundaries were counted, `mean_boundary_iou` and each
/// class's `boundary_iou` are added.
pub fn evaluation_json(scores: &Scores) -> Value {
    let boundary = scores.mean_boundary_iou.is_some();
    let mut evaluation = Map::new();
    let means = [
        ("pixel_accuracy", scores.pixel_accuracy),
        ("mean_accuracy", scores.mean_accuracy),
        ("miou", scores.miou),
        ("miou_seen", scores.miou_seen),
        ("miou_unseen", scores.miou_unseen),
        ("hiou", scores.hiou),
    ];
    for (key, score) in means {
        evaluation.insert(key.to_owned(), json!(percent(score)));
    }
    if boundary {
        evaluation.insert("mean_boundary_iou".to_owned(), json!(percent(scores.mean_boundary_iou)));
    }
    evaluation.insert("images".to_owned(), json!(scores.images));
    let classes = scores.classes.iter().map(|class| class_json(class, boundary)).collect();
    evaluation.insert("classes".to_owned(), Value::Array(classes));
    Value::Object(evaluation)
}

fn class_json(class: &ClassScores, boundary: bool) -> Value {
    let mut entry = json!({
        "name": class.name,
        "seen": class.seen,
        "iou": percent(class.iou),
        "accuracy": percent(class.accuracy),
        "pixels": class.pixels,
    });
    if let Some(entry) = entry.as_object_mut().filter(|_| boundary) {
        entry.insert("boundary_iou".to_owned(), json!(percent(class.boundary_iou)));
    }
    entry
}

/// Two Markdown tables: the means, named as in the paper, and one row a class. In percent, `–` where undefined.
pub fn markdown_table(scores: &Scores) -> String {
    let mut text = String::new();
    let mut means = vec![
        ("pAcc", scores.pixel_accuracy),
        ("mAcc", scores.mean_accuracy),
        ("mIoU", scores.miou),
        ("mIoU(S)", scores.miou_seen),
        ("mIoU(U)", scores.miou_unseen),
        ("hIoU", scores.hiou),
    ];
    let boundary = scores.mean_boundary_iou.is_some();
    if boundary {
        means.push(("boundary mIoU", scores.mean_boundary_iou));
    }
    for (name, _) in &means {
        let _ = write!(text, "| {name} ");
    }
    let _ = writeln!(text, "| images |\n|{}--:|", "--:|".repeat(means.len()));
    for (_, score) in &means {
        let _ = write!(text, "| {} ", shown(*score));
    }
    let _ = writeln!(text, "| {} |\n", scores.images);

    let (head, line) = if boundary {
        (" boundary IoU |", "--:|")
    } else {
        ("", "")
    };
    let _ = writeln!(
        text,
        "| class | | IoU | accuracy | pixels |{head}\n|---|---|--:|--:|--:|{line}"
    );
    for class in &scores.classes {
        let mark = if class.seen { "" } else { "unseen" };
        // A bar would end the cell.
        let name = class.name.replace('|', "\\|");
        let (iou, accuracy) = (shown(class.iou), shown(class.accuracy));
        let _ = write!(text, "| {name} | {mark} | {iou} | {accuracy} | {} |", class.pixels);
        let _ = if boundary {
            writeln!(text, " {} |", shown(class.boundary_iou))
        } else {
            writeln!(text)
        };
    }
    text
}

fn percent(fraction: Option<f64>) -> Option<f64> {
    fraction.map(|fraction| 100.0 * fraction)
}

fn shown(fraction: Option<f64>) -> String {
    percent(fraction).map_or_else(|| "–".to_owned(), |percent| format!("{percent:.1}"))
}
