#!/usr/bin/env python3
"""PyTorch's time for `training_step small`: a CLIP image encoder of width 192 with 6 layers on 8×8 patches of 64×64 pixels,
all of it trained with AdamW. One JSON object on stdout.

  small_step.py FOLDER_OF_ZEGCLIP_TORCH BATCH RUNS
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


def main():
    batch, runs = int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(int(os.environ.get("THREADS", len(os.sched_getaffinity(0)))))
    torch.manual_seed(0)
    net = z.ImageEncoder(64, 8, 192, 6, 3, 128).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    text = torch.nn.functional.normalize(torch.randn(batch, 128), dim=-1)
    images, target = torch.randn(batch, 3, 64, 64), torch.arange(batch)
    times, processor = [], []
    for run in range(runs + 2):
        start, used = time.perf_counter(), time.process_time()
        features, _ = net(images)
        loss = torch.nn.functional.cross_entropy(14 * features @ text.T, target)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        loss.item()
        if run >= 2:
            times.append(time.perf_counter() - start)
            processor.append(time.process_time() - used)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(dict(engine="eager", work="small", batch=batch, runs=runs, median_s=statistics.median(times),
                          cpu_min_s=min(processor), cpu_s=statistics.median(processor), min_s=min(times), max_s=max(times), rss_peak_mb=round(peak))))


if __name__ == "__main__":
    main()
