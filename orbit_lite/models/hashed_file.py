"""Files of weights with a hash: safetensors with one JSON header, and SHA-256 over both. What was altered is refused.

The hash finds damage and edits. It is no signature: who edits a file can compute it again.
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
        key: of the safetensors metadata, under which everything beside the tensors stands. One key for all:
            safetensors writes several in an order that changes from run to run.
        remedy: what to do about a damaged one, for the error's end.
    """

    key: str
    remedy: str

    def write(self, path: Path, header: str, tensors: Mapping[str, Tensor]) -> None:
        """Write a file, whole or not at all. The same header and tensors give the same bytes.

        Args:
            path: where to.
            header: JSON text.
            tensors: by name, on any device.
        """
        # contiguous: safetensors has no channels_last
        values = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        hashes = {HEADER_HASH: content_sha256(header, {}), CONTENT_HASH: content_sha256(header, values)}
        write_bytes(path, safetensors.torch.save(values, {self.key: json.dumps({HEADER: header, **hashes})}))

    def header(self, metadata: Mapping[str, str], path: Path) -> str:
        """The header's JSON text, checked against its own hash; the tensors may be unread.

        Files from before it had a hash of its own have that over header and tensors alone: `checked` looks at it.

        Raises:
            DataError: if it is damaged or altered.
        """
        return self._envelope(metadata, path)[HEADER]

    def checked(self, file: WeightFile, path: Path) -> str:
        """The header's JSON text of a file whose header and tensors are what their hash says.

        Raises:
            DataError: if anything in it is damaged or altered.
        """
        envelope = self._envelope(file.metadata, path)
        if content_sha256(envelope[HEADER], file.tensors) != envelope[CONTENT_HASH]:
            raise self.damaged(path, "its content is not what its hash says")
        return envelope[HEADER]

    def damaged(self, path: Path, what: str) -> DataError:
        """The error for a damaged file of this kind."""
        return DataError(f"{path}: damaged or altered ({what}); {self.remedy}")

    def _envelope(self, metadata: Mapping[str, str], path: Path) -> dict[str, str]:
        try:
            found = parse_json(metadata[self.key], finite=True)
        except ValueError as error:
            raise self.damaged(path, f"its header does not read: {error}") from None
        if (
            not isinstance(found, dict)
            or not {HEADER, CONTENT_HASH} <= found.keys() <= {HEADER, HEADER_HASH, CONTENT_HASH}
            or not all(isinstance(value, str) for value in found.values())
        ):
            raise self.damaged(path, "its header does not read: a header and its hashes were expected")
        if found.get(HEADER_HASH, right := content_sha256(found[HEADER], {})) != right:
            raise self.damaged(path, "its header is not what its hash says")
        return found


def content_sha256(header: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over a header and every tensor's name, type, shape and bytes, as hex."""
    found = hashlib.sha256(header.encode(errors="surrogatepass"))
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        found.update(f"\0{name} {value.dtype} {tuple(value.shape)}\0".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
