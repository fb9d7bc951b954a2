//! The result as one HTML file without anything beside it: scores, and pictures of the worst and best images.

use std::fmt::Write;

use super::shown_example::{EXAMPLE_STYLE, ShownExample, chip, escape, shown};
use crate::metrics::Scores;
use crate::{ClassIndex, DataError, Vocabulary};

/// A page about an evaluation.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    /// The heading.
    pub title: String,
    /// What was evaluated and how: name and value.
    pub facts: Vec<(String, String)>,
    /// The scores.
    pub scores: &'a Scores,
    /// The classes.
    pub vocabulary: &'a Vocabulary,
    /// Images to look at, such as the worst and the best ones, each group under its heading.
    pub images: Vec<(String, Vec<ShownExample>)>,
}

impl Page<'_> {
    /// The file's text.
    ///
    /// # Errors
    /// [`DataError`] if a picture cannot be made.
    pub fn html(&self) -> Result<String, DataError> {
        let mut page = head(&self.title);
        self.body(&mut page)?;
        page.push_str("</body></html>\n");
        Ok(page)
    }

    fn body(&self, page: &mut String) -> Result<(), DataError> {
        self.means(page);
        page.push_str("<dl>");
        for (name, value) in &self.facts {
            let _ = write!(page, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
        }
        page.push_str("</dl>\n");
        for (heading, images) in &self.images {
            self.images(page, heading, images)?;
        }
        self.classes(page);
        Ok(())
    }

    fn means(&self, page: &mut String) {
        let scores = self.scores;
        let mut means = vec![
            ("hIoU", scores.hiou),
            ("mIoU(S)", scores.miou_seen),
            ("mIoU(U)", scores.miou_unseen),
            ("mIoU", scores.miou),
            ("pAcc", scores.pixel_accuracy),
            ("mAcc", scores.mean_accuracy),
        ];
        if scores.mean_boundary_iou.is_some() {
            means.push(("boundary mIoU", scores.mean_boundary_iou));
        }
        page.push_str("<div class=\"means\">");
        for (name, score) in means {
            let _ = write!(page, "<div><b>{}</b><span>{name}</span></div>", shown(score));
        }
        let _ = writeln!(page, "<div><b>{}</b><span>images</span></div></div>", scores.images);
    }

    fn images(&self, page: &mut String, heading: &str, images: &[ShownExample]) -> Result<(), DataError> {
        if images.is_empty() {
            return Ok(());
        }
        let _ = writeln!(page, "<h2>{heading}</h2>");
        for image in images {
            page.push_str(&image.html(self.vocabulary)?);
        }
        Ok(())
    }

    fn classes(&self, page: &mut String) {
        let boundary = self.scores.mean_boundary_iou.is_some();
        let extra = if boundary { "<th>boundary IoU</th>" } else { "" };
        let _ = write!(
            page,
            "<h2>Classes</h2>\n<table><tr><th>class</th><th></th><th colspan=\"2\">IoU</th><th>accuracy</th><th>pixels</th>\
             {extra}</tr>\n"
        );
        for (position, class) in self.scores.classes.iter().enumerate() {
            let chip = ClassIndex::from_usize(position).map_or_else(String::new, |class| chip(self.vocabulary, class));
            let unseen = if class.seen { "" } else { "★ unseen" };
            let bar = 100.0 * class.iou.unwrap_or_default();
            let _ = write!(
                page,
                "<tr><td>{chip}{}</td><td>{unseen}</td><td class=\"bar\"><i style=\"width:{bar:.1}%\"></i></td>\
                 <td>{}</td><td>{}</td><td>{}</td>",
                escape(&class.name),
                shown(class.iou),
                shown(class.accuracy),
                class.pixels
            );
            if boundary {
                let _ = write!(page, "<td>{}</td>", shown(class.boundary_iou));
            }
            page.push_str("</tr>\n");
        }
        page.push_str("</table>\n<p class=\"note\">★ not seen in training. All scores in percent.</p>");
    }
}

/// Several evaluations on one page, each under its own title; `introduction` stands above them.
///
/// # Errors
/// [`DataError`] if a picture cannot be made.
pub fn html_of_all(title: &str, introduction: &str, parts: &[Page<'_>]) -> Result<String, DataError> {
    let mut page = head(title);
    let _ = writeln!(page, "<p>{}</p>", escape(introduction));
    for part in parts {
        let _ = writeln!(page, "<h2 class=\"part\">{}</h2>", escape(&part.title));
        part.body(&mut page)?;
    }
    page.push_str("</body></html>\n");
    Ok(page)
}

fn head(title: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<style>{STYLE}{EXAMPLE_STYLE}</style></head>\n\
         <body><h1>{title}</h1>\n"
    )
}

const STYLE: &str = "
body{font:15px/1.45 system-ui,sans-serif;color:#212529;max-width:1720px;margin:2em auto;padding:0 1.5em}
h1{font-size:1.6em}h2{margin:2em 0 .6em;font-size:1.25em}.part{font-size:1.45em;margin-top:2.5em}
.means{display:flex;flex-wrap:wrap;gap:.8em}.means div{background:#f1f3f5;border-radius:8px;padding:.6em 1.1em;text-align:center}
.means b{display:block;font-size:1.5em}.means span,.note,dt{color:#6c757d}
dl{display:grid;grid-template-columns:max-content auto;gap:.1em 1em}dd{margin:0;overflow-wrap:anywhere}
table{border-collapse:collapse}th{text-align:left;font-weight:600}td,th{padding:.15em .8em;border-bottom:1px solid #e9ecef}
td:nth-child(n+4){text-align:right;font-variant-numeric:tabular-nums}
.bar{width:220px}.bar i{display:block;height:.75em;background:#4c8dd6;border-radius:2px}
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Confusion;
    use crate::{LabelMap, RgbImage};

    #[test]
    fn names_are_escaped_and_pictures_are_inside() {
        let vocabulary = Vocabulary::from_names("a<b, dog").unwrap();
        let labels = LabelMap::from_raw(2, 1, vec![0, 1]).unwrap();
        let mut confusion = Confusion::new(&vocabulary);
        confusion.add(&labels, &labels).unwrap();
        let scores = Scores::of(&confusion);
        let photo = RgbImage::new(2, 1);
        let page = Page {
            title: "T & t".to_owned(),
            facts: vec![("model".to_owned(), "x".to_owned())],
            scores: &scores,
            vocabulary: &vocabulary,
            images: vec![
                (
                    "Worst images".to_owned(),
                    vec![ShownExample::new("one", 1.0, Some(&photo), &labels, &labels)],
                ),
                (
                    "Best images".to_owned(),
                    vec![ShownExample::new("two", 1.0, None, &labels, &labels)],
                ),
            ],
        };
        let html = page.html().unwrap();
        assert!(html.contains("a&lt;b") && !html.contains("a<b") && html.contains("T &amp; t"));
        assert_eq!(html.matches("data:image/jpeg;base64,").count(), 4 + 3);
        assert!(!html.contains("http"));
        // Small pictures are enlarged by a whole factor.
        assert!(html.contains("<img width=\"256\" height=\"128\""), "{html}");
        let twice = html_of_all("All", "1 < 2", &[page.clone(), page]).unwrap();
        assert_eq!(twice.matches("data:image/jpeg;base64,").count(), 2 * (4 + 3));
        assert!(twice.contains("<p>1 &lt; 2</p>") && twice.matches("<html").count() == 1);
    }
}
