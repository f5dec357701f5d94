"""What all tests share: generated examples are never judged by how long they take, which is what `bench` is for."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
