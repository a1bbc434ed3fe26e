/** The site's entry: tracks, scores, and shows what comes back. */
import { startForm } from './form.js';
import { startMenu } from './menu.js';
import { startMessages } from './messages.js';
import { startPanel } from './panel.js';
import { startTracking } from './tracking.js';

const settings = JSON.parse(document.getElementById('settings').textContent);
document.documentElement.classList.add('scripted');

startMenu();
const messages = startMessages();
const panel = startPanel();
startForm(messages);
const tracker = startTracking(settings, {
  onEvents: () => window.ProspectScore.ask(),
  onIntervention: messages.intervention,
});

document.addEventListener('prospect:score', ({ detail }) => {
  if (detail.above) messages.offer();
});
window.ProspectScore.start({
  endpoint: `${settings.predict_url.replace(/\/+$/, '')}/predict`,
  seconds: settings.score_seconds,
  explain: true,
  visitor: tracker,
  consent: panel.consents,
});
