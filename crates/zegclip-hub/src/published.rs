//! The files that OpenAI published.

/// A CLIP model that OpenAI published as a TorchScript archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublishedFile {
    /// Its name after `clip:`.
    pub name: &'static str,
    /// The name of the file.
    pub file: &'static str,
    /// SHA-256 in lower-case hexadecimal digits, which is a part of the address.
    pub sha256: &'static str,
}

/// The Vision Transformers that OpenAI published.
pub const PUBLISHED: [PublishedFile; 4] = [
    PublishedFile {
        name: "ViT-B-32",
        file: "ViT-B-32.pt",
        sha256: "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    },
    PublishedFile {
        name: "ViT-B-16",
        file: "ViT-B-16.pt",
        sha256: "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
    },
    PublishedFile {
        name: "ViT-L-14",
        file: "ViT-L-14.pt",
        sha256: "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
    },
    PublishedFile {
        name: "ViT-L-14-336px",
        file: "ViT-L-14-336px.pt",
        sha256: "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
    },
];

impl PublishedFile {
    /// The model called `name`. Letter case, and `/` or `@` for `-`, make no difference: `vit-b/16` and `ViT-L/14@336px` are
    /// names of OpenAI's own program.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        let canonical = name.replace(['/', '@'], "-");
        PUBLISHED.iter().find(|file| file.name.eq_ignore_ascii_case(&canonical))
    }

    /// Its address below `base`.
    pub(crate) fn address(&self, base: &str) -> String {
        format!("{}/{}/{}", base.trim_end_matches('/'), self.sha256, self.file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openais_own_spellings_are_found() {
        for name in ["ViT-B-16", "ViT-B/16", "vit-b-16"] {
            assert_eq!(PublishedFile::find(name).map(|file| file.file), Some("ViT-B-16.pt"));
        }
        assert_eq!(
            PublishedFile::find("ViT-L/14@336px").map(|file| file.file),
            Some("ViT-L-14-336px.pt")
        );
        assert!(PublishedFile::find("RN50").is_none());
    }

    #[test]
    fn checksums_are_hexadecimal() {
        for file in PUBLISHED {
            assert!(file.sha256.len() == 64 && file.sha256.bytes().all(|digit| b"0123456789abcdef".contains(&digit)));
        }
    }
}
