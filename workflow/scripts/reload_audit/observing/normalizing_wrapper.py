"""A wrapper of the script's own that normalises observations, in place of VecNormalize."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reload_audit.observing.subject import NormalizingWrapper, Subject
from reload_audit.reading.statistics import Moments, read_statistics
from reload_audit.records.environment_spec import VEC_FRAME_STACK, VEC_NORMALIZE, WrapperSpec
from reload_audit.records.observation import ObservedWrapper, View


def with_normalizing_wrapper(subject: Subject, trusted: Sequence[str]) -> Subject:
    """The subject, with a wrapper that normalises in place of VecNormalize taken out of its environment.

    The wrapper is kept as ``normalizing``. It is one that training did not have; what it is given is spread as the
    statistics say, and what it returns is not. Where several wrappers change observations, all are taken out.
    """
    path, seen = subject.spec.statistics, subject.environment
    layer = None if seen.normalization is None else subject.observation.normalizations[seen.normalization]
    if path is None or (layer is not None and layer.normalizing):
        return subject
    moments = read_statistics(path, trusted).observations.get("")
    if moments is None or not _normalizes(subject.run.views, moments):
        return subject
    spec = subject.spec.environment
    trained = [_class(one) for one in (*spec.wrappers, *spec.vec_wrappers)] if subject.known else []
    wrappers = seen.wrappers or ()
    own = [one for one in wrappers if one.changes_observations and _class(one.spec) not in trained]
    if not own:
        return _with_normalizing_layer(subject, trained)
    if not subject.known:
        spec = replace(spec, wrappers=_not_of(own, spec.wrappers))
    return replace(
        subject,
        normalizing=NormalizingWrapper(own[-1], tuple(own[:-1])),
        environment=replace(seen, wrappers=[one for one in wrappers if one not in own]),
        spec=replace(subject.spec, environment=spec),
    )


def _with_normalizing_layer(subject: Subject, trained: Sequence[str]) -> Subject:
    """The subject, with wrappers of the VecEnv taken out of which one normalises.

    :param trained: classes of wrappers that training had
    """
    seen, spec = subject.environment, subject.spec.environment
    known = (*trained, VEC_NORMALIZE, VEC_FRAME_STACK)
    own = [one for one in seen.vec_wrappers if _class(one.spec) not in known]
    if not own:
        return subject
    spec = replace(spec, vec_wrappers=_not_of(own, spec.vec_wrappers))
    return replace(
        subject,
        normalizing=NormalizingWrapper(own[-1], tuple(own[:-1]), of_vec_env=True),
        environment=replace(seen, vec_wrappers=[one for one in seen.vec_wrappers if one not in own]),
        spec=replace(subject.spec, environment=spec),
    )


def _not_of(own: Sequence[ObservedWrapper], wrappers: Sequence[WrapperSpec]) -> tuple[WrapperSpec, ...]:
    names = {one.spec.name for one in own}
    return tuple(one for one in wrappers if one.name not in names)


def _class(wrapper: WrapperSpec) -> str:
    return wrapper.name.rpartition(":")[2].rpartition(".")[2]


def _normalizes(views: Sequence[View], moments: Moments) -> bool:
    """Whether the innermost environment's observations fit the statistics better than those that wrappers return."""
    size = moments.mean.size
    own = [view for view in views if view.inner is not None and len(view.inner) == size == len(view.returned)]
    if not own or all(np.allclose(view.inner or (), view.returned) for view in own):
        return False
    inside, outside = (np.asarray([getattr(view, name) for view in own]) for name in ("inner", "returned"))
    return _unlike(inside, moments) < _unlike(outside, moments)


def _unlike(observations: np.ndarray, moments: Moments) -> float:
    """How far the mean square of normalised observations is from 1, as the absolute value of its logarithm."""
    normal = (observations - np.ravel(moments.mean)) / np.sqrt(np.ravel(moments.var) + 1e-8)
    return abs(float(np.log((normal**2).mean() + 1e-12)))
