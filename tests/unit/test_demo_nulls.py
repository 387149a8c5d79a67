"""The bench of the two nulls: what it counts, and that it fails when an interval misses 0 too often."""

import json

import pytest

from infra.demo import nulls


def row(tried, seed, *, covers):
    return {"tried": tried, "seed": seed, "covers_0": covers}


def test_shares_are_of_each_way_alone():
    rows = [row("a_a", n, covers=n != 1) for n in range(4)]
    rows += [row("blind", n, covers=True) for n in range(4)]
    rows += [row("demo", n, covers=n == 0) for n in range(4)]
    assert nulls.ratios(rows) == {"a_a_covers_0": 0.75, "blind_covers_0": 1.0, "demo_excludes_0": 0.75}


class AtOnce:
    """A pool that works in this process."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def map(self, work, things):
        return map(work, things)


@pytest.mark.parametrize(("missed", "fails"), [(2, False), (3, True)])
def test_eighteen_of_twenty_are_enough_and_seventeen_are_not(missed, fails, monkeypatch, tmp_path):
    def tried(seed):
        found = [
            row("a_a", seed, covers=seed > missed),
            row("blind", seed, covers=True),
            row("demo", seed, covers=False),
        ]
        return [one | {"lift": 0.0} for one in found]

    monkeypatch.setattr(nulls, "ProcessPoolExecutor", AtOnce)
    monkeypatch.setattr(nulls, "try_seed", tried)
    out = tmp_path / "bench" / "demo_nulls.json"
    if fails:
        with pytest.raises(SystemExit, match="a_a"):
            nulls.main(["--out", str(out)])
    else:
        nulls.main(["--out", str(out)])
    written = json.loads(out.read_text())
    assert len(written["rows"]) == 60
    assert written["ratios"]["a_a_covers_0"] == pytest.approx(1 - missed / 20)
