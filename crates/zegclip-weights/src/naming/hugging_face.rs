//! Names of Hugging Face. Queries, keys and values have separate projections; the projections into the joint space are
//! linear layers, so their weights are transposed.

use super::target::Target;
use crate::names::{IMAGE_ENCODER, TEXT_ENCODER};

pub(super) fn target(name: &str) -> Target {
    match name {
        "visual_projection.weight" => return Target::Transposed(format!("{IMAGE_ENCODER}proj")),
        "text_projection.weight" => return Target::Transposed(format!("{TEXT_ENCODER}text_projection")),
        _ => {}
    }
    let (prefix, rest) = if let Some(rest) = name.strip_prefix("vision_model.") {
        (IMAGE_ENCODER, rest)
    } else if let Some(rest) = name.strip_prefix("text_model.") {
        (TEXT_ENCODER, rest)
    } else {
        return Target::Named(name.to_owned());
    };
    if let Some(layer) = rest.strip_prefix("encoder.layers.") {
        return block(prefix, layer).unwrap_or_else(|| Target::Named(name.to_owned()));
    }
    let (module, parameter) = rest.rsplit_once('.').unwrap_or(("", rest));
    let renamed = match (module, parameter) {
        ("embeddings", "position_ids") => return Target::Dropped,
        ("embeddings", "class_embedding") => "class_embedding".to_owned(),
        ("embeddings.position_embedding", "weight") => "positional_embedding".to_owned(),
        ("embeddings.patch_embedding", _) => format!("conv1.{parameter}"),
        ("embeddings.token_embedding", _) => format!("token_embedding.{parameter}"),
        // The misspelled name is the published one.
        ("pre_layrnorm" | "pre_layernorm", _) => format!("ln_pre.{parameter}"),
        ("post_layernorm", _) => format!("ln_post.{parameter}"),
        ("final_layer_norm", _) => format!("ln_final.{parameter}"),
        _ => return Target::Named(name.to_owned()),
    };
    Target::Named(format!("{prefix}{renamed}"))
}

/// `layer` is `{index}.{module}.{parameter}`.
fn block(prefix: &str, layer: &str) -> Option<Target> {
    let (index, rest) = layer.split_once('.')?;
    let (module, parameter) = rest.rsplit_once('.')?;
    let start = format!("{prefix}transformer.resblocks.{index}");
    let third = |third| Some(Target::Third(format!("{start}.attn.in_proj_{parameter}"), third));
    let renamed = match module {
        "self_attn.q_proj" => return third(0),
        "self_attn.k_proj" => return third(1),
        "self_attn.v_proj" => return third(2),
        "self_attn.out_proj" => "attn.out_proj",
        "layer_norm1" => "ln_1",
        "layer_norm2" => "ln_2",
        "mlp.fc1" => "mlp.c_fc",
        "mlp.fc2" => "mlp.c_proj",
        _ => return None,
    };
    Some(Target::Named(format!("{start}.{renamed}.{parameter}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_openai_s() {
        for (name, expected) in [
            ("vision_model.pre_layrnorm.bias", "backbone.ln_pre.bias"),
            (
                "text_model.embeddings.position_embedding.weight",
                "text_encoder.positional_embedding",
            ),
            (
                "vision_model.encoder.layers.11.mlp.fc2.weight",
                "backbone.transformer.resblocks.11.mlp.c_proj.weight",
            ),
        ] {
            assert!(
                matches!(target(name), Target::Named(found) if found == expected),
                "{name}"
            );
        }
        let expected = "text_encoder.transformer.resblocks.3.attn.in_proj_bias";
        assert!(
            matches!(target("text_model.encoder.layers.3.self_attn.v_proj.bias"), Target::Third(name, 2) if name == expected)
        );
    }
}
