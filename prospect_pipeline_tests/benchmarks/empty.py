"""An empty BentoML endpoint, on BentoML's default settings: as fast as a service of it can be."""

from typing import Any

import bentoml


@bentoml.service(name="empty")
class Empty:
    """Takes what the scoring service takes, and does nothing."""

    @bentoml.api(route="/predict")
    async def predict(self, domain_userid: str, explain: bool = False) -> dict[str, Any]:
        """Answer at once."""
        return {"domain_userid": domain_userid, "score": 0.5}
