"""No sequence of commands, restarts and interleavings reaches a state that the model does not."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from acceptance import model
from acceptance.player import WEIGHTS, Player, Script, complete, random_script, shrink
from acceptance.world import World, plain_process

BOUNDED = settings(
    max_examples=40,
    deadline=None,
    database=None,
    derandomize=True,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)

# Found by playing at random, and cut down to what they need.
KNOWN: tuple[Script, ...] = (
    # A refusal that takes the lease has to be written, however many identical ones came before it.
    [("press", "T", "ada"), ("force", "T", "bob"), ("press", "T", "ada")],
    # A command that is repeated with its key touches nothing that changed after its first answer.
    [("work", "T", "ada"), ("tamper", "T", "STRATEGIZE"), ("restore", "T", "ada"), ("tamper", "T", "STRATEGIZE")],
)

KINDS = [kind for kind, weight in WEIGHTS.items() for _ in range(weight)]


@st.composite
def steps(draw) -> tuple[str, ...]:
    return complete(draw(st.sampled_from(KINDS)), lambda options: draw(st.sampled_from(options)))


def play(script: Script) -> Player:
    with tempfile.TemporaryDirectory() as base:
        player = Player(World(Path(base), process=plain_process()).init())
        try:
            player.play(script)
        finally:
            player.close()
        return player


@BOUNDED
@given(st.lists(steps(), max_size=40))
def test_the_gate_answers_as_the_model_does(script: Script) -> None:
    play(script)


@pytest.mark.parametrize("seed", range(12))
def test_long_seeded_walks_agree_with_the_model(seed: int) -> None:
    play(random_script(random.Random(seed), 150))


@pytest.mark.parametrize("script", KNOWN, ids=lambda script: script[-1][0])
def test_scripts_that_led_to_a_disagreement_once_agree_now(script: Script) -> None:
    play(script)


def test_the_random_player_gets_far_and_into_every_kind_of_trouble() -> None:
    """A player that never leaves the first phase, or is never refused, would prove nothing."""
    counts = sum((play(random_script(random.Random(seed), 150)).counts for seed in range(100, 108)), start=_none())

    assert counts["accepted"] > 100
    assert counts["no-op"] > 10
    expected = "phase_skip phase_direction lease_held evidence_missing evidence_invalid upstream_changed prompt_drift"
    assert set(expected.split()) <= set(counts)


def test_the_model_is_short_and_knows_nothing_of_the_package() -> None:
    text = Path(model.__file__).read_text(encoding="utf-8")

    assert len(text.splitlines()) < 150
    assert "enforcer" not in text


def test_a_failing_script_is_cut_down_to_what_it_needs() -> None:
    script: Script = [*[("work", "T", "ada")] * 30, ("pause", "301"), *[("claim", "T", "bob")] * 30]

    found = shrink(script, lambda shorter: ("pause", "301") in shorter and shorter.count(("claim", "T", "bob")) >= 2)

    assert found == [("pause", "301"), ("claim", "T", "bob"), ("claim", "T", "bob")]


def _none():
    from collections import Counter

    return Counter()
