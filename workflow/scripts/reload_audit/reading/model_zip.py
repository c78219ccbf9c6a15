"""Read a model's zip: settings as plain data, pickled values parsed but never unpickled, parameters as bytes.

SB3 writes ``data`` (JSON, with pickled values in base64 under ``:serialized:``), one ``*.pth`` for each state
dictionary, ``_stable_baselines3_version`` and, since 1.2, ``system_info.txt``.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reload_audit.reading import limits
from reload_audit.reading.by_value import besides, first_name, held_in
from reload_audit.reading.files import open_zip, read_bytes, read_member
from reload_audit.reading.instances import split
from reload_audit.reading.pickles import Call, Global, Parsed, described, parse
from reload_audit.reading.refusal import Unreadable, printable, refusing
from reload_audit.reading.trust import held_as_code, refuse_untrusted, unknown_name
from reload_audit.reading.values import SPACE_ATTRIBUTES, Values, is_space

SERIALIZED = ":serialized:"

_SYSTEM = re.compile(r"^(?:- )?(?P<name>[A-Za-z0-9 -]+): (?P<value>.*)$", re.MULTILINE)

NEEDED = ("policy_class", "policy_kwargs", "observation_space", "action_space")
"""The attributes that a model cannot act without."""

OPTIONAL_ARGUMENTS = {"optimizer_class", "optimizer_kwargs", "ortho_init", "log_std_init"}
"""Arguments of policies that only training needs: how weights are initialised, and how they are optimised."""

POLICY_ARGUMENTS = {
    *("activation_fn", "features_extractor_class", "features_extractor_kwargs", "full_std", "net_arch", "n_critics"),
    *("normalize_images", "share_features_extractor", "squash_output", "use_expln", "use_sde", "clip_mean"),
    *("n_quantiles", "lstm_hidden_size", "n_lstm_layers", "shared_lstm", "enable_critic_lstm", "lstm_kwargs"),
    *("with_bias", "batch_norm", "batch_norm_momentum", "batch_norm_eps", "renorm_warmup_steps", *OPTIONAL_ARGUMENTS),
}
"""Arguments that policies of SB3 and sb3-contrib take. What else stands among them, such a policy never sees."""

_LIBRARIES = ("stable_baselines3", "sb3_contrib")


@dataclass(frozen=True)
class LeftOut:
    """What is not read of a saved model, because acting does not need it and its pickle is not understood.

    :param what: what its pickle names: a class, a function, or that it is code
    :param reason: why it is not understood
    """

    what: str
    reason: str


@dataclass(frozen=True)
class SavedModel:
    """The content of a model's zip, read without executing anything in it.

    :param settings: attributes that were saved as plain JSON
    :param pickled: attributes that were saved as pickles, parsed; also of those that are left out, where they could be
    :param parameters: contents of the ``*.pth`` members, by name
    :param saved_with: versions and platform, as far as the file tells: ``stable_baselines3``, ``python``, ...
    :param trusted: packages that the pickles may mention besides those that models are made of
    :param classes: dotted names of classes in the pickles, each with the one that is imported instead
    :param left_out: attributes that are not read
    """

    settings: Mapping[str, Any]
    pickled: Mapping[str, Parsed]
    parameters: Mapping[str, bytes]
    saved_with: Mapping[str, str]
    trusted: Collection[str] = field(default=())
    classes: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)

    @refusing("damaged settings")
    def value(self, attribute: str, default: Any = None) -> Any:
        """The value of a saved attribute, rebuilt if it was pickled. It is a copy, which the caller may change.

        :param default: the value of an attribute that was not saved

        :raises Unreadable: it cannot be rebuilt
        """
        if attribute in self.left_out:
            raise Unreadable(f"{attribute}: {self.left_out[attribute].reason}")
        if attribute in self.pickled:
            return self._built(self.pickled[attribute].value, attribute)
        return copy.deepcopy(self.settings.get(attribute, default))

    @refusing("damaged settings")
    def policy_arguments(self) -> tuple[Any, dict[str, LeftOut]]:
        """``policy_kwargs``, and those of them that cannot be rebuilt, which the policy acts without.

        :raises Unreadable: another one cannot be rebuilt
        """
        parsed = self.pickled.get("policy_kwargs")
        if parsed is None or not isinstance(parsed.value, dict):
            return self.value("policy_kwargs"), {}
        arguments, left_out = {}, {}
        for key, node in parsed.value.items():
            try:
                arguments[key] = self._built(node, f"policy_kwargs.{key if isinstance(key, str) else described(key)}")
            except Unreadable as problem:
                if not _can_do_without(key, self.pickled.get("policy_class"), self.classes):
                    raise
                left_out[key] = LeftOut(first_name(node) or described(node), str(problem))
        return arguments, left_out

    def _built(self, node: Any, where: str) -> Any:
        try:
            return Values(self.trusted, self.classes).build(node)
        except Unreadable as problem:
            raise Unreadable(f"{where}: {problem}") from None


@refusing("damaged model")
def read_model(
    path: str | Path,
    *,
    trusted: Collection[str] = (),
    classes: Mapping[str, str] | None = None,
    max_bytes: int = 2**32,
) -> SavedModel:
    """Read a model's zip without executing anything in it.

    :param trusted: packages whose names may be mentioned besides those that models are made of
    :param classes: dotted names of classes that it names or holds as code, each with the one to import instead
    :param max_bytes: size that the file may have, and that its content may unpack to
    :raises Unreadable: it is damaged, is no model, is too large, or what acting needs mentions what is not trusted
    """
    members = _unpack(read_bytes(path, max_bytes), max_bytes)
    data, classes = _data(members), classes or {}
    pickled: dict[str, Parsed] = {}
    left_out = {}
    instructions = limits.INSTRUCTIONS
    is_pickled = {name: isinstance(item, dict) and SERIALIZED in item for name, item in data.items()}
    for attribute in sorted(filter(is_pickled.__getitem__, data), key=_turn):
        try:
            pickled[attribute] = _parsed(data[attribute][SERIALIZED], instructions)
            instructions -= pickled[attribute].instructions
            policy = pickled.get("policy_class")
            _check_names(attribute, pickled[attribute], trusted, classes, policy)
        except Unreadable as problem:
            if attribute in NEEDED:
                raise Unreadable(f"{attribute}: {problem}") from None
            text = data[attribute][SERIALIZED]
            what = _TOO_LARGE if text == _TOO_LARGE else _named(pickled.get(attribute), trusted)
            left_out[attribute] = LeftOut(what, str(problem))
            if attribute not in pickled:  # nobody knows how many there were until it could not be parsed
                instructions -= min(instructions, len(str(text)))
    return SavedModel(
        settings={name: item for name, item in data.items() if not is_pickled[name]},
        pickled={name: pickled[name] for name in data if name in pickled},
        parameters={name: content for name, content in members.items() if name.endswith(".pth")},
        saved_with=_saved_with(members),
        trusted=tuple(trusted),
        classes=classes,
        left_out=left_out,
    )


def _unpack(content: bytes, max_bytes: int) -> dict[str, bytes]:
    with refusing("damaged zip"), open_zip(content) as archive:
        members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        if len(members) > limits.MODEL_MEMBERS or unpacked > max_bytes:
            raise Unreadable(
                f"expected a model's zip, found one of {len(members):,} members that unpacks to {unpacked:,} bytes; "
                f"at most {limits.MODEL_MEMBERS:,} members and {max_bytes:,} bytes are unpacked (reload.memory)"
            )
        if len(members) > len({member.filename for member in members}):
            raise Unreadable("damaged zip: two members of one name")
        return {
            member.filename: read_member(archive, member)
            for member in members
            if member.filename.endswith(".pth") or member.filename in _WANTED
        }


_WANTED = ("data", "_stable_baselines3_version", "system_info.txt")


def _data(members: Mapping[str, bytes]) -> dict[str, Any]:
    if "data" not in members:
        raise Unreadable(f"expected a model saved by SB3, found a zip of {', '.join(members)[:200] or 'other things'}")
    content = members["data"]
    if len(content) > limits.MODEL_SETTINGS_BYTES:
        content = _without_long_texts(content)
    if len(content) > limits.MODEL_SETTINGS_BYTES:
        raise Unreadable(f"expected settings of at most {limits.MODEL_SETTINGS_BYTES:,} bytes, found {len(content):,}")
    with refusing("damaged settings"):
        data = json.loads(content.decode())
    if not isinstance(data, dict):
        raise Unreadable(f"damaged settings: expected keys and values, found a {type(data).__name__}")
    return data


_TOO_LARGE = "too large"
"""Stands for a text that is not read."""


def _without_long_texts(content: bytes) -> bytes:
    """Settings whose longest texts, which are pickles of buffers and the like, are left out."""
    if content.count(b'"') > limits.JSON_VALUES:
        return content
    texts = content.split(b'"')
    return b'"'.join(text if len(text) <= limits.PICKLED_BYTES else _TOO_LARGE.encode() for text in texts)


def _parsed(text: Any, most: int) -> Parsed:
    if text == _TOO_LARGE:
        raise Unreadable(f"pickle of more than {limits.PICKLED_BYTES:,} bytes")
    with refusing("damaged settings"):
        return parse(base64.b64decode(text, validate=True), most)


def _turn(attribute: str) -> int:
    """What acting needs is parsed first, and the policy's class before its arguments."""
    return NEEDED.index(attribute) if attribute in NEEDED else len(NEEDED)


def _can_do_without(argument: Any, policy: Parsed | None, classes: Mapping[str, str]) -> bool:
    """Whether a policy acts without an argument: for training alone, or for no policy of SB3, which it is one of."""
    named = policy.value if policy is not None else None
    of_sb3 = isinstance(named, Global) and named.module.partition(".")[0] in _LIBRARIES and str(named) not in classes
    return argument in OPTIONAL_ARGUMENTS or (of_sb3 and argument not in POLICY_ARGUMENTS)


def _check_names(
    attribute: str, parsed: Parsed, trusted: Collection[str], classes: Mapping[str, str], policy: Parsed | None
) -> None:
    """Refuse an attribute whose pickle mentions what is not trusted, where that is needed.

    What only serves a class for which another one is imported, an argument that is optional, or an attribute that
    spaces are not built from, does not count.

    :raises Unreadable: with the first name, or all classes that are held as code
    """
    kept = parsed.value
    others: list[Any] = []
    if attribute == "policy_kwargs" and isinstance(kept, dict):
        others = [item for key, item in kept.items() if _can_do_without(key, policy, classes)]
        kept = {key: item for key, item in kept.items() if not _can_do_without(key, policy, classes)}
    if isinstance(kept, Call) and is_space(kept):
        kept, rest = split(kept, SPACE_ATTRIBUTES)
        others = list(rest.values())
    as_code = list(held_in(kept)) if attribute in NEEDED else []
    steps = besides(parsed, kept, [*others, *(node for node, _ in as_code)])
    refuse_untrusted(replace(parsed, steps=steps), trusted, classes)
    if unknown := [name for _, name in as_code if name not in classes]:
        raise Unreadable(held_as_code(unknown))


def _named(parsed: Parsed | None, trusted: Collection[str]) -> str:
    """What a pickle that is not understood names."""
    if parsed is None:
        return "damaged"
    with contextlib.suppress(Unreadable):
        found = unknown_name(parsed, trusted)
        if found is not None:
            return "code" if found.module.partition(".")[0] == "cloudpickle" else str(found)[: limits.LONGEST_NAME]
    return first_name(parsed.value) or described(parsed.value)


def _saved_with(members: Mapping[str, bytes]) -> dict[str, str]:
    saved = {}
    names = {
        "Stable-Baselines3": "stable_baselines3",
        "Numpy": "numpy",
        "PyTorch": "torch",
        "Cloudpickle": "cloudpickle",
        "Gymnasium": "gymnasium",
        "OpenAI Gym": "gym",
        "Gym": "gym",
        "Python": "python",
        "OS": "platform",
    }
    for found in _SYSTEM.finditer(members.get("system_info.txt", b"")[:10_000].decode(errors="replace")):
        if found["name"] in names:
            saved[names[found["name"]]] = printable(found["value"])[:200]
    if "platform" in saved:  # SB3 appends the kernel's build to what Python calls the platform
        saved["platform"] = saved["platform"].partition(" ")[0]
    version = printable(members.get("_stable_baselines3_version", b"")[:100].decode(errors="replace"))[:200]
    return saved | ({"stable_baselines3": version} if version else {})
