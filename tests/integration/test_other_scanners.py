"""What other people's scanners of pickles call dangerous is refused here, and never executed.

picklescan (MIT), modelscan (Apache 2.0) and fickling (LGPL 3.0) are on PyPI, without their test files: their lists of
names, and the pickles that fickling writes, stand for these. They are not needed otherwise, so each test wants its own.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reload_audit.reading.pickles import parse
from reload_audit.reading.refusal import Unreadable
from reload_audit.reading.trust import refuse_untrusted, unknown_name
from support.tiny_models import pickled_attributes, read_as_model, with_pickled

ANY = "run"
"""Stands for every name of a module of which a scanner allows none."""


def names_of(listed: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Module and name of every entry of a list: for each module some names, or ``*``."""
    for module, names in listed.items():
        for name in [names] if isinstance(names, str) else names:
            yield module, ANY if name == "*" else name


def of_picklescan() -> list[tuple[str, str]]:
    scanner = pytest.importorskip("picklescan.scanner")
    return list(names_of(scanner._unsafe_globals))


def of_modelscan() -> list[tuple[str, str]]:
    settings = pytest.importorskip("modelscan.settings").DEFAULT_SETTINGS
    return [name for listed in settings["unsafe_globals"].values() for name in names_of(listed)]


def of_fickling() -> list[tuple[str, str]]:
    analysis = pytest.importorskip("fickling.analysis")
    unsafe = [*pytest.importorskip("fickling.fickle").UNSAFE_IMPORTS, *analysis.UnsafeImportsML.UNSAFE_MODULES]
    modules = dict.fromkeys(unsafe, "*")
    return list(names_of({**modules, **analysis.UnsafeImportsML.UNSAFE_IMPORTS}))


READ_INSIDE = {("torch.storage", "_load_from_bytes")}
"""Called, and not refused: a tensor in a pickle is a file in itself, which is parsed as the pickle is."""


@pytest.mark.parametrize("listed", [of_picklescan, of_modelscan, of_fickling])
def test_every_name_that_another_scanner_calls_dangerous_is_refused(listed: Any) -> None:
    names = set(listed()) - READ_INSIDE
    assert len(names) > 30
    for module, name in names:
        called = b"c" + module.encode() + b"\n" + name.encode() + b"\n(X\x01\x00\x00\x00xtR."
        for pickled in (called, b"](" + called[:-1] + b"e."):
            with pytest.raises(Unreadable, match="untrusted_pickle"):
                refuse_untrusted(parse(pickled), ())


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("as_result", [True, False])
def test_a_pickle_into_which_fickling_put_code_is_not_executed(
    first: bool, as_result: bool, model_bytes: bytes, tmp_path: Path
) -> None:
    fickling = pytest.importorskip("fickling.fickle")
    marker = tmp_path / "executed"
    code = f"open({str(marker)!r}, 'w').close()"
    originals = pickled_attributes(model_bytes)
    for attribute in ("policy_class", "ep_info_buffer"):
        pickled = fickling.Pickled.load(originals[attribute])
        pickled.insert_python_exec(code, run_first=first, use_output_as_unpickle_result=as_result)
        written = io.BytesIO()
        pickled.dump(written)
        assert unknown_name(parse(written.getvalue()), ()) is not None
        came = read_as_model(with_pickled(model_bytes, attribute, written.getvalue()), tmp_path)
        assert came.startswith(("refused: ", "model: left out "))
        assert f"{attribute}: untrusted_pickle builtins.exec" in came
    assert not marker.exists()
    pickle.loads(written.getvalue())
    assert marker.exists()


def test_what_another_scanner_finds_in_a_model_of_sb3_is_nothing(model_bytes: bytes) -> None:
    """Its list and ours speak of the same thing: an ordinary model is fine for both."""
    scanner = pytest.importorskip("picklescan.scanner")
    for attribute, pickled in pickled_attributes(model_bytes).items():
        found = scanner.scan_pickle_bytes(io.BytesIO(pickled), attribute)
        assert found.infected_files == 0
        assert unknown_name(parse(pickled), ()) is None
