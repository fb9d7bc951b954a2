//! Class lists, vocabularies, data sets, states of evaluations, and texts.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use zegclip_data::metrics::Confusion;
use zegclip_data::{ClassIndex, LabelMap, Vocabulary};

fn owned(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn class_lists() -> Vec<Vec<u8>> {
    owned(&[
        "cat, dog, sofa|couch",
        "cat\ndog # a comment\n\nsofa|couch\n",
        "été,\u{feff}x,a|b|c|d",
        "[\"cat\", \"dog\"]",
        "0: unlabeled\n1: person\n2: bicycle\n91: flower\n",
        "1 cat\n2 dog\n3 sofa\n",
        "Idx,Name,Ratio\n1,wall,0.15\n2,\"floor, flooring\",0.06\n",
        "id\tname\n1\tcat\n2\tdog\n",
        "{\"1\": \"cat\", \"2\": \"dog\"}",
        "[{\"id\": 1, \"name\": \"cat\"}, {\"id\": 2, \"name\": \"dog\"}]",
        "{\"categories\": [{\"id\": 7, \"name\": \"cat\", \"supercategory\": \"animal\"}]}",
        "names:\n  0: cat\n  1: dog\n",
        "classes = ('cat', 'dog',\n    'sofa')\n",
    ])
}

pub(crate) fn vocabularies() -> Vec<Vec<u8>> {
    owned(&[
        "name = \"farm\"\nclasses = [\"cow\", \"sofa|couch\", { name = \"hen\", synonyms = [\"chicken\"], color = [200, 180, 60] }]\n\
         unseen = [\"hen\"]\ntemplates = [\"a photo of a {}\"]\npalette = [[90, 60, 40], \"#3377ee\", [200, 180, 60]]\n\
         labels = { first = 1, ignore = [0, 255] }\n",
        "extends = \"voc20\"\nunseen = [\"sheep\"]\n",
        "classes = [\"a\", \"b\"]\nseen = [\"a\"]\nlabels = { values = { 7 = \"a\", 9 = \"b\" } }\n",
    ])
}

pub(crate) fn datasets() -> Vec<Vec<u8>> {
    owned(&[
        "classes = [\"cow\", \"sheep\", \"sofa|couch\"]\nunseen = [\"sheep\"]\n\
         labels = { values = { 7 = \"cow\", 9 = \"sheep\", 12 = \"sofa\" }, ignore = [0, 255] }\n\n[splits.train]\n\
         images = \"photos/train/**/*.jpg\"\nlabels = \"masks/train/**/*.png\"\nlabel_suffix = \"_mask\"\nlist = \"lists/train.txt\"\n",
        "extends = \"voc20\"\n[splits.val]\nimages = \"a/*.png\"\n",
        "\"wall-brick\" = \"wall\"\ncow = \"sheep\"\n",
    ])
}

pub(crate) const TOML_TOKENS: [&[u8]; 32] = [
    b"classes = [",
    b"unseen = [",
    b"seen = [",
    b"extends = \"",
    b"templates = [",
    b"palette = [",
    b"labels = {",
    b"first = ",
    b"ignore = [",
    b"values = {",
    b"[splits.train]\n",
    b"[splits.val]\n",
    b"images = \"",
    b"labels = \"",
    b"label_suffix = \"",
    b"list = \"",
    b"name = \"",
    b"color = [",
    b"synonyms = [",
    b"\"#ff0000\"",
    b"[[",
    b"]]",
    b"\"\"\"",
    b"'''",
    b"\\u0000",
    b"{}",
    b"|",
    b"voc20",
    b"coco171",
    b"\n",
    b"65535",
    b"# ",
];

/// Files that are read back by evaluations.
pub(crate) fn states() -> Vec<Vec<u8>> {
    let vocabulary = Vocabulary::from_names("cat, dog").expect("a correct list");
    let map = |offset: u32| LabelMap::from_fn(4, 3, |x, y| ClassIndex::new(((x + y + offset) % 2) as u16));
    let mut confusion = Confusion::new(&vocabulary).with_boundary();
    confusion.add(&map(0), &map(1)).expect("maps of one size");
    let plain = Confusion::new(&vocabulary);
    let json = |confusion: &Confusion| serde_json::to_value(confusion).expect("counts are JSON");
    let png = zegclip_data::encode_label_png(&map(1), &[[1, 2, 3], [4, 5, 6]]).expect("two colors");
    let example = json!({"index": 1, "miou": "0.25", "prediction": BASE64_STANDARD.encode(png)});
    let state = json!({
        "identity": {"weights": "a"},
        "done": 3,
        "confusion": json(&confusion),
        "examples": {"most": 2, "worst": [example], "best": [example]},
    });
    let states = [json(&confusion), json(&plain), state];
    states.iter().map(|state| state.to_string().into_bytes()).collect()
}

pub(crate) fn texts() -> Vec<Vec<u8>> {
    owned(&[
        "A  Dog&#39;s\u{3000}BOWL",
        "voilÃ le “cafÃ©” &amp;amp; sÃƒÂ¤tze",
        "&#x1F600;&nbsp;&lt;b&gt;&NotEqualTilde;&#xD800;&#1114112;",
        "<|startoftext|>a photo of a cat<|endoftext|>",
        "ﬁﬂ ＡＢＣ \u{202e}\u{feff}\u{ad} 1234567 't 're",
        "ÃƒÆ’Ã†â€™ÃƒÂ¢Ã¢â€šÂ¬Ã…Â¡ ä½ å¥½ Ð¿Ñ€Ð¸Ð²ÐµÑ‚",
    ])
}

pub(crate) const TEXT_TOKENS: [&[u8]; 24] = [
    b"&amp;",
    b"&#",
    b"&#x",
    b";",
    b"&lt",
    b"&quot;",
    b"<|startoftext|>",
    b"<|endoftext|>",
    "Ã".as_bytes(),
    "â€™".as_bytes(),
    "Â ".as_bytes(),
    "é".as_bytes(),
    "ï¿½".as_bytes(),
    "\u{fffd}".as_bytes(),
    "\u{1f600}".as_bytes(),
    "\u{301}".as_bytes(),
    "\u{200d}".as_bytes(),
    "İ".as_bytes(),
    "ß".as_bytes(),
    "你".as_bytes(),
    b"\r\n",
    b"\x1b[31m",
    b"'ll",
    b"0123456789",
];

pub(crate) const STATE_TOKENS: [&[u8]; 16] = [
    b"\"rows\":[[",
    b"\"classes\":[",
    b"\"images\":",
    b"\"boundary\":",
    b"\"done\":",
    b"\"examples\":",
    b"null",
    b"[]",
    b"18446744073709551615",
    b"-1",
    b"\"NaN\"",
    b"\"iVBORw0KGgo=\"",
    b"{",
    b"}",
    b"\"seen\":",
    b"[[],[]]",
];
