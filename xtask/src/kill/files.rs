//! Files of a process that was killed: whole or absent, and in the end those of an undisturbed one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use zegclip_foundation::Fingerprint;

use super::subject::Subject;

/// What the names of unfinished files and folders begin with.
const UNFINISHED: &str = ".zegclip-";
/// Values of a line or report that are times.
const TIMES: [&str; 3] = ["milliseconds", "seconds", "images_per_second"];

/// Names of the entries of a folder; none if there is no folder.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Files below a folder that have their final name.
pub(super) fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for name in names(&folder) {
            let path = folder.join(&name);
            if name.starts_with(UNFINISHED) || name == "lock" || name.ends_with(".lock") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Whether a file is being written, or was when its process was killed.
pub(super) fn has_leftovers(folder: &Path) -> bool {
    let below = ["", "checkpoints", "labels", "text-features"];
    let folders = below.iter().map(|name| folder.join(name));
    folders
        .flat_map(|folder| names(&folder))
        .any(|name| name.starts_with(UNFINISHED))
}

pub(super) fn no_leftovers(folder: &Path) -> Result<(), String> {
    if has_leftovers(folder) {
        return Err(format!("unfinished files stay in `{}`", folder.display()));
    }
    Ok(())
}

/// Every file that has its final name is whole.
pub(super) fn check(subject: Subject, folder: &Path) -> Result<(), String> {
    for path in all(folder) {
        let bytes = std::fs::read(&path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        whole(&path, &bytes).map_err(|problem| format!("`{}` {problem}", path.display()))?;
    }
    if matches!(subject, Subject::Train | Subject::Pretrain) {
        for checkpoint in names(&folder.join("checkpoints")) {
            if !checkpoint.starts_with(UNFINISHED) {
                records(&folder.join("checkpoints").join(checkpoint))?;
            }
        }
    }
    Ok(())
}

fn whole(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
    let text = || std::str::from_utf8(bytes).map_err(|error| error.to_string());
    let problem = match extension.as_str() {
        "json" => serde_json::from_slice::<Value>(bytes)
            .err()
            .map(|error| error.to_string()),
        // Lines are appended: the last one may be incomplete, and is dropped when the run goes on.
        "jsonl" => {
            let lines: Vec<&str> = text()?.split_inclusive('\n').collect();
            let complete = lines.iter().filter(|line| line.ends_with('\n'));
            let wrong = complete
                .filter_map(|line| serde_json::from_str::<Value>(line).err())
                .next();
            wrong.map(|error| error.to_string())
        }
        "toml" => text()?.parse::<toml::Table>().err().map(|error| error.to_string()),
        "png" => {
            let is_whole = bytes.starts_with(b"\x89PNG\r\n\x1a\n") && bytes.ends_with(b"\0\0\0\0IEND\xaeB`\x82");
            (!is_whole).then(|| "is cut off".to_owned())
        }
        "html" => (!text()?.trim_end().ends_with("</html>")).then(|| "is cut off".to_owned()),
        "md" => (!text()?.ends_with("|\n")).then(|| "is cut off".to_owned()),
        "safetensors" => safetensors(bytes).err(),
        // The last record of a zip without a comment.
        "pth" => {
            (bytes.len() < 22 || !bytes[bytes.len() - 22..].starts_with(b"PK\x05\x06")).then(|| "is cut off".to_owned())
        }
        "bpk" => bytes.is_empty().then(|| "is empty".to_owned()),
        other => Some(format!("has the unknown extension `{other}`")),
    };
    problem.map_or(Ok(()), Err)
}

/// The tensors of the header fill the file.
fn safetensors(bytes: &[u8]) -> Result<(), String> {
    let (length, rest) = bytes.split_first_chunk().ok_or("is cut off")?;
    let length = u64::from_le_bytes(*length) as usize;
    let header = rest.get(..length).ok_or("is cut off")?;
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).map_err(|error| error.to_string())?;
    let ends = header.values().filter_map(|tensor| tensor["data_offsets"][1].as_u64());
    let end = ends.max().unwrap_or(0);
    let data = (rest.len() - length) as u64;
    if end == data {
        Ok(())
    } else {
        Err(format!("has {data} bytes of tensors instead of {end}"))
    }
}

/// The records of a checkpoint have the checksums that its state has.
fn records(checkpoint: &Path) -> Result<(), String> {
    let path = checkpoint.join("state.json");
    let text = std::fs::read(&path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
    let state: Value = serde_json::from_slice(&text).map_err(|error| format!("`{}`: {error}", path.display()))?;
    let files = state["files"]
        .as_object()
        .ok_or_else(|| format!("`{}` names no files", path.display()))?;
    for (name, recorded) in files {
        let path = checkpoint.join(name);
        let found =
            Fingerprint::of_file(&path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        let is_same = recorded.to_string().contains(&found.crc32.to_string())
            || recorded.to_string().contains(&format!("{:08x}", found.crc32));
        if !is_same {
            return Err(format!("`{}` is not as `state.json` says: {recorded}", path.display()));
        }
    }
    Ok(())
}

/// Results by their path, without times.
pub(super) fn results(subject: Subject, folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut results = BTreeMap::new();
    for path in all(folder) {
        let bytes = std::fs::read(&path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        let bytes = match (subject, name.rsplit('.').next()) {
            // The curves of times are a part of a run's page.
            (Subject::Train | Subject::Pretrain, Some("html")) => continue,
            // The metadata of safetensors have no order.
            (Subject::Train, _) if name.starts_with("text-features") => continue,
            // burn writes the moments of parameters in any order, and the state has the checksum of that.
            (Subject::Train | Subject::Pretrain, _) if name.ends_with("optim.bpk") || name.ends_with("state.json") => {
                continue;
            }
            (Subject::Train | Subject::Pretrain, Some("jsonl")) | (Subject::Segment, Some("json")) => {
                without_times(&bytes)
            }
            _ => bytes,
        };
        results.insert(name, bytes);
    }
    Ok(results)
}

/// A JSON document, or one on each line, without the keys that are times.
fn without_times(bytes: &[u8]) -> Vec<u8> {
    let values = serde_json::Deserializer::from_slice(bytes)
        .into_iter::<Value>()
        .flatten();
    let mut text = String::new();
    for mut value in values {
        if let Some(object) = value.as_object_mut() {
            object.retain(|key, _| !TIMES.contains(&key.as_str()));
        }
        text += &format!("{value}\n");
    }
    text.into_bytes()
}

pub(super) fn compare(expected: &BTreeMap<String, Vec<u8>>, found: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let names = expected.keys().chain(found.keys());
    for name in names {
        match (expected.get(name), found.get(name)) {
            (Some(expected), Some(found)) if expected == found => {}
            (Some(_), Some(_)) => return Err(format!("`{name}` differs from that of the undisturbed process")),
            (Some(_), None) => return Err(format!("`{name}` is missing")),
            (None, _) => return Err(format!("`{name}` is not among the results of the undisturbed process")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_off_files_are_found() {
        let header = br#"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#;
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header);
        file.extend([1, 2]);
        let cases: [(&str, &[u8]); 6] = [
            ("a.safetensors", &file),
            ("a.json", b"{\"a\": 1}"),
            ("a.toml", b"a = [1]"),
            ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\xaeB`\x82"),
            ("a.html", b"<html></html>\n"),
            ("a.md", b"| a |\n"),
        ];
        for (name, bytes) in cases {
            assert_eq!(whole(Path::new(name), bytes), Ok(()), "{name}");
            for length in 0..bytes.len() - 1 {
                assert!(
                    whole(Path::new(name), &bytes[..length]).is_err() || (length == 0 && name == "a.toml"),
                    "{name}: {length}"
                );
            }
        }
        assert_eq!(whole(Path::new("a.jsonl"), b"{}\n{\"half"), Ok(()));
        assert!(whole(Path::new("a.jsonl"), b"{\"half\n{}\n").is_err());
        assert!(whole(Path::new("a.partial"), b"").is_err());
    }

    #[test]
    fn results_are_compared_without_times() {
        let folder = std::env::temp_dir().join(format!("zegclip-results-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |time: u32, text: &str| {
            std::fs::write(
                folder.join("a.json"),
                format!("{{\"milliseconds\": {time}, \"image\": \"{text}\"}}"),
            )
            .unwrap();
            results(Subject::Segment, &folder).unwrap()
        };
        let (first, again, other) = (write(1, "a"), write(2, "a"), write(1, "b"));
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(compare(&first, &again), Ok(()));
        assert!(compare(&first, &other).is_err());
        assert!(compare(&first, &BTreeMap::new()).is_err());
        assert!(compare(&BTreeMap::new(), &first).is_err());
    }
}
