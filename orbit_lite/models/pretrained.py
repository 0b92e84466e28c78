"""Downloads pretrained weights, or finds them in the local cache. Without a network it fails within seconds."""

import urllib.error
import urllib.request
from pathlib import Path

import torch

from groundwork.errors import UsageError

PROBE_TIMEOUT_S = 5.0


def fetch_from_hub(timm_name: str, repository: str = "", file_name: str | None = None) -> Path:
    """Fetch the weights of a timm model from the Hugging Face hub, or from the local cache.

    Args:
        timm_name: the model.
        repository: the repository in timm's configuration; the default is `timm/NAME`.
        file_name: the file in the repository; the default is `model.safetensors`.

    Raises:
        UsageError: if it can't be fetched; the message names the model and explains what to do without a network.
    """
    import huggingface_hub
    from huggingface_hub import constants  # import it by name: the attribute only exists after some other import

    repository, file_name = repository or f"timm/{timm_name}", file_name or "model.safetensors"
    cached = huggingface_hub.try_to_load_from_cache(repository, file_name)
    if isinstance(cached, str):
        return Path(cached)
    try:
        if constants.HF_HUB_OFFLINE:
            raise ConnectionError("HF_HUB_OFFLINE is set")
        # Without a network the hub's client retries for 46 s, so try a short request first.
        _probe(f"{constants.ENDPOINT}/{repository}/resolve/main/{file_name}")
        return Path(huggingface_hub.hf_hub_download(repository, file_name))
    except Exception as error:  # the client raises the errors of whichever HTTP library it uses
        raise _not_fetched(f"timm's {timm_name}", error) from None


def fetch_from_url(url: str) -> Path:
    """Fetch a torchvision .pth, whose name ends with its hash, through torch's cache folder. Raises UsageError as
    above."""
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
    """Send one short request, through the environment's proxies like the download itself."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=PROBE_TIMEOUT_S):
            pass
    except urllib.error.HTTPError as error:
        error.close()  # the host has answered; the download's own error will say more


def _not_fetched(what: str, error: Exception) -> UsageError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UsageError(
        f"could not fetch the pretrained weights, {what} ({reason}); "
        "download them on a machine with a network and give the file with --weights FILE (train: weights=FILE)"
    )
