"""One clip seen from every side: what Alice holds, and what Bob's process really received of it, paradigm by paradigm.

All of it is taken from the transcript of a simulation (:mod:`sotto.bench.one_clip.simulation`): Bob's side is decoded
from the bytes that came over his links.  A scene holds the clip itself, as sound: whoever gets the report can listen to
it.

Written as ``scene.json`` beside the results, so that a report can be made again; read back, it is checked like anything
that comes from outside.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from sotto.link import Coded

SCENE_FILE = "scene.json"
_MOST_BYTES = 64 << 20
_PNG, _RIFF = b"\x89PNG\r\n\x1a\n", b"RIFF"


class SceneError(Coded, ValueError):
    """A scene file that cannot be used; the message is one line."""


class Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing a party holds: in words, and where it can be seen or heard as PNG, as WAV and as a waveform's outline.

    ``outline``: pairs (lowest, highest) in [-1, 1], left to right.
    """

    title: str
    text: str
    picture: bytes | None = None
    sound: bytes | None = None
    outline: list[tuple[float, float]] | None = None


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Messages of one name, as Bob saw them."""

    direction: str
    peer: str
    name: str
    times: int
    size: int


class Panel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A paradigm's session about ``clip``: what Alice holds besides it, what Bob holds, the messages, the answer.

    ``attacker``: what an attacker at Bob's place made of that, where one was tried on this clip.

    A paradigm with a task of its own (sound events) is asked about another clip than the scene's; then ``alice`` begins
    with that one.
    """

    paradigm: str
    mode: str
    model: str
    clip: str
    answer: str
    plain_answer: str
    leaks: str
    exposed: tuple[int, int]
    alice: list[Shown]
    bob: list[Shown]
    messages: list[Line]
    attacker: list[Shown] = []


class Scene(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The clip at Alice, and the panels of the paradigms that were asked about it."""

    corpus: str
    clip: str
    truth: str | None
    alice: list[Shown]
    panels: list[Panel]


def to_json(scene: Scene) -> str:
    """The scene as JSON; pictures and sounds in base64."""
    return msgspec.json.encode(scene).decode()


def read(path: Path) -> Scene:
    """The scene in a file.  Raises :class:`SceneError` for anything that is none."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SceneError("too-large", f"{path} is larger than any scene: run sotto bench again")
        scene = msgspec.json.decode(path.read_bytes(), type=Scene)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SceneError("no-scene", f"{path} holds no scene ({type(error).__name__}): run sotto bench again") from None
    for shown in (
        *scene.alice,
        *(each for panel in scene.panels for each in (*panel.alice, *panel.bob, *panel.attacker)),
    ):
        _check(shown, path)
    return scene


def with_panel(scene: Scene, panel: Panel) -> Scene:
    """The scene with one more panel."""
    return msgspec.structs.replace(scene, panels=[*scene.panels, panel])


def merged(scenes: list[Scene]) -> Scene | None:
    """The first scene with the panels that others add about the same clip; None without any."""
    if not scenes:
        return None
    first = scenes[0]
    panels = {(panel.paradigm, panel.mode, panel.model): panel for panel in first.panels}
    for other in scenes[1:]:
        if (other.corpus, other.clip) == (first.corpus, first.clip):
            for panel in other.panels:
                panels.setdefault((panel.paradigm, panel.mode, panel.model), panel)
    return msgspec.structs.replace(first, panels=list(panels.values()))


def _check(shown: Shown, path: Path) -> None:
    """Raise :class:`SceneError` where a picture is no PNG, a sound no WAV or an outline leaves its frame."""
    sound = shown.sound is None or (shown.sound[:4] == _RIFF and shown.sound[8:12] == b"WAVE")
    picture = shown.picture is None or shown.picture.startswith(_PNG)
    outline = all(-1 <= low <= high <= 1 for low, high in shown.outline or [])
    if not (sound and picture and outline):
        raise SceneError("bad-content", f"{path} holds a picture, sound or outline that is none: run sotto bench again")
