import { expect, test } from '@jest/globals'
import { compareDefinitions } from '../../src/migration/restore/scratch-definitions.ts'
import type { CatalogSide } from '../../src/migration/verify/compare/sides.ts'

const side = (kinds: CatalogSide['catalog']['kinds']): CatalogSide => ({
  server: 150000,
  catalog: { owners: [], acls: [], kinds },
})

test('a definition that comes back as another one is told from one in other words', () => {
  const source = side({
    table: [{ name: 'public.a', facets: { persistence: 'x' } }, { name: 'public.gone' }],
    view: [{ name: 'public.v', facets: { query: 'one' } }],
    index: [{ name: 'public.refused' }],
  })
  const target = side({
    table: [{ name: 'public.a', facets: { persistence: 'y' } }],
    view: [{ name: 'public.v', facets: { query: 'two' } }],
    sequence: [{ name: 'public.more' }],
  })
  const expected = [{ entry: 'INDEX public.refused', reason: 'the target refuses it' }]
  expect(compareDefinitions(source, target, expected)).toEqual({
    different: [
      'sequence public.more: only on the target',
      'table public.gone: missing',
      'table public.a: persistence',
    ],
    printed: ['view public.v'],
  })
  expect(compareDefinitions(source, source, [])).toEqual({ different: [], printed: [] })
})
