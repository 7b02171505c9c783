"""``sotto alice``: ask a Bob, here or on another machine, about recordings that he does not get to hear."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from sotto.commands.options import Json, require_clip
from sotto.commands.parties import options
from sotto.configuration import Config
from sotto.console import escape, out, say, write_json
from sotto.serving import registry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sotto.audio import Clip
    from sotto.serving import client
    from sotto.serving.adapters import ClientCredentials
    from sotto.serving.client import ClientConfig
    from sotto.serving.reveal import Reveal as RevealKind

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0


def alice(
    clips: Annotated[list[Path], typer.Argument(help="Recordings: wav, flac, mp3 or ogg.", metavar="CLIP...")],
    connect: Annotated[str, typer.Option("--connect", help="Where Bob listens, HOST:PORT.")] = "127.0.0.1:7100",
    dealer: options.Dealer = None,
    store: options.Store = None,
    ahead: Annotated[
        int, typer.Option("--ahead", min=0, help="Queries to leave prepared in --store for the next session.")
    ] = 0,
    paradigm: Annotated[
        str, typer.Option("--paradigm", help="Which paradigm.", show_default="that of --own, --dealer or --mode")
    ] = "",
    mode: options.Mode = "",
    reveal: options.Reveal = "class",
    own: Annotated[
        Path | None,
        typer.Option("--own", help="Alice's own folder: terms, key, front end.", show_default="none"),
    ] = None,
    keys: options.Keys = None,
    bob_name: Annotated[
        str | None, typer.Option("--bob-name", help="Name that Bob's certificate must have.", show_default="any")
    ] = None,
    dealer_name: options.DealerName = None,
    token_file: options.Token = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds any single wait may take.")] = 60.0,
    retries: Annotated[
        int,
        typer.Option(
            "--retries", min=0, help="New sessions after one that failed between two queries; no clip is asked twice."
        ),
    ] = 0,
    json: Json = False,
    config: Config = None,
) -> None:
    """Ask about recordings; they, and what is computed from them, stay here in the clear.

    Example:  sotto alice clip.wav --connect bob.example:7100 --dealer dealer.example:7200 --keys keys/alice
    """
    from sotto.serving.adapters import ClientCredentials
    from sotto.serving.client import ClientConfig
    from sotto.serving.terms import read_terms

    for clip in clips:
        require_clip(clip)
    where = options.address(connect, "--connect", keys)
    dealer_at = options.address(dealer, "--dealer", keys) if dealer else None
    if own and not own.is_dir():
        raise typer.BadParameter(f"{own} is not a folder", param_hint="--own")
    terms = read_terms(own) if own else None
    name = paradigm or (terms.paradigm if terms else _meant(mode, dealer))
    client_config = ClientConfig(
        bob=where,
        paradigm=name,
        mode=mode or (terms.mode if terms and terms.paradigm == name else registry.paradigm(name).modes[0]),
        reveal=cast("RevealKind", reveal),
        dealer=dealer_at,
        keys=keys,
        terms=terms,
        bob_name=options.require_name(bob_name, keys, "--bob-name"),
        dealer_name=options.require_name(dealer_name, keys, "--dealer-name"),
        seconds=timeout,
        opening_seconds=max(timeout, 45.0),
        token=options.read_token(token_file),
    )
    options.require_storing(store, client_config.paradigm, client_config.mode)
    if ahead and not store:
        raise typer.BadParameter("needs a folder for them: give --store", param_hint="--ahead")
    asked = _Asked(client_config, ClientCredentials(own, client_config.reveal, store), clips, ahead)
    try:
        asked.run(retries)
    finally:
        _show(asked.answers, json=json)
    if asked.problems:
        raise typer.Exit(1)


def _meant(mode: str, dealer: str | None) -> str:
    """The paradigm that a dealer, or a mode that no other has, speaks of.  Raises ``typer.BadParameter``."""
    names = [name for name in registry.names() if not dealer or registry.paradigm(name).dealt]
    fitting = [name for name in names if (dealer and not mode) or mode in registry.paradigm(name).modes]
    if len(fitting) != 1:
        known = ", ".join(registry.names())
        raise typer.BadParameter(
            f"say which Bob serves: {known}; or give --own, where it stands", param_hint="--paradigm"
        )
    return fitting[0]


@dataclass
class _Asked:
    """One command's questions: features first, so that nothing in a session waits for them, then query after query."""

    config: ClientConfig
    own: ClientCredentials
    clips: Sequence[Path]
    ahead: int = 0
    answers: list[dict[str, object]] = field(default_factory=list)
    problems: bool = False
    _features: list[npt.NDArray[np.float32]] = field(default_factory=list)
    _instead: list[str] = field(default_factory=list)
    _asking: bool = False

    def run(self, retries: int) -> None:
        """Ask about every clip, in one session, or after a failure in another one for the clips that are left.

        A clip that was being asked when a session failed is not asked again: who can make a session fail would get a
        query more each time.
        """
        from sotto.link import LinkError
        from sotto.serving import client

        front = client.front_before(self.config, self.own)
        if front:  # a clip that gives no features is refused here, before anybody hears of it
            self._features = [front.compute(_clip(path)) for path in self.clips]
            self._instead = [""] * len(self.clips)
        pause = _FIRST_PAUSE
        while True:
            try:
                self._session()
                return
            except LinkError as error:
                if self._asking or not retries:
                    raise
                retries -= 1
                say(f"{error}; asking again in {pause:g} s, {retries} more times")
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _session(self) -> None:
        from sotto.serving import client

        with client.session(self.config, self.own) as session:
            self.config = replace(self.config, terms=session.terms)  # another session is about the same
            _tell(session)
            if not self._features:
                for path in self.clips:
                    self._features.append(session.features(_clip(path)))
                    self._instead.append("; ".join(session.problems))
                    session.problems.clear()
            for number in range(len(self.answers), len(self.clips)):
                self._ask(session, number)
            if self.ahead:
                session.prepare(1, self.ahead)

    def _ask(self, session: client.Session, number: int) -> None:
        session.prepare()
        before = {role: link.traffic.snapshot() for role, link in session.links.items()}
        started = time.perf_counter()
        self._asking = True
        answer = session.ask(self._features[number])
        self._asking = False
        elapsed = (time.perf_counter() - started) * 1e3
        used = [link.traffic.since(before[role]) for role, link in session.links.items()]
        problem = self._instead[number]
        label: int | None = int(answer.labels[0])
        named = session.name(int(answer.labels[0]))
        if self.own.reveal == "values" and answer.scores is not None:  # of a network without classes
            label, named = None, ", ".join(f"{value:.4g}" for value in answer.scores[0])
        found: dict[str, object] = {
            "clip": str(self.clips[number]),
            "answer": None if problem else named,
            "label": None if problem else label,
            "milliseconds": round(elapsed, 3),
            "bytes_sent": sum(each.bytes_sent for each in used),
            "bytes_received": sum(each.bytes_received for each in used),
            "paradigm": session.terms.paradigm,
            "mode": session.terms.mode,
            "warnings": [problem, "zeros were asked about instead, so that bob sees no difference"]
            if problem
            else list(answer.warnings),
        }
        if answer.scores is not None and not problem:
            found["scores"] = [float(score) for score in answer.scores[0]]
            if "error bound" in session.terms.parameters:
                found["error bound"] = session.terms.parameters["error bound"]
        self.problems |= bool(problem)
        self.answers.append(found)


def _tell(session: client.Session) -> None:
    """Whom she asks and how: what she would want to know before the first query."""
    terms, who = session.terms, session.links["bob"].identity
    certified = f"TLS 1.3, bob is {who.name}" if who else "no TLS: this machine alone"
    say(f"{terms.paradigm} {terms.mode}, model {terms.model or 'not named'}; {certified}")


def _clip(path: Path) -> Clip:
    from sotto.audio import Clip

    return Clip(id=path.name, path=path)


def _show(answers: Sequence[dict[str, object]], *, json: bool) -> None:
    for answer in answers:
        for warning in cast(list[str], answer["warnings"]):
            say(f"{answer['clip']}: {warning}")
    if json:
        write_json(answers)
        return
    for answer in answers:
        shown = answer["answer"] if answer["answer"] is not None else "no answer"
        out.print(f"{escape(str(answer['clip']))}: [bold]{escape(str(shown))}[/bold]", soft_wrap=True)
    if answers:
        milliseconds, sent, received = (
            sum(cast(float, answer[key]) for answer in answers)
            for key in ("milliseconds", "bytes_sent", "bytes_received")
        )
        say(
            f"{len(answers)} asked online in {milliseconds:.0f} ms, {sent / 1e6:.3g} MB sent, {received / 1e6:.3g} MB "
            "received; what was prepared before is not in this"
        )
