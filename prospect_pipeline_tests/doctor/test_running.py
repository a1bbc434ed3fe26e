"""What `prospect run` says of itself is read as far as it can be."""

from pathlib import Path

import pytest

from prospect_pipeline.doctor.running import Running

HERE, DEMO = "http://127.0.0.1:8080", "http://127.0.0.1:8088"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (None, Running()),
        ("{", Running()),
        ("[]", Running()),
        ("{}", Running()),
        (f'{{"predict": "{HERE}/", "token": "secret"}}', Running(HERE)),
        (
            f'{{"predict": "{HERE}", "website": "{DEMO}", "signals_timeout_ms": "1500"}}',
            Running(HERE, DEMO, 1500),
        ),
        (f'{{"predict": "{HERE}", "signals_timeout_ms": 300}}', Running(HERE, None, 300)),
        (f'{{"predict": "{HERE}", "signals_timeout_ms": "soon"}}', Running(HERE)),
        (f'{{"predict": "{HERE}", "website": 8088, "signals_timeout_ms": null}}', Running(HERE)),
    ],
)
def test_what_cannot_be_read_is_left_out(
    tmp_path: Path, written: str | None, read: Running
) -> None:
    path = tmp_path / "run.json"
    if written is not None:
        path.write_text(written)

    assert Running.read(path) == read
