//! The built-in vocabularies against the recorded ones, and class lists of one's own.

use std::path::PathBuf;

use zegclip_data::{
    ClassIndex, LabelEncoding, RawLabels, SINGLE_TEMPLATE, Vocabulary, published_text_features, read_npy,
};

/// The folder `vocabularies` of every root that has one, and its lists.
fn recorded() -> Vec<(PathBuf, serde_json::Value)> {
    let folders = test_support::roots().into_iter().map(|root| root.join("vocabularies"));
    let recorded: Vec<_> = folders
        .filter(|folder| folder.is_dir())
        .map(|folder| {
            let lists = test_support::read_json(&folder.join("vocabularies.json"));
            (folder, lists)
        })
        .collect();
    assert!(
        !recorded.is_empty(),
        "no vocabularies under {}",
        test_support::join_roots()
    );
    recorded
}

fn strings(value: &serde_json::Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_str().unwrap())
        .collect()
}

#[test]
fn parity_vocabularies() {
    for (_, lists) in recorded() {
        check_vocabularies(&lists);
    }
}

fn check_vocabularies(recorded: &serde_json::Value) {
    let lists = recorded
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, value)| value.get("classes").is_some());
    let mut count = 0;
    for (name, expected) in lists {
        let vocabulary = Vocabulary::built_in(name).unwrap();
        assert_eq!(vocabulary.name(), name);
        assert_eq!(
            vocabulary.names().collect::<Vec<_>>(),
            strings(&expected["classes"]),
            "{name}"
        );
        assert_eq!(serde_json::json!(vocabulary.palette()), expected["palette"], "{name}");
        let unseen = vocabulary.seen().unseen().map(ClassIndex::get).collect::<Vec<_>>();
        assert_eq!(serde_json::json!(unseen), expected["unseen"], "{name}");
        let templates = if name == "voc20" { "single" } else { "multi" };
        assert_eq!(
            vocabulary.templates(),
            strings(&recorded["templates"][templates]),
            "{name}"
        );

        // The rule in words: `PNG index minus 1; 0 (background) and 255 are ignored`.
        let rule = expected["labels"].as_str().unwrap();
        let first = u16::from(rule.contains("minus 1"));
        let class = |value| vocabulary.encoding().class_of(value).map(ClassIndex::get);
        for index in 0..vocabulary.len() as u16 {
            assert_eq!(class(index + first), Some(index), "{name}");
        }
        assert_eq!(class(255), None, "{name}");
        assert_eq!(
            vocabulary.encoding().ignored_values().any(|value| value == 0),
            rule.contains("0 "),
            "{name}: {rule}"
        );
        count += 1;
    }
    assert!(count >= 4, "{count} vocabularies");
    let single = strings(&recorded["templates"]["single"]);
    assert_eq!(single, [SINGLE_TEMPLATE]);
}

#[test]
fn parity_published_text_features() {
    for (vocabulary, file) in [("voc20", "voc12_single.npy"), ("coco171", "coco_multi.npy")] {
        let published = published_text_features(vocabulary).unwrap();
        for (folder, _) in recorded() {
            assert_eq!(published, read_npy(&folder.join(file)).unwrap());
        }
        assert_eq!(published.classes, Vocabulary::built_in(vocabulary).unwrap().len());
        assert_eq!(published.width, 512);
        for row in published.data.chunks_exact(published.width) {
            let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
            assert!((length - 1.0).abs() < 5e-4, "{length}");
        }
    }
    assert!(published_text_features("context59").is_none());
}

#[test]
fn every_built_in_vocabulary_is_sound() {
    for name in Vocabulary::built_in_names() {
        let vocabulary = Vocabulary::built_in(name).unwrap();
        assert_eq!(vocabulary.name(), *name);
        assert!(
            vocabulary.source().is_some_and(|source| source.len() > 40),
            "{name} states no source"
        );
        let again = Vocabulary::from_toml_text(&vocabulary.to_toml(), "again").unwrap();
        assert_eq!(again, vocabulary, "{name}");
    }
}

#[test]
fn the_zero_shot_split_of_context_extends_its_list() {
    let context = Vocabulary::built_in("context59").unwrap();
    let split = Vocabulary::built_in("context59-zs10").unwrap();
    assert_eq!(split.names().collect::<Vec<_>>(), context.names().collect::<Vec<_>>());
    assert_eq!(
        (split.palette(), split.templates(), split.encoding()),
        (context.palette(), context.templates(), context.encoding())
    );
    let unseen = split
        .seen()
        .unseen()
        .map(|class| split.class(class).unwrap().name())
        .collect::<Vec<_>>();
    let expected = [
        "aeroplane",
        "bird",
        "boat",
        "cat",
        "cow",
        "fence",
        "keyboard",
        "motorbike",
        "sofa",
        "tvmonitor",
    ];
    assert_eq!(unseen, expected);
}

#[test]
fn inductive_training_has_a_list_without_unseen_classes() {
    let voc = Vocabulary::built_in("voc20").unwrap();
    let seen = voc.seen_only();
    assert_eq!(seen.len(), 15);
    assert_eq!(seen.find("sofa"), None);
    for class in voc.seen().seen() {
        let training = voc.seen().training_index(class).unwrap();
        assert_eq!(seen.class(training), voc.class(class));
    }
}

#[test]
fn names_on_the_command_line() {
    let vocabulary = Vocabulary::from_names(" cat, traffic  light ,sofa | couch|settee").unwrap();
    assert_eq!(
        vocabulary.names().collect::<Vec<_>>(),
        ["cat", "traffic  light", "sofa"]
    );
    let sofa = vocabulary.classes()[2].names().collect::<Vec<_>>();
    assert_eq!(sofa, ["sofa", "couch", "settee"]);
    assert_eq!(vocabulary.find("Traffic Light"), ClassIndex::new(1));
    assert_eq!(vocabulary.find("SETTEE"), ClassIndex::new(2));
    assert_eq!(vocabulary.templates(), [SINGLE_TEMPLATE]);
    assert_eq!(vocabulary.seen().unseen_count(), 0);
    let seen = vocabulary.with_seen_names(["cat", "couch"]).unwrap();
    assert_eq!(seen.seen().unseen().map(ClassIndex::get).collect::<Vec<_>>(), [1]);
}

#[test]
fn list_files_have_comments_and_blank_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("farm.txt");
    std::fs::write(&path, "\u{feff}# animals\r\ncow|cattle # with horns\r\n\r\n  hen\r\n").unwrap();
    let vocabulary = Vocabulary::from_name_or_file(path.to_str().unwrap()).unwrap();
    assert_eq!((vocabulary.name(), vocabulary.len()), ("farm", 2));
    assert_eq!(vocabulary.find("cattle"), ClassIndex::new(0));
}

#[test]
fn a_vocabulary_file_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("farm.toml");
    let text = r##"
        unseen = ["hen"]
        templates = ["a {} on a farm"]
        labels = { values = { 7 = "cow", 9 = "hen", 12 = "cattle" }, ignore = [0] }
        [[classes]]
        name = "cow|cattle"
        color = "#0a141e"
        [[classes]]
        name = "hen"
        synonyms = ["chicken"]
        color = [1, 2, 3]
    "##;
    std::fs::write(&path, text).unwrap();
    let vocabulary = Vocabulary::from_file(&path).unwrap();
    assert_eq!(vocabulary.name(), "farm");
    assert_eq!(vocabulary.palette(), [[10, 20, 30], [1, 2, 3]]);
    assert_eq!(vocabulary.find("chicken"), ClassIndex::new(1));
    assert_eq!(vocabulary.seen().unseen().map(ClassIndex::get).collect::<Vec<_>>(), [1]);
    let raw = RawLabels::new(5, 1, vec![7, 9, 12, 0, 255]).unwrap();
    let decoded = vocabulary.encoding().decode(&raw);
    assert_eq!(decoded.labels.as_raw(), [0, 1, 0, u16::MAX, u16::MAX]);
    assert_eq!(decoded.unknown.len(), 1);
    assert_eq!(
        Vocabulary::from_toml_text(&vocabulary.to_toml(), "again").unwrap(),
        vocabulary
    );

    let extended = Vocabulary::from_toml_text("extends = 'voc20'\nseen = ['cat', 'dog']", "x").unwrap();
    assert_eq!((extended.len(), extended.seen().seen_count()), (20, 2));
}

#[test]
fn the_default_ignore_value_is_never_a_class() {
    let names = (0..255)
        .map(|index| format!("'c{index}'"))
        .collect::<Vec<_>>()
        .join(", ");
    let vocabulary =
        Vocabulary::from_toml_text(&format!("classes = [{names}]\nlabels = {{ first = 1 }}"), "x").unwrap();
    assert_eq!(vocabulary.encoding().class_of(255), ClassIndex::new(254));
    let plain = Vocabulary::from_toml_text(&format!("classes = [{names}]"), "x").unwrap();
    assert_eq!(plain.encoding(), &LabelEncoding::identity(255));
}

#[test]
fn ten_thousand_names_are_fine_and_more_than_fit_are_not() {
    let names = |count: usize| {
        (0..count)
            .map(|index| format!("thing {index}"))
            .collect::<Vec<_>>()
            .join(",")
    };
    let many = Vocabulary::from_names(&names(10_000)).unwrap();
    let seen = many.names().step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let many = many.with_seen_names(seen.iter().map(String::as_str)).unwrap();
    assert_eq!((many.len(), many.seen().unseen_count()), (10_000, 5_000));
    assert_eq!(Vocabulary::from_names(&names(65_535)).unwrap().len(), 65_535);
    let error = Vocabulary::from_names(&names(65_536)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the class list has 65536 classes; at most 65535 are possible"
    );
}

#[test]
fn bad_lists_have_one_clear_message_each() {
    let names = |names: &str| Vocabulary::from_names(names).unwrap_err().to_string();
    assert_eq!(names("  "), "the class list names no class");
    assert_eq!(names("cat,,dog"), "the class list: the name of class 2 is empty");
    assert_eq!(names("cat|, dog"), "the class list: the name of class 1 is empty");
    assert_eq!(
        names("cat, dog, Cat"),
        "the class list: `Cat` names both class 1 and class 3"
    );
    assert_eq!(
        names("sofa|couch, couch"),
        "the class list: `couch` names both class 1 and class 2"
    );

    let unknown = Vocabulary::from_name_or_file("coco17").unwrap_err().to_string();
    assert_eq!(
        unknown,
        "there is no built-in vocabulary or file `coco17` (did you mean `coco171`?); built in are `voc20`, `coco171`, `context59`, \
         `context60`, `voc21`, `coco-object`, `ade20k`, `cityscapes`, `context59-zs10`, `demo`, `voc-pictures`"
    );
    let seen = Vocabulary::from_names("cat, dog")
        .unwrap()
        .with_seen_names(["catt"])
        .unwrap_err();
    assert_eq!(
        seen.to_string(),
        "the seen classes: `catt` is not a class of the list (did you mean `cat`?)"
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.txt");
    std::fs::write(&path, "# nothing\n\n").unwrap();
    assert!(
        Vocabulary::from_file(&path)
            .unwrap_err()
            .to_string()
            .ends_with("list.txt` names no class")
    );
    std::fs::write(&path, [0xFF, 0xFE, b'c', 0]).unwrap();
    assert!(
        Vocabulary::from_file(&path)
            .unwrap_err()
            .to_string()
            .contains("is not UTF-8 text")
    );
    let missing = Vocabulary::from_file(&folder.path().join("none.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("cannot read `") && missing.contains("none.toml"),
        "{missing}"
    );
}

#[test]
fn bad_vocabulary_files_have_one_clear_message_each() {
    let problem = |text: &str| Vocabulary::from_toml_text(text, "`v.toml`").unwrap_err().to_string();
    assert_eq!(
        problem("clases = ['a']"),
        "`v.toml`: unknown key `clases` (did you mean `classes`?)"
    );
    assert_eq!(
        problem("classes = [{ name = 'a', colors = 1 }]"),
        "`v.toml`, `classes`: unknown key `colors` (did you mean `color`?)"
    );
    assert!(
        problem("classes = ['a']\nxyz = 1").starts_with("`v.toml`: unknown key `xyz`; known keys are `name`, `source`")
    );
    assert_eq!(
        problem("classes = ['a']\nlabels = { ignored = [1] }"),
        "`v.toml`, `labels`: unknown key `ignored` (did you mean `ignore`?)"
    );
    assert!(problem("classes = ['a'\nb = 1").starts_with("`v.toml`, line "));
    assert!(problem("classes = [1]").contains("a class is a name or"));
    assert!(problem("name = 'x'").contains("names no class"));
    assert!(problem("classes = ['a']\nextends = 'voc20'").contains("`extends` and `classes` exclude each other"));
    assert!(problem("extends = 'voc22'").contains("did you mean `voc2"));
    assert!(problem("classes = ['a']\nseen = ['a']\nunseen = []").contains("`seen` and `unseen` exclude each other"));
    assert_eq!(
        problem("classes = ['a']\nunseen = ['b']"),
        "`v.toml`, `unseen`: `b` is not a class of the list"
    );
    assert_eq!(
        problem("classes = ['a']\npalette = []"),
        "`v.toml`: the palette has 0 colors for 1 classes"
    );
    assert!(problem("classes = ['a']\npalette = ['red']").contains("`red` is not a color"));
    assert!(problem("classes = ['a']\npalette = [[256, 0, 0]]").contains("a color is"));
    assert!(
        problem("classes = ['a']\ntemplates = ['photo']")
            .contains("the template `photo` does not contain exactly one `{}`")
    );
    assert!(problem("classes = ['a']\ntemplates = []").contains("`templates` is empty"));
    assert!(problem("classes = ['a']\nlabels = { first = 255, ignore = [255] }").contains("label value 255 is both"));
    assert!(problem("classes = ['a']\nlabels = { values = { 70000 = 'a' } }").contains("`70000` is not a pixel value"));
    assert!(problem("classes = ['a']\nlabels = { values = { 7 = 'b' } }").contains("`b` is not a class of the list"));
    assert!(problem("classes = ['a']\nlabels = { first = 1, values = {} }").contains("exclude each other"));
    for text in ["classes = [1]", "classes = ['a'\nb", "classes = 3", "[classes]"] {
        assert!(!problem(text).contains('\n'), "{}", problem(text));
    }
}
