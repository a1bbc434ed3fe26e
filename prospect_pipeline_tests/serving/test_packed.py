"""What `bentoml build` packs is all that the service is made of."""

import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
IMPORTED = """
import sys
import prospect_pipeline.serving.service
print(*(m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "prospect_pipeline"))
"""


def test_every_module_that_the_service_imports_is_packed() -> None:
    packed = {
        path
        for pattern in yaml.safe_load((ROOT / "bentofile.yaml").read_text())["include"]
        for path in ROOT.glob(pattern)
    }

    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORTED],
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    imported = {Path(file) for file in ran.stdout.split()}
    assert ROOT / "prospect_pipeline" / "serving" / "service.py" in imported
    assert sorted(imported - packed) == []
