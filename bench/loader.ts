/**
 * What it costs to restore as a role of its own: the same dump with it, and by an account that may create no roles and so does
 * all itself; in turns, on one server.
 *
 *     node bench/loader.ts [tables] [thousand rows]
 *
 * Starts servers of its own and removes them again.
 */

import { startPlainTarget } from '../__tests__/support/polardb-standin.ts'
import { createRoles, Harness } from '../__tests__/support/restore-harness.ts'
import { TestServer } from '../__tests__/support/server.ts'

const tables = Number(process.argv[2] ?? 200)
const rows = Number(process.argv[3] ?? 1000) * 1000
const rounds = 3

const harness = await Harness.open(15)
if (!harness) throw new Error('the client programs of 15 are missing')
const source = await TestServer.start(15)
const target = await startPlainTarget(15)
try {
  await source.sql('CREATE ROLE app')
  await source.sql('CREATE DATABASE bench')
  // half of the tables belong to a role that can have them, half to the source's superuser
  await source.sql(
    `DO $$ BEGIN FOR t IN 1..${tables} LOOP
       EXECUTE format('CREATE TABLE public.t%s (id int PRIMARY KEY, at timestamptz DEFAULT now(), note text CHECK (length(note) < 100))', t);
       EXECUTE format('INSERT INTO public.t%s SELECT g, now(), md5(g::text) FROM generate_series(1, ${Math.ceil(rows / tables)}) g', t);
       EXECUTE format('CREATE INDEX ON public.t%s (lower(note))', t);
       EXECUTE format('GRANT SELECT ON public.t%s TO app', t);
       IF t % 2 = 0 THEN EXECUTE format('ALTER TABLE public.t%s OWNER TO app', t); END IF;
     END LOOP; END $$`,
    'bench',
  )
  await createRoles(target, ['app'])
  await target.backend.sql(`GRANT app TO ${target.account}`)
  const dump = await harness.dump(source, 'bench')
  const best = { with: Number.POSITIVE_INFINITY, without: Number.POSITIVE_INFINITY }
  for (let round = 0; round < rounds; round++) {
    for (const way of ['with', 'without'] as const) {
      const option = way === 'with' ? 'CREATEROLE' : 'NOCREATEROLE'
      await target.backend.sql(`ALTER ROLE ${target.account} ${option}`)
      const began = performance.now()
      await harness.restore(dump, target, { ifNotEmpty: 'replace' })
      best[way] = Math.min(best[way], performance.now() - began)
    }
  }
  const seconds = (way: 'with' | 'without') => (best[way] / 1000).toFixed(2)
  console.log(
    `PostgreSQL 15, ${tables} tables, ${rows / 1000} thousand rows, best of ${rounds}: with the role ${seconds('with')} s, without ${seconds('without')} s, ratio ${(best.with / best.without).toFixed(2)}`,
  )
} finally {
  await target.stop()
  await source.stop()
  await harness.close()
}
