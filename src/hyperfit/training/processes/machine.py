"""Which of the processes of a training are on one machine, and so can write one file together."""

import socket

import torch
import torch.distributed as dist

from hyperfit.models.devices import device_name
from hyperfit.prefix.processes import ALONE, Processes
from hyperfit.training.processes.launch import PATIENCE


def on_this_machine(device: torch.device) -> Processes:
    """The processes of this training on this machine and a device of the same kind, which come to the same bits.

    Those of another machine are told apart by its name: whether they see the same disk nobody knows, and what one
    machine has written another may see late. device: this process's. All processes of the training have to call this.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return ALONE
    kinds: list[tuple[str, str]] = [("", "")] * dist.get_world_size()
    dist.all_gather_object(kinds, (socket.gethostname(), device_name(device)))
    rank, found = dist.get_rank(), ALONE
    for kind in sorted({*kinds}):  # every process takes part in the making of every group
        members = [number for number, one in enumerate(kinds) if one == kind]
        group = dist.new_group(members, timeout=PATIENCE, backend="gloo")
        if rank in members:
            found = Processes(members.index(rank), len(members), group)
    return found
