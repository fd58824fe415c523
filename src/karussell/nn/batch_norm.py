"""Batch norm over the whole batch, also where several processes share it."""

import torch
from torch import Tensor, distributed, nn
from torch.distributed import nn as differentiable


class BatchNorm2d(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` whose mean and variance are those of all processes' rows (Ioffe and Szegedy 2015).

    torch's own SyncBatchNorm does this on GPUs alone. With one process, and in evaluation, it is torch's BatchNorm2d.
    """

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, H, W] to the same."""
        if not (self.training and distributed.is_initialized() and distributed.get_world_size() > 1):
            return super().forward(input)
        count = input.numel() / input.shape[1]
        sums = torch.cat([input.sum((0, 2, 3)), input.square().sum((0, 2, 3)), input.new_tensor([count])])
        sums = differentiable.all_reduce(sums)
        channels = input.shape[1]
        total = sums[-1].detach()
        mean = sums[:channels] / total
        variance = (sums[channels:-1] / total - mean.square()).clamp(min=0)
        with torch.no_grad():
            assert self.running_mean is not None
            assert self.running_var is not None
            assert self.num_batches_tracked is not None
            assert self.momentum is not None
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * total / (total - 1), self.momentum)
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return input * scale[None, :, None, None] + (self.bias - mean * scale)[None, :, None, None]
