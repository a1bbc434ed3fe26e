/** Messages in the page's corner: the offer, and interventions that Signals sends. */
import { element } from './dom.js';
import { recall, remember } from './memory.js';

const SHOWN_ATTRIBUTES = 4;

export function startMessages() {
  const corner = document.getElementById('messages');

  function close(message, onClose) {
    message.remove();
    onClose();
    if (document.activeElement === document.body) document.getElementById('content').focus();
  }

  function show({ id, title, parts, onClose }) {
    if (document.getElementById(id)) return;
    const button = element('button', { type: 'button', className: 'message-close', 'aria-label': 'Dismiss' }, '×');
    const heading = element('h2', {}, title);
    const message = element('section', { id, className: 'message' }, heading, ...parts, button);
    message.addEventListener('dismiss', () => close(message, onClose));
    button.addEventListener('click', () => close(message, onClose));
    corner.append(message);
  }

  document.addEventListener('keydown', (event) => {
    const newest = corner.lastElementChild;
    if (event.key !== 'Escape' || event.defaultPrevented || !newest) return;
    event.preventDefault();
    newest.dispatchEvent(new Event('dismiss'));
  });

  function offer() {
    if (recall('offer-closed', false)) return;
    const done = () => remember('offer-closed', true);
    const link = element('a', { className: 'button', href: '/demo' }, 'Hold twenty minutes');
    link.addEventListener('click', done);
    show({
      id: 'offer',
      title: 'Shall we put your doors on the board?',
      parts: [
        element('p', {}, 'Somebody who has run a yard is free today. Bring a bad Tuesday, leave with a plan for it.'),
        link,
      ],
      onClose: done,
    });
  }

  function intervention(sent) {
    const seen = recall('interventions', []);
    if (seen.includes(sent.intervention_id)) return;
    const attributes = Object.entries(sent.attributes || {}).slice(0, SHOWN_ATTRIBUTES);
    const rows = attributes.flatMap(([name, value]) => [
      element('dt', {}, name),
      element('dd', {}, Array.isArray(value) ? value.join(', ') : String(value)),
    ]);
    show({
      id: `intervention-${sent.intervention_id}`,
      title: 'News from the board',
      parts: [
        element('p', {}, `Signals sent “${sent.name}” (version ${sent.version}).`),
        rows.length ? element('dl', {}, ...rows) : null,
      ].filter(Boolean),
      onClose: () => remember('interventions', [...seen, sent.intervention_id].slice(-50)),
    });
  }

  /** What was offered has been accepted. */
  function accepted() {
    remember('offer-closed', true);
    document.getElementById('offer')?.remove();
  }

  return { offer, intervention, accepted };
}
