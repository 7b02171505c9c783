"""A name for the recordings a model was trained on, for the key under which it is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sotto.audio import Corpus
from sotto.audio.reading import content_digest


def clips_digest(corpus: Corpus, positions: Iterable[int]) -> str:
    """32 hexadecimal digits for the content and the identifiers of these clips, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for position in positions:
        clip = corpus[position]
        digest.update(f"{clip.id}\0{content_digest(clip)}\0{clip.speaker or ''}\n".encode())
    return digest.hexdigest()
