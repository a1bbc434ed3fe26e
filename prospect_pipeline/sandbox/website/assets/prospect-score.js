/* prospect-score.js: asks POST /predict how likely this visitor is to send a form. Apache-2.0.
 *   <script src="prospect-score.js" data-endpoint="https://scores.example.com/predict" defer></script>
 *   ProspectScore.start({ endpoint, visitor: tracker, consent: () => allowed })
 * In a tag every option is a data-attribute (data-log-attributes="false"); data-consent and
 * data-visitor name a function. Events on document: prospect:score, :threshold, :error. */
(function (window) {
  'use strict';
  const { document, history, console } = window;
  const OPTIONS = {
    endpoint: '', // the full address of POST /predict
    seconds: 10, // between two scores
    threshold: null, // from here on the visitor is likely to convert; without one, the model's own
    explain: false, // ask for reasons too
    consent: true, // or a promise of true, or a function of either, called before and after asking
    visitor: null, // an id, a function, or a tracker from npm; without it the tag, then the cookie
    tag: 'snowplow', // the tag's global name ...
    namespace: 'sp', // ... and its tracker's
    cookie: '_sp_', // what the tracker's cookies start with
    pageViews: true, // ask when a page of one's own router is shown
    log: true,
    logAttributes: true,
    timeout: 3000, // milliseconds
  };
  const BACK_OFF = 300; // seconds, at most; jitter comes on top
  const RETRY_AFTER = 3600; // likewise, when the service says so
  const SETTLE = 500; // milliseconds that a page view's own event gets to arrive
  const ABOVE = 'prospect-score:above';
  let current = null;
  let watched = false;

  /** Runs what reaches into the page: its errors stay here. */
  function safely(work) {
    try { return work(); } catch { return undefined; }
  }

  const later = (milliseconds, work) => window.setTimeout(() => safely(work), milliseconds);

  function emit(name, detail) {
    safely(() => document.dispatchEvent(new window.CustomEvent(`prospect:${name}`, { detail })));
  }

  function fromTag({ tag, namespace }) {
    if (typeof window[tag] !== 'function') return null;
    return new Promise((resolve) => {
      later(1000, resolve); // a tag whose script is blocked never calls back
      window[tag](function () {
        const trackers = this || {};
        const one = trackers[namespace] || Object.values(trackers)[0];
        resolve(safely(() => one.getDomainUserId()));
      });
    });
  }

  function fromCookie({ cookie }) {
    const found = document.cookie.split(/;\s*/).filter((one) => one.startsWith(`${cookie}id.`))
      .map((one) => one.slice(one.indexOf('=') + 1).split('.'))
      .sort((a, b) => b[3] - a[3]); // by when each was last used
    return found.length ? found[0][0] : null;
  }

  async function findVisitor(options) {
    const { visitor } = options;
    const given = () => {
      if (typeof visitor === 'function') return visitor();
      return visitor.getDomainUserId ? visitor.getDomainUserId() : visitor;
    };
    for (const way of visitor ? [given] : [fromTag, fromCookie]) {
      const id = await Promise.resolve(safely(() => way(options))).catch(() => null);
      if (id && typeof id === 'string') return id;
    }
    return null;
  }

  function secondsOf(retryAfter) { // seconds, or a date
    const seconds = Number(retryAfter);
    return Number.isNaN(seconds) ? (Date.parse(retryAfter) - Date.now()) / 1000 || 0 : seconds;
  }

  function failure(reply, answer) {
    const { code = 'bad_answer', message = `status ${reply.status}` } = (answer && answer.error) || {};
    const retryAfter = secondsOf(reply.headers.get('Retry-After'));
    return Object.assign(new Error(message), { code, retryAfter, status: reply.status });
  }

  function scoring(options) {
    let timer, viewTimer, flight, queued, request, logged;
    let stopped = false, missed = false, failures = 0, absences = 0, blockedUntil = 0;

    function log(level, ...words) {
      if (options.log) safely(() => console[level](...words));
    }

    async function consents() {
      const { consent } = options;
      try {
        const given = await (typeof consent === 'function' ? consent() : consent);
        return given === true && !stopped;
      } catch { return false; } // a hook that fails gives none
    }

    async function predict(visitor) {
      request = new window.AbortController();
      const alarm = later(options.timeout, () => request.abort());
      try {
        const reply = await window.fetch(options.endpoint, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ domain_userid: visitor, explain: options.explain }),
          credentials: 'omit', cache: 'no-store', signal: request.signal,
        });
        const answer = await reply.json().catch(() => null);
        if (reply.ok && answer && Number.isFinite(answer.score)) return answer;
        throw failure(reply, answer);
      } finally {
        window.clearTimeout(alarm);
      }
    }

    /** Tells the console, the dataLayer and the page. */
    function tell(visitor, answer) {
      const given = parseFloat(options.threshold);
      const decided = answer.decision ? answer.decision.threshold : 0.9; // the tutorial's
      const threshold = Number.isFinite(given) ? given : decided;
      const above = answer.score >= threshold;
      const detail = { ...answer, threshold, above };
      log('log', 'Prediction: ', visitor, ' - ', answer.score);
      if (above) log('log', 'Prospect is likely to convert!');
      const attributes = JSON.stringify(answer.signals);
      if (options.logAttributes && attributes && attributes !== logged) {
        logged = attributes;
        log('log', 'Attributes: ', answer.signals);
      }
      safely(() => (window.dataLayer = window.dataLayer || []).push({
        event: 'prospect_score', prospect_score: answer.score, prospect_above_threshold: above,
      }));
      emit('score', detail);
      const was = safely(() => window.sessionStorage.getItem(ABOVE)) === 'true';
      safely(() => window.sessionStorage.setItem(ABOVE, above));
      if (above && !was) emit('threshold', detail);
      return detail;
    }

    function backOff(problem) {
      const doubled = Math.min(BACK_OFF, options.seconds * 2 ** failures);
      const asked = Math.min(RETRY_AFTER, problem.retryAfter || 0);
      const wait = Math.max(doubled * (1 + Math.random() / 2), asked); // jitter only lengthens
      if (!failures) log('error', 'Prediction: ', problem);
      failures += 1;
      blockedUntil = Date.now() + wait * 1000;
      emit('error', { code: problem.code, message: problem.message, status: problem.status, wait });
      return wait;
    }

    async function round() {
      let wait = options.seconds;
      let detail = null;
      try {
        const visitor = (await consents()) && (await findVisitor(options));
        if (visitor) {
          const answer = await predict(visitor);
          failures = 0;
          absences = 0;
          if (await consents()) detail = tell(visitor, answer);
        } else if (visitor === null) { // the tracker may not have started yet
          wait = Math.min(wait, 2 ** absences);
          absences += 1;
        }
      } catch (problem) {
        if (!stopped) wait = backOff(problem);
      }
      plan(wait * 1000);
      return detail;
    }

    function plan(milliseconds) {
      window.clearTimeout(timer);
      timer = later(milliseconds, () => {
        blockedUntil = 0; // a timer may be a moment early
        ask();
      });
    }

    /** Asks now; while one is being asked, once more after it, so that no answer is too old. */
    function ask() {
      if (flight) {
        queued = queued || flight.then(() => { queued = null; return ask(); });
        return queued;
      }
      missed = document.hidden; // then at once when it is seen again
      if (stopped || missed || Date.now() < blockedUntil) return Promise.resolve(null);
      flight = round().catch(() => null).finally(() => { flight = null; });
      return flight;
    }

    function seen() {
      if (missed && !document.hidden) ask();
    }

    function pageView() {
      window.clearTimeout(viewTimer);
      if (options.pageViews) viewTimer = later(SETTLE, ask);
    }

    function stop() {
      stopped = true;
      window.clearTimeout(timer);
      window.clearTimeout(viewTimer);
      if (request) request.abort();
    }

    return { ask, pageView, seen, stop };
  }

  /** Hears of the page, once for all; nothing tells of pushState, so that is wrapped. */
  function watch() {
    if (watched) return;
    watched = true;
    const viewed = () => safely(() => current && current.pageView());
    const push = history.pushState;
    history.pushState = function (...state) {
      const result = push.apply(this, state);
      viewed();
      return result;
    };
    window.addEventListener('popstate', viewed);
    document.addEventListener('visibilitychange', () => safely(() => current && current.seen()));
  }

  function fromData(data) {
    const read = (name, text) => {
      if (name === 'consent' || name === 'visitor') {
        return () => text.split('.').reduce((at, part) => at[part], window)();
      }
      if (typeof OPTIONS[name] === 'boolean') return text !== 'false';
      return typeof OPTIONS[name] === 'number' ? Number(text) : text;
    };
    return Object.fromEntries(Object.entries(data).map(([name, text]) => [name, read(name, text)]));
  }

  window.ProspectScore = {
    /** Starts asking, and stops what was started before. */
    start(given) {
      safely(() => {
        this.stop();
        const options = { ...OPTIONS, ...given };
        options.seconds = Math.max(1, options.seconds) || OPTIONS.seconds;
        current = scoring(options);
        watch();
        current.ask();
      });
    },
    /** Stops asking, and drops an answer that is under way. */
    stop() {
      safely(() => current && current.stop());
      current = null;
    },
    /** Asks now: a promise of what prospect:score tells, or of null where nothing was asked. */
    ask() {
      return safely(() => current && current.ask()) || Promise.resolve(null);
    },
  };

  const script = safely(() => document.currentScript);
  if (script && script.dataset.endpoint) window.ProspectScore.start(fromData(script.dataset));
})(window);
