/**
 * Ends the streams of a page that is left. Browsers keep such a page for the way back, with its
 * streams open, and allow six connections to a host: after six pages nothing else would get through.
 */
const open = new Set();

export function endStreamsOnLeave() {
  const { EventSource } = window;
  window.EventSource = class extends EventSource {
    constructor(...details) {
      super(...details);
      open.add(this);
    }
  };
  window.addEventListener('pagehide', () => open.forEach((stream) => stream.close()));
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) window.location.reload(); // back again: a page view like any other
  });
}
