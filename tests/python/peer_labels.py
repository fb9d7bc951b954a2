#!/usr/bin/env python3
"""Do the peers give the labels that `zegclip segment` writes, on the same weights and the same photo?

  peer_labels.py --peers ../shared/peers --zegclip target/release/zegclip --config voc PHOTO eager:fp32 openvino:bf16 ...

The peers' own random model is written in the authors' `.pth` form, which the program reads; its text features go along as
`.npy`. A 512×512 crop of the photo then passes through both. One JSON line an engine: the share of pixels with the same
label. Needs the peers' requirements; part of `cargo xtask bench`, not of the default tests.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

MEAN = np.array([123.675, 116.28, 103.53], dtype=np.float32)
STD = np.array([58.395, 57.12, 57.375], dtype=np.float32)
SIDE = 512


def published(state):
    """The peers' names of parameters as the authors have them."""
    renamed = {}
    for name, value in state.items():
        if name in ("text", "seen_bias"):
            continue
        part, rest = name.split(".", 1)
        if part == "visual":
            if rest == "prompt":
                renamed["backbone.prompt_embeddings"] = value[:1].clone()
                renamed["backbone.deep_prompt_embeddings"] = value[1:].clone()
                continue
            rest = rest.replace("patch.weight", "conv1.weight").replace("blocks.", "transformer.resblocks.")
            if rest.startswith("transformer."):
                for ours, theirs in ((".qkv.", ".attn.in_proj_"), (".out.", ".attn.out_proj."), (".fc.", ".mlp.c_fc."),
                                     (".proj.", ".mlp.c_proj.")):
                    rest = rest.replace(ours, theirs)
            renamed[f"backbone.{rest}"] = value
        elif part == "relation":
            renamed[f"decode_head.q_proj.{rest}"] = value
        else:
            layer, field = rest.split(".", 1)
            module = field.split(".")[0]
            inside = {"q": "multihead_attn.q", "k": "multihead_attn.k", "v": "multihead_attn.v", "out": "multihead_attn.proj",
                      "fc": "linear1", "proj": "linear2"}.get(module, module)
            renamed[f"decode_head.decoder_1.layers.{layer}.{field.replace(module, inside, 1)}"] = value
    return renamed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--zegclip", type=Path, required=True)
    parser.add_argument("--config", choices=("voc", "coco"), required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("photo", type=Path)
    parser.add_argument("engines", nargs="+", metavar="ENGINE:PRECISION")
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.peers))
    import bench
    import torch

    vocabulary = {"voc": "voc20", "coco": "coco171"}[arguments.config]

    def options(engine, precision):
        return argparse.Namespace(config=arguments.config, engine=engine, precision=precision, form="plain", batch=1,
                                  threads=arguments.threads, cache=None, autotune=False)

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        _, model, _ = bench.build(options("eager", "fp32"))
        torch.save({"state_dict": published(model.state_dict())}, folder / "model.pth")
        np.save(folder / "text.npy", model.text.numpy())
        # The peers lower the first classes, the program those that its vocabulary calls seen.
        names = [f"class {index}" for index in range(model.cfg.classes)]
        image = Image.open(arguments.photo).convert("RGB")
        scale = max(SIDE / image.width, SIDE / image.height)
        image = image.resize((max(SIDE, round(image.width * scale)), max(SIDE, round(image.height * scale))))
        image = image.crop((0, 0, SIDE, SIDE))
        image.save(folder / "crop.png")
        command = [arguments.zegclip, "segment", folder / "crop.png", "--weights", folder / "model.pth", "--classes",
                   ",".join(names), "--seen", ",".join(names[: model.cfg.seen]), "--text-features", folder / "text.npy",
                   "--device", "cpu", "--output", folder / "labels"]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        written = np.array(Image.open(folder / "labels" / "crop.labels.png"))
        pixels = ((np.asarray(image, dtype=np.float32) - MEAN) / STD).transpose(2, 0, 1)[None].copy()
        for chosen in arguments.engines:
            engine, _, precision = chosen.partition(":")
            try:
                labels = np.asarray(bench.engine(options(engine, precision or "fp32"))(pixels))[0]
            except Exception as error:  # an engine that cannot do this is a row without a figure
                print(f"{chosen}: {error}", file=sys.stderr)
                continue
            print(json.dumps({"engine": engine, "precision": precision or "fp32", "classes": len(np.unique(written)),
                              "same_labels": float((labels == written).mean())}), flush=True)


if __name__ == "__main__":
    main()
