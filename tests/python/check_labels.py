#!/usr/bin/env python3
"""Does an independent PyTorch model, loaded with an exported checkpoint, give the labels that `zegclip segment` writes?

  check_labels.py --zegclip target/release/zegclip --weights MODEL.safetensors --decoder-heads 4 IMAGE...

The weights are exported to the authors' `.pth` form and read with `torch.load(weights_only=True)`; the network below is
written from the paper and knows nothing of the program but that file, its class list and its tokens. Images must have the
model's own size, so that no resizing and no sliding window stands between the two. Needs torch, numpy and pillow; not part
of the default tests.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

MEAN = torch.tensor([123.675, 116.28, 103.53])
STD = torch.tensor([58.395, 57.12, 57.375])


class Weights:
    """The part of a state dict below a prefix."""

    def __init__(self, tensors, prefix=""):
        self.tensors, self.prefix = tensors, prefix

    def __getitem__(self, name):
        return self.tensors[self.prefix + name].float()

    def __contains__(self, name):
        return self.prefix + name in self.tensors

    def under(self, name):
        return Weights(self.tensors, f"{self.prefix}{name}.")

    def count(self, name):
        numbers = [k[len(self.prefix + name) + 1 :].split(".")[0] for k in self.tensors if k.startswith(self.prefix + name)]
        return 1 + max(int(n) for n in numbers)


def norm(x, w, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], w["weight"], w["bias"], eps)


def linear(x, w):
    return F.linear(x, w["weight"], w["bias"])


def heads_of(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def block(x, w, heads, mask=None):
    q, k, v = F.linear(norm(x, w.under("ln_1")), w["attn.in_proj_weight"], w["attn.in_proj_bias"]).chunk(3, -1)
    q, k, v = heads_of(q, heads), heads_of(k, heads), heads_of(v, heads)
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores + mask
    x = x + linear((scores.softmax(-1) @ v).transpose(1, 2).flatten(2), w.under("attn.out_proj"))
    h = linear(norm(x, w.under("ln_2")), w.under("mlp.c_fc"))
    return x + linear(h * torch.sigmoid(1.702 * h), w.under("mlp.c_proj"))


def image_features(image, w, heads):
    """`[3, S, S]` → class-token feature `[D]`, patch features `[H * W, D]`, both of length one."""
    kernel = w["conv1.weight"]
    patches = F.conv2d(image[None], kernel, stride=kernel.shape[-1])[0].flatten(1).T
    position = w["positional_embedding"]
    side, grid = int(len(patches) ** 0.5), int((len(position) - 1) ** 0.5)
    spatial = position[1:].T.reshape(1, -1, grid, grid)
    spatial = F.interpolate(spatial, size=(side, side), mode="bilinear", align_corners=False)[0].flatten(1).T
    # The release adds the class embedding once as the token and once with its position.
    cls = 2 * w["class_embedding"] + position[0]
    x = norm(torch.cat([cls[None], patches + spatial])[None], w.under("ln_pre"))
    prompts = []
    if "prompt_embeddings" in w:
        prompts = [*w["prompt_embeddings"], *w["deep_prompt_embeddings"]]
        prompts = [linear(p[None], w.under("prompt_proj")) for p in prompts]
    for layer in range(w.count("transformer.resblocks")):
        extra = prompts[layer : layer + 1]
        x = block(torch.cat([x[:, :1], *extra, x[:, -len(patches) :]], 1), w.under(f"transformer.resblocks.{layer}"), heads)
    x = torch.cat([x[:, :1], x[:, -len(patches) :]], 1)
    if prompts:
        x = norm(x, w.under("prompt_norm"), 1e-6)
    x = F.normalize(norm(x, w.under("ln_post")) @ w["proj"], dim=-1)[0]
    return x[0], x[1:]


def text_features(tokens, w, heads):
    """`[C, 77]` token ids → `[C, D]`, of length one."""
    x = w["token_embedding.weight"][tokens] + w["positional_embedding"][: tokens.shape[1]]
    mask = torch.full((tokens.shape[1],) * 2, float("-inf")).triu(1)
    for layer in range(w.count("transformer.resblocks")):
        x = block(x, w.under(f"transformer.resblocks.{layer}"), heads, mask)
    x = norm(x, w.under("ln_final"))[torch.arange(len(tokens)), tokens.argmax(-1)]
    return F.normalize(x @ w["text_projection"], dim=-1)


def masks(cls, patches, text, w, heads):
    """Scores of the last decoder layer, `[C, H * W]`."""
    q = linear(torch.cat([cls * text, text], -1), w.under("q_proj"))[None]
    layers = w.under("decoder_1.layers")
    number = w.count("decoder_1.layers")
    for index in range(number):
        layer = layers.under(str(index))
        attention = layer.under("multihead_attn")
        query, key = (heads_of(linear(x, attention.under(n)), heads) for n, x in (("q", q), ("k", patches[None])))
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        if index + 1 == number:
            return scores.mean(1)[0]
        value = heads_of(linear(patches[None], attention.under("v")), heads)
        attended = linear((scores.softmax(-1) @ value).transpose(1, 2).flatten(2), attention.under("proj"))
        q = norm(q + attended, layer.under("norm2"))
        q = norm(q + linear(F.relu(linear(q, layer.under("linear1"))), layer.under("linear2")), layer.under("norm3"))


def run(zegclip, *arguments):
    return subprocess.run([zegclip, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zegclip", type=Path, required=True, help="the program")
    parser.add_argument("--weights", type=Path, required=True, help="native model with its text encoder")
    parser.add_argument("--template", default="a photo of a {}", help="the template that the model was trained with")
    parser.add_argument("--seen", default="", help="names of seen classes, separated by commas")
    parser.add_argument("--decoder-heads", type=int, required=True, help="heads of the decoder")
    parser.add_argument("--vision-head-width", type=int, default=64)
    parser.add_argument("--text-head-width", type=int, default=64)
    parser.add_argument("--differing", type=float, default=1e-3, help="share of pixels that may differ")
    parser.add_argument("images", type=Path, nargs="+")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "model.pth"
        run(arguments.zegclip, "convert", arguments.weights, exported)
        checkpoint = torch.load(exported, map_location="cpu", weights_only=True)
        names = list(checkpoint["meta"]["CLASSES"])
        seen = [name.strip() for name in arguments.seen.split(",") if name.strip()]
        output = Path(folder) / "labels"
        chosen = ["--setting", "inductive", "--seen", ",".join(seen)] if seen else ["--setting", "full"]
        run(arguments.zegclip, "segment", *arguments.images, "--weights", arguments.weights, "--classes", ",".join(names),
            *chosen, "--device", "cpu", "--output", output)
        lines = run(arguments.zegclip, "tokenize", *(arguments.template.format(name) for name in names)).splitlines()
        tokens = [torch.tensor(json.loads(line)) for line in lines]
        tokens = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True)
        state = Weights(checkpoint["state_dict"])
        text_encoder, backbone, head = state.under("text_encoder"), state.under("backbone"), state.under("decode_head")
        width = text_encoder["ln_final.weight"].shape[0]
        text = text_features(tokens, text_encoder, width // arguments.text_head_width)
        bias = torch.tensor([0.1 if not seen or name in seen else 0.0 for name in names])
        worst = 0.0
        for path in arguments.images:
            pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB")))
            image = ((pixels - MEAN) / STD).permute(2, 0, 1)
            vision_heads = backbone["class_embedding"].shape[0] // arguments.vision_head_width
            cls, patches = image_features(image, backbone, vision_heads)
            mask = masks(cls, patches, text, head, arguments.decoder_heads)
            grid = int(mask.shape[1] ** 0.5)
            scores = F.interpolate(mask.reshape(1, -1, grid, grid), size=image.shape[1:], mode="bilinear")[0].sigmoid()
            labels = (scores - bias[:, None, None]).argmax(0).numpy()
            written = np.array(Image.open(output / f"{path.stem}.labels.png"))
            differing = float((labels != written).mean())
            worst = max(worst, differing)
            print(f"{path}: {len(np.unique(written))} classes, {100 * differing:.4f} % of the pixels differ")
    return worst <= arguments.differing


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
