import type { Forecast, HistoryPoint } from '../../src/report/model.ts'

const GiB = 1024 ** 3

/** A verified rehearsal of a database of 40 GiB that took twenty minutes. */
export function samplePoint(changes: Partial<HistoryPoint> = {}): HistoryPoint {
  return {
    run: '7001',
    attempt: 1,
    command: 'rehearse',
    startedAt: '2026-11-01T01:17:00.000Z',
    source: '00112233445566aa',
    target: '00112233445566bb',
    databases: '00112233445566cc',
    versions: { source: '15.20', target: '11.9' },
    bytes: 40 * GiB,
    dumpBytes: 9 * GiB,
    tables: 212,
    rows: 90_000_000,
    processors: 4,
    jobs: { dump: 4, restore: 4 },
    compression: 'auto',
    verify: 'data',
    seconds: 1200,
    phases: [
      { name: 'dump-roles', seconds: 2 },
      { name: 'schema', seconds: 8 },
      { name: 'dump', seconds: 330 },
      { name: 'restore-roles', seconds: 4 },
      { name: 'restore', seconds: 620 },
      { name: 'analyze', seconds: 30 },
      { name: 'verify', seconds: 190 },
      { name: 'other', seconds: 16 },
    ],
    verified: true,
    stated: null,
    ...changes,
  }
}

/** A forecast that rests on four rehearsals. */
export function sampleForecast(changes: Partial<Forecast> = {}): Forecast {
  return {
    low: 1150,
    high: 1900,
    confidence: 0.6,
    from: 'runs',
    points: 4,
    bytes: { low: 42 * GiB, high: 44 * GiB },
    freeze: { low: 2, high: 30 },
    phases: [
      { name: 'freeze', seconds: { low: 2, high: 30 }, perGigabyte: null },
      { name: 'dump', seconds: { low: 300, high: 460 }, perGigabyte: 7.5 },
      { name: 'restore', seconds: { low: 560, high: 900 }, perGigabyte: 15.2 },
      { name: 'verify', seconds: { low: 170, high: 280 }, perGigabyte: 4.4 },
    ],
    heldUp: [
      {
        what: 'the index events_payload_idx of "public"."events" was built alone for the last 4 min of the restore',
        seconds: 240,
        remedy: 'Leave the index out and build it after the cutover (CREATE INDEX CONCURRENTLY)',
      },
    ],
    basis: ['Four verified runs with the same settings, of 36 GB to 42 GB'],
    ...changes,
  }
}
