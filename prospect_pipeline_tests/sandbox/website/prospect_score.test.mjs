/** What a site that takes prospect-score.js can rely on. */
import assert from 'node:assert/strict';
import { afterEach, mock, test } from 'node:test';
import { Page, reply, scored, settled } from './page.mjs';

afterEach(() => mock.timers.reset());

const UNAVAILABLE = { error: { code: 'no_model', message: 'No model is loaded yet.' } };

test('asks on start and then every so many seconds', async () => {
  const page = new Page();
  await page.start({ seconds: 10 });
  assert.equal(page.asked(), 1);
  await page.pass(9);
  assert.equal(page.asked(), 1);
  await page.pass(21);
  assert.equal(page.asked(), 4);
});

test('sends what /predict expects', async () => {
  const page = new Page();
  await page.start({ explain: true });
  page.ProspectScore.start({ endpoint: '/p' });
  await settled();
  assert.equal(page.requests[1].body.explain, false);
  const [{ url, request, body }] = page.requests;
  assert.equal(url, 'http://scores.test/predict');
  assert.equal(request.method, 'POST');
  assert.equal(request.headers['Content-Type'], 'application/json');
  assert.equal(request.credentials, 'omit');
  assert.deepEqual(body, { domain_userid: 'v1', explain: true });
});

test('logs what the tutorial logs, and the attributes when they changed', async () => {
  const page = new Page();
  page.answer = async () => scored(0.93);
  await page.start({ seconds: 1 });
  await page.pass(1);
  const lines = [['log', 'Prediction: ', 'v1', ' - ', 0.93], ['log', 'Prospect is likely to convert!']];
  assert.deepEqual(page.logs, [...lines, ['log', 'Attributes: ', { views: 1 }], ...lines]);
});

test('logs no attributes when told not to, and nothing at all when told so', async () => {
  const without = new Page();
  await without.start({ logAttributes: false });
  assert.deepEqual(without.logs, [['log', 'Prediction: ', 'v1', ' - ', 0.2]]);
  const silent = new Page();
  await silent.start({ log: false });
  assert.deepEqual(silent.logs, []);
  assert.equal(silent.events('score').length, 1);
});

test('raises a DOM event and fills the dataLayer, without attributes in the latter', async () => {
  const page = new Page();
  await page.start({ threshold: 0.1 });
  const [detail] = page.events('score');
  assert.equal(detail.score, 0.2);
  assert.equal(detail.above, true);
  assert.equal(detail.threshold, 0.1);
  assert.deepEqual(detail.signals, { views: 1 });
  assert.deepEqual([...page.window.dataLayer].map((one) => ({ ...one })), [
    { event: 'prospect_score', prospect_score: 0.2, prospect_above_threshold: true },
  ]);
});

test('takes a threshold as a number or as text', async () => {
  for (const threshold of [0.1, '0.1']) {
    const page = new Page();
    page.answer = async () => scored(0.2, { decision: { prospect: false, threshold: 0.3 } });
    await page.start({ threshold });
    assert.equal(page.events('score')[0].threshold, 0.1);
  }
});

test('without a threshold of its own it goes by the one that the model has', async () => {
  for (const given of [{}, { threshold: undefined }, { threshold: '' }, { threshold: null }]) {
    const page = new Page();
    const scores = [0.29, 0.31];
    page.answer = async () => scored(scores.shift(), { decision: { prospect: false, threshold: 0.3 } });
    await page.start({ seconds: 1, ...given });
    await page.pass(1);
    assert.deepEqual(page.events('score').map(({ threshold, above }) => [threshold, above]), [[0.3, false], [0.3, true]]);
  }
});

test('tells of the threshold once for each time it is crossed upwards', async () => {
  const page = new Page();
  const scores = [0.1, 0.4, 0.5, 0.2, 0.6];
  page.answer = async () => scored(scores.shift());
  await page.start({ seconds: 1, threshold: 0.3 });
  await page.pass(4);
  assert.deepEqual(page.events('threshold').map((detail) => detail.score), [0.4, 0.6]);
});

test('does not ask in a hidden tab, and asks at once when it is seen again if it is time', async () => {
  const page = new Page();
  await page.start({ seconds: 10 });
  page.show(false);
  await page.pass(60);
  assert.equal(page.asked(), 1);
  page.show(true);
  await page.pass(0.1);
  assert.equal(page.asked(), 2);
  page.show(false);
  await page.pass(3);
  page.show(true);
  await page.pass(6);
  assert.equal(page.asked(), 2, 'seen again too early: the rest of the ten seconds is waited');
  await page.pass(1);
  assert.equal(page.asked(), 3);
});

test('a tab that opens hidden asks once it is seen', async () => {
  const page = new Page();
  page.document.hidden = true;
  await page.start();
  assert.equal(page.asked(), 0);
  page.show(true);
  await page.pass(0.1);
  assert.equal(page.asked(), 1);
});

test('who asks in a hidden tab is answered once it is seen', async () => {
  const page = new Page();
  await page.start({ seconds: 100 });
  page.show(false);
  assert.equal(await page.ProspectScore.ask(), null);
  page.show(true);
  await settled();
  assert.equal(page.asked(), 2);
});

test('has at most one request under way, and asks once more for all who came meanwhile', async () => {
  const page = new Page();
  const waiting = [];
  page.answer = () => new Promise((resolve) => waiting.push(resolve));
  await page.start();
  const asked = [1, 2, 3].map(() => page.ProspectScore.ask());
  await settled();
  assert.equal(page.asked(), 1);
  waiting.shift()(scored(0.1));
  await settled();
  assert.equal(page.asked(), 2);
  waiting.shift()(scored(0.4));
  assert.deepEqual((await Promise.all(asked)).map((detail) => detail.score), [0.4, 0.4, 0.4]);
  assert.equal(page.asked(), 2);
});

test('backs off on errors, twice as long each time, and is back to normal after a success', async () => {
  const page = new Page();
  mock.method(Math, 'random', () => 0);
  page.answer = async () => { throw new TypeError('Failed to fetch'); };
  await page.start({ seconds: 10 });
  await page.pass(10); // second try
  await page.pass(20); // third
  await page.pass(39);
  assert.equal(page.asked(), 3);
  page.answer = async () => scored(0.2);
  await page.pass(1);
  assert.equal(page.asked(), 4);
  await page.pass(9);
  page.answer = async () => { throw new TypeError('Failed to fetch'); };
  await page.pass(1);
  assert.equal(page.asked(), 5);
  assert.deepEqual(page.events('error').map((detail) => detail.wait), [10, 20, 40, 10]);
  assert.equal(page.logs.filter(([level]) => level === 'error').length, 2, 'a line for each trouble');
  mock.restoreAll();
});

test('jitter only lengthens the wait, and the wait has an end', async () => {
  const page = new Page();
  mock.method(Math, 'random', () => 1);
  page.answer = async () => reply(UNAVAILABLE, { status: 503 });
  await page.start({ seconds: 100 });
  await page.pass(1000);
  assert.deepEqual(page.events('error').map((detail) => detail.wait), [150, 300, 450, 450]);
  assert.equal(page.events('error')[0].code, 'no_model');
  mock.restoreAll();
});

for (const [kind, header] of [['seconds', '120'], ['a date', new Date(1_700_000_120_000).toUTCString()]]) {
  test(`respects Retry-After as ${kind}, also when asked on demand`, async () => {
    const page = new Page();
    page.answer = async () => reply(UNAVAILABLE, { status: 503, headers: { 'Retry-After': header } });
    await page.start({ seconds: 1 });
    await page.pass(60);
    assert.equal(await page.ProspectScore.ask(), null);
    page.show(false);
    page.show(true);
    await page.pass(59);
    assert.equal(page.asked(), 1);
    await page.pass(1);
    assert.equal(page.asked(), 2);
  });
}

test('a Retry-After beyond reason is an hour', async () => {
  const page = new Page();
  page.answer = async () => reply(UNAVAILABLE, { status: 503, headers: { 'Retry-After': '1e15' } });
  await page.start();
  assert.equal(page.events('error')[0].wait, 3600);
});

test('gives up on a request after the timeout', async () => {
  const page = new Page();
  page.answer = ({ signal }) => new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });
  await page.start({ timeout: 3000 });
  await page.pass(2);
  assert.equal(page.events('error').length, 0);
  await page.pass(1);
  assert.equal(page.events('error').length, 1);
});

for (const [kind, body] of [['no JSON object', null], ['no score', {}], ['a score that is text', { score: '0.9' }]]) {
  test(`an answer with ${kind} is an error`, async () => {
    const page = new Page();
    page.answer = async () => reply(body);
    await page.start();
    assert.equal(page.events('score').length, 0);
    assert.equal(page.events('error')[0].code, 'bad_answer');
  });
}

test('asks and logs nothing before consent is given, and stops when it is withdrawn', async () => {
  const page = new Page();
  let given = false;
  await page.start({ seconds: 1, consent: () => given });
  await page.pass(5);
  assert.equal(page.asked() + page.logs.length + page.heard.length, 0);
  given = true;
  await page.pass(2);
  assert.equal(page.asked(), 2);
  given = false;
  await page.pass(5);
  assert.equal(page.asked(), 2);
});

test('an answer that comes after consent was withdrawn is dropped', async () => {
  const page = new Page();
  let given = true;
  page.answer = async () => { given = false; return scored(0.9); };
  await page.start({ consent: async () => given });
  assert.equal(page.asked(), 1);
  assert.deepEqual([page.logs, page.heard, page.window.dataLayer], [[], [], undefined]);
});

test('waits for a promise of consent', async () => {
  const page = new Page();
  let decide;
  await page.start({ seconds: 1, consent: new Promise((resolve) => { decide = resolve; }) });
  await page.pass(5);
  assert.equal(page.asked(), 0);
  decide(true);
  await settled();
  assert.equal(page.asked(), 1);
});

for (const [kind, consent] of [
  ['a promise of anything but true', async () => 'denied'],
  ['a promise that fails', async () => { throw new Error('no'); }],
  ['a function that throws', () => { throw new Error('no'); }],
]) {
  test(`${kind} is no consent`, async () => {
    const page = new Page();
    await page.start({ consent });
    await page.pass(30);
    assert.equal(page.asked() + page.logs.length + page.heard.length, 0);
  });
}

test('finds the visitor through the tag', async () => {
  const tag = (callback) => callback.call({ sp: { getDomainUserId: () => 'from-tag' } });
  const page = new Page({ globals: { snowplow: tag } });
  await page.start();
  assert.equal(page.requests[0].body.domain_userid, 'from-tag');
});

test('finds the visitor through a tag and a tracker of other names', async () => {
  const tag = (callback) => callback.call({ other: { getDomainUserId: () => 'from-other' } });
  const page = new Page({ globals: { sp_eu: tag } });
  await page.start({ tag: 'sp_eu' });
  assert.equal(page.requests[0].body.domain_userid, 'from-other');
});

test('takes the cookie where the tag never calls back', async () => {
  const page = new Page({ globals: { snowplow: () => {} } });
  await page.start();
  assert.equal(page.asked(), 0);
  await page.pass(1);
  assert.equal(page.requests[0].body.domain_userid, 'v1');
});

for (const [kind, visitor] of [
  ['a tracker from npm', { getDomainUserId: () => 'given' }],
  ['a function', () => 'given'],
  ['an asynchronous function', async () => 'given'],
  ['an id', 'given'],
]) {
  test(`finds the visitor through ${kind}`, async () => {
    const page = new Page();
    await page.start({ visitor });
    assert.equal(page.requests[0].body.domain_userid, 'given');
  });
}

test('reads the cookie that was used last, whatever stands around it', async () => {
  const old = '_sp_id.aaaa=old.1.1.1600000000.1.s';
  const cookie = `_sp_ses.1fff=*; x_sp_id.zzzz=wrong; ${old}; a=b=c; _sp_id.bbbb=new.1.1.1700000000.1.s`;
  const page = new Page({ cookie });
  await page.start();
  assert.equal(page.requests[0].body.domain_userid, 'new');
});

test('without a visitor asks nobody, and looks again soon', async () => {
  const page = new Page({ cookie: '' });
  await page.start({ seconds: 10 });
  assert.equal(page.asked(), 0);
  page.document.cookie = '_sp_id.1fff=late.1.1.1.1.s';
  await page.pass(1);
  assert.equal(page.requests[0].body.domain_userid, 'late');
});

test('asks when a page of the site\'s own router is shown', async () => {
  const page = new Page();
  await page.start({ seconds: 60 });
  assert.equal(page.window.history.pushState({}, '', '/next'), 'pushed');
  page.window.history.pushState({}, '', '/and-on');
  assert.deepEqual(page.pushed, [{}, '', '/and-on']);
  await page.pass(1);
  assert.equal(page.asked(), 2);
  page.window.dispatchEvent(new Event('popstate'));
  await page.pass(1);
  assert.equal(page.asked(), 3);
});

test('leaves page views alone when told so', async () => {
  const page = new Page();
  await page.start({ seconds: 60, pageViews: false });
  page.window.history.pushState({}, '', '/next');
  await page.pass(5);
  assert.equal(page.asked(), 1);
});

test('starts from a script tag, its options being data-attributes', async () => {
  const page = new Page({
    script: { endpoint: '/p', seconds: '2', logAttributes: 'false', explain: '', consent: 'site.agrees' },
    globals: { site: { agrees: () => true } },
  });
  await settled();
  await page.pass(2);
  assert.equal(page.requests[0].url, '/p');
  assert.equal(page.requests[0].body.explain, true);
  assert.equal(page.asked(), 2);
  assert.equal(page.logs.filter(([, word]) => word === 'Attributes: ').length, 0);
});

test('a consent function that a tag names but the page lacks is no consent', async () => {
  const page = new Page({ script: { endpoint: '/p', consent: 'not.there' } });
  await settled();
  await page.pass(30);
  assert.equal(page.asked(), 0);
});

test('stops, and drops what is under way', async () => {
  const page = new Page();
  let answer;
  page.answer = () => new Promise((resolve) => { answer = resolve; });
  await page.start({ seconds: 1 });
  page.ProspectScore.stop();
  assert.equal(page.requests[0].request.signal.aborted, true);
  answer(scored(0.9));
  await page.pass(10);
  assert.equal(page.asked(), 1);
  assert.deepEqual([page.heard, page.logs], [[], []]);
  assert.equal(await page.ProspectScore.ask(), null);
});

test('says nothing of a request that fails after the stop', async () => {
  const page = new Page();
  page.answer = ({ signal }) => new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
  });
  await page.start({ seconds: 1 });
  page.ProspectScore.stop();
  await page.pass(10);
  assert.deepEqual([page.heard, page.logs, page.asked()], [[], [], 1]);
});

test('starting again replaces what was started before', async () => {
  const page = new Page();
  await page.start({ seconds: 1 });
  await page.start({ seconds: 10 });
  await page.pass(9);
  assert.equal(page.asked(), 2);
});

const BROKEN = { get() { throw new Error('broken page'); } };
for (const [kind, breaks] of [
  ['fetch throws', (page) => { page.window.fetch = () => { throw new Error('broken'); }; }],
  ['there is no fetch', (page) => { delete page.window.fetch; }],
  ['document.hidden throws', (page) => Object.defineProperty(page.document, 'hidden', BROKEN)],
  ['document.cookie throws', (page) => Object.defineProperty(page.document, 'cookie', BROKEN)],
  ['document dispatches nothing', (page) => { page.document.dispatchEvent = BROKEN.get; }],
  ['the dataLayer is frozen', (page) => { page.window.dataLayer = Object.freeze([]); }],
  ['console.log throws', (page) => { page.window.console.log = BROKEN.get; }],
  ['there is no storage', (page) => Object.defineProperty(page.window, 'sessionStorage', BROKEN)],
  ['the tag throws', (page) => { page.window.snowplow = BROKEN.get; }],
  ['the tag knows no tracker', (page) => { page.window.snowplow = (callback) => callback.call(undefined); }],
]) {
  test(`never throws into the page: ${kind}`, async () => {
    const page = new Page();
    const rejected = [];
    const hear = (problem) => rejected.push(problem);
    process.on('unhandledRejection', hear);
    breaks(page);
    await page.start({ seconds: 1 });
    await page.ProspectScore.ask();
    await page.pass(2);
    page.ProspectScore.stop();
    process.off('unhandledRejection', hear);
    assert.deepEqual(rejected, []);
  });
}

for (const options of [undefined, null, { seconds: 'soon' }, { seconds: -5 }, { visitor: 7 }, { consent: 3 }]) {
  test(`never throws on options of ${JSON.stringify(options)}`, async () => {
    const page = new Page();
    page.ProspectScore.start(options);
    for (let tenths = 0; tenths < 10; tenths += 1) await page.pass(0.1);
    assert.ok(page.asked() <= 2);
  });
}
