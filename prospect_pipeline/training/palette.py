"""The report's colours by name, for light and for dark."""

LIGHT = {
    "ink": "#1f2933",
    "soft": "#5f6b7a",
    "back": "#f6f7f9",
    "card": "#ffffff",
    "line": "#dfe3e8",
    "first": "#5b3df5",
    "second": "#d9480f",
    "other-1": "#7b8794",
    "other-2": "#2b8a3e",
    "other-3": "#c2255c",
    "other-4": "#1971c2",
}
DARK = {
    "ink": "#e6e9ee",
    "soft": "#9aa5b4",
    "back": "#14171c",
    "card": "#1d2127",
    "line": "#363d48",
    "first": "#a594ff",
    "second": "#ff922b",
    "other-1": "#98a3b3",
    "other-2": "#69db7c",
    "other-3": "#f783ac",
    "other-4": "#74c0fc",
}
