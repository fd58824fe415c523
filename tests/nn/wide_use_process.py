"""A net of a recurrent layer under DistributedDataParallel and fully_shard: `torchrun ... wide_use_process.py OUT`.

Every process trains on its rows of every batch; the first one writes the weights after a few steps, by name.
"""

import os
import sys

import torch
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from karussell import cells
from karussell.nn import GRU, Recurrent


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.below = GRU(3, 4, 2, bidirectional=True)
        self.above = Recurrent(cells.PeepholeLSTM, 8, 4, layer_norm=True, learned_state=True)
        self.out = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.above(self.below(x)[0])[0][-1])[:, 0]


def made() -> Net:
    torch.manual_seed(1)
    return Net()


def train(net: nn.Module, rank: int, count: int) -> None:
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    generator = torch.Generator().manual_seed(2)
    for _ in range(4):
        x = torch.randn(6, 4, 3, generator=generator)
        mine = x[:, rank::count]
        optimizer.zero_grad()
        (net(mine) - mine.sum((0, 2))).square().mean().backward()
        optimizer.step()


def main() -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank, count = distributed.get_rank(), distributed.get_world_size()
    replicated = DistributedDataParallel(made())
    train(replicated, rank, count)
    found = {f"ddp.{n}": v for n, v in replicated.module.state_dict().items()}
    sharded = made()
    mesh = init_device_mesh("cpu", (count,))
    for part in (sharded.below, sharded.above, sharded):
        fully_shard(part, mesh=mesh)
    train(sharded, rank, count)
    found |= {f"fsdp.{n}": getattr(v, "full_tensor", lambda v=v: v)() for n, v in sharded.state_dict().items()}
    if rank == 0:
        torch.save(found, sys.argv[1])
    distributed.barrier()
    distributed.destroy_process_group()
    # threads of gloo's own that are still there sometimes abort an interpreter that ends
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
