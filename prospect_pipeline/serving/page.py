"""The API's page: Swagger UI, whose files BentoML serves, over the service's own document.

BentoML's page of it has another title, hides the document's, and loads a tracker.
"""

from __future__ import annotations

from starlette.responses import HTMLResponse

PAGE = HTMLResponse("""<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>prospect_scoring</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="./static_content/swagger-ui.css">
    <style>.topbar { display: none }</style>
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="./static_content/swagger-ui-bundle.js"></script>
    <script src="./static_content/swagger-ui-standalone-preset.js"></script>
    <script src="./static_content/swagger-initializer.js"></script>
  </body>
</html>
""")
