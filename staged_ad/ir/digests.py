"""Digests, by which content is told apart from other content.

Start at ``blake2b``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import hashlib


def blake2b(content: Any = b"", *, size: int, key: bytes = b"") -> hashlib.blake2b:
    """BLAKE2b (RFC 7693) of `content`, with a digest of `size` bytes; more can be added by ``update``."""
    import hashlib  # at the first digest: it loads OpenSSL, which takes as long as ten modules of this package

    return hashlib.blake2b(content, digest_size=size, key=key)
