"""Whatever stands on the command line, the answer is a run or one sentence: never a traceback.

Some hundred cases by default, always the same ones. More, and other ones each time:
`MASKWRIGHT_FUZZ=2000 pytest -n 0 tests/test_fuzz.py`.
"""

from __future__ import annotations

import os
import traceback

from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz import command_lines, meet

CASES = int(os.environ.get("MASKWRIGHT_FUZZ", "250"))
LONGEST = 500  # letters of a sentence


def test_no_command_line_ends_in_a_traceback(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    faults: list[str] = []
    told = 0

    @settings(
        max_examples=CASES,
        derandomize="MASKWRIGHT_FUZZ" not in os.environ,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(command_lines())
    def fuzz(line):
        nonlocal told
        entry, words = line[0], [word.replace("{folder}", str(tmp_path)) for word in line[1]]
        try:
            sentence = meet(entry, words)
        except Exception:
            faults.append(f"{entry} {words}: {traceback.format_exc(-3)}")
            return
        if sentence is not None:
            told += 1
            if "\n" in sentence or not sentence.endswith((".", "?")) or len(sentence) > LONGEST:
                faults.append(f"{entry} {words}: {sentence!r} is no short sentence")

    fuzz()
    print(f"{told} of {CASES} refused")
    assert not faults, f"{len(faults)} of {CASES}:\n\n" + "\n\n".join(faults)
