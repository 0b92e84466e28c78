"""Files of weights with a hash: safetensors with a JSON header, and SHA-256 over both. Altered files are refused.

The hash detects damage and edits. It is not a signature: anyone who edits a file can compute it again.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from groundwork.errors import DataError
from groundwork.files import write_bytes
from groundwork.strict_json import parse_json
from orbit_lite.models.weight_files import WeightFile

HEADER, HEADER_HASH, CONTENT_HASH = "header", "header_sha256", "sha256"


@dataclass(frozen=True)
class HashedFormat:
    """One kind of hashed file.

    Attributes:
        key: the one key in the safetensors metadata, which holds everything except the tensors. With several keys,
        safetensors writes them in an order that changes from run to run.
        remedy: what to do about a damaged file, as the end of the error message.
    """

    key: str
    remedy: str

    def write(self, path: Path, header: str, tensors: Mapping[str, Tensor]) -> None:
        """Write a file atomically. The same header and tensors give the same bytes.

        Args:
            path: the file to write.
            header: JSON text.
            tensors: the tensors by name, on any device.
        """
        # contiguous: safetensors does not support channels_last
        values = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        hashes = {HEADER_HASH: content_sha256(header, {}), CONTENT_HASH: content_sha256(header, values)}
        write_bytes(path, safetensors.torch.save(values, {self.key: json.dumps({HEADER: header, **hashes})}))

    def header(self, metadata: Mapping[str, str], path: Path) -> str:
        """The header's JSON text, checked against its own hash; the tensors need not be read.

        Older files only have a hash over header and tensors together, which `checked` verifies.

        Raises:
            DataError: if the header is damaged or altered.
        """
        return self._envelope(metadata, path)[HEADER]

    def checked(self, file: WeightFile, path: Path) -> str:
        """The header's JSON text, after header and tensors were checked against their hash.

        Raises:
            DataError: if anything in it is damaged or altered.
        """
        envelope = self._envelope(file.metadata, path)
        if content_sha256(envelope[HEADER], file.tensors) != envelope[CONTENT_HASH]:
            raise self.damaged(path, "its content does not match its hash")
        return envelope[HEADER]

    def damaged(self, path: Path, what: str) -> DataError:
        """The error for a damaged file of this kind."""
        return DataError(f"{path}: damaged or altered ({what}); {self.remedy}")

    def _envelope(self, metadata: Mapping[str, str], path: Path) -> dict[str, str]:
        try:
            found = parse_json(metadata[self.key], finite=True)
        except ValueError as error:
            raise self.damaged(path, f"its header can't be read: {error}") from None
        if (
            not isinstance(found, dict)
            or not {HEADER, CONTENT_HASH} <= found.keys() <= {HEADER, HEADER_HASH, CONTENT_HASH}
            or not all(isinstance(value, str) for value in found.values())
        ):
            raise self.damaged(path, "its header can't be read: expected a header and its hashes")
        if found.get(HEADER_HASH, right := content_sha256(found[HEADER], {})) != right:
            raise self.damaged(path, "its header does not match its hash")
        return found


def content_sha256(header: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over a header and every tensor's name, type, shape and bytes, as hex."""
    found = hashlib.sha256(header.encode(errors="surrogatepass"))
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        found.update(f"\0{name} {value.dtype} {tuple(value.shape)}\0".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
