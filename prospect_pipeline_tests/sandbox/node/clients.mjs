// Snowplow's own Node packages against a local Signals: tracks, reads back, prints what it read.
import { buildPageView, buildSelfDescribingEvent, newTracker } from '@snowplow/node-tracker';
import { Signals } from '@snowplow/signals-node';

const [baseUrl, sandboxToken, visitor, session] = process.argv.slice(2);

const failed = [];
const tracker = newTracker(
  { namespace: 'node', appId: 'website', encodeBase64: true },
  { endpoint: baseUrl, bufferSize: 2, onRequestFailure: (why) => failed.push(String(why)) },
);
tracker.setDomainUserId(visitor);
tracker.setSessionId(session);
tracker.track(buildPageView({ pageUrl: 'https://a.io/pricing', pageTitle: 'Pricing' }));
tracker.track(
  buildSelfDescribingEvent({
    event: {
      schema: 'iglu:com.snowplowanalytics.snowplow/submit_form/jsonschema/1-0-0',
      data: { formId: 'demo', formClasses: [], elements: [] },
    },
  }),
);
await tracker.flush();

const signals = new Signals({ baseUrl, sandboxToken });
const name = 'prospect_scoring_tutorial_service';
const asked = { name, attribute_key: 'domain_userid' };
let attributes = {};
for (let tries = 0; tries < 100 && attributes.num_conversions_l7d !== 1; tries += 1) {
  attributes = await signals.getServiceAttributes({ ...asked, identifier: visitor });
}
const several = await signals.getBatchServiceAttributes({ ...asked, identifiers: [visitor, 'nobody'] });
const group = await signals.getGroupAttributes({
  name: 'prospect_scoring_tutorial', version: 1, attributes: ['num_page_views_l7d'],
  attribute_key: 'domain_userid', identifier: visitor,
});
const refused = await new Signals({ baseUrl, sandboxToken: 'wrong' })
  .getServiceAttributes({ ...asked, identifier: visitor })
  .catch((error) => error.message);
console.log(JSON.stringify({ attributes, several, group, refused, failed }));
process.exit(0);
