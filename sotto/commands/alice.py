"""``sotto alice``: ask a Bob, here or on another machine, about recordings that he does not get to hear."""

from __future__ import annotations

import json as json_module
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

import typer

from sotto.audio import Clip
from sotto.commands.options import Json
from sotto.commands.party_options import (
    Dealer,
    Keys,
    Mode,
    Reveal,
    Store,
    Token,
    address,
    read_token,
    require_keys,
    require_storing,
)
from sotto.configuration import Config
from sotto.console import escape, out, say
from sotto.link import LinkError
from sotto.mpc import ProtocolError
from sotto.recordings import require_speech
from sotto.serving import asking
from sotto.serving.asking import Wish
from sotto.serving.doors import Own
from sotto.serving.terms import Reveal as RevealKind
from sotto.serving.terms import read_terms

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0


def alice(
    clips: Annotated[list[Path], typer.Argument(help="Recordings, wav or flac.", metavar="CLIP...")],
    connect: Annotated[str, typer.Option("--connect", help="Where Bob listens, HOST:PORT.")] = "127.0.0.1:7100",
    dealer: Dealer = None,
    store: Store = None,
    ahead: Annotated[
        int, typer.Option("--ahead", min=0, help="Queries to leave prepared in --store for the next session.")
    ] = 0,
    paradigm: Annotated[
        str, typer.Option("--paradigm", help="Which paradigm.", show_default="mpc, or that of --own")
    ] = "",
    mode: Mode = "",
    reveal: Reveal = "class",
    own: Annotated[
        Path | None,
        typer.Option("--own", help="Alice's own folder: terms, key, front end.", show_default="none"),
    ] = None,
    keys: Keys = None,
    bob_name: Annotated[
        str | None, typer.Option("--bob-name", help="Name that Bob's certificate must have.", show_default="any")
    ] = None,
    token_file: Token = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds any single wait may take.")] = 60.0,
    retries: Annotated[int, typer.Option("--retries", min=0, help="New sessions after one that failed.")] = 0,
    json: Json = False,
    config: Config = None,
) -> None:
    """Ask about recordings; they, and what is computed from them, stay here in the clear.

    Example:  sotto alice clip.wav --connect bob.example:7100 --dealer dealer.example:7200 --keys keys/alice
    """
    for clip in clips:
        if not clip.is_file():
            raise typer.BadParameter(f"{clip} is not a file", param_hint="CLIP")
        require_speech(clip)
    where, dealer_at = address(connect, "--connect"), address(dealer, "--dealer") if dealer else None
    require_keys(where[0], keys, "--connect")
    if dealer_at:
        require_keys(dealer_at[0], keys, "--dealer")
    if own and not own.is_dir():
        raise typer.BadParameter(f"{own} is not a folder", param_hint="--own")
    terms = read_terms(own) if own else None
    wish = Wish(
        bob=where,
        paradigm=paradigm or (terms.paradigm if terms else "mpc"),
        mode=mode or (terms.mode if terms else "malicious" if paradigm in ("", "mpc") else ""),
        reveal=cast(RevealKind, reveal),
        dealer=dealer_at,
        keys=keys,
        terms=terms,
        bob_name=bob_name,
        seconds=timeout,
        opening_seconds=max(timeout, 45.0),
        token=read_token(token_file),
    )
    require_storing(store, wish.paradigm, wish.mode)
    if ahead and not store:
        raise typer.BadParameter("needs a folder for them: give --store", param_hint="--ahead")
    _show(_ask(wish, Own(own, wish.reveal, store), clips, retries, ahead), json=json)


def _ask(wish: Wish, own: Own, clips: Sequence[Path], retries: int, ahead: int) -> list[dict[str, object]]:
    """The answers, in one session, or after a failure in another one for the clips that are left."""
    answered: list[dict[str, object]] = []
    pause = _FIRST_PAUSE
    while True:
        try:
            with asking.session(wish, own) as session:
                for clip in clips[len(answered) :]:
                    answered.append(_ask_one(session, clip))
                if ahead:
                    session.prepare(1, ahead)
            return answered
        except (LinkError, ProtocolError) as error:
            if not retries:
                raise
            retries -= 1
            say(f"{error}; asking again in {pause:g} s, {retries} more times")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _ask_one(session: asking.Session, clip: Path) -> dict[str, object]:
    features = session.features(Clip(id=clip.name, path=clip))
    session.prepare()
    started = time.perf_counter()
    answer = session.ask(features)
    elapsed = (time.perf_counter() - started) * 1e3
    label = int(answer.labels[0])
    found: dict[str, object] = {
        "clip": str(clip),
        "answer": session.classes[label] if session.classes else str(label),
        "label": label,
        "milliseconds": round(elapsed, 3),
        "paradigm": session.terms.paradigm,
        "mode": session.terms.mode,
    }
    if answer.scores is not None:
        found["scores"] = [float(score) for score in answer.scores[0]]
    return found


def _show(answers: Sequence[dict[str, object]], *, json: bool) -> None:
    if json:
        sys.stdout.write(json_module.dumps(answers, indent=1) + "\n")
        return
    for answer in answers:
        out.print(f"{escape(str(answer['clip']))}: [bold]{escape(str(answer['answer']))}[/bold]", soft_wrap=True)
