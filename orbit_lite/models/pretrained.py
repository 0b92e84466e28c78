"""Pretrained weights from the network or its local cache. Without a network the answer comes in seconds."""

import urllib.error
import urllib.request
from pathlib import Path

import torch

from groundwork.errors import UsageError

PROBE_TIMEOUT_S = 5.0


def fetch_from_hub(timm_name: str, repository: str = "", file_name: str | None = None) -> Path:
    """The file of a timm model's weights on the Hugging Face hub, from the local cache if it is there.

    Args:
        timm_name: the model.
        repository: where timm's configuration says it is; `timm/NAME` if not given.
        file_name: in the repository; `model.safetensors` if not given.

    Raises:
        UsageError: if it can't be fetched; names the model, and the road without a network.
    """
    import huggingface_hub
    from huggingface_hub import constants  # by name: as an attribute it is there only once something has imported it

    repository, file_name = repository or f"timm/{timm_name}", file_name or "model.safetensors"
    cached = huggingface_hub.try_to_load_from_cache(repository, file_name)
    if isinstance(cached, str):
        return Path(cached)
    try:
        if constants.HF_HUB_OFFLINE:
            raise ConnectionError("HF_HUB_OFFLINE is set")
        # The hub's client tries again for 46 s before it gives up on a dead network: ask once beforehand.
        _probe(f"{constants.ENDPOINT}/{repository}/resolve/main/{file_name}")
        return Path(huggingface_hub.hf_hub_download(repository, file_name))
    except Exception as error:  # the client raises errors of the HTTP library that it happens to use
        raise _not_fetched(f"timm's {timm_name}", error) from None


def fetch_from_url(url: str) -> Path:
    """A .pth of torchvision's, whose name ends in its hash, by way of torch's own cache folder. Raises as above."""
    file_name = url.rsplit("/", 1)[-1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / file_name
    if path.is_file():
        return path
    try:
        _probe(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        hash_start = file_name.removesuffix(".pth").rsplit("-", 1)[-1]
        torch.hub.download_url_to_file(url, str(path), hash_prefix=hash_start, progress=False)
    except Exception as error:  # as above
        raise _not_fetched(f"torchvision's {file_name}", error) from None
    return path


def _probe(url: str) -> None:
    """One short request, through the proxies of the environment, as the download itself."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=PROBE_TIMEOUT_S):
            pass
    except urllib.error.HTTPError as error:
        error.close()  # an answer: the host is there, and the download's own error says more


def _not_fetched(what: str, error: Exception) -> UsageError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UsageError(
        f"could not fetch the pretrained weights, {what} ({reason}); "
        "fetch them where there is a network and give the file with --weights FILE (train: weights=FILE)"
    )
