import type pg from 'pg'
import { serverVersion } from '../../postgres/connection.ts'
import type { ConnectionParameters } from '../../postgres/connection-string.ts'
import { printable } from '../../text/text.ts'
import type { Run } from '../run.ts'
import { readCatalog } from '../verify/catalog/catalog.ts'
import { isPrinted } from '../verify/catalog/definition.ts'
import type { CatalogFingerprint } from '../verify/catalog/model.ts'
import { compareCatalogs } from '../verify/compare/catalogs.ts'
import {
  type ExpectedDifference,
  ExpectedDifferences,
} from '../verify/compare/expected-differences.ts'
import type { CatalogSide } from '../verify/compare/sides.ts'
import { withSession } from '../verify/read-session.ts'

/** Every definition of a database that a throw-away restore makes as well, without its owner. @throws Failure; Cancelled */
export async function readDefinitions(
  connection: ConnectionParameters,
  database: string,
  role: 'source' | 'target',
  run: Run,
): Promise<CatalogSide> {
  const read = async (client: pg.Client) => {
    const { number } = await serverVersion(client)
    return { server: number, catalog: withoutOwners(await readCatalog(client, number)) }
  }
  return await withSession({ connection, database, role }, run.signal, read)
}

/** Kinds that belong to the roles or to the database itself, and those that a throw-away database goes without. */
const notCompared =
  /^(database|default privileges|user mapping|subscription|extension member|large object)$/

function withoutOwners({ kinds }: CatalogFingerprint): CatalogFingerprint {
  const some = Object.entries(kinds).filter(([kind]) => !notCompared.test(kind))
  return {
    owners: [],
    acls: [],
    kinds: Object.fromEntries(
      some.map(([kind, objects]) => [
        kind,
        objects.map(({ name, facets }) => ({ name, ...(facets ? { facets } : {}) })),
      ]),
    ),
  }
}

/**
 * Both ways in which a definition may come back otherwise: as another one, which the verification would say, or in other words.
 * Pure.
 *
 * @param expected what the restore has left out or changed, and the server refused
 */
export function compareDefinitions(
  source: CatalogSide,
  target: CatalogSide,
  expected: readonly ExpectedDifference[],
): { different: string[]; printed: string[] } {
  const known = new ExpectedDifferences(expected)
  const printed: string[] = []
  // the throw-away database is what a rebuild would be: what is printed otherwise in it is equal to what it was made of
  const { objects } = compareCatalogs(source, target, known, [], {
    decide: ({ kind, name, facet }) => {
      if (isPrinted(kind, facet)) printed.push(`${kind} ${printable(name)}`)
      return 'equal'
    },
    texts: () => undefined,
  })
  const different = objects.flatMap(({ kind, missing, different: others, extra = [] }) => [
    ...missing.map((name) => `${kind} ${name}: missing`),
    ...others.map((name) => `${kind} ${name}`),
    ...extra.map((name) => `${kind} ${name}: only on the target`),
  ])
  return { different, printed: [...new Set(printed)] }
}
