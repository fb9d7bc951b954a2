#!/usr/bin/env python3
"""Does PyTorch read what `zegclip convert` writes, and is it what went in?

  check_mmseg_export.py ORIGINAL.pth EXPORTED.pth
  check_mmseg_export.py --zegclip target/release/zegclip ORIGINAL.pth...

The first form compares a checkpoint with one that was exported from it. The second makes the exports itself: original to
native, native back to a `.pth`. Both sides are read with `torch.load(weights_only=True)`. Needs torch; not part of the
default tests.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

# Tensors that the authors' modules own but never read; a converter may leave them out or add them.
UNREAD = (".self_attn.", ".norm1.", "empty_weight")


def unread(name):
    return name.startswith("decode_head.") and any(part in name for part in UNREAD)


def check(original_path, exported_path):
    original = torch.load(original_path, map_location="cpu", weights_only=True)
    exported = torch.load(exported_path, map_location="cpu", weights_only=True)
    problems = []
    before, after = original["state_dict"], exported["state_dict"]
    problems += [f"{name} is missing" for name in before if name not in after and not unread(name)]
    problems += [f"{name} is new" for name in after if name not in before and not unread(name)]
    for name in before.keys() & after.keys():
        a, b = before[name], after[name]
        # An exporter makes up the values of what nobody reads; the shapes have to be right for strict loading.
        if a.shape != b.shape and not name.endswith("empty_weight"):
            problems.append(f"{name} has shape {tuple(b.shape)} instead of {tuple(a.shape)}")
        elif not unread(name) and (a.dtype != b.dtype or not torch.equal(a, b)):
            problems.append(f"{name} differs: {a.dtype} {tuple(a.shape)} -> {b.dtype} {tuple(b.shape)}")
        if not b.is_contiguous():
            problems.append(f"{name} is not contiguous")
    classes = exported["meta"].get("CLASSES")
    if tuple(classes or ()) != tuple(original["meta"].get("CLASSES") or ()):
        problems.append(f"CLASSES are {classes}")
    for problem in problems:
        print(f"{exported_path}: {problem}", file=sys.stderr)
    print(f"{exported_path}: {len(after)} tensors, {'as in' if not problems else 'NOT as in'} {original_path}")
    return not problems


def round_trip(zegclip, original, folder):
    native, exported = folder / "native.safetensors", folder / "exported.pth"
    for source, target in ((original, native), (native, exported)):
        subprocess.run([zegclip, "convert", source, target], check=True, stdout=subprocess.DEVNULL)
    return exported


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zegclip", type=Path, help="the program that makes the exports")
    parser.add_argument("checkpoints", type=Path, nargs="+")
    arguments = parser.parse_args()
    if arguments.zegclip is None:
        if len(arguments.checkpoints) != 2:
            parser.error("give the original and the exported checkpoint, or --zegclip")
        return check(*arguments.checkpoints)
    good = True
    for original in arguments.checkpoints:
        with tempfile.TemporaryDirectory() as folder:
            good &= check(original, round_trip(arguments.zegclip, original, Path(folder)))
    return good


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
