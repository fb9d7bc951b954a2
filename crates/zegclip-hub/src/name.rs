//! Names of weights.

use std::fmt;
use std::str::FromStr;

use zegclip_foundation::{did_you_mean, nearest_name};

use crate::error::HubError;
use crate::published::{PUBLISHED, PublishedFile};

const CLIP: &str = "clip:";
const HUGGING_FACE: &str = "hf:";

/// The name of weights that can be downloaded: `clip:MODEL` or `hf:ORG/REPO[@REVISION][:FILE]`.
///
/// ```
/// use zegclip_hub::WeightName;
///
/// let name: WeightName = "hf:laion/CLIP-ViT-B-16-laion2B-s34B-b88K@main:open_clip_model.safetensors".parse()?;
/// assert!(matches!(name, WeightName::HuggingFace { .. }));
/// # Ok::<(), zegclip_hub::HubError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeightName {
    /// A file that OpenAI published.
    Clip(&'static PublishedFile),
    /// A file of a Hugging Face repository.
    HuggingFace {
        /// `ORG/REPO`.
        repository: String,
        /// Branch, tag or commit; `main` unless stated.
        revision: String,
        /// Path in the repository; `None` for the first of the usual names that it has.
        file: Option<String>,
    },
}

/// Whether `text` is meant as a [`WeightName`] rather than as a path.
pub fn is_weight_name(text: &str) -> bool {
    text.starts_with(CLIP) || text.starts_with(HUGGING_FACE)
}

impl FromStr for WeightName {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let problem = |problem: String| HubError::Name {
            name: text.to_owned(),
            problem,
        };
        if let Some(model) = text.strip_prefix(CLIP) {
            return PublishedFile::find(model).map(Self::Clip).ok_or_else(|| {
                let known = PUBLISHED.map(|file| file.name);
                let nearest = did_you_mean(nearest_name(model, known));
                problem(format!("known models are {}{nearest}", known.join(", ")))
            });
        }
        let Some(rest) = text.strip_prefix(HUGGING_FACE) else {
            return Err(problem("it begins with neither `clip:` nor `hf:`".to_owned()));
        };
        let (rest, file) = match rest.split_once(':') {
            Some((rest, file)) => (rest, Some(file)),
            None => (rest, None),
        };
        let (repository, revision) = rest.split_once('@').unwrap_or((rest, "main"));
        let parts: Vec<&str> = repository.split('/').collect();
        if parts.len() != 2 || !parts.iter().all(|part| is_plain(part)) {
            return Err(problem(format!("`{repository}` is not of the form ORG/REPO")));
        }
        if !revision.split('/').all(is_plain) {
            return Err(problem(format!("`{revision}` is not a branch, tag or commit")));
        }
        if file.is_some_and(|file| !file.split('/').all(is_plain)) {
            return Err(problem(format!(
                "`{}` is not the path of a file in a repository",
                file.unwrap_or_default()
            )));
        }
        Ok(Self::HuggingFace {
            repository: repository.to_owned(),
            revision: revision.to_owned(),
            file: file.map(str::to_owned),
        })
    }
}

/// Whether a part of a path has only characters that cannot leave its folder or change an address.
pub(crate) fn is_plain(part: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    !part.is_empty() && part.len() <= 255 && !part.starts_with('.') && part.bytes().all(known)
}

impl fmt::Display for WeightName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clip(file) => write!(formatter, "{CLIP}{}", file.name),
            Self::HuggingFace {
                repository,
                revision,
                file,
            } => {
                write!(formatter, "{HUGGING_FACE}{repository}")?;
                if revision != "main" {
                    write!(formatter, "@{revision}")?;
                }
                file.as_ref().map_or(Ok(()), |file| write!(formatter, ":{file}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in [
            "clip:ViT-L-14-336px",
            "hf:openai/clip-vit-base-patch16",
            "hf:laion/CLIP-ViT-B-16@v1.0:open_clip_model.safetensors",
            "hf:a/b@refs/pr/1:folder/model.safetensors",
        ] {
            let parsed: WeightName = name.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(parsed.to_string(), name);
        }
    }

    #[test]
    fn names_that_leave_a_folder_are_refused() {
        for name in [
            "clip:ViT-B-61",
            "clip:",
            "hf:",
            "hf:model",
            "hf:a/b/c",
            "hf:../b",
            "hf:a/..",
            "hf:a/b:../../x",
            "hf:a/b:/etc/passwd",
            "hf:a/b:",
            "hf:a/b@..",
            "hf:a/b@",
            "hf:a/b?x=1",
            "hf:a/b:x%2fy",
            "ViT-B-16",
        ] {
            assert!(name.parse::<WeightName>().is_err(), "{name}");
        }
        let error = "clip:ViT-B-61".parse::<WeightName>().unwrap_err().to_string();
        assert!(error.contains("did you mean `ViT-B-16`?"), "{error}");
    }
}
