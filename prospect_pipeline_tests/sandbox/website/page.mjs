/** A page for prospect-score.js to run in: no browser, only what the snippet touches, and a clock. */
import { readFileSync } from 'node:fs';
import { mock } from 'node:test';
import vm from 'node:vm';

const SOURCE = readFileSync(process.env.PROSPECT_SCORE_JS, 'utf8');

/** Lets everything that waits on promises, and not on the clock, go on. */
export async function settled() {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** An answer of /predict. */
export function reply(body, { status = 200, headers = {} } = {}) {
  const ok = status >= 200 && status < 300;
  return { ok, status, headers: new Headers(headers), json: async () => body };
}

export function scored(score, more = {}) {
  return reply({ domain_userid: 'v1', score, model: { name: 'm', version: '1' }, signals: { views: 1 }, ...more });
}

export class Page {
  constructor({ cookie = '_sp_id.1fff=v1.1700000000.1.1700000000.1700000000.s1', script = null, globals = {} } = {}) {
    mock.timers.reset();
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_700_000_000_000 });
    this.requests = [];
    this.logs = [];
    this.heard = [];
    this.answer = async () => scored(0.2);
    this.document = Object.assign(new EventTarget(), {
      cookie, hidden: false, currentScript: script && { dataset: script },
    });
    for (const name of ['score', 'threshold', 'error']) {
      this.document.addEventListener(`prospect:${name}`, ({ detail }) => this.heard.push([name, detail]));
    }
    this.window = this.makeWindow(globals);
    vm.runInContext(SOURCE, vm.createContext(this.window));
    this.ProspectScore = this.window.ProspectScore;
  }

  makeWindow(globals) {
    const log = (level) => (...words) => this.logs.push([level, ...words]);
    const kept = new Map();
    const window = Object.assign(new EventTarget(), {
      document: this.document,
      console: { log: log('log'), error: log('error') },
      history: { pushState: (...state) => { this.pushed = state; return 'pushed'; } },
      sessionStorage: { getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, String(value)) },
      fetch: (url, request) => {
        this.requests.push({ url, request, body: JSON.parse(request.body) });
        return this.answer(request);
      },
      setTimeout: (...given) => globalThis.setTimeout(...given),
      clearTimeout: (...given) => globalThis.clearTimeout(...given),
      Date, Math, AbortController, CustomEvent,
      ...globals,
    });
    window.window = window;
    return window;
  }

  async start(options = {}) {
    this.ProspectScore.start({ endpoint: 'http://scores.test/predict', ...options });
    await settled();
  }

  /** Lets time pass, second by second, so that what one timer starts can start the next. */
  async pass(seconds) {
    for (let left = seconds * 10; left > 0; left -= 1) {
      mock.timers.tick(100);
      if (left % 10 === 1) await settled();
    }
    await settled();
  }

  show(visible) {
    this.document.hidden = !visible;
    this.document.dispatchEvent(new Event('visibilitychange'));
  }

  asked() {
    return this.requests.length;
  }

  events(name) {
    return this.heard.filter(([one]) => one === name).map(([, detail]) => detail);
  }
}
