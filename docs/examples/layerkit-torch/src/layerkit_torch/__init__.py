"""PyTorch as a backend of layerkit."""

import layerkit as lk

layerkit_api = 1

__all__ = ["layerkit_backends", "torch"]


def torch():
    """PyTorch on the CPU: its functions under NumPy's names, gradients by torch.autograd."""
    # Imported here, so that listing the backends does not import torch.
    from layerkit_torch.backend import TorchBackend

    return TorchBackend()


torch.requires = ("torch",)
torch.remedy = "pip install torch"


@lk.hookimpl
def layerkit_backends():
    return [torch]
