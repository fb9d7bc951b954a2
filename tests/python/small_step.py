#!/usr/bin/env python3
"""PyTorch's time for `training_step small|clip`, trained with AdamW. One JSON object on stdout.

  small_step.py FOLDER_OF_ZEGCLIP_TORCH small|clip BATCH RUNS

small: a CLIP image encoder of width 192 with 6 layers on 8×8 patches of 64×64 pixels. clip: the same on 48×48 pixels beside
a text encoder of width 128 with 4 layers on captions of 6 to 12 tokens, padded to 12, and the symmetric contrastive loss.
"""

import json
import os
import resource
import statistics
import sys
import time

import torch

sys.path.insert(0, sys.argv[1])
import zegclip_torch as z  # noqa: E402


TOKENS = 478


def small(batch):
    net = z.ImageEncoder(64, 8, 192, 6, 3, 128)
    text = torch.nn.functional.normalize(torch.randn(batch, 128), dim=-1)
    images, target = torch.randn(batch, 3, 64, 64), torch.arange(batch)

    def loss():
        features, _ = net(images)
        return torch.nn.functional.cross_entropy(14 * features @ text.T, target)

    return net, loss


def clip(batch):
    net = torch.nn.ModuleDict(dict(image=z.ImageEncoder(48, 8, 192, 6, 3, 128), text=z.TextEncoder(77, TOKENS, 128, 2, 4, 128)))
    scale = torch.nn.Parameter(torch.tensor(14.3).log())
    net.register_parameter("logit_scale", scale)
    images, target = torch.randn(batch, 3, 48, 48), torch.arange(batch)
    tokens = torch.zeros(batch, 12, dtype=torch.long)
    for caption in range(batch):
        words = 5 + caption % 7
        tokens[caption, :words] = torch.tensor([(caption * 31 + word * 17) % (TOKENS - 1) for word in range(words)])
        tokens[caption, words] = TOKENS - 1

    def loss():
        features, _ = net["image"](images)
        text = torch.nn.functional.normalize(net["text"](tokens), dim=-1)
        logits = scale.exp() * features @ text.T
        entropy = torch.nn.functional.cross_entropy
        return (entropy(logits, target) + entropy(logits.T, target)) / 2

    return net, loss


def main():
    work, batch, runs = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(int(os.environ.get("THREADS", len(os.sched_getaffinity(0)))))
    torch.manual_seed(0)
    net, loss = {"small": small, "clip": clip}[work](batch)
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    times, processor = [], []
    for run in range(runs + 2):
        start, used = time.perf_counter(), time.process_time()
        value = loss()
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        value.item()
        if run >= 2:
            times.append(time.perf_counter() - start)
            processor.append(time.process_time() - used)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(dict(engine="eager", work=work, batch=batch, runs=runs, median_s=statistics.median(times),
                          cpu_min_s=min(processor), cpu_s=statistics.median(processor), min_s=min(times), max_s=max(times), rss_peak_mb=round(peak))))


if __name__ == "__main__":
    main()
