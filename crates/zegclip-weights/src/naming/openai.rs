//! OpenAI's names, which OpenCLIP keeps: `visual.*` for the image encoder, bare names for the text encoder (below `text.` in
//! OpenCLIP's models whose text encoder is a module of its own).

use super::target::Target;
use crate::names::{IMAGE_ENCODER, TEXT_ENCODER};

/// Prefixes of the text encoder, which has no module of its own in OpenAI's models.
const TEXT: [&str; 4] = ["transformer.", "token_embedding.", "ln_final.", "positional_embedding"];

pub(super) fn target(name: &str) -> Target {
    if let Some(rest) = name.strip_prefix("visual.") {
        return Target::Named(format!("{IMAGE_ENCODER}{rest}"));
    }
    let text = name.strip_prefix("text.").unwrap_or(name);
    match text {
        "text_projection" => Target::Named(format!("{TEXT_ENCODER}text_projection")),
        "text_projection.weight" => Target::Transposed(format!("{TEXT_ENCODER}text_projection")),
        // The causal mask is a constant.
        "attn_mask" => Target::Dropped,
        _ if text != name || TEXT.iter().any(|start| text.starts_with(start)) => {
            Target::Named(format!("{TEXT_ENCODER}{text}"))
        }
        _ => Target::Named(name.to_owned()),
    }
}

/// OpenCLIP's name of a canonical one; `None` if it is not part of CLIP.
pub(crate) fn open_clip_name(canonical: &str) -> Option<String> {
    if let Some(rest) = canonical.strip_prefix(IMAGE_ENCODER) {
        return (!rest.contains("prompt")).then(|| format!("visual.{rest}"));
    }
    if canonical == "logit_scale" {
        return Some(canonical.to_owned());
    }
    canonical.strip_prefix(TEXT_ENCODER).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for name in [
            "visual.conv1.weight",
            "visual.transformer.resblocks.3.attn.in_proj_weight",
            "transformer.resblocks.0.mlp.c_fc.bias",
            "token_embedding.weight",
            "positional_embedding",
            "text_projection",
            "logit_scale",
        ] {
            let Target::Named(canonical) = target(name) else {
                panic!("{name} has no canonical name")
            };
            assert_eq!(open_clip_name(&canonical).as_deref(), Some(name));
        }
        assert_eq!(open_clip_name("decode_head.q_proj.weight"), None);
        assert_eq!(open_clip_name("backbone.prompt_proj.weight"), None);
    }

    #[test]
    fn both_forms_of_the_text_encoder_are_known() {
        for name in ["ln_final.bias", "text.ln_final.bias"] {
            assert!(matches!(target(name), Target::Named(name) if name == "text_encoder.ln_final.bias"));
        }
        assert!(
            matches!(target("text.text_projection.weight"), Target::Transposed(name) if name == "text_encoder.text_projection")
        );
        assert!(matches!(target("logit_scale"), Target::Named(name) if name == "logit_scale"));
    }
}
