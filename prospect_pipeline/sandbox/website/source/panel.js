/** The live panel: score, its course, its reasons, and the attributes that it was made of. */
import { clearUserData } from '@snowplow/browser-tracker';
import { drawChart } from './chart.js';
import { element } from './dom.js';
import { forgetAll, recall, remember } from './memory.js';

const KEPT_POINTS = 180;
const SHOWN_REASONS = 6;
const ROOMY = window.matchMedia('(min-width: 75rem)');

const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

const percent = (score) => `${(score * 100).toFixed(1)} %`;
const clock = (moment) => new Date(moment).toLocaleTimeString();

function shown(value) {
  if (value === null || value === undefined) return 'null';
  return Array.isArray(value) ? JSON.stringify(value) : String(value);
}

/** The value as a person reads it: the model's column has a day as a number. */
function spoken(feature, value) {
  return (feature === 'day_of_week' && DAYS[value - 1]) || value;
}

export function startPanel() {
  const panel = document.getElementById('panel');
  const part = (name) => panel.querySelector(`[data-show="${name}"]`);
  const points = recall('points', []);
  let allowed = recall('allowed', true);
  let answer = recall('answer', null);

  function draw(detail, previous) {
    const { score, model } = detail;
    const change = previous ? score - previous.score : 0;
    const moved = Math.abs(change) >= 0.0005;
    part('score').value = score;
    part('score').textContent = percent(score);
    part('mini').textContent = percent(score);
    part('change').textContent = moved ? `${change > 0 ? '+' : '−'}${Math.abs(change * 100).toFixed(1)}` : '';
    part('change').dataset.direction = change > 0 ? 'up' : 'down';
    part('status').textContent = `${clock(detail.at)} · ${model.name} version ${model.version}`;
    part('visitor').textContent = detail.domain_userid;
    panel.classList.toggle('is-above', detail.above);
    drawChart(part('chart'), points, detail.threshold);
    drawReasons(part('reasons'), detail.reasons || []);
    drawAttributes(part('attributes'), detail.signals || {}, previous && previous.signals);
  }

  /** Says why there is no score; the last one is not shown any more, on later pages neither. */
  function drawNone(state, why) {
    answer = null;
    remember('answer', answer);
    panel.dataset.state = state;
    panel.classList.remove('is-above');
    part('score').value = '';
    part('score').textContent = '–';
    part('mini').textContent = '–';
    part('change').textContent = '';
    part('status').textContent = `No score at the moment. ${why}`;
  }

  document.addEventListener('prospect:score', ({ detail }) => {
    const previous = answer;
    answer = { ...detail, at: Date.now() };
    points.push([answer.at, answer.score]);
    points.splice(0, points.length - KEPT_POINTS);
    remember('points', points);
    remember('answer', answer);
    panel.dataset.state = 'live';
    draw(answer, previous);
  });
  document.addEventListener('prospect:error', ({ detail }) => {
    const why = detail.status ? detail.message.replace(/\.?$/, '.') : 'The scoring service does not answer.';
    drawNone('error', `${why} Asks again in ${Math.round(detail.wait)} s.`);
  });

  function allow(value) {
    allowed = value;
    remember('allowed', value);
    panel.querySelector('[data-do="consent"]').setAttribute('aria-checked', String(value));
    if (value) window.ProspectScore.ask();
    else drawNone('off', 'It is not allowed, and nothing is asked.');
  }

  panel.querySelector('[data-do="consent"]').addEventListener('click', () => allow(!allowed));
  panel.querySelector('[data-do="forget"]').addEventListener('click', () => {
    window.ProspectScore.stop();
    clearUserData();
    forgetAll();
    window.location.assign('/');
  });
  startFolding(panel);
  if (answer) draw(answer, answer);
  allow(allowed);
  return { consents: () => allowed };
}

/** Open or folded, by its bar and by Escape. */
function startFolding(panel) {
  const bar = panel.querySelector('.panel-bar');
  const body = panel.querySelector('.panel-body');

  function fold(open) {
    panel.classList.toggle('is-open', open);
    document.documentElement.classList.toggle('has-panel', open);
    bar.setAttribute('aria-expanded', String(open));
    body.hidden = !open;
  }

  bar.addEventListener('click', () => {
    fold(body.hidden);
    remember('panel', !body.hidden);
  });
  panel.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || body.hidden) return;
    event.preventDefault();
    fold(false);
    remember('panel', false);
    bar.focus();
  });
  fold(recall('panel', ROOMY.matches));
  panel.hidden = false;
}

function drawReasons(list, reasons) {
  const largest = [...reasons].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
  const reach = largest.length ? Math.abs(largest[0].contribution) : 1;
  const rows = largest.slice(0, SHOWN_REASONS).map(({ feature, value, contribution }) => {
    const bar = element('i', { className: contribution > 0 ? 'is-up' : 'is-down' });
    bar.style.setProperty('--share', `${(Math.abs(contribution) / (reach || 1)) * 100}%`);
    const name = value === undefined || value === null ? feature : `${feature} = ${spoken(feature, value)}`;
    const signed = `${contribution > 0 ? '+' : '−'}${Math.abs(contribution).toFixed(2)}`;
    return element('li', { className: 'reason' },
      element('span', { className: 'reason-name', title: name }, name),
      element('span', { className: 'reason-value' }, signed),
      element('span', { className: 'reason-bar' }, bar));
  });
  list.replaceChildren(...rows);
}

function drawAttributes(list, attributes, previous) {
  const rows = Object.entries(attributes).map(([name, value]) => {
    const text = shown(value);
    const changed = Boolean(previous) && text !== shown(previous[name]);
    const row = element('div', { className: 'attribute' },
      element('dt', { title: name }, name), element('dd', { title: text }, text));
    row.classList.toggle('is-null', text === 'null');
    row.classList.toggle('is-changed', changed);
    return row;
  });
  list.replaceChildren(...rows);
}
