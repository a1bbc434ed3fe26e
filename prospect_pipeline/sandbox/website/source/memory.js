/** What this tab remembers from page to page; a browser that keeps nothing is no error. */
const PREFIX = 'berthline:';

export function recall(name, otherwise) {
  try {
    const kept = window.sessionStorage.getItem(PREFIX + name);
    return kept === null ? otherwise : JSON.parse(kept);
  } catch {
    return otherwise;
  }
}

export function remember(name, value) {
  try {
    window.sessionStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Then it is forgotten with the page.
  }
}

export function forgetAll() {
  try {
    window.sessionStorage.clear();
  } catch {
    // There was nothing to forget.
  }
}
