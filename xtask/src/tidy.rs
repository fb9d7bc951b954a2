//! What documents say about the code is true, and the code keeps to the words of the glossary.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

/// Words that have a better one in the glossary of ARCHITECTURE.md. Each is looked for as a whole word, in lower case.
const WORDS_TO_AVOID: [&str; 8] = [
    "nobody",
    "whoever",
    "somebody",
    "bit for bit",
    "go on with",
    "the way of a",
    "is no longer a",
    "processor",
];

/// All files below `folder` with this ending, without build outputs.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            let hidden = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !hidden && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
        .replace('\\', "/")
}

/// Names of the crates.
fn crates() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.push("xtask".to_owned());
    names.sort();
    names
}

/// Words in backticks; a text between fences is not looked at.
fn code_spans(text: &str) -> BTreeSet<String> {
    let mut spans = BTreeSet::new();
    for block in text.split("```").step_by(2) {
        spans.extend(block.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")));
    }
    spans
}

#[test]
fn architecture_names_every_crate_and_module() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let spans = code_spans(&text);
    let mut missing = Vec::new();
    for name in crates() {
        if !spans.contains(&name) {
            missing.push(format!("crate `{name}`"));
        }
        let source = match name.as_str() {
            "xtask" => root().join("xtask/src"),
            _ => root().join("crates").join(&name).join("src"),
        };
        for entry in fs::read_dir(&source).unwrap() {
            let path = entry.unwrap().path();
            let module = path.file_name().unwrap().to_string_lossy().into_owned();
            if ["lib.rs", "main.rs", "tests", "tests.rs", "snapshots"].contains(&module.as_str()) {
                continue;
            }
            let module = if path.is_dir() { format!("{module}/") } else { module };
            // A folder and the file of its name are one module.
            let file = format!("{}.rs", module.trim_end_matches('/'));
            let named = spans.iter().any(|span| {
                let names = |wanted: &str| {
                    span == wanted || span.ends_with(&format!("/{wanted}")) || span.contains(&format!("/src/{wanted}"))
                };
                names(&module) || names(&file) || (module.ends_with('/') && span.starts_with(&module))
            });
            if !named {
                missing.push(format!("`{module}` of {name}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md does not name {}",
        missing.join(", ")
    );
}

#[test]
fn documents_name_existing_files() {
    let sources = files(&root(), "rs");
    let sources: Vec<String> = sources.iter().map(|path| relative(path)).collect();
    let mut wrong = Vec::new();
    for document in ["ARCHITECTURE.md", "README.md", "THIRD_PARTY_NOTICES.md", "CHANGELOG.md"] {
        let spans = code_spans(&read(&root().join(document)));
        for span in spans
            .iter()
            .filter(|span| !span.contains([' ', '*', '<', '{', '…', '$']))
        {
            let exists = |path: &str| root().join(path).exists();
            let is_rust = span.ends_with(".rs") && !span.starts_with("http");
            if is_rust
                && !sources
                    .iter()
                    .any(|path| path == span || path.ends_with(&format!("/{span}")))
                || (span.starts_with("crates/") || span.starts_with("assets/") || span.starts_with("tests/"))
                    && !exists(span)
            {
                wrong.push(format!("{document}: `{span}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "these files do not exist:\n{}", wrong.join("\n"));
}

#[test]
fn sources_keep_to_the_glossary() {
    let mut found = Vec::new();
    let mut paths = files(&root().join("crates"), "rs");
    paths.extend(files(&root().join("xtask"), "rs"));
    paths.extend(files(&root().join("assets"), "toml"));
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        paths.push(root().join(name));
    }
    for path in paths.iter().filter(|path| !path.ends_with("xtask/src/tidy.rs")) {
        for (number, line) in read(path).lines().enumerate() {
            let lower = line.to_lowercase();
            for word in WORDS_TO_AVOID {
                let is_letter = |text: Option<char>| text.is_some_and(|c| c.is_alphabetic() || c == '_');
                let whole = lower.match_indices(word).any(|(at, _)| {
                    !is_letter(lower[..at].chars().next_back()) && !is_letter(lower[at + word.len()..].chars().next())
                });
                if whole {
                    found.push(format!("{}:{}: `{word}`", relative(path), number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "words that have a better one:\n{}", found.join("\n"));
}

#[test]
fn compiled_in_files_are_in_their_crates() {
    let mut outside = Vec::new();
    for name in crates().iter().filter(|name| *name != "xtask") {
        let package = root().join("crates").join(name);
        for path in files(&package.join("src"), "rs") {
            for part in read(&path).split("include_").skip(1) {
                let Some(file) = part
                    .split('"')
                    .nth(1)
                    .filter(|_| part.starts_with("bytes!(\"") || part.starts_with("str!(\""))
                else {
                    continue;
                };
                let target = path.parent().unwrap_or(&package).join(file);
                let inside = fs::canonicalize(&target)
                    .is_ok_and(|target| target.starts_with(fs::canonicalize(&package).unwrap()));
                if !inside {
                    outside.push(format!("{}: {file}", relative(&path)));
                }
            }
        }
    }
    assert!(
        outside.is_empty(),
        "compiled in from outside the package:\n{}",
        outside.join("\n")
    );
}
