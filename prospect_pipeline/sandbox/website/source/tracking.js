/** The real tracker: page views and pings, forms, the clip, and interventions from Signals. */
import { enableActivityTracking, newTracker, trackPageView } from '@snowplow/browser-tracker';
import { FormTrackingPlugin, enableFormTracking } from '@snowplow/browser-plugin-form-tracking';
import { SnowplowMediaPlugin } from '@snowplow/browser-plugin-media';
import {
  SignalsPlugin, addInterventionHandlers, subscribeToInterventions,
} from '@snowplow/signals-browser-plugin';
import { endStreamsOnLeave } from './streams.js';
import { trackVideo } from './video.js';

const PERSONAL = ['name', 'email', 'message'];
const QUIET = 200; // milliseconds without a further event, after which a new score is asked for

/** Words that a person wrote stay in the page; that they wrote some is what counts. */
function withoutWords(value, element) {
  return value && PERSONAL.includes(element.name) ? '(given)' : value;
}

/** Calls back once events other than pings have been accepted. */
function afterEvents(callback) {
  let timer;
  return (batch) => {
    if (batch.every((payload) => payload.e === 'pp')) return;
    clearTimeout(timer);
    timer = setTimeout(callback, QUIET);
  };
}

export function startTracking(settings, { onEvents, onIntervention }) {
  endStreamsOnLeave();
  const tracker = newTracker('sp', settings.collector_url, {
    appId: settings.app_id,
    eventMethod: 'post',
    contexts: { webPage: true },
    cookieSecure: window.location.protocol === 'https:', // plain HTTP on loopback
    cookieSameSite: 'Lax',
    synchronousCookieWrite: true,
    onRequestSuccess: afterEvents(onEvents),
    plugins: [FormTrackingPlugin(), SnowplowMediaPlugin(), SignalsPlugin()],
  });
  addInterventionHandlers({ site: onIntervention });
  subscribeToInterventions({ endpoint: settings.signals_url.replace(/\/+$/, '') });
  enableActivityTracking({ minimumVisitLength: 5, heartbeatDelay: 5 });
  trackPageView();
  enableFormTracking({ options: { fields: { filter: () => true, transform: withoutWords } } });
  document.querySelectorAll('video').forEach(trackVideo);
  return tracker;
}
